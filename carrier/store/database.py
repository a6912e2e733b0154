"""The store's database, SQLite or PostgreSQL: opened at the first use, and migrated then."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.dialects import postgresql as _postgresql
from sqlalchemy.dialects import sqlite as _sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from carrier.store import postgresql, sqlite
from carrier.store.errors import StoreUnavailable
from carrier.store.models import Base
from settings import get_settings

#: The newest migration: compared at each start, so that Alembic, slow to import, is loaded only when there is work.
HEAD = "0004"

_opening = threading.Lock()
_engines: dict[str, Engine] = {}


def _after_fork() -> None:
    global _opening
    _opening = threading.Lock()
    for engine in _engines.values():
        engine.dispose(close=False)  # its connections are the parent's
    _engines.clear()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def session(*, reading: bool = False) -> Iterator[Session]:
    """A session on the store: what is done in the ``with`` block is one transaction, committed at its end.

    Parameters:
        reading: the block only reads; on SQLite it waits for nobody who writes then.

    Raises:
        StoreUnavailable: the database cannot be opened or used, by the block itself too.
    """
    try:
        engine = _engine(get_settings().store_url)
        if reading:
            engine = engine.execution_options(**{sqlite.READING: True})
        with Session(engine, expire_on_commit=False) as opened, opened.begin():
            yield opened
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the store cannot be used: {_explain(error)}") from error


def prepare() -> None:
    """Make the store where it is not there yet, and migrate it.

    Raises:
        StoreUnavailable: the database cannot be opened.
    """
    with session():
        pass


def close() -> None:
    """Close all connections of this process; the next use opens new ones."""
    with _opening:
        while _engines:
            _engines.popitem()[1].dispose()


def insert(opened: Session, table: type[Base]) -> _postgresql.Insert | _sqlite.Insert:
    """An INSERT that can say what to do where the row is there already."""
    is_sqlite = opened.get_bind().dialect.name == sqlite.NAME
    return _sqlite.insert(table) if is_sqlite else _postgresql.insert(table)


def _engine(url: str) -> Engine:
    with _opening:
        engine = _engines.get(url)
        if engine is None:
            engine = sqlite.engine(url) if url.startswith(f"{sqlite.NAME}:") else postgresql.engine(url)
            try:
                with engine.connect() as connection:
                    is_current = _version(connection) == HEAD
                if not is_current:
                    _migrate(engine)
            except BaseException:
                engine.dispose()
                raise
            _engines[url] = engine
        return engine


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _migrate(engine: Engine) -> None:
    """Bring the tables up to date, in one transaction. Processes that start together take turns."""
    with engine.begin() as connection:  # which locks all of SQLite
        if connection.dialect.name != sqlite.NAME:
            postgresql.take_turns(connection)
        found = _version(connection)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise StoreUnavailable(f"the store was made by a newer Carrier ({found}, this one knows {HEAD}): upgrade")
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _explain(error: SQLAlchemyError) -> str:
    """What the database itself says, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split()) or type(cause).__name__
