"""docs/performance.md: what the benchmarks printed. It is kept by row and section, so that one can be run again."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import table
from benchmarks.row import Goal, Row

_DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT, FIGURES = _DOCS / "performance.md", _DOCS / "performance.json"
_HEAD = """# Performance

Each figure comes from one run in which all systems took turns on the same servers; it is the median of its rounds.
The machine is shared and its speed changes by the hour: compare within a table, not between tables. The command is
`bin/bench [NAME…] --report`.
"""


def write_section(name: str, text: str) -> None:
    """Put a section in the place of the older one of the same benchmark; ``text`` is Markdown."""
    kept = _kept()
    kept["sections"][name] = f"## {name}\n\nMeasured on {_machine()}.\n\n{text.rstrip()}\n"
    _write(kept)


def write_rows(rows: list[Row]) -> None:
    """Put rows of the table in the places of the older ones."""
    kept = _kept()
    new = {(row.name, row.what, row.where): asdict(row) for row in rows}
    old = {(each["name"], each["what"], each["where"]): each for each in kept["rows"]}
    kept["rows"] = list({**old, **new}.values())
    kept["machine"] = _machine()
    _write(kept)


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, Dramatiq {version('dramatiq')}"


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(FIGURES.read_text())
    return kept


def _write(kept: dict[str, Any]) -> None:
    kept["sections"] = dict(sorted(kept["sections"].items()))
    FIGURES.write_text(json.dumps(kept, indent=1) + "\n")
    rows = [Row(**{**each, "goals": [Goal(**goal) for goal in each["goals"]]}) for each in kept["rows"]]
    parts = [_HEAD]
    if rows:
        parts.append(f"## Speed\n\nMeasured on {kept['machine']}.\n\n{table.markdown(rows)}\n")
    DOCUMENT.write_text("\n".join([*parts, *kept["sections"].values()]))
