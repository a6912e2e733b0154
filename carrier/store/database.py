"""The store's database: opened at the first use, and migrated then."""

from __future__ import annotations

import fcntl
import os
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.orm import Session

from settings import get_settings

if TYPE_CHECKING:
    from sqlite3 import Connection as SqliteConnection

#: The newest migration: compared at each start, so that Alembic, slow to import, is loaded only when there is work.
HEAD = "0002"

_opening = threading.Lock()


def _after_fork() -> None:
    global _opening
    _opening = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def session() -> Session:
    """A session on the store; use it in a ``with`` block, and commit.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database cannot be opened.
    """
    with _opening:
        return Session(_engine(get_settings().store_url, os.getpid()))


def prepare() -> None:
    """Make the store where it is not there yet, and migrate it.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database cannot be opened.
    """
    session().close()


@cache
def _engine(url: str, pid: int) -> Engine:
    """One engine for each process: connections must not cross a fork."""
    engine = create_engine(url, connect_args={"timeout": 30})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    database = Path(engine.url.database or "")
    database.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(database, os.O_CREAT | os.O_RDWR, 0o600))  # what is in it is for its owner alone
    if _version(engine) != HEAD:
        _migrate(engine, database)
    return engine


def _configure(connection: SqliteConnection, _: Any) -> None:
    # pysqlite would begin transactions by itself, and too late (SQLAlchemy, "SQLite: pysqlite transaction behavior").
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return found


def _migrate(engine: Engine, database: Path) -> None:
    """Bring the tables up to date. Processes that start together take turns, by a lock that the kernel frees."""
    from alembic import command
    from alembic.config import Config

    with Path(f"{database}.migrating").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _version(engine) == HEAD:
            return
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
