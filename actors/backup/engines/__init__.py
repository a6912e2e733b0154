"""How a database is dumped, one module an engine: as a stream of bytes that says at its end whether it is whole."""

from __future__ import annotations

from actors.backup.engines import mariadb, postgresql, sqlite
from actors.backup.engines.dump import Engine
from settings import Database

_BY_SCHEME: dict[str, Engine] = {
    "postgresql": postgresql,
    "postgres": postgresql,
    "mariadb": mariadb,
    "mysql": mariadb,
    "sqlite": sqlite,
}
_BY_NAME = {each.NAME: each for each in _BY_SCHEME.values()}


def engine_of(database: Database) -> Engine:
    """That of a configured database, by the scheme of its url."""
    return _BY_SCHEME[database.url.get_secret_value().partition(":")[0].partition("+")[0]]


def engine_named(name: str) -> Engine | None:
    """That of a stored backup, as its manifest says."""
    return _BY_NAME.get(name)
