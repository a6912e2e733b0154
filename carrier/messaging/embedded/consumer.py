"""Takes messages of one queue in batches; what was settled and the next batch are one transaction."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dramatiq.errors import ConnectionClosed

from carrier.messaging import lease
from carrier.messaging.consumer import Consumer
from carrier.messaging.delivery import Delivery
from carrier.messaging.embedded import schema
from carrier.messaging.embedded.ledger import Settled
from carrier.messaging.embedded.watch import Watch
from carrier.messaging.envelope import Envelope, now_ms
from carrier.messaging.lease import Death
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.prefetch import Prefetch

if TYPE_CHECKING:
    from carrier.messaging.embedded.broker import EmbeddedBroker

logger = logging.getLogger(__name__)

#: Seconds between two looks at what was settled here, and, where nothing wakes a consumer, at what others have written.
_LOOK = 0.01
#: Seconds between two looks for leases of dead processes.
REAP = 1.0


class EmbeddedConsumer(Consumer):
    """Iterates over deliveries of one queue; the receipt of a delivery is its row and the lease that it is under."""

    broker: EmbeddedBroker

    def __init__(self, broker: EmbeddedBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name)
        self._prefetch = Prefetch(prefetch)
        self._timeout = timeout / 1000
        self._database, self._owner = broker.database, broker.owner
        self._ledger = broker.ledger(queue_name)
        self._ledger.enough = self._enough
        self._stopped = self._leaving = False
        self._died: str | None = None  # of the message that is being admitted
        self._reaped = 0.0  # when, by the monotonic clock
        self._version = -1
        self._next_due = 0
        try:
            self._watch: Watch | None = self._database.watch()
            self._watch.tell(self._ledger.news)
        except OSError as error:
            logger.info("%s is looked at every %g s: it cannot be watched (%s)", self._database.path, _LOOK, error)
            self._watch = None
        try:
            self._reader = self._database.reader()
        except sqlite3.Error as error:
            raise ConnectionClosed(f"{self._database.path}: {error}") from None
        broker.began(self)

    # The consumer thread

    def __next__(self) -> Delivery | None:
        until = time.monotonic() + self._timeout
        ledger = self._ledger
        try:
            while True:
                if ledger.batch and not self._stopped:
                    seq, body, self._died = ledger.batch.popleft()
                    delivery = self.admit(body, (seq, self._owner))
                    if delivery is not None:
                        return delivery
                    continue
                ledger.news.clear()
                self._reap()
                self._follow()
                if ledger.settled or self._stopped or self._news():
                    self._transact()
                    if ledger.batch:
                        continue
                left = until - time.monotonic()
                if left <= 0 or self._leaving:
                    return None
                self._rest(left)
        except sqlite3.Error as error:
            raise ConnectionClosed(f"{self._database.path}: {error}") from None

    def _rest(self, seconds: float) -> None:
        """Until there may be something to do."""
        ledger = self._ledger
        if self._watch is None or ledger.out >= self._prefetch.size:  # then others' messages are nothing to us
            ledger.news.wait(min(seconds, _LOOK))
        else:
            ripe = max(0.0, (self._next_due - now_ms()) / 1000)
            self._watch.wait(ledger.news, min(seconds, _LOOK if ledger.out else seconds, ripe))

    def _news(self) -> bool:
        """Whether a fetch would find something. ``data_version`` changes with every commit of somebody else."""
        if self._ledger.out >= self._prefetch.size:
            return False
        version = self._reader.value("PRAGMA data_version")
        now = now_ms()
        if version == self._version and now < self._next_due:
            return False
        self._version = version
        found = self._reader.value(schema.IS_ANY_READY, (self.queue_name, now))
        due = self._reader.value(schema.NEXT_DUE)
        self._next_due = _NEVER if due is None else due
        return bool(found)

    @property
    def _enough(self) -> int:
        """How many settlements are not left to wait: with them there is room for many messages."""
        return (self._prefetch.size + 1) // 2

    def _follow(self) -> None:
        """Take more in advance, or fewer."""
        ledger = self._ledger
        settled = len(ledger.settled)
        in_hand = ledger.out - settled
        if self._prefetch.follow(ledger.ended + settled, in_hand):
            ledger.enough = self._enough
            if in_hand > self._prefetch.size:
                self._give_back_beyond(self._prefetch.size)

    def _transact(self) -> None:
        """Carry out what was settled, and take as many as there is room for."""
        ledger = self._ledger
        with ledger.turn:
            # By their places: whoever settles another one meanwhile would end an iteration.
            settled = [ledger.settled[place] for place in range(len(ledger.settled))]
            unbegun = [seq for seq, _, _ in ledger.batch] if self._stopped else []
            room = 0 if self._stopped else self._prefetch.size - ledger.out + len(settled)
            if not settled and not unbegun and room <= 0:
                return
            stored = bool(unbegun) or any(each.release or each.messages for each in settled)
            with self._database.transaction(self._database.taking, tells=stored) as connection:
                self._write(connection, settled)
                connection.executemany(schema.RELEASE, [(seq, self._owner) for seq in unbegun])
                taken = self._take(connection, room) if room > 0 else []
            for _ in settled:  # new ones may have come behind them
                ledger.settled.popleft()
            if unbegun:
                ledger.batch.clear()
            ledger.batch.extend(taken)
            ledger.out += len(taken) - len(settled) - len(unbegun)
            ledger.ended += len(settled)
        for each in settled:
            if each.then is not None:
                each.then()

    def _write(self, connection: sqlite3.Connection, settled: list[Settled]) -> None:
        gone = [(each.seq, each.owner) for each in settled if not each.release and not each.messages]
        connection.executemany(schema.DELETE, gone)
        connection.executemany(schema.RELEASE, [(each.seq, each.owner) for each in settled if each.release])
        for each in settled:
            if each.messages:
                dropped = connection.execute(schema.DELETE, (each.seq, each.owner)).rowcount
                # A row that is not ours any more will be handled by somebody else.
                if dropped:
                    schema.insert(connection, each.messages)

    def _take(self, connection: sqlite3.Connection, room: int) -> list[tuple[int, bytes, str | None]]:
        connection.execute(schema.RIPEN, (now_ms(),))
        found = connection.execute(schema.LEASE, (self._owner, self.queue_name, room)).fetchall()
        # UPDATE … RETURNING gives rows in no order (sqlite.org/lang_returning.html).
        return [(seq, body, died) for seq, _, body, died in sorted(found, key=lambda row: (-row[1], row[0]))]

    def _reap(self) -> None:
        """Release what dead processes had leased."""
        now = time.monotonic()
        if now - self._reaped < REAP:
            return
        self._reaped = now
        if self._database.is_replaced():
            raise ConnectionClosed(f"{self._database.path} was removed or replaced")
        for (owner,) in self._reader.rows(schema.OWNERS):
            if (
                owner != self._owner
                and lease.is_dead(self.broker.leases, owner)
                and (released := self.broker.release(owner))
            ):
                logger.info("%d messages of a worker that died are handed out again", released)

    # The past of a message

    def key(self, envelope: Envelope, receipt: tuple[int, int]) -> str:
        return str(receipt[0])

    def past(self, envelope: Envelope, receipt: tuple[int, int]) -> Death | None:
        return Death(**json.loads(self._died)) if self._died else None

    def forget(self, envelope: Envelope, receipt: tuple[int, int]) -> None:
        """Its row is gone, and the mark with it."""

    def hold(self, body: bytes, receipt: tuple[int, int]) -> None:
        raise AssertionError("a row is leased to one living process")

    def is_lost(self) -> bool:
        return False

    # Any thread

    def done(self, receipt: tuple[int, int]) -> None:
        self._ledger.settle(Settled(*receipt))

    def back(self, receipt: tuple[int, int]) -> None:
        self._ledger.settle(Settled(*receipt, release=True))

    def replace(
        self, receipt: tuple[int, int], messages: Sequence[Outgoing], then: Callable[[], None] | None = None
    ) -> bool:
        self._ledger.settle(Settled(*receipt, messages=messages, then=then))
        return False

    def stop(self) -> None:
        self._stopped = True
        self._ledger.news.set()

    def leave(self) -> None:
        self._leaving = True
        self._ledger.news.set()

    def close(self) -> None:
        """Carry out what was settled, and give back what was taken and not handed on."""
        self._stopped = True
        self.broker.ended(self)
        try:
            self._transact()
        except sqlite3.Error as error:
            raise ConnectionClosed(f"{self._database.path}: {error}") from None
        finally:
            self._reader.close()


_NEVER = 2**63  # ms since 1970
