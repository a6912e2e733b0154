"""What one process holds of one queue. It outlives the consumers that Dramatiq makes anew after an error."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from carrier.messaging.outgoing import Outgoing


class Settled(NamedTuple):
    """What the next transaction does: drop the row or release it, and store what takes its place."""

    seq: int
    owner: int
    release: bool = False
    messages: Sequence[Outgoing] = ()
    then: Callable[[], None] | None = None


@dataclass
class Ledger:
    """Rows that are leased: in ``batch`` until they are handed on, in ``settled`` when they are done with.

    ``out`` counts all of them, those between the two included; ``ended`` those that were ever settled. ``turn`` is held
    to write them to the file, and to change them otherwise than by adding to ``settled``: threads that met at a lock
    for each message would go on queueing there.
    """

    batch: deque[tuple[int, bytes, str | None]] = field(default_factory=deque)
    settled: deque[Settled] = field(default_factory=deque)
    out: int = 0
    ended: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)
    #: Set when so many are settled that they are not left to the consumer's next look.
    news: threading.Event = field(default_factory=threading.Event)
    enough: int = 1

    def settle(self, settled: Settled) -> None:
        """Have it carried out with the next transaction."""
        self.settled.append(settled)
        if len(self.settled) >= self.enough:
            self.news.set()
