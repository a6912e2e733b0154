"""A walk through the rows of a queue. Nobody is kept from anything meanwhile: a row is removed if it is still there."""

from __future__ import annotations

import contextlib
import json
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
        with self._reading():
            self._reader = self._database.reader()
            self._rows = sorted(seq for (seq,) in self._reader.rows(schema.NUMBERS, (queue_name,)))
        self.total = len(self._rows)

    def __iter__(self) -> Iterator[Stored]:
        for first in range(0, self.total, self.ahead):
            some = json.dumps(self._rows[first : first + self.ahead])
            with self._reading():
                found = self._reader.rows(schema.READ, (some, self._queue))
            for seq, body, failure in found:
                yield Stored(body, failure, seq)

    def _carry_out(self, decided: Sequence[Decision]) -> Sequence[Decision]:
        done = []
        try:
            with self._database.transaction(self._database.sending) as connection:
                for each in decided:
                    gone = connection.execute(schema.REMOVE, (each.stored.receipt, self._queue)).rowcount
                    if not gone:
                        continue
                    if each.outgoing is not None:
                        schema.insert(connection, [each.outgoing])
                    done.append(each)
        except sqlite3.Error as error:
            raise BrokerUnavailable(f"{self._database.path}: cannot be written: {error}") from None
        return done

    def _close(self) -> None:
        self._reader.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BrokerUnavailable(f"{self._database.path}: cannot be read: {error}") from None
