"""The store in a file, for one machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event

from carrier.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlite3 import Connection as SqliteConnection

#: As SQLAlchemy calls it.
NAME = "sqlite"
_IS_READING = "carrier_reading"
#: The options of a transaction that only reads.
READING = {_IS_READING: True}
#: Seconds to wait for somebody else's transaction.
_BUSY = 30


def engine(url: str) -> Engine:
    """An engine on the file of ``url``, which is made where it is not there yet.

    Raises:
        StoreUnavailable: it cannot be made.
    """
    # As many connections as there are threads: to open one takes longer than what is done with it.
    made = create_engine(url, connect_args={"timeout": _BUSY}, hide_parameters=True, pool_size=0)
    event.listen(made, "connect", _configure)
    event.listen(made, "begin", _begin)
    database = Path(made.url.database or "")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))  # what is in it is for its owner alone
    except OSError as error:
        raise StoreUnavailable(f"the store cannot be used: {error}") from error
    return made


def _configure(connection: SqliteConnection, _: Any) -> None:
    # pysqlite would begin transactions by itself, and too late (SQLAlchemy, "SQLite: pysqlite transaction behavior").
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get(_IS_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
