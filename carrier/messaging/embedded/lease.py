"""A lease is a locked file of the process that holds it: the kernel frees it when the process dies.

No clock and no renewal: a process that is frozen keeps what is its own, and one that was killed loses it at once. What
its process works on stands in the file, for people.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

from carrier.messaging.figures import WorkerFigures


class Lease:
    """This process's own: its number stands in the rows that it has leased."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.owner = secrets.randbits(62) + 1
        self._path = _path(folder, self.owner)
        # It gets its name once it is locked: one with the name and without a lock is a dead process's.
        unnamed = self._path.with_suffix(".new")
        self._descriptor = os.open(unnamed, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        unnamed.rename(self._path)

    def note(self, queues: Iterable[str]) -> None:
        """Write down from which queues this process takes."""
        text = json.dumps({"process": os.getpid(), "queues": sorted(queues)}).encode()
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)

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


def dead(folder: Path) -> list[int]:
    """The numbers of processes that have died and left their file."""
    owners = [int(path.stem, 16) for path in folder.glob("*.lease")]
    return [owner for owner in owners if is_dead(folder, owner)]


def workers(folder: Path) -> list[WorkerFigures]:
    """The living processes that take from queues."""
    found = []
    for path in folder.glob("*.lease"):
        try:
            noted = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue  # it has just ended, or does not take anything
        if noted["queues"] and not is_dead(folder, int(path.stem, 16)):
            found.append(WorkerFigures(socket.gethostname(), noted["process"], noted["queues"]))
    return sorted(found, key=lambda each: each.process)


def remove(folder: Path, owner: int) -> None:
    """Remove what a dead process left, once its rows are free."""
    _path(folder, owner).unlink(missing_ok=True)


def _path(folder: Path, owner: int) -> Path:
    return folder / f"{owner:016x}.lease"
