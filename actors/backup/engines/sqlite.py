"""SQLite, by its online backup: a copy of one moment, while others read and write.

https://www.sqlite.org/backup.html
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from actors.backup.engines.dump import Ended, Origin, Scratch
from actors.backup.place import Partial
from actors.backup.trouble import BackupError, Damaged
from carrier.messaging.errors import PermanentError
from carrier.store import database as store

NAME, SUFFIX = "sqlite", ".sqlite3"
_SCHEME = "sqlite:///"
#: Seconds to wait for somebody who writes.
_BUSY = 30


class _Dump:
    def __init__(self, copy: Partial) -> None:
        self._copy = copy

    def chunks(self) -> Iterator[bytes]:
        return self._copy.chunks()

    def finish(self) -> Ended:
        return Ended(f"SQLite {sqlite3.sqlite_version}", f"Python's sqlite3 {sqlite3.sqlite_version}")


def program(_: Path | None) -> str:
    """None is needed."""
    return ""


def room(origin: Origin) -> int:
    """The copy."""
    source = _source(origin)
    wal = source.with_name(f"{source.name}-wal")
    return source.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


@contextmanager
def dump(origin: Origin) -> Iterator[_Dump]:
    """Copy it; what it raises is in :class:`actors.backup.engines.dump.Engine`.

    The copy has a name only for as long as SQLite needs it, and is for its owner alone.
    """
    source = _source(origin)
    with origin.scratch() as copy:
        _copy(source, copy.path)
        copy.hide()
        yield _Dump(copy)


def check(chunks: Iterator[bytes], tools: Path | None, scratch: Scratch) -> None:
    """It is unpacked, and SQLite looks through all of it."""
    with scratch() as copy:
        for chunk in chunks:
            copy.write(chunk)
        # Nobody writes there: SQLite needs nothing beside it.
        address = f"file:{quote(str(copy.path))}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as opened:
            _look_through(opened)
            pages, size = (opened.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        if copy.size == 0 or copy.size != pages * size:
            raise Damaged(f"it has {copy.size:,} bytes and should have {pages * size:,}")


def _source(origin: Origin) -> Path:
    where = f"databases.{origin.name}: url"
    if not origin.url.startswith(_SCHEME):
        raise PermanentError(f"{where}: must be as {_SCHEME}file.db, or {_SCHEME}/folder/file.db")
    source = origin.settings.config_folder / unquote(origin.url.removeprefix(_SCHEME).partition("?")[0])
    if origin.name == "default" and origin.url == origin.settings.store_url:
        store.prepare()  # else the first backup of a new installation would find nothing
    if not source.is_file():
        raise PermanentError(f"{where}: there is no file {source}")
    return source


def _copy(source: Path, target: Path) -> None:
    """Copy in one step: in small ones it would begin anew at each write by others."""
    try:
        with (
            contextlib.closing(
                sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True, timeout=_BUSY)
            ) as origin,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            copy.execute("PRAGMA synchronous = OFF")  # nobody needs it after a power cut
            origin.backup(copy)
            _look_through(copy)
    except Damaged as error:
        raise PermanentError(f"{source}: {error}") from None
    except sqlite3.OperationalError as error:  # locked, or the disk is full
        raise BackupError(f"{source} cannot be copied: {error}") from error
    except sqlite3.DatabaseError as error:
        raise PermanentError(f"{source}: {error}") from None


def _look_through(database: sqlite3.Connection) -> None:
    try:
        found = [row[0] for row in database.execute("PRAGMA integrity_check(3)")]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise Damaged(str(error)) from None
    if found != ["ok"]:
        raise Damaged(f"it is damaged: {'; '.join(found)[:300]}")
