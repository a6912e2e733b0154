"""Where the backups of one database lie: a folder in which nothing has a final name unless it is whole.

A backup grows under a name that ends with ``.partial``, locked (flock) by who writes it: one that is not locked has
been left behind. The manifest is on disk before the backup gets its name, and gets its own after it; who dies between
the two has done all but that, and the next run does it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from actors.atomic import sync_folder
from actors.backup.manifest import SUFFIX, Manifest, manifests, read
from carrier.messaging.errors import PermanentError

_PARTIAL = ".partial"
#: Bytes of one read.
_CHUNK = 2**20
#: Of the name of a backup, behind that of its database: when, and something that no other has.
_STAMP = r"\d{8}T\d{6}Z-[0-9a-f]{8}"


class Partial:
    """A file that grows, for its owner alone.

    Attributes:
        size: bytes so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        # Who sweeps between these two lines takes it for one that was left behind, but only one run is here at a time.
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._hash, self.size = hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        """Write all of it; a disk takes less than that when it is nearly full.

        Raises:
            OSError: it is full.
        """
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """Of all that was written."""
        return self._hash.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """What is in it, whoever has written it."""
        place = 0
        while chunk := os.pread(self._descriptor, _CHUNK, place):
            yield chunk
            place += len(chunk)

    def hide(self) -> None:
        """Take its name away; it is gone once it is closed, however that comes."""
        self.path.unlink()

    def sync(self) -> None:
        """Have it on the disk."""
        os.fsync(self._descriptor)

    def name(self) -> None:
        """Give it its final name."""
        self.path = self.path.rename(self.path.with_name(self.path.name.removesuffix(_PARTIAL)))

    def close(self) -> None:
        """Let go of it. Where it has not got its final name, it is removed."""
        if self.path.name.endswith(_PARTIAL):
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


class Place:
    """The folder that a message names, and in it what belongs to one database.

    Raises:
        PermanentError: it leads out of the folder of all backups.
        OSError: it cannot be made.
    """

    def __init__(self, root: Path, path: str | None, database: str) -> None:
        root = self._root = root.resolve()
        self.folder = (root / (path or "").strip("/")).resolve()
        if not self.folder.is_relative_to(root):
            raise PermanentError(f"path: {path!r} leads out of BACKUP_ROOT")
        self.database = database
        #: What a partial file is called, and what SQLite puts beside one.
        self._left = re.compile(rf"({re.escape(database)}-{_STAMP}(\.[a-z0-9.]+)){re.escape(_PARTIAL)}(-[a-z]+)?")
        for each in reversed([self.folder, *self.folder.parents]):
            with contextlib.suppress(FileExistsError):
                if not each.is_dir():
                    each.mkdir(mode=0o700)

    def new_id(self) -> str:
        """The id of a backup that begins now, as files are called by it; in UTC, whatever the clocks here show."""
        return f"{self.database}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"

    @contextmanager
    def partial(self, name: str) -> Iterator[Partial]:
        """A file that will be called ``name``, or is gone after the ``with`` block."""
        partial = Partial(self.folder / f"{name}{_PARTIAL}")
        try:
            yield partial
        finally:
            partial.close()

    def keep(self, backup: Partial, manifest: Manifest) -> None:
        """Make it a backup: from here on it is there, and whole."""
        with self.partial(f"{manifest.id}{SUFFIX}") as written:
            written.write(manifest.model_dump_json(indent=2).encode())
            written.sync()
            backup.sync()
            backup.name()
            written.name()
        sync_folder(self.folder)

    def backups(self) -> list[Manifest]:
        """Those of this database that are here, the oldest first."""
        return [made for _, made in manifests(self.folder, "*") if made.database == self.database]

    def sweep(self) -> None:
        """Remove what dead runs have left of this database, in whatever folder, or complete it where only a name is
        missing."""
        for path in list(self._root.rglob(f"*{_PARTIAL}*")):
            matched = self._left.fullmatch(path.name)
            if matched is None or path.is_symlink() or not _is_left(path):
                continue
            if matched[2] == SUFFIX and (made := read(path)) is not None and (path.parent / made.file).is_file():
                path.rename(path.with_name(matched[1]))
            else:
                path.unlink(missing_ok=True)


def _is_left(path: Path) -> bool:
    """Nobody has it locked."""
    try:
        with path.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
