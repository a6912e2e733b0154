"""Writes down what becomes of messages, for ``carrier trace``: beside the work, and never in its way.

Entries are gathered in memory and written by a thread, many at a time. They are a help for people, not a promise: what
was not written when a process is killed is missing, and while messages are done faster than they can be written down,
those that went well at the first attempt are left out.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from datetime import UTC, datetime
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware

from carrier.messaging.broker import Broker
from carrier.messaging.event import DONE, Event
from carrier.messaging.failure import worker_name

logger = logging.getLogger(__name__)

#: Seconds for which entries are gathered.
_PAUSE = 0.5
#: Seconds that an ending process waits for the store.
_ENDING = 5.0
#: Entries that wait to be written: above the first number what was done at the first attempt is left out, and above
#: the second the oldest go.
_MANY, _MOST = 500, 10_000
#: Entries of one transaction: their rows take memory, and others want to write, too.
_TOGETHER = 1_000
#: Entries after which the oldest in the store are forgotten.
_KEEPING = 5_000


class History:
    """A listener to a broker's events.

    Parameters:
        limit: entries that the store keeps.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reset()
        _histories.add(self)

    def _reset(self) -> None:
        """Everything that belongs to one process."""
        self._waiting: deque[Event] = deque(maxlen=_MOST)
        self._thread: threading.Thread | None = None
        self._starting, self._writing = threading.Lock(), threading.Lock()
        self._written = _KEEPING  # a process may end before it has written as many
        self._is_broken = False

    def __call__(self, event: Event) -> None:
        """Note one; returns at once."""
        if event.what == DONE and event.attempt == 1 and len(self._waiting) >= _MANY:
            return
        self._waiting.append(event)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="carrier-history", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(_PAUSE)  # entries gather meanwhile
            self.flush()

    def end(self) -> None:
        """Write what waits, within a moment: a process that ends must not wait for a store that does not answer."""
        if self._thread is not None:  # which may be writing right now: nothing may be left to wait, and not be written
            writer = threading.Thread(target=self.flush, daemon=True)
            writer.start()
            writer.join(_ENDING)

    def flush(self) -> None:
        """Write what waits. Where the store cannot be used it goes on waiting, and this is said once."""
        with self._writing:
            left = len(self._waiting)
            while left > 0 and self._flush(min(left, _TOGETHER)):
                left -= _TOGETHER

    def _flush(self, number: int) -> bool:
        """Write so many of the oldest, and return whether that was possible."""
        events = [self._waiting.popleft() for _ in range(number)]
        try:
            self._write(events)
            self._is_broken = False
        except Exception as error:  # noqa: BLE001  (the store's, its driver's, its migrations': none may end the thread)
            self._waiting.extendleft(reversed(events))
            if not self._is_broken:
                logger.warning("what becomes of messages cannot be written down for carrier trace: %s", error)
            self._is_broken = True
        return not self._is_broken

    def _write(self, events: list[Event]) -> None:
        from carrier.store import history

        name = worker_name()
        history.add([_row(event, name) for event in events])
        self._written += len(events)
        if self._written >= _KEEPING:
            history.keep(self._limit)
            self._written = 0


def _row(event: Event, name: str) -> dict[str, Any]:
    return {
        "message_id": event.id[:255],
        "what": event.what,
        "at": datetime.fromtimestamp(event.at, UTC),
        "type": event.type[:255],
        "queue": event.queue[:255],
        "attempt": event.attempt,
        "worker": (event.worker or name)[:300],
        "detail": {key: value for key, value in event.detail.items() if value is not None},
    }


def watch(broker: Broker, limit: int) -> History:
    """Write down what happens on ``broker``."""
    history = History(limit)
    broker.event_listeners.append(history)
    broker.add_middleware(_Flush(history))
    return history


class _Flush(Middleware):
    """A worker process ends without Python's own exit hooks."""

    def __init__(self, history: History) -> None:
        self._history = history

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._history.end()


_histories: weakref.WeakSet[History] = weakref.WeakSet()


def _end_all() -> None:
    for history in list(_histories):
        history.end()


def _reset_all() -> None:
    for history in list(_histories):
        history._reset()


atexit.register(_end_all)  # for commands
os.register_at_fork(after_in_child=_reset_all)
