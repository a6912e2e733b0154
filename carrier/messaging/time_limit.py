"""Dramatiq's limit of time for a handler, without the lock at which all threads of a worker meet twice a message.

Threads that meet at a lock so often queue there, and go on queueing: each finds it taken by the one before it, which
waits for the interpreter. A worker that is full of short messages did half as many.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from dramatiq.middleware import time_limit
from dramatiq.middleware.threading import raise_thread_exception
from dramatiq.middleware.time_limit import TimeLimitExceeded


class TimeLimit(time_limit.TimeLimit):
    """As Dramatiq's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(self.manager, time_limit._CtypesTimeoutManager):
            self.manager = _Timeouts(self.manager.interval * 1000, self.logger)  # type: ignore[no-untyped-call]  # Dramatiq's


class _Timeouts(time_limit._CtypesTimeoutManager):
    """What is changed here is changed by one step of the interpreter."""

    def _handle_deadlines(self) -> None:
        now = monotonic()
        for thread, deadline in list(self.deadlines.items()):
            if deadline is not None and now >= deadline:
                self.logger.warning("Time limit exceeded. Raising exception in worker thread %r.", thread)
                self.deadlines[thread] = None
                raise_thread_exception(thread, TimeLimitExceeded)

    def add_timeout(self, thread_id: int, ttl: float) -> None:
        self.deadlines[thread_id] = monotonic() + ttl / 1000

    def remove_timeout(self, thread_id: int) -> None:
        self.deadlines[thread_id] = None
