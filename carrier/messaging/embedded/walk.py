"""A walk through the rows of a queue. Nobody is kept from anything meanwhile: a row is removed if it is still there."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from carrier.messaging.embedded import schema
from carrier.messaging.errors import BrokerUnavailable
from carrier.messaging.walk import Decision, Stored, Walk

if TYPE_CHECKING:
    from carrier.messaging.embedded.broker import EmbeddedBroker


class EmbeddedWalk(Walk):
    """The receipt of a message is its row."""

    def __init__(self, broker: EmbeddedBroker, queue_name: str) -> None:
        super().__init__()
        self._database = broker.database
        self._queue = queue_name
        with self._reading() as reader:
            self.total, self._last = reader.execute(schema.EXTENT, (queue_name,)).fetchone()

    def __iter__(self) -> Iterator[Stored]:
        seen = 0
        while True:
            with self._reading() as reader:
                found = reader.execute(schema.LOOK, (self._queue, seen, self._last, self.ahead)).fetchall()
            if not found:
                return
            for seq, body, failure in found:
                yield Stored(body, failure, seq)
            seen = found[-1][0]

    def _carry_out(self, decided: Sequence[Decision]) -> Sequence[Decision]:
        done = []
        try:
            with self._database.transaction(self._database.sending) as connection:
                for each in decided:
                    gone = connection.execute(schema.REMOVE, (each.stored.receipt, self._queue)).rowcount
                    if not gone:
                        continue
                    if each.outgoing is not None:
                        connection.executemany(schema.INSERT, schema.rows([each.outgoing]))
                    done.append(each)
        except sqlite3.Error as error:
            raise BrokerUnavailable(f"{self._database.path}: cannot be written: {error}") from None
        return done

    def _close(self) -> None:
        """There is nothing to give back."""

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(self._database.reader()) as reader:
                yield reader
        except sqlite3.Error as error:
            raise BrokerUnavailable(f"{self._database.path}: cannot be read: {error}") from None
