"""Reads a stored backup as a restore would: first the bytes, then what is in them.

The bytes are looked at in a pass of their own: what has changed on the disk is told as such, and not as what a
decoder makes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from actors.atomic import atomic_file
from actors.backup.engines import engine_named
from actors.backup.manifest import SUFFIX, Manifest, manifests
from actors.backup.place import Place
from actors.backup.stages import decompressed, decrypted, stored
from actors.backup.trouble import Damaged
from carrier.messaging.errors import PermanentError
from settings import Settings

#: Told of each number of bytes that was read.
Progress = Callable[[int], object]


@dataclass(frozen=True)
class Stored:
    """A backup that lies under BACKUP_ROOT."""

    folder: Path
    manifest: Manifest

    @property
    def path(self) -> Path:
        """The backup itself."""
        return self.folder / self.manifest.file

    @property
    def state(self) -> str:
        """What is known of it without reading it: "missing", "damaged", "verified" or "stored"."""
        if not self.path.is_file():
            return "missing"
        return "damaged" if self.manifest.damage else "verified" if self.manifest.verified_at else "stored"


def backups(settings: Settings) -> list[Stored]:
    """All that are stored, the oldest first."""
    return [Stored(path.parent, made) for path, made in manifests(settings.backups.resolve())]


def find(id_: str, settings: Settings) -> Stored:
    """One by its id.

    Raises:
        PermanentError: there is none.
    """
    for each in backups(settings):
        if each.manifest.id == id_:
            return each
    raise PermanentError(f"there is no backup {id_[:200]!r} under {settings.backups}: carrier backup list")


def verify(backup: Stored, settings: Settings, identities: Path | None, progress: Progress) -> Stored:
    """Read all of it, twice, and note in its manifest what was found.

    Parameters:
        identities: a file of age identities, for one that is encrypted.

    Raises:
        Damaged: it is not what was stored.
        PermanentError: something that is needed for it is missing.
    """
    try:
        _look(backup, settings, identities, progress)
    except Damaged as error:
        _note(backup, verified_at=None, damage=str(error))
        raise
    return _note(backup, verified_at=datetime.now(UTC), damage="")


def _look(backup: Stored, settings: Settings, identities: Path | None, progress: Progress) -> None:
    made = backup.manifest
    _compare(backup, progress)
    chunks = stored(backup.path, progress)
    if made.recipients:
        if identities is None:
            raise PermanentError(
                f"{made.id}: its bytes are right, but it is encrypted: give --identity FILE to look inside"
            )
        chunks = decrypted(chunks, identities)
    if made.compressed:
        chunks = decompressed(chunks)
    engine = engine_named(made.engine)
    if engine is None:
        raise PermanentError(f"{made.id}: this Carrier does not know {made.engine}")
    place = Place(settings.backups, str(backup.folder.relative_to(settings.backups.resolve())), made.database)
    database = settings.databases.get(made.database)
    tools = database.tools if database is not None else None
    engine.check(_counted(chunks, made), tools, lambda: place.partial(f"{place.new_id()}.copy"))


def _note(backup: Stored, **found: Any) -> Stored:
    """Write into the manifest what was found."""
    manifest = backup.manifest.model_copy(update=found)
    with atomic_file(backup.folder / f"{manifest.id}{SUFFIX}") as file:
        file.write(manifest.model_dump_json(indent=2).encode())
    return Stored(backup.folder, manifest)


def _counted(chunks: Iterable[bytes], made: Manifest) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        yield chunk
    if size != made.bytes:
        raise Damaged(f"{made.id}: there are {size:,} bytes in it; {made.bytes:,} were dumped")


def _compare(backup: Stored, progress: Progress) -> None:
    made, found = backup.manifest, hashlib.sha256()
    if not backup.path.is_file():
        raise Damaged(f"{made.id}: its file {backup.path} is gone")
    size = backup.path.stat().st_size
    if size != made.stored_bytes:
        raise Damaged(f"{made.id}: it has {size:,} bytes; {made.stored_bytes:,} were stored")
    for chunk in stored(backup.path, progress):
        found.update(chunk)
    if found.hexdigest() != made.sha256:
        raise Damaged(f"{made.id}: its SHA-256 is {found.hexdigest()}; {made.sha256} was stored")
