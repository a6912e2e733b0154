"""A backup is whole, or it is not there."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from actors.backup.manifest import Manifest
from actors.backup.payload import Backup
from actors.backup.place import Place
from actors.backup.run import LOCK, back_up
from actors.backup.verify import backups
from carrier.messaging.errors import Deferred, PermanentError
from carrier.store import locks
from settings import Settings, SettingsError
from tests.waiting import wait_until

Make = Callable[..., Settings]
TOML = '[databases.app]\nurl = "sqlite:///app file.db"\n'


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app file.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (n)")
        database.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(1000)])
    return path


def names(place: Place) -> list[str]:
    """Of all that is in its folder."""
    return sorted(path.name for path in place.folder.iterdir())


def test_a_message_handled_twice_has_one_backup(settings: Make, app: Path) -> None:
    made = settings(TOML)
    place, first = back_up(Backup(database="app", path="/nightly/"), "id", made)
    assert place.folder == made.backups / "nightly"
    assert back_up(Backup(database="app", path="nightly"), "id", made)[1] == first
    assert names(place) == sorted([first.file, f"{first.id}.json"])
    _, second = back_up(Backup(database="app", path="nightly"), "another", made)
    assert second.id != first.id
    assert [each.manifest for each in backups(made)] == [first, second]


def test_its_name_is_of_utc(settings: Make, app: Path) -> None:
    _, manifest = back_up(Backup(database="app"), "id", settings(TOML))
    stamp = datetime.strptime(manifest.id.split("-")[1], "%Y%m%dT%H%M%S%z")
    assert abs((stamp - manifest.created_at).total_seconds()) < 2


def test_the_store_can_be_backed_up_before_its_first_use(settings: Make) -> None:
    made = settings()
    place, manifest = back_up(Backup(database="default"), "id", made)
    assert (place.folder / manifest.file).stat().st_size == manifest.stored_bytes


def test_what_is_not_configured_is_named_with_what_to_add(settings: Make, app: Path) -> None:
    made = settings(TOML)
    with pytest.raises(PermanentError, match=r"add \[databases.other\]"):
        back_up(Backup(database="other"), "id", made)
    app.unlink()
    with pytest.raises(PermanentError, match="there is no file"):
        back_up(Backup(database="app"), "id", made)
    assert not list(made.backups.iterdir())
    with pytest.raises(SettingsError, match=r"databases\.app\.url: must begin with") as caught:
        settings('[databases.app]\nurl = "oracle://u:secret@h/db"\n')
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_leaves_nothing(settings: Make, app: Path) -> None:
    app.write_bytes(b"not a database" * 1000)
    made = settings(TOML)
    with pytest.raises(PermanentError, match="not a database"):
        back_up(Backup(database="app"), "id", made)
    assert not list(made.backups.iterdir())


@pytest.mark.parametrize(
    "name", ["-Fp", "../x", "dbname=x host=evil", "postgresql://u:secret@h", "a;b", "", "a" * 101, "a/b", "a\nb"]
)
def test_names_that_mean_something_to_somebody_are_refused(name: str) -> None:
    for field, given in (("database", {"database": name}), ("path", {"database": "app", "path": name or "\0"})):
        if (field, name) == ("path", "a/b"):
            continue
        with pytest.raises(ValidationError, match=field) as caught:
            Backup(**given)
        assert "secret" not in str(caught.value)


def test_no_path_leads_out_of_the_root(settings: Make, app: Path, tmp_path: Path) -> None:
    made = settings(TOML)
    made.backups.mkdir(parents=True)
    (made.backups / "link").symlink_to(tmp_path)
    with pytest.raises(PermanentError, match="leads out"):
        back_up(Backup(database="app", path="link/inside"), "id", made)
    assert not (tmp_path / "inside").exists()


def test_files_and_folders_are_for_their_owner_alone_whatever_the_umask(settings: Make, app: Path) -> None:
    made = settings(TOML)
    before = os.umask(0)
    try:
        back_up(Backup(database="app", path="a/b"), "id", made)
    finally:
        os.umask(before)
    assert [path for path in made.backups.rglob("*") if path.stat().st_mode & 0o077] == []


def test_one_at_a_time(settings: Make, app: Path) -> None:
    made = settings(TOML)
    with locks.hold(f"{LOCK}app", "other:1", dict):
        with pytest.raises(Deferred, match="is being made by other:1"):
            back_up(Backup(database="app"), "id", made)
        assert [each.name for each in locks.held()] == [f"{LOCK}app"]
        back_up(Backup(database="default"), "id", made)
    back_up(Backup(database="app"), "id", made)
    assert locks.held() == []


def test_a_run_that_has_lost_its_lock_leaves_nothing(
    settings: Make, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings(TOML)

    def lost(_: locks.Lock, detail: locks.Detail) -> None:
        raise locks.LockLost("another run has it")

    monkeypatch.setattr(locks.Lock, "renew", lost)
    with pytest.raises(Exception, match="another run has it"):
        back_up(Backup(database="app"), "id", made)
    assert not list(made.backups.iterdir())


def test_what_dead_runs_have_left_is_swept_and_nothing_else(settings: Make, app: Path) -> None:
    made = settings(TOML)
    place = Place(made.backups, None, "app")
    stamp = "20260101T000000Z-0123abcd"
    dead = [f"app-{stamp}.dump.zst.partial", f"app-{stamp}.copy.partial", f"app-{stamp}.copy.partial-wal"]
    kept = [f"app-old-{stamp}.dump.partial", "notes.partial", "app-2026.dump.partial", f"app-{stamp}.dump"]
    for name in dead + kept:
        (place.folder / name).write_bytes(b"x")
    outside = made.backups.parent / "outside"
    outside.write_bytes(b"x")
    (place.folder / f"app-{stamp}.link.partial").symlink_to(outside)
    elsewhere = Place(made.backups, "a/b", "app").folder / dead[0]
    elsewhere.write_bytes(b"x")
    with place.partial(f"app-{stamp}.live") as live:
        _, manifest = back_up(Backup(database="app"), "id", made)
        there = {manifest.file, f"{manifest.id}.json", live.path.name, f"app-{stamp}.link.partial", *kept}
        assert set(names(place)) == there | {"a"}
        assert not elsewhere.exists()
    assert outside.exists()


def test_who_dies_between_the_two_names_has_made_a_backup(settings: Make, app: Path) -> None:
    made = settings(TOML)
    place, manifest = back_up(Backup(database="app"), "id", made)
    named = place.folder / f"{manifest.id}.json"
    named.rename(named.with_name(f"{named.name}.partial"))
    assert back_up(Backup(database="app"), "id", made)[1] == manifest
    assert names(place) == sorted([manifest.file, named.name])
    (place.folder / manifest.file).unlink()
    named.rename(named.with_name(f"{named.name}.partial"))
    assert back_up(Backup(database="app"), "id", made)[1] != manifest


def test_a_manifest_that_is_none_is_passed_over(settings: Make, app: Path) -> None:
    made = settings(TOML)
    place, manifest = back_up(Backup(database="app"), "id", made)
    for name, content in {"a.json": b"{}", "b.json": b"\xff", "c.json": b'{"id": 1}'}.items():
        (place.folder / name).write_bytes(content)
    (place.folder / "d.json").mkdir()
    assert [each.manifest for each in backups(made)] == [manifest]


def test_writers_go_on_while_it_is_copied(settings: Make, app: Path) -> None:
    made, written, over = settings(TOML), [], threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(app, timeout=30, isolation_level=None)) as database:
            while not over.is_set():
                database.execute("INSERT INTO t VALUES (0)")
                written.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            before = len(written)
            back_up(Backup(database="app"), f"id-{number}", made)
            wait_until(lambda before=before: len(written) > before, "somebody writes")
    finally:
        over.set()
        thread.join()
    assert len(backups(made)) == 5


def test_the_manifest_says_what_it_is(settings: Make, app: Path) -> None:
    place, manifest = back_up(Backup(database="app"), "id", settings(TOML))
    assert Manifest.model_validate_json((place.folder / f"{manifest.id}.json").read_bytes()) == manifest
    assert manifest.server == f"SQLite {sqlite3.sqlite_version}"
    assert manifest.bytes >= app.stat().st_size
    assert manifest.seconds < 60
    assert manifest.verified_at is None
