"""Makes pages: templates in which everything is escaped, and how numbers and times are written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from carrier.monitor.units import size, span

_TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """That of all pages."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=number, rate=rate, ago=ago, points=points, size=size, span=span)
    return made


def number(value: float | None) -> str:
    """With thin spaces between thousands; a dash for what nobody knows."""
    return "\u2013" if value is None else f"{value:,.0f}".replace(",", "\u2009")


def rate(value: float | None) -> str:
    """How many in a second: small ones with a digit behind the point."""
    return number(value) if value is None or value == 0 or value >= 10 else f"{value:.1f}"


def ago(text: str | datetime | None) -> Markup:
    """How long ago, with the moment itself for whoever points at it."""
    moment = text if isinstance(text, datetime) else _moment(text)
    if moment is None:
        return escape(text or "\u2013")
    seconds = (datetime.now(UTC) - moment).total_seconds()
    exact = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    shown = span(abs(seconds))
    said = "now" if abs(seconds) < 1 else (f"{shown} ago" if seconds >= 0 else f"in {shown}")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), exact, said)


def points(values: Sequence[float | None], width: int = 600, height: int = 80) -> str:
    """A line of them in an SVG of this size, the newest at the right; what nobody knows is none."""
    known = [each or 0 for each in values]
    if not known:
        return ""
    most, step = max(*known, 1), width / max(len(known) - 1, 1)
    return " ".join(
        f"{place * step:.1f},{height - 4 - each / most * (height - 8):.1f}" for place, each in enumerate(known)
    )


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
