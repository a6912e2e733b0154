"""News of failed_queue from its table: new rows have higher numbers, and what is missing is gone."""

from __future__ import annotations

import heapq
import sqlite3
import time
from typing import TYPE_CHECKING

from carrier.messaging.embedded import schema
from carrier.messaging.errors import BrokerUnavailable
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.feed import Feed, News
from carrier.messaging.walk import Stored

if TYPE_CHECKING:
    from carrier.messaging.embedded.broker import EmbeddedBroker

#: Seconds between two looks; rows that have come, and rows that are gone, that one call returns at most.
_EVERY, _MOST = 0.25, 2_000


class EmbeddedFeed(Feed):
    """The key of a message is its row's number."""

    tells_all = True

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._database = broker.database
        self._known: set[int] = set()
        self._last = 0
        try:
            self._reader = self._database.reader()
        except sqlite3.Error as error:
            raise self._unavailable(error) from None

    def news(self, timeout: float) -> list[News]:
        """See :meth:`Feed.news`."""
        until = time.monotonic() + timeout
        while True:
            try:
                found = self._look()
            except sqlite3.Error as error:
                raise self._unavailable(error) from None
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(_EVERY, left))  # a file tells nobody of its rows

    def _look(self) -> list[News]:
        if self._database.is_replaced():
            raise BrokerUnavailable(f"{self._database.path} was removed or replaced")
        rows = self._reader.rows(schema.LOOK, (FAILED_QUEUE, self._last, _MOST))
        found = []
        for seq, body, failure in rows:
            self._known.add(seq)
            self._last = seq
            found.append(News(_key(seq), Stored(body, failure, seq)))
        if len(rows) < _MOST and self.count() != len(self._known):
            there = {seq for (seq,) in self._reader.rows(schema.NUMBERS, (FAILED_QUEUE,))}
            # What has come since the first look is news of the next call.
            gone = heapq.nsmallest(_MOST, self._known - there)
            self._known.difference_update(gone)
            found += [News(_key(seq)) for seq in gone]
        return found

    def key(self, stored: Stored) -> bytes:
        """See :meth:`Feed.key`."""
        return _key(stored.receipt)

    def count(self) -> int:
        """See :meth:`Feed.count`."""
        try:
            number: int = self._reader.value(schema.COUNT, (FAILED_QUEUE,))
        except sqlite3.Error as error:
            raise self._unavailable(error) from None
        return number

    def close(self) -> None:
        """See :meth:`Feed.close`."""
        self._reader.close()

    def _unavailable(self, error: sqlite3.Error) -> BrokerUnavailable:
        return BrokerUnavailable(f"{self._database.path}: cannot be read: {error}")


def _key(seq: int) -> bytes:
    return seq.to_bytes(8, "big")
