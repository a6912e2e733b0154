"""The limit of the embedded broker: SQLite alone stores the same rows in the same file, all in one transaction."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.peers.raw_pika import envelope
from benchmarks.peers.sending import main
from carrier.messaging.embedded import schema
from carrier.messaging.embedded.database import Database
from carrier.messaging.outgoing import Outgoing

_database = Database(Path(os.environ["CARRIER_HOME"]) / "queue.db")
_MESSAGE = Outgoing("noop", "", "", envelope(123_456).encode())


def _many(numbers: range) -> None:
    with _database.transaction(_database.sending) as connection:
        schema.insert(connection, [_MESSAGE for _ in numbers])


if __name__ == "__main__":
    main(lambda n: _many(range(n, n + 1)), _many)
    _database.close()
