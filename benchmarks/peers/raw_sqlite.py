"""The limit of the embedded broker: SQLite alone stores the same rows, all in one transaction that is on the disk."""

from __future__ import annotations

import os
import sqlite3

from benchmarks.peers.raw_pika import envelope
from benchmarks.peers.sending import main
from carrier.messaging.embedded import schema

_connection = sqlite3.connect(f"{os.environ['CARRIER_HOME']}/raw.db", isolation_level=None)
_connection.execute("PRAGMA journal_mode = WAL")
_connection.execute("PRAGMA synchronous = FULL")
_connection.executescript(schema.CREATE)
_ROW = ("noop", 0, 0, envelope(123_456).encode(), None)


def _many(numbers: range) -> None:
    _connection.execute("BEGIN IMMEDIATE")
    _connection.executemany(schema.INSERT, [_ROW for _ in numbers])
    _connection.execute("COMMIT")


if __name__ == "__main__":
    main(lambda n: _many(range(n, n + 1)), _many)
    _connection.close()
