"""The store's database, SQLite or PostgreSQL: opened at the first use, and migrated then."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect, Engine, inspect, text
from sqlalchemy.dialects import postgresql as _postgresql
from sqlalchemy.dialects import sqlite as _sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from carrier.store import postgresql, sqlite
from carrier.store.errors import StoreUnavailable
from carrier.store.models import Base
from settings import get_settings

#: The newest migration: compared at each start, so that Alembic, slow to import, is loaded only when there is work.
HEAD = "0006"


@dataclass(frozen=True, slots=True)
class _Engines:
    """One pool of connections, whose transactions write, or only read."""

    writing: Engine
    reading: Engine


_opening = threading.Lock()
_engines: dict[str, _Engines] = {}


def _after_fork() -> None:
    global _opening
    _opening = threading.Lock()
    for each in _engines.values():
        each.writing.dispose(close=False)  # its connections are the parent's
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
    with _translated():
        engines = _opened()
        with Session(engines.reading if reading else engines.writing, expire_on_commit=False) as opened, opened.begin():
            yield opened


@contextmanager
def transaction() -> Iterator[Connection]:
    """As :func:`session`, without entities and what they cost: for what is done with each message."""
    with _translated(), _opened().writing.begin() as connection:
        yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise _unusable(error) from error


def look_up(statement: ClauseElement, value: str) -> Sequence[Any]:
    """The rows of a SELECT by one text, which is the statement's only parameter. It waits for nobody who writes.

    It is given to the driver itself: SQLAlchemy takes a quarter of a millisecond for each, ten times what SQLite takes.

    Parameters:
        statement: made once; its columns are texts.

    Raises:
        StoreUnavailable: the database cannot be opened or used.
    """
    engine = _opened().writing
    sql, pack = _compiled(statement, engine.dialect)
    with _translated():
        connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(sql, pack(value))
        return cursor.fetchall()
    except engine.dialect.loaded_dbapi.Error as error:
        connection.invalidate()
        raise _unusable(error) from error
    finally:
        connection.close()


@cache
def _compiled(statement: ClauseElement, dialect: Dialect) -> tuple[str, Callable[[str], Any]]:
    compiled = statement.compile(dialect=dialect)
    (name,) = compiled.params
    if dialect.positional:
        return str(compiled), lambda value: (value,)
    return str(compiled), lambda value: {name: value}


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
            _engines.popitem()[1].writing.dispose()


def insert(on: Session | str, table: type[Base]) -> _postgresql.Insert | _sqlite.Insert:
    """An INSERT that can say what to do where the row is there already.

    Parameters:
        on: a session, or the name of a dialect.
    """
    dialect = on if isinstance(on, str) else on.get_bind().dialect.name
    return _sqlite.insert(table) if dialect == sqlite.NAME else _postgresql.insert(table)


def _opened() -> _Engines:
    url = get_settings().store_url
    with _opening:
        found = _engines.get(url)
        if found is None:
            kind = sqlite if url.startswith(f"{sqlite.NAME}:") else postgresql
            engine = kind.engine(url)
            try:
                with engine.connect() as connection:
                    is_current = _version(connection) == HEAD
                if not is_current:
                    _migrate(engine)
            except BaseException:
                engine.dispose()
                raise
            found = _engines[url] = _Engines(engine, engine.execution_options(**kind.READING))
        return found


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


def _unusable(error: Exception) -> StoreUnavailable:
    """With what the database itself says, in one line."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return StoreUnavailable(f"the store cannot be used: {' '.join(str(cause).split()) or type(cause).__name__}")
