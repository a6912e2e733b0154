"""Makes the backup of one message. It knows nothing of queues and can be called from a plain script."""

from __future__ import annotations

import errno
import logging
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from actors.backup.engines import engine_of
from actors.backup.engines.dump import Ended, Origin
from actors.backup.manifest import Manifest
from actors.backup.payload import Backup
from actors.backup.place import Partial, Place
from actors.backup.stages import compressed, encrypt
from actors.backup.tool import Limits
from actors.backup.trouble import BackupError
from carrier.messaging.errors import Deferred, PermanentError
from carrier.messaging.failure import worker_name
from carrier.store import locks
from carrier.store.locks import Lock, LockHeld, LockLost
from settings import Database, Settings

logger = logging.getLogger(__name__)

#: The lock of a backup is called so, and then by its database.
LOCK = "backup "
#: Milliseconds until a message looks again whether another's backup is over: as many as that has taken, within these
#: limits; and for which it does so at most.
_SOONEST, _LATEST, _PATIENCE = 5_000, 60_000, 25 * 3_600_000
#: Bytes that have to be free on the disk whatever a backup will take.
_FLOOR = 16 * 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def back_up(backup: Backup, message_id: str, settings: Settings) -> tuple[Place, Manifest]:
    """Make the backup of this message, or find that it is made; where it lies, and what is known of it.

    Raises:
        Deferred: another backup of this database is being made.
        PermanentError: what is configured has to be mended first.
        BackupError, OSError: another attempt may succeed; nothing is left under a final name.
        StoreUnavailable: nobody can say whether another backup is being made.
    """
    run = _Run(backup, message_id, settings)
    try:
        with locks.hold(f"{LOCK}{backup.database}", worker_name(), run.detail) as lock:
            place = Place(settings.backups, backup.path, backup.database)
            place.sweep()
            there = place.backups()
            made = next((each for each in there if each.message_id == message_id), None)
            return place, made or run.make(place, lock, there[-1].stored_bytes if there else 0)
    except LockHeld as error:
        taken = (datetime.now(UTC) - error.holder.since).total_seconds() * 1000
        raise Deferred(
            f"a backup of {backup.database} is being made by {error.holder.worker}",
            delay=round(min(max(taken, _SOONEST), _LATEST)),
            most=_PATIENCE,
        ) from None
    except LockLost as error:
        raise BackupError(str(error)) from None
    except OSError as error:
        if error.errno in _FULL:
            raise BackupError(f"no space for a backup in {settings.backups}: {error.strerror}") from error
        raise


def configured(name: str, settings: Settings) -> Database:
    """A database by its name.

    Raises:
        PermanentError: it is not configured.
    """
    database = settings.databases.get(name)
    if database is None:
        known = ", ".join(sorted(settings.databases))
        raise PermanentError(
            f"unknown database {name!r} (known: {known}): add [databases.{name}] with its url to carrier.toml"
        )
    return database


class _Run:
    """One run, and how far it has come."""

    def __init__(self, backup: Backup, message_id: str, settings: Settings) -> None:
        self._backup, self._message_id, self._settings = backup, message_id, settings
        self._database = configured(backup.database, settings)
        self._engine = engine_of(self._database)
        self._began = time.monotonic()
        self._taken = 0
        self._partial: Partial | None = None

    def detail(self) -> dict[str, Any]:
        """As the lock shows it."""
        return {
            "database": self._backup.database,
            "bytes": self._taken,
            "stored_bytes": self._partial.size if self._partial is not None else 0,
            "seconds": self._seconds(),
        }

    def make(self, place: Place, lock: Lock, before: int) -> Manifest:
        """Make the backup; there is none where this raises.

        Parameters:
            before: bytes of the one before it.
        """
        created, id_ = datetime.now(UTC), place.new_id()
        origin = Origin(
            name=self._backup.database,
            url=self._database.url.get_secret_value(),
            tools=self._database.tools,
            limits=Limits(*self._database.limits),
            scratch=lambda: place.partial(f"{id_}.copy"),
            settings=self._settings,
        )
        _check_room(place, self._engine.room(origin) + before)
        name = f"{id_}{self._engine.SUFFIX}{self._suffixes()}"
        with place.partial(name) as partial:
            self._partial = partial
            ended = self._write(origin, partial, lock)
            manifest = Manifest(
                id=id_,
                file=name,
                database=self._backup.database,
                engine=self._engine.NAME,
                server=ended.server,
                tool=ended.tool,
                message_id=self._message_id,
                created_at=created,
                seconds=self._seconds(),
                bytes=self._taken,
                stored_bytes=partial.size,
                sha256=partial.sha256,
                compressed=self._backup.compress,
                recipients=self._database.recipients,
                warnings=ended.said,
            )
            lock.renew(self.detail())
            place.keep(partial, manifest)
        if ended.said:
            logger.warning("%s: %s", id_, " | ".join(ended.said.splitlines()))
        return manifest

    def _write(self, origin: Origin, partial: Partial, lock: Lock) -> Ended:
        with self._engine.dump(origin) as dump:
            stages = self._counted(dump.chunks(), lock)
            if self._backup.compress:
                stages = compressed(stages)
            if self._database.recipients:
                encrypt(stages, partial.write, self._database.recipients)
            else:
                for chunk in stages:
                    partial.write(chunk)
            return dump.finish()

    def _counted(self, chunks: Iterator[bytes], lock: Lock) -> Iterator[bytes]:
        for chunk in chunks:
            lock.check()
            self._taken += len(chunk)
            yield chunk

    def _suffixes(self) -> str:
        return f"{'.zst' if self._backup.compress else ''}{'.age' if self._database.recipients else ''}"

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 2)


def _check_room(place: Place, bytes_: int) -> None:
    """Before anything begins: what it takes for a moment, and as much as the last one has taken."""
    wanted, free = bytes_ + _FLOOR, shutil.disk_usage(place.folder).free
    if free < wanted:
        raise BackupError(
            f"no space for a backup in {place.folder}: {free:,} bytes are free, it takes about {wanted:,}"
        )
