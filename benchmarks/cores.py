"""How much of the processor a program takes, with the processes that it started."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path


class Cores:
    """From its making on; ``folders`` gives the program's folders in /proc."""

    def __init__(self, folders: Callable[[], Iterable[Path]]) -> None:
        self._folders = folders
        self._before, self._began = self._ticks(), os.times().elapsed

    def taken(self) -> float:
        """Cores, on average; of a process that has ended meanwhile nobody knows."""
        return self.seconds() / (os.times().elapsed - self._began)

    def seconds(self) -> float:
        """Seconds of one core."""
        return (self._ticks() - self._before) / os.sysconf("SC_CLK_TCK")

    def _ticks(self) -> int:
        """In user mode and for it in the kernel (proc_pid_stat(5), fields 14 and 15)."""
        total = 0
        for folder in self._folders():
            with contextlib.suppress(OSError):  # it has ended
                fields = (folder / "stat").read_text().rpartition(") ")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total
