"""The sender's side of a benchmark, the same for each system: it prints the seconds that sending took.

The first message of a measured run goes before the clock starts: connecting is no part of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Thread

from benchmarks.peers.slots import sent

#: Threads of ``threads``.
THREADS = 16

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
        "many": lambda: _many(all_of, number),
        "fill": lambda: _many(all_of, number),
        "one": lambda: _threads(one, number, 1),
        "threads": lambda: _threads(one, number, THREADS),
        "paced": lambda: _paced(one, range(number), float(sys.argv[3])),
        "urgent": lambda: _paced(one, range(number, number + 1), 1),
    }
    if how in ("many", "one", "threads"):
        one(number)  # its number is beyond those that are counted
    elif how == "urgent":
        one(number + 1)
    print(ways[how]())


def _many(many: Many, number: int) -> float:
    began = time.perf_counter()
    many(range(number))
    return time.perf_counter() - began


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


def _paced(one: Callable[[int], object], numbers: range, rate: float) -> float:
    """So many in a second, each at its time; one that the one before it delays is late, not left out."""
    began = time.perf_counter()
    for place, n in enumerate(numbers):
        time.sleep(max(0.0, began + place / rate - time.perf_counter()))  # the pace is what is asked for
        sent(n)
        one(n)
    return time.perf_counter() - began
