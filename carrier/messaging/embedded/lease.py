"""A lease is a locked file of the process that holds it: the kernel frees it when the process dies.

No clock and no renewal: a process that is frozen keeps what is its own, and one that was killed loses it at once.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path


class Lease:
    """This process's own: its number stands in the rows that it has leased."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.owner = secrets.randbits(62) + 1
        self._path = _path(folder, self.owner)
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def end(self) -> None:
        """Give it up, once no row names it any more."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def abandon(self) -> None:
        """In a forked child: the lock is the parent's."""
        os.close(self._descriptor)


def is_dead(folder: Path, owner: int) -> bool:
    """Whether the process that leased rows as ``owner`` is gone."""
    try:
        descriptor = os.open(_path(folder, owner), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def remove(folder: Path, owner: int) -> None:
    """Remove what a dead process left, once its rows are free."""
    _path(folder, owner).unlink(missing_ok=True)


def _path(folder: Path, owner: int) -> Path:
    return folder / f"{owner:016x}.lease"
