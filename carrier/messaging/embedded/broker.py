"""The embedded broker: a durable SQLite file with the verbs of RabbitMQ."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from dramatiq.middleware import Middleware

from carrier.messaging import lease
from carrier.messaging.broker import GRACE, Broker
from carrier.messaging.embedded import schema
from carrier.messaging.embedded.consumer import EmbeddedConsumer
from carrier.messaging.embedded.database import Database, DiskAlarm
from carrier.messaging.embedded.feed import EmbeddedFeed
from carrier.messaging.embedded.ledger import Ledger
from carrier.messaging.embedded.roster import EmbeddedRoster
from carrier.messaging.embedded.walk import EmbeddedWalk
from carrier.messaging.errors import BrokerUnavailable, PublishError
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.figures import Figures, QueueFigures, WorkerFigures
from carrier.messaging.outgoing import Outgoing

logger = logging.getLogger(__name__)

#: Seconds between two tries to store while the file cannot be written.
_PAUSE = 0.1


@dataclass
class _Open:
    """What belongs to one process: it is made anew after a fork. Who only sends has no lease."""

    database: Database
    lease: lease.Lease | None = None
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    consumers: set[EmbeddedConsumer] = field(default_factory=set)


class EmbeddedBroker(Broker):
    """Messages in ``folder/queue.db``.

    Parameters:
        publish_timeout: seconds that a send keeps trying.
    """

    def __init__(
        self,
        folder: Path,
        *,
        publish_timeout: float = 30.0,
        middleware: list[Middleware] | None = None,
        grace: float = GRACE,
    ) -> None:
        super().__init__(middleware, grace=grace)
        self.folder = folder
        self._publish_timeout = publish_timeout
        self._open: _Open | None = None
        self._replaced: list[_Open] = []
        self._opening = threading.Lock()
        _brokers.add(self)

    # Opening

    def _opened(self) -> _Open:
        with self._opening:
            if self._open is not None and self._open.database.is_replaced():
                # Its consumers still give back what they have taken, and come here for another one.
                logger.error("%s was removed or replaced: what is there now is used", self._open.database.path)
                self._replaced.append(self._open)
                self._open = None
            if self._open is None:
                self._open = _Open(Database(self.folder / "queue.db", self._publish_timeout))
            return self._open

    @property
    def lease(self) -> lease.Lease:
        """See :meth:`Broker.lease`; rows are leased under its number."""
        opened = self._opened()
        with self._opening:
            if opened.lease is not None:
                return opened.lease
            try:
                opened.lease = own = lease.Lease(self.leases)
            except OSError as error:
                raise BrokerUnavailable(
                    f"{self.leases}: cannot be used: {error.strerror}; look at CARRIER_HOME"
                ) from None
        for owner in lease.owners(self.leases):
            if lease.is_dead(self.leases, owner):
                self.release(owner)
        return own

    def release(self, owner: int) -> int:
        """Hand out again what a dead process had leased; returns how many. What it was handling is marked, and what it
        had done is dropped."""
        past = lease.past(self.leases, owner)
        with self.database.transaction(self.database.taking) as connection:
            for (seq,) in connection.execute(schema.HELD, (owner,)).fetchall():
                match past.get(lease.digest(str(seq))):
                    case lease.Death() as death:
                        connection.execute(schema.DIED, (json.dumps(asdict(death)), seq, owner))
                    case lease.Ended(well=True):
                        connection.execute(schema.DELETE, (seq, owner))
            released = connection.execute(schema.RELEASE_ALL_OF, (owner,)).rowcount
        lease.retire(self.leases, owner)
        return released

    @property
    def leases(self) -> Path:
        """The folder of the files that processes lock while they hold messages."""
        return self.folder / "leases"

    @property
    def database(self) -> Database:
        """The open file.

        Raises:
            BrokerUnavailable: it cannot be opened.
        """
        return self._opened().database

    @property
    def owner(self) -> int:
        """The number under which this process leases messages."""
        return self.lease.owner

    def ledger(self, queue_name: str) -> Ledger:
        """What this process holds of a queue."""
        return self._opened().ledgers.setdefault(queue_name, Ledger())

    def close(self) -> None:
        """Give back what this process has leased, and close the file."""
        with self._opening:
            let_go = self._let_go()
        for opened in let_go:
            if opened.lease is not None:
                with opened.database.transaction(opened.database.taking) as connection:
                    connection.execute(schema.RELEASE_ALL_OF, (opened.lease.owner,))
                opened.lease.end()
            opened.database.close()

    def _let_go(self) -> list[_Open]:
        every = [*self._replaced, *([self._open] if self._open else [])]
        self._replaced, self._open = [], None
        return every

    def _after_fork(self) -> None:
        for opened in self._let_go():
            if opened.lease is not None:
                opened.lease.abandon()
        self._opening = threading.Lock()

    # The verbs

    def store(self, messages: Sequence[Outgoing], *, once: bool = False) -> None:
        """See :meth:`Broker.store`; all are stored, or none."""
        until = time.monotonic() + self._publish_timeout
        while True:
            try:
                database = self.database
                with database.transaction(database.sending) as connection:
                    database.check_room()
                    new = schema.note(connection, messages) if once else messages
                    schema.insert(connection, new)
            except (sqlite3.Error, DiskAlarm) as error:
                if time.monotonic() >= until:
                    raise PublishError(f"{self.folder / 'queue.db'}: cannot be written: {error}") from None
                time.sleep(_PAUSE)  # whoever holds the file has no way to tell us when it is free
            else:
                return

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> EmbeddedConsumer:
        """See :meth:`Broker.consume`."""
        self._known(queue_name)
        return EmbeddedConsumer(self, queue_name, prefetch, timeout)

    def began(self, consumer: EmbeddedConsumer) -> None:
        """Write down, for people, that this process takes from a queue."""
        self._opened().consumers.add(consumer)
        self._note_consumers()

    def ended(self, consumer: EmbeddedConsumer) -> None:
        """Write down that it does no more."""
        if self._open is not None:  # a broker that was closed before has nothing to write
            self._open.consumers.discard(consumer)
            self._note_consumers()

    def _note_consumers(self) -> None:
        opened, own = self._opened(), self.lease
        with self._opening:
            try:
                # Other threads may add theirs meanwhile; they come here after us.
                own.note({each.queue_name for each in tuple(opened.consumers)})
            except OSError as error:
                logger.warning("carrier status will not show this worker: %s", error)

    # Looking, and what tests need

    def walk(self, queue_name: str) -> EmbeddedWalk:
        """See :meth:`Broker.walk`."""
        return EmbeddedWalk(self, queue_name)

    def report(self, worker: WorkerFigures, *, ended: bool = False) -> None:
        """See :meth:`Broker.report`: it is written into the file that this process has locked, and that goes when the
        broker is closed."""
        opened = self._open
        if opened is not None and opened.lease is not None:
            opened.lease.report(replace(worker, queues=[]) if ended else worker)

    def roster(self) -> EmbeddedRoster:
        """See :meth:`Broker.roster`."""
        return EmbeddedRoster(self)

    def feed(self) -> EmbeddedFeed:
        """See :meth:`Broker.feed`."""
        return EmbeddedFeed(self)

    def figures(self) -> Figures:
        """See :meth:`Broker.figures`. Rates are not measured here."""
        try:
            counts = self.counts()
        except sqlite3.Error as error:
            raise BrokerUnavailable(f"{self.folder / 'queue.db'}: cannot be read: {error}") from None
        workers = lease.workers(self.leases)
        nothing = {"ready": 0, "unacked": 0, "delayed": 0}
        known = self.looked_at()
        others = sorted(counts.keys() - set(known))  # whose actors have gone, or were never here
        queues = [
            QueueFigures(name, **counts.get(name, nothing), consumers=sum(name in each.queues for each in workers))
            for name in [*known, *others]
        ]
        delayed = sum(each.delayed or 0 for each in queues)
        return Figures({"kind": "embedded", "file": str(self.folder / "queue.db"), "delayed": delayed}, queues, workers)

    def whereabouts(self, id_: str) -> tuple[str, str] | None:
        """See :meth:`Broker.whereabouts`."""
        # As Carrier writes it; what somebody else wrote may look different.
        start = f'{{"id":{json.dumps(id_, ensure_ascii=False)},'.encode("utf-8", "surrogatepass")
        try:
            with contextlib.closing(self.database.reader()) as reader:
                found = reader.rows(schema.WHERE, (len(start), start, FAILED_QUEUE))
        except sqlite3.Error as error:
            raise BrokerUnavailable(f"{self.folder / 'queue.db'}: cannot be read: {error}") from None
        if not found:
            return None
        queue, owner, due = found[0]
        return queue, "running" if owner else "delayed" if due else "waiting"

    def counts(self) -> dict[str, dict[str, int]]:
        """Of each queue that has messages: how many are ready, unacked (leased) and delayed."""
        with contextlib.closing(self.database.reader()) as reader:
            found = reader.rows(schema.COUNTS)
        return {queue: {"ready": ready, "unacked": unacked, "delayed": later} for queue, ready, unacked, later in found}

    def counts_of(self, queue_name: str) -> tuple[int, int]:
        """See :meth:`Broker.counts_of`."""
        found = self.counts().get(queue_name, {"ready": 0, "unacked": 0, "delayed": 0})
        return found["ready"] + found["unacked"], found["delayed"]

    def drop(self, queues: set[str]) -> None:
        """See :meth:`Broker.drop`."""
        with self.database.transaction(self.database.taking) as connection:
            connection.executemany("DELETE FROM messages WHERE queue = ? AND owner = 0", [(each,) for each in queues])

    @contextlib.contextmanager
    def idle(self, queue_name: str) -> Iterator[Callable[[], bool]]:
        """See :meth:`Broker.idle`."""
        yield lambda: not any(self.counts_of(queue_name))


_brokers: weakref.WeakSet[EmbeddedBroker] = weakref.WeakSet()


def _after_fork() -> None:
    for broker in list(_brokers):
        broker._after_fork()


os.register_at_fork(after_in_child=_after_fork)
