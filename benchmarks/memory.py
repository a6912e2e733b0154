"""How much memory a program takes, with the processes that it started."""

from __future__ import annotations

import contextlib
import re

from tests.servers.process import Process


def proportional(program: Process) -> int:
    """Bytes of its process group: what its processes share is counted once (PSS, proc_pid_smaps(5))."""
    total = 0
    for folder in program.folders():
        with contextlib.suppress(OSError):  # it has ended
            found = re.search(r"^Pss: +(\d+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) * 1024 if found else 0
    return total
