"""Backs up one SQLite database. It knows nothing of queues and can be called from a plain script."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfileobj
from urllib.parse import quote, unquote

from actors.atomic import atomic_file, safe_name
from actors.backup.payload import Backup
from carrier.messaging.errors import PermanentError
from carrier.store import database as store
from settings import Settings

_SCHEME = "sqlite:///"


def back_up(backup: Backup, message_id: str, settings: Settings) -> Path:
    """Make the backup of this message and return its file; one that an earlier handling made is kept.

    The file is a database that opens; with ``compress`` it is zstd with ``.zst`` behind its name.

    Raises:
        PermanentError: the database is not configured, not SQLite or not there, or the path leads out of BACKUP_ROOT.
        OSError, sqlite3.Error: another attempt may succeed; nothing is left under the backup's name.
    """
    if backup.database == "default":
        store.prepare()  # else the first backup of a new installation would find nothing
    source = _source(backup.database, settings)
    folder = _folder(backup.path, settings)
    suffix = f"-{safe_name(message_id)}.sqlite3{'.zst' if backup.compress else ''}"
    if folder.is_dir():
        for made in folder.iterdir():
            if made.name.startswith(f"{backup.database}-") and made.name.endswith(suffix):
                return made
    target = folder / f"{backup.database}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".copying-") as copying:
        copy = Path(copying) / "copy"
        _copy(source, copy)
        with atomic_file(target) as out, copy.open("rb") as whole:
            if backup.compress:
                import zstandard

                zstandard.ZstdCompressor(level=3, write_checksum=True).copy_stream(whole, out)
            else:
                copyfileobj(whole, out)
    return target


def _source(name: str, settings: Settings) -> Path:
    database = settings.databases.get(name)
    if database is None:
        known = ", ".join(sorted(settings.databases))
        raise PermanentError(
            f"unknown database {name!r} (known: {known}): add [databases.{name}] with its url to carrier.toml"
        )
    url = database.url.get_secret_value()
    if not url.startswith(_SCHEME):
        raise PermanentError(f"databases.{name}: url: only {_SCHEME}… can be backed up")
    source = settings.config_folder / unquote(url.removeprefix(_SCHEME).partition("?")[0])
    if not source.is_file():
        raise PermanentError(f"databases.{name}: url: there is no file {source}")
    return source


def _folder(path: str | None, settings: Settings) -> Path:
    root = settings.backups.resolve()
    folder = (root / (path or "").strip("/")).resolve()
    if not folder.is_relative_to(root):
        raise PermanentError(f"path: {path!r} leads out of BACKUP_ROOT")
    return folder


def _copy(source: Path, target: Path) -> None:
    """Copy in one step: in small ones it would begin anew at each write by others (sqlite.org/backup.html)."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True, timeout=30)) as origin,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        try:
            origin.backup(copy)
            found = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise PermanentError(f"{source}: {error}") from None
        if found != ["ok"]:
            raise PermanentError(f"{source} is damaged: {'; '.join(found)[:300]}")
