"""Each kind of database, with something of everything in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.actors.backup.engines import Database, Mariadb, Postgresql, Sqlite


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Each."""
    if request.param == "postgresql":
        return Postgresql(request.getfixturevalue("postgresql_server"))
    if request.param == "mariadb":
        return Mariadb(request.getfixturevalue("mariadb_server"))
    return Sqlite(tmp_path / "app file.db")
