"""Where each message leaves its marks: a file that sender and workers map, with a place of its own for each message.

Writing there costs a worker less than a microsecond and no lock, in any number of processes, so that it is the queue
that is measured; and a message that was not handled is seen.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from functools import cache
from pathlib import Path

#: Text of one message: with it there are 400 bytes to carry.
TEXT = "x" * 400
_SLOT = struct.Struct("<qqi4x")  # when it was sent and when its handler began (Unix time in ns), and in which process
_SENT, _BEGUN = struct.Struct("<q"), struct.Struct("<qi")


def make(path: Path, messages: int) -> None:
    """A file for messages numbered from 0 to ``messages`` - 1."""
    with path.open("wb") as file:
        file.truncate(messages * _SLOT.size)


def read(path: Path) -> list[tuple[int, int, int]]:
    """Of each message: when it was sent, when its handler began, both 0 where it was not, and in which process."""
    return list(_SLOT.iter_unpack(path.read_bytes()))


def size(path: Path) -> int:
    """How many messages it has places for."""
    return path.stat().st_size // _SLOT.size


def left(path: Path) -> int:
    """How many have not begun. It is asked beside the measured work, so it only counts: the last byte of a time is 0 in
    none that is."""
    return path.read_bytes()[_SENT.size + 7 :: _SLOT.size].count(0)


@cache
def _slots() -> mmap.mmap:
    descriptor = os.open(os.environ["BENCH_SLOTS"], os.O_RDWR)
    try:
        return mmap.mmap(descriptor, 0)
    finally:
        os.close(descriptor)


def sent(n: int) -> None:
    """It is about to be sent."""
    _SENT.pack_into(_slots(), n * _SLOT.size, time.time_ns())


def begun(n: int) -> None:
    """Its handler has begun."""
    _BEGUN.pack_into(_slots(), n * _SLOT.size + _SENT.size, time.time_ns(), os.getpid())
