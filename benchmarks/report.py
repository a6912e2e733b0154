"""docs/performance.md: what the benchmarks printed. It is kept by section, so that one benchmark can be run again."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

_DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT, FIGURES = _DOCS / "performance.md", _DOCS / "performance.json"
_HEAD = """# Performance

Each figure comes from one run in which all systems took turns on the same servers; a rate is the median of its rounds.
The machine is shared and its speed changes by the hour: compare within a table, not between tables. The command is
`bin/bench NAME --report`.
"""


def write(name: str, text: str) -> None:
    """Put a section in the place of the older one of the same benchmark; ``text`` is Markdown."""
    sections: dict[str, str] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, Dramatiq {version('dramatiq')}"
    sections[name] = f"## {name}\n\nMeasured on {machine}.\n\n{text.rstrip()}\n"
    sections = dict(sorted(sections.items()))
    FIGURES.write_text(json.dumps(sections, indent=1) + "\n")
    DOCUMENT.write_text("\n".join([_HEAD, *sections.values()]))
