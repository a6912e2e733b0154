"""docs/reliability.md: what the drills printed. The figures are kept beside it, so that one drill can be run again."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version

from tests.drills.drill import Drill, Row
from tests.drills.site import BROKERS, ROOT, STOCK

DOCUMENT, FIGURES = ROOT / "docs" / "reliability.md", ROOT / "docs" / "reliability.json"
_HEAD = """# Reliability

What became of every message while brokers and workers were killed, connections broken and disks filled. All of it is
real: RabbitMQ nodes, worker processes, SIGKILL. The command is `bin/drill --all --report`; `bin/drill NAME` runs one.

- **sent**: messages whose send had returned; a send that raised was repeated by the sender. What is counted is written
  by senders and handlers themselves, into a file.
- **lost**: sent, and afterwards neither done, nor failed, nor in any queue.
- **twice**: done more than once. Nobody can rule it out for a handler that has done its work and whose process or
  connection dies before it can say so; Carrier keeps word of it in its lease file, which other workers there read.
- **pause**: the longest time in which no handler ended, the harm itself included.

Stock Dramatiq goes through some of the drills in the same run, on RabbitMQ 4: as its guide starts it, and with
`confirm_delivery=True`.
"""
_COLUMNS = "| | sent | done | failed | left | lost | twice | pause | |\n|---|---|---|---|---|---|---|---|---|\n"


def write(drills: Iterable[Drill], rows: Iterable[Row]) -> None:
    """Put rows in the place of older ones of the same drill, broker and system."""
    known: list[Row] = []
    if FIGURES.exists():
        known = [Row(**fields) for fields in json.loads(FIGURES.read_text())["rows"]]
    by_place = {(row.drill, row.broker, row.system): row for row in [*known, *rows]}
    machine = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, Dramatiq {version('dramatiq')},"
        f" pika {version('pika')}"
    )
    systems = ("carrier", *STOCK)
    kept: list[Row] = []
    text = [_HEAD, f"Measured on {machine}.\n"]
    for drill in drills:
        of_it = [row for row in by_place.values() if row.drill == drill.name]
        of_it.sort(key=lambda row: (systems.index(row.system), BROKERS.index(row.broker)))
        kept += of_it
        if of_it:
            text.append(f"## {drill.name}\n\n{drill.what[0].upper()}{drill.what[1:]}.\n")
            text.append(_COLUMNS + "".join(map(_line, of_it)))
    DOCUMENT.write_text("\n".join(text))
    FIGURES.write_text(json.dumps({"rows": [asdict(row) for row in kept]}, indent=1) + "\n")


def _line(row: Row) -> str:
    place = row.broker if row.system == "carrier" else f"{row.system} on {row.broker}"
    counts = (row.sent, row.done, row.failed, row.waiting, row.lost, row.twice)
    note = row.note.replace("|", "\\|")
    return f"| {place} | {' | '.join(map(str, counts))} | {row.pause:.1f} s | {note} |\n"
