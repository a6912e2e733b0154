"""Looking at messages where they lie, one after the other, and mending them there.

Nothing is taken out of the queue to be looked at: what a walk neither discards nor sends on is still there when it is
over, or when its process is killed in the middle. What is sent on is stored first and removed after that, so that a
kill in between leaves two of it, never none.
"""

from __future__ import annotations

import hashlib
import json
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from carrier.messaging.document import read
from carrier.messaging.envelope import Envelope, decode
from carrier.messaging.errors import EnvelopeError
from carrier.messaging.outgoing import Outgoing

#: Decisions that are gathered before they are carried out: at most so many messages are doubled by a kill.
WINDOW = 500


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until it is over. Python tells it to the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if came:
        signal.raise_signal(signal.SIGINT)


def digest(*parts: bytes) -> bytes:
    """16 bytes for these parts, wherever they lie."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        made.update(len(part).to_bytes(8, "big") + part)
    return made.digest()


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it lies in a queue.

    Attributes:
        failure: JSON beside bytes that never reached a handler.
        receipt: what the walk needs to remove it.
    """

    body: bytes
    failure: str | None
    receipt: Any

    def envelope(self) -> Envelope | None:
        """The message; None when it is not one."""
        try:
            return decode(self.body)
        except EnvelopeError:
            return None

    @property
    def identity(self) -> bytes:
        """16 bytes that tell it from every other one in failed_queue: one that has failed again is another one."""
        return digest(self.body, (self.failure or "").encode("utf-8", "surrogatepass"))

    def record(self) -> dict[str, Any]:
        """The failure with which it lies in failed_queue, in it or beside it; empty where there is none."""
        found: Any = None
        try:
            if self.failure is not None:
                found = json.loads(self.failure)
            elif isinstance(document := read(self.body), dict):
                # Of very many, only the failure is asked for: no envelope is made of it.
                meta = document.get("meta")
                found = meta.get("failure") if isinstance(meta, dict) else None
        except (EnvelopeError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Decision:
    """A message that goes, what takes its place, and what is told once that is so."""

    stored: Stored
    outgoing: Outgoing | None
    then: Callable[[], None] | None = None


class Walk(ABC):
    """``with broker.walk(queue) as walk: for stored in walk: …``; one process walks through a queue at a time.

    Attributes:
        total: how many messages there were at its start.
        done: how many of those that were decided on are gone from the queue.
        ahead: how many are fetched at once; who wants to see a few only fetches no more.
    """

    total: int = 0
    ahead: int = WINDOW

    def __init__(self) -> None:
        self.done = 0
        self._decided: list[Decision] = []

    def discard(self, stored: Stored, then: Callable[[], None] | None = None) -> None:
        """Remove it, for good; ``then`` is called once it is gone."""
        self._decide(Decision(stored, None, then))

    def send(self, stored: Stored, outgoing: Outgoing, then: Callable[[], None] | None = None) -> None:
        """Store ``outgoing``, then remove ``stored``, then call ``then``.

        Raises:
            PublishError: it could not be stored; nothing of what was gathered is removed.
        """
        self._decide(Decision(stored, outgoing, then))

    def _decide(self, decision: Decision) -> None:
        self._decided.append(decision)
        if len(self._decided) >= WINDOW:
            self._carry_out_all()

    def _carry_out_all(self) -> None:
        decided, self._decided = self._decided, []
        if decided:
            with _uninterrupted():  # between storing and removing it would leave two of each
                gone = self._carry_out(decided)
                self.done += len(gone)
                for each in gone:
                    if each.then is not None:
                        each.then()

    @abstractmethod
    def __iter__(self) -> Iterator[Stored]:
        """Each message once, in the order of the queue."""

    @abstractmethod
    def _carry_out(self, decided: Sequence[Decision]) -> Sequence[Decision]:
        """Do it; returns those of messages that were still there to be removed."""

    @abstractmethod
    def _close(self) -> None:
        """Leave everything else as it was."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Ctrl-C ends a walk between two messages: what was decided before it holds.
            if error is None or isinstance(error, KeyboardInterrupt):
                self._carry_out_all()
        finally:
            self._close()
