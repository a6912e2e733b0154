"""Makes pages: templates in which everything is escaped, and how numbers and times are written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

_TEMPLATES = Path(__file__).parent / "templates"
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def environment() -> Environment:
    """That of all pages."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=number, ago=ago, points=points)
    return made


def number(value: float | None) -> str:
    """With thin spaces between thousands; a dash for what nobody knows."""
    return "\u2013" if value is None else f"{value:,.0f}".replace(",", "\u2009")


def ago(text: str | datetime | None) -> Markup:
    """How long ago, with the moment itself for whoever points at it."""
    moment = text if isinstance(text, datetime) else _moment(text)
    if moment is None:
        return escape(text or "\u2013")
    seconds = (datetime.now(UTC) - moment).total_seconds()
    exact = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    shown = _span(abs(seconds))
    said = "now" if shown == "0 s" else (f"{shown} ago" if seconds >= 0 else f"in {shown}")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), exact, said)


def points(values: Sequence[float], width: int = 600, height: int = 80) -> str:
    """A line of them in an SVG of this size, the newest at the right."""
    if not values:
        return ""
    most, step = max(max(values), 1), width / max(len(values) - 1, 1)
    return " ".join(
        f"{place * step:.1f},{height - 4 - each / most * (height - 8):.1f}" for place, each in enumerate(values)
    )


def _span(seconds: float) -> str:
    for name, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {name}"
    return "0 s"


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
