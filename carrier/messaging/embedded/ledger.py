"""What one process holds of one queue. It outlives the consumers that Dramatiq makes anew after an error."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from carrier.messaging.outgoing import Outgoing


@dataclass(frozen=True, slots=True)
class Settled:
    """What the next transaction does: drop the row or release it, and store what takes its place."""

    seq: int
    owner: int
    release: bool = False
    messages: Sequence[Outgoing] = ()
    then: Callable[[], None] | None = None


@dataclass
class Ledger:
    """Rows that are leased: in ``batch`` until they are handed on, in ``settled`` when they are done with.

    ``out`` counts all of them, those between the two included. ``lock`` is held to change them, ``turn`` to write
    them to the file.
    """

    batch: deque[tuple[int, bytes, str | None]] = field(default_factory=deque)
    settled: list[Settled] = field(default_factory=list)
    out: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    turn: threading.Lock = field(default_factory=threading.Lock)
    #: Set when something was settled.
    news: threading.Event = field(default_factory=threading.Event)

    def settle(self, settled: Settled) -> None:
        """Have it carried out with the next transaction."""
        with self.lock:
            self.settled.append(settled)
        self.news.set()
