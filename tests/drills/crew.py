"""Worker processes under a supervisor that starts what has died again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from tests.servers.process import Process

#: Seconds between two looks.
_LOOK = 0.02


class Crew:
    """``count`` worker programs at any time, until :meth:`stop`.

    Attributes:
        starts: how many were started.
    """

    def __init__(self, count: int, start: Callable[[], Process]) -> None:
        self._start = start
        self.starts = 0
        self.running: list[Process] = []
        self._ending = threading.Event()
        self._up = threading.Event()
        # The kernel ends a child with the thread that has started it: this one lives until they have ended.
        self._thread = threading.Thread(target=self._tend, args=(count,), daemon=True)
        self._thread.start()
        assert self._up.wait(60), "no worker could be started"

    def _tend(self, count: int) -> None:
        while not self._ending.wait(_LOOK):
            running = [each for each in self.running if each.running]
            while len(running) < count:
                running.append(self._start())
                self.starts += 1
            self.running = running
            self._up.set()
        for each in self.running:
            if each.running:
                each.signal(signal.SIGTERM)
        for each in self.running:
            each.wait(60)

    def stop(self) -> None:
        """SIGTERM to all, and wait until they have ended."""
        self._ending.set()
        self._thread.join()
