"""docs/performance.md: what the benchmarks printed. It is kept by row and section, so that one can be run again."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import plot, table
from benchmarks.environment import peer
from benchmarks.row import Goal, Row

_DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT, FIGURES, PICTURE = (_DOCS / f"performance.{kind}" for kind in ("md", "json", "svg"))
#: What each section is called, in their order.
_TITLES = {
    "growth": "How cost grows",
    "cluster": "More than one machine",
    "profile": "What limits it",
    "email": "E-mails",
    "backup": "Backups",
}
#: Of the peers' environment, whose versions are told.
_PEERS = ("celery", "dramatiq", "taskiq", "taskiq-aio-pika", "huey", "pika")
_HEAD = """# Performance

The figures of a line come from one run in which the systems took turns on the same server, so that they can be held
against each other. In the first table they are medians, with the least and the most of the rounds in brackets. The
machine is shared and its speed changes by the minute: what is measured twice, as a drain is for several lines, differs
by that. The command is `bin/bench [NAME…] --report`.
"""


def write_section(name: str, text: str) -> None:
    """Put a section in the place of the older one of the same benchmark; ``text`` is Markdown."""
    kept = _kept()
    kept["sections"][name] = f"Measured on {_machine()}.\n\n{text.rstrip()}\n"
    _write(kept)


def write_row(row: Row) -> None:
    """Put a row of the table in the place of the older one."""
    kept = _kept()
    old = {(each["name"], each["what"], each["where"]): each for each in kept["rows"]}
    kept["rows"] = list({**old, (row.name, row.what, row.where): asdict(row)}.values())
    kept["machine"], kept["peers"] = _machine(), _peers()
    _write(kept)


def _machine() -> str:
    processor = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    cores = f"{os.cpu_count()} cores" + (f" ({processor[1]})" if processor else "")
    return f"{cores}, Python {platform.python_version()}, Dramatiq {version('dramatiq')}"


def _peers() -> str:
    code = f"from importlib.metadata import version; print(*(f'{{n}} {{version(n)}}' for n in {_PEERS}), sep=', ')"
    return subprocess.run([peer("python"), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(FIGURES.read_text())
    return kept


def _write(kept: dict[str, Any]) -> None:
    FIGURES.write_text(json.dumps(kept, indent=1) + "\n")
    rows = [Row(**{**each, "goals": [Goal(**goal) for goal in each["goals"]]}) for each in kept["rows"]]
    parts = [_HEAD]
    if rows:
        PICTURE.write_text(plot.svg(rows, f"{kept['machine']}; {kept['peers']}"))
        parts.append(f"## Speed\n\nMeasured on {kept['machine']}; peers: {kept['peers']}.\n")
        parts.append("![Messages a second, Carrier beside its peers](performance.svg)\n")
        parts.append(f"{table.markdown(rows)}\n")
        if reasons := table.reasons(rows):
            parts.append(f"What is not reached, and why:\n\n{reasons}\n")
    sections = kept["sections"]
    parts += [f"## {title}\n\n{sections[name]}" for name, title in _TITLES.items() if name in sections]
    DOCUMENT.write_text("\n".join(parts))
