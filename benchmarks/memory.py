"""How much memory a program takes, with the processes that it started."""

from __future__ import annotations

import contextlib
import re
import subprocess

from benchmarks.environment import own
from tests.servers.process import Process


def proportional(program: Process) -> int:
    """Bytes of its process group: what its processes share is counted once (PSS, proc_pid_smaps(5))."""
    total = 0
    for folder in program.folders():
        with contextlib.suppress(OSError):  # it has ended
            found = re.search(r"^Pss: +(\d+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) * 1024 if found else 0
    return total


def imported(modules: tuple[str, ...]) -> int:
    """Bytes by which a process that has imported Carrier grows when it imports these modules."""
    code = (
        "import re, carrier.messaging.service\n"
        "def size(): return int(re.search(r'Pss: +([0-9]+)', open('/proc/self/smaps_rollup').read())[1]) * 1024\n"
        f"before = size()\nimport {', '.join(modules)}\nprint(size() - before)"
    )
    return int(subprocess.check_output([own("python"), "-c", code]))
