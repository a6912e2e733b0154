"""How much memory a program takes, with the processes that it started."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path

from benchmarks.environment import own
from tests.servers.process import Process

#: In proc_pid_smaps(5): where a mapping begins, with its file, or how much memory it takes.
_LINE = re.compile(r"^(?:[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)|Pss: +(\d+) kB)$", re.MULTILINE)


def proportional(program: Process, without: Path | None = None) -> int:
    """Bytes of its process group: what its processes share is counted once (PSS, proc_pid_smaps(5)).

    Parameters:
        without: a mapped file that is not counted.
    """
    total, file = 0, ""
    for folder in program.folders():
        with contextlib.suppress(OSError):  # it has ended
            for found in _LINE.finditer((folder / "smaps").read_text()):
                if found[2] is None:
                    file = found[1]
                elif file != str(without):
                    total += int(found[2]) * 1024
    return total


def imported(module: str) -> int:
    """Bytes by which a process that has imported Carrier grows when it imports this module, too."""
    code = (
        "import re, carrier.messaging.service\n"
        "def size(): return int(re.search(r'Pss: +([0-9]+)', open('/proc/self/smaps_rollup').read())[1]) * 1024\n"
        f"before = size()\nimport {module}\nprint(size() - before)"
    )
    return int(subprocess.check_output([own("python"), "-c", code]))
