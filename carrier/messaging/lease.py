"""A worker process as the others on this machine know it, while it lives and after it has died.

Each has a file that it keeps locked: the kernel frees the lock when the process dies, however that happens. No clock
and no renewal: a process that is frozen keeps what is its own. The file is mapped into memory, and what the process
handles stands in it, so that a killed one has left word of what it was doing, at the price of a write to memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import blake2b
from pathlib import Path

from carrier.messaging.envelope import now_ms
from carrier.messaging.figures import WorkerFigures

#: Bytes for what people are told, in front of the slots.
_HEAD = 4096
#: How many handlers a process can note at a time, and one of them: its state, since when it runs (Unix ms), which.
_SLOTS, _SLOT = 1024, struct.Struct("<B7xQ16s")
_SIZE = _HEAD + _SLOTS * _SLOT.size
#: Milliseconds after which nobody asks any more what a dead process was handling: the message went to another machine.
_FORGOTTEN = 30 * 86_400_000
#: Files of processes that died and were handling nothing which are kept: what they had done may be handed out again.
_KEPT = 50
#: What a file is called whose process has died and was dealt with, and the seconds for which people are told of it.
_LOST, _TOLD = ".lost", 3600


class State(IntEnum):
    """Of a slot. What has ended stays readable until its slot is used again: the broker may not have heard of it."""

    FREE = 0
    RUNNING = 1
    DONE = 2
    FAILED = 3


#: As plain numbers, for what is done for each message: the enumeration's attributes cost as much as the rest.
_FREE, _RUNNING = int(State.FREE), int(State.RUNNING)


@dataclass(frozen=True, slots=True)
class Death:
    """A handler that was begun, and ended with its process.

    Attributes:
        worker: host:pid.
        began: Unix time in ms.
        alone: whether nothing else ran in that process: then nothing else can have killed it.
    """

    worker: str
    began: int
    alone: bool


@dataclass(frozen=True, slots=True)
class Running:
    """A handler that runs in a living process: the message was handed out again because a connection was lost."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A handler that has ended, and its broker did not hear of it: a connection was lost, or the process has died.

    Attributes:
        worker: host:pid.
        began: Unix time in ms.
        well: whether it did its work; otherwise it raised an error.
    """

    worker: str
    began: int
    well: bool


class Lease:
    """This process's own.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.owner = secrets.randbits(62) + 1
        self._path = _path(folder, self.owner)
        # It gets its name once it is locked: one with the name and without a lock is a dead process's.
        unnamed = self._path.with_suffix(".new")
        self._descriptor = os.open(unnamed, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            # Not sparse: a write to a mapped hole of a full disk kills the process.
            os.posix_fallocate(self._descriptor, 0, _SIZE)
            self._map = mmap.mmap(self._descriptor, _SIZE)
            unnamed.rename(self._path)
        except OSError:
            os.close(self._descriptor)
            unnamed.unlink(missing_ok=True)
            raise
        self._free = deque(range(_SLOTS))
        self._lock = threading.Lock()
        self.report(WorkerFigures(socket.gethostname(), os.getpid(), []))

    def note(self, queues: Iterable[str]) -> None:
        """Write down, for people, from which queues this process takes."""
        self.report(replace(self._told, queues=sorted(queues)))

    def report(self, told: WorkerFigures) -> None:
        """Write down, for people, how this process is."""
        self._told = told
        text = told.write()
        if len(text) > _HEAD:
            text = replace(told, busy=[]).write()
        if len(text) > _HEAD:  # hundreds of queues
            text = replace(told, busy=[], queues=[f"{len(told.queues)} queues"]).write()
        with self._lock:
            if not self._map.closed:
                self._map[:_HEAD] = text.ljust(_HEAD, b"\0")

    def begin(self, key: str) -> int | None:
        """Note that a handler begins with the message ``key``. Returns its slot; None when there is none left."""
        # Without a lock, at which all threads would meet for each message: a slot is one thread's.
        try:
            slot = self._free.popleft()
            _SLOT.pack_into(self._map, _at(slot), _FREE, now_ms(), digest(key))
            # Last: a slot that is not whole must not count.
            self._map[_at(slot)] = _RUNNING
        except (IndexError, ValueError):  # none is free; or the lease has ended, and its map is closed
            return None
        return slot

    def finish(self, slot: int, state: State) -> None:
        """Note that it has ended, and how."""
        with contextlib.suppress(ValueError):  # it has ended, and its map is closed
            self._map[_at(slot)] = state
            self._free.append(slot)

    def end(self) -> None:
        """Give it up, once nothing is leased under it any more."""
        with self._lock:
            self._path.unlink(missing_ok=True)
            self._map.close()
            os.close(self._descriptor)

    def abandon(self) -> None:
        """In a forked child: the lock is the parent's."""
        os.close(self._descriptor)


def digest(key: str) -> bytes:
    """A message's key, as long as a slot has room for."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def is_dead(folder: Path, owner: int) -> bool:
    """Whether the process with this number is gone."""
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


def owners(folder: Path) -> list[int]:
    """The numbers of all processes that have a file, living and dead."""
    return [int(path.stem, 16) for path in folder.glob("*.lease")]


def past(folder: Path, owner: int) -> dict[bytes, Death | Ended]:
    """What a process was handling when it died, or has handled last, by the digests of the messages' keys."""
    content = _read(folder, owner)
    slots = [slot for slot in _SLOT.iter_unpack(content[_HEAD:_SIZE]) if slot[0] != State.FREE]
    running = sum(state == State.RUNNING for state, _, _ in slots)
    worker = _worker(content)
    # An older slot may speak of the same message.
    slots.sort(key=lambda slot: slot[1])
    return {
        noted: Death(worker, began, alone=running == 1)
        if state == State.RUNNING
        else Ended(worker, began, well=state == State.DONE)
        for state, began, noted in slots
    }


def look(folder: Path, key: str) -> Death | Running | Ended | None:
    """What became of the message ``key`` in the process of this machine that was the last to begin it."""
    wanted = digest(key)
    runs = [
        (began, owner, state) for owner in owners(folder) for _, state, began in _noted(_read(folder, owner), wanted)
    ]
    if not runs:
        return None
    _, owner, state = max(runs)
    if state == State.RUNNING and not is_dead(folder, owner):
        return Running()
    return past(folder, owner).get(wanted)


def forget(folder: Path, key: str) -> None:
    """What :func:`look` has found is dealt with."""
    wanted = digest(key)
    for owner in owners(folder):
        for slot, state, _ in _noted(_read(folder, owner), wanted):
            if state != State.RUNNING or is_dead(folder, owner):
                _strike_out(folder, owner, slot)


def sweep(folder: Path) -> None:
    """Remove what dead processes left and nobody will ask for."""
    idle = []
    for owner in owners(folder):
        if is_dead(folder, owner):
            found = past(folder, owner).values()
            if not any(isinstance(each, Death) for each in found):
                idle.append((max((each.began for each in found), default=0), owner))
            elif max(each.began for each in found) < now_ms() - _FORGOTTEN:
                remove(folder, owner)
    for _, owner in sorted(idle, reverse=True)[_KEPT:]:
        remove(folder, owner)


def _noted(content: bytes, wanted: bytes) -> list[tuple[int, State, int]]:
    """Where a message stands in a process's file: slot, state, and when it began."""
    found, at = [], content.find(wanted, _HEAD)
    while at >= 0:
        slot = (at - _HEAD) // _SLOT.size
        state, began, noted = _SLOT.unpack_from(content, _at(slot))
        if state != State.FREE and noted == wanted:
            found.append((slot, State(state), began))
        at = content.find(wanted, at + 1)
    return found


def _strike_out(folder: Path, owner: int, slot: int) -> None:
    with contextlib.suppress(FileNotFoundError), _path(folder, owner).open("r+b") as file:
        os.pwrite(file.fileno(), bytes([State.FREE]), _at(slot))


def remove(folder: Path, owner: int) -> None:
    """Remove what a dead process left, once nobody needs it."""
    _path(folder, owner).unlink(missing_ok=True)


def retire(folder: Path, owner: int) -> None:
    """As :func:`remove`, but people are told for a while of one that took from queues: it died, and was not stopped."""
    path = _path(folder, owner)
    for each in folder.glob(f"*{_LOST}"):
        if _is_forgotten(each):
            each.unlink(missing_ok=True)
    told = _told(_read(folder, owner))
    if told is None or not told.queues:
        remove(folder, owner)
        return
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)
        path.rename(path.with_suffix(_LOST))


def lost(folder: Path) -> list[WorkerFigures]:
    """The processes that took from queues and died, with what they told last."""
    dead = [_path(folder, owner) for owner in owners(folder) if is_dead(folder, owner)]
    retired = [path for path in folder.glob(f"*{_LOST}") if not _is_forgotten(path)]
    told = [_told(_content(path)) for path in [*dead, *retired]]
    found = [each for each in told if each is not None and each.queues]
    return sorted(found, key=lambda each: each.at or 0.0, reverse=True)


def _is_forgotten(path: Path) -> bool:
    try:
        return path.stat().st_mtime < time.time() - _TOLD
    except FileNotFoundError:  # somebody else was faster
        return True


def workers(folder: Path) -> list[WorkerFigures]:
    """The living processes that take from queues."""
    found = []
    for owner in owners(folder):
        told = _told(_read(folder, owner))
        if told and told.queues and not is_dead(folder, owner):
            found.append(told)
    return sorted(found, key=lambda each: each.process)


def _at(slot: int) -> int:
    return _HEAD + slot * _SLOT.size


def _read(folder: Path, owner: int) -> bytes:
    return _content(_path(folder, owner))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # it has just ended, or been dealt with


def _told(content: bytes) -> WorkerFigures | None:
    """What a process has noted for people; None for one that has not come to it."""
    text = content[:_HEAD].rstrip(b"\0")
    return WorkerFigures.read(text) if text else None


def _worker(content: bytes) -> str:
    told = _told(content)
    return f"{told.host}:{told.process}" if told else "unknown"


def _path(folder: Path, owner: int) -> Path:
    return folder / f"{owner:016x}.lease"
