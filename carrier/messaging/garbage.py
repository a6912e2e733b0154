"""The interpreter's search for garbage, at the pace of a worker.

Python looks for cycles after each 700 new objects, which is 20 messages, and through everything that was imported at
times. A process that does nothing but work leaves out what it began with, and looks more rarely: each message takes a
tenth less time, and at most some thousand dead objects more wait to be found.
"""

from __future__ import annotations

import gc

import dramatiq
from dramatiq.middleware import Middleware
from dramatiq.worker import Worker

#: Python's own, in its versions from 3.11 on (``gc.get_threshold``), and a worker's.
_USUAL, _RARELY = {(700, 10, 10), (2_000, 10, 10), (2_000, 10, 0)}, (10_000, 10, 10)


class Garbage(Middleware):
    """In a process of Dramatiq's command; other programs, and who has set another pace, keep theirs."""

    def __init__(self) -> None:
        self._is_ours = False

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        self._is_ours = True

    def after_worker_boot(self, broker: dramatiq.Broker, worker: Worker) -> None:
        """All is imported by now."""
        if self._is_ours and gc.get_threshold() in _USUAL:
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_RARELY)
