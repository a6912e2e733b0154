"""A program that a test starts: it ends with the test run, however that ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    # prctl(2): the kernel kills it when the test run is gone, even by SIGKILL.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A running program, the leader of a session of its own, with its output in ``log``."""

    def __init__(
        self, command: Sequence[str], *, log: Path, environment: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        self.log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        """Its process id, and that of its process group."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Has it not ended?"""
        return self._popen.poll() is None

    def folders(self) -> Iterator[Path]:
        """The folders in /proc of all processes of its group; one that ends meanwhile takes its folder along."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                group = int(path.read_text().rpartition(") ")[2].split()[2])
            except OSError:
                continue
            if group == self.pid:
                yield path.parent

    def output(self) -> str:
        """What it and those before it have written to the log."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = 60) -> int:
        """Its exit status.

        Raises:
            subprocess.TimeoutExpired: it has not ended after ``timeout`` seconds.
        """
        return self._popen.wait(timeout)

    def kill(self) -> None:
        """SIGKILL it and all that it started, by its process group."""
        with contextlib.suppress(ProcessLookupError):  # it has ended, and so have they
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(30)
