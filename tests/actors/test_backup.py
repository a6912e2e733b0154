"""A backup is whole, or it is not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import zstandard
from pydantic import ValidationError

from actors.backup.handler import back_up
from actors.backup.payload import Backup
from carrier.messaging.errors import PermanentError
from settings import Settings

Make = Callable[..., Settings]
TOML = '[databases.app]\nurl = "sqlite:///app file.db"\n[databases.remote]\nurl = "postgresql://u:secret@h/db"\n'


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app file.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (n)")
        database.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(1000)])
    return path


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found: int = database.execute("SELECT count(*) FROM t").fetchone()[0]
        return found


def test_compressed_and_not_it_opens_and_holds_all(settings: Make, app: Path, tmp_path: Path) -> None:
    made = settings(TOML)
    plain = back_up(Backup(database="app", path="/nightly/", compress=False), "id-1", made)
    assert plain.parent == made.backups / "nightly"
    assert count(plain) == 1000
    packed = back_up(Backup(database="app"), "id-2", made)
    unpacked = tmp_path / "unpacked"
    unpacked.write_bytes(zstandard.ZstdDecompressor().decompressobj().decompress(packed.read_bytes()))
    assert count(unpacked) == 1000
    assert plain.stat().st_mode & 0o077 == 0, "it is for its owner alone"
    assert sorted(path.name for path in made.backups.iterdir()) == sorted(["nightly", packed.name]), "nothing else"


def test_a_message_handled_twice_has_one_backup(settings: Make, app: Path) -> None:
    made = settings(TOML)
    first = back_up(Backup(database="app"), "id", made)
    assert back_up(Backup(database="app"), "id", made) == first
    assert list(made.backups.iterdir()) == [first]


def test_the_store_can_be_backed_up_before_its_first_use(settings: Make) -> None:
    made = settings()
    assert back_up(Backup(database="default"), "id", made).exists()


def test_what_is_not_configured_is_named_with_what_to_add(settings: Make, app: Path) -> None:
    made = settings(TOML)
    with pytest.raises(PermanentError, match=r"add \[databases.other\]"):
        back_up(Backup(database="other"), "id", made)
    with pytest.raises(PermanentError, match="only sqlite") as caught:
        back_up(Backup(database="remote"), "id", made)
    assert "secret" not in str(caught.value)
    app.unlink()
    with pytest.raises(PermanentError, match="there is no file"):
        back_up(Backup(database="app"), "id", made)
    assert not made.backups.exists() or not list(made.backups.iterdir())


def test_a_file_that_is_no_database_leaves_nothing(settings: Make, app: Path) -> None:
    app.write_bytes(b"not a database" * 1000)
    made = settings(TOML)
    with pytest.raises(PermanentError):
        back_up(Backup(database="app"), "id", made)
    assert not list(made.backups.iterdir())


def test_no_path_leads_out_of_the_root(settings: Make, app: Path, tmp_path: Path) -> None:
    made = settings(TOML)
    with pytest.raises(ValidationError):
        Backup(database="app", path="../outside")
    made.backups.mkdir(parents=True)
    (made.backups / "link").symlink_to(tmp_path)
    with pytest.raises(PermanentError, match="leads out"):
        back_up(Backup(database="app", path="link/inside"), "id", made)
    with pytest.raises(ValidationError):
        Backup(database="postgresql://u:p@h/db")
