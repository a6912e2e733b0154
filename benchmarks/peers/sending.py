"""The sender's side of a benchmark, the same for each system: it prints the seconds that sending took.

The first message of a measured run goes before the clock starts: connecting is no part of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from threading import Thread

from benchmarks.peers.slots import sent

#: Threads of ``threads``.
THREADS = 16
#: Messages of a backlog that are sent at once.
_PART = 50_000

Many = Callable[[range], object]


def main(one: Callable[[int], object], many: Many | None = None) -> None:
    """Do what the command line says: HOW and how many.

    Parameters:
        one: sends a message, and returns when it is confirmed.
        many: sends all of them, and returns when they are confirmed; one by one without it.
    """
    how, number = sys.argv[1], int(sys.argv[2])
    all_of = many or (lambda numbers: [one(n) for n in numbers])
    ways: dict[str, Callable[[], float]] = {
        "many": lambda: _many(all_of, range(number)),
        "fill": lambda: sum(_many(all_of, part) for part in _parts(number)),
        "one": lambda: _threads(one, number, 1),
        "threads": lambda: _threads(one, number, THREADS),
        "paced": lambda: _paced(one, range(number), float(sys.argv[3])),
        "waking": lambda: _paced(one, range(number), float(sys.argv[3]), from_its_end=True),
        "urgent": lambda: _paced(one, range(number, number + 1), 1),
    }
    if how in ("many", "one", "threads"):
        one(number)  # its number is beyond those that are counted
    elif how == "urgent":
        one(number + 1)
    print(ways[how]())


def _many(many: Many, numbers: range) -> float:
    began = time.perf_counter()
    many(numbers)
    return time.perf_counter() - began


def _parts(number: int) -> Iterator[range]:
    """A million messages at once would take gigabytes."""
    for first in range(0, number, _PART):
        yield range(first, min(first + _PART, number))


def _threads(one: Callable[[int], object], number: int, count: int) -> float:
    def send(first: int) -> None:
        for n in range(first, number, count):
            one(n)

    threads = [Thread(target=send, args=(first,)) for first in range(count)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def _paced(one: Callable[[int], object], numbers: range, rate: float, *, from_its_end: bool = False) -> float:
    """So many in a second, each at its time; one that the one before it delays is late, not left out.

    Parameters:
        from_its_end: it counts as sent when it is confirmed, and not when its sending begins.
    """
    began = time.perf_counter()
    for place, n in enumerate(numbers):
        time.sleep(max(0.0, began + place / rate - time.perf_counter()))  # the pace is what is asked for
        if not from_its_end:
            sent(n)
        one(n)
        if from_its_end:
            sent(n)
    return time.perf_counter() - began
