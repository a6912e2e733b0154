"""How much memory a program takes, with the processes that it started."""

from __future__ import annotations

import re
from pathlib import Path


def proportional(group: int) -> int:
    """Bytes of a process group: what its processes share is counted once (PSS, proc_pid_smaps(5))."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(") ")[2].split()[2]) == group:
                found = re.search(r"^Pss: +(\d+) kB", (path.parent / "smaps_rollup").read_text(), re.MULTILINE)
                total += int(found[1]) * 1024 if found else 0
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
    return total
