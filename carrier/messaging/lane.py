"""Who runs beside whom in this process.

When a process dies, everything that ran in it comes back, and nobody can tell which of it was the killer. So a message
whose last attempt ended with its worker runs alone the next time: an innocent one then does its work, and a killer has
shown that it is one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds that a message waits until nothing else runs; others wait for it meanwhile.
PATIENCE = 5.0
#: Seconds after which others may begin beside one that began alone: what kills does it soon.
ALONE = 60.0


class Lane:
    """The handlers of this process: any number of them, or one alone."""

    def __init__(self) -> None:
        #: The threads. A set changes as one step of the interpreter. Threads that met at a lock for each message would
        #: queue there, and go on queueing: each finds it taken by the one before it, which waits for the interpreter.
        self._running: set[object] = set()
        self._is_open = True  # whoever comes may begin
        self._changed = threading.Condition()
        self._waiting = 0  # threads that wait for a change
        self._suspects = 0  # those of them that want to be alone
        self._alone_since: float | None = None

    def enter(self, *, alone: bool, stopped: Callable[[], bool]) -> bool:
        """Wait for one's turn and take it. Returns False when it did not come in time, or nothing begins any more.

        Parameters:
            stopped: whether that is so; it is asked again after :meth:`wake`.
        """
        this = threading.get_ident()
        if not alone:
            if stopped():
                return False
            self._running.add(this)
            if self._is_open:  # asked after it has been said that we run: who wants to be alone does it the other way
                return True
            self._running.discard(this)
        with self._changed:
            if alone:
                return self._wait_to_be_alone(this, stopped)
            self._notify()  # of whom it was one
            entered = self._wait_for_others(stopped)
            if entered:
                self._running.add(this)
            return entered

    def leave(self, *, alone: bool) -> None:
        """The handler has ended."""
        self._running.discard(threading.get_ident())
        if not self._is_open:  # a suspect says that it waits, and looks who runs after that
            with self._changed:
                if alone:
                    self._alone_since = None
                self._open()

    def wake(self) -> None:
        """Let whoever waits look whether it is stopped."""
        with self._changed:
            self._changed.notify_all()

    def _wait_for_others(self, stopped: Callable[[], bool]) -> bool:
        while not (over := stopped()) and (left := self._closed_for()) > 0:
            self._wait(left)
        return not over

    def _closed_for(self) -> float:
        """Seconds at most that others have to wait now."""
        if self._suspects:
            return PATIENCE
        if self._alone_since is None:
            return 0.0
        return self._alone_since + ALONE - time.monotonic()

    def _wait_to_be_alone(self, this: int, stopped: Callable[[], bool]) -> bool:
        until = time.monotonic() + PATIENCE
        self._suspects += 1
        self._is_open = False
        try:
            while not (over := stopped()) and self._running:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._wait(left)
            if not over:
                self._running.add(this)
                self._alone_since = time.monotonic()
            return not over
        finally:
            self._suspects -= 1
            self._open()

    def _open(self) -> None:
        self._is_open = not self._suspects and self._alone_since is None
        self._notify()

    def _notify(self) -> None:
        if self._waiting:
            self._changed.notify_all()

    def _wait(self, seconds: float) -> None:
        self._waiting += 1
        try:
            self._changed.wait(seconds)
        finally:
            self._waiting -= 1
