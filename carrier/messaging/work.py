"""What a worker process has taken and not begun: the queue between its consumers and the threads of its handlers.

Dramatiq's is Python's own PriorityQueue, which costs each message two locks, a condition and comparisons in Python: a
fifth of the time of a worker that has little to do for each. This one keeps Dramatiq's order (by the actor's priority,
then as they came) with parts that are written in C.
"""

from __future__ import annotations

import itertools
import time
from heapq import heappop, heappush
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from carrier.messaging.count import Count


class Item(Protocol):
    """What Dramatiq puts: a message, and its actor's priority, of which the lowest goes first."""

    priority: Any
    message: Any


class WorkQueue:
    """Items in their order. Each is put, got once, and then said to be done."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Item]] = []
        self._number = itertools.count()
        #: One for each item and each :meth:`wake`, which is all that is waited for.
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._put, self._done = Count(), Count()
        self._waiting = False
        self._news: SimpleQueue[None] = SimpleQueue()

    def put(self, item: Item) -> None:
        """Add one."""
        self._put.add()
        heappush(self._heap, (item.priority, next(self._number), item))
        self._tokens.put(None)

    def get(self, block: bool = True, timeout: float | None = None) -> Item:
        """The first one.

        A SimpleQueue of CPython 3.11 that is woken at the end of its time, and finds that another thread was quicker,
        waits without a limit: until the next item or :meth:`wake`, without which no thread is ended.

        Raises:
            Empty: there was none within ``timeout`` s, or whoever waited has been woken.
        """
        self._tokens.get(block, timeout)
        try:
            return heappop(self._heap)[2]
        except IndexError:
            raise Empty from None

    def get_nowait(self) -> Item:
        """The first one, now."""
        return self.get(block=False)

    def task_done(self) -> None:
        """One that was got is dealt with."""
        self._done.add()
        if self._waiting:
            self._news.put(None)

    def qsize(self) -> int:
        """How many are not begun."""
        return len(self._heap)

    @property
    def unfinished_tasks(self) -> int:
        """How many are not dealt with."""
        done = self._done.read()  # first: what is put meanwhile is not done
        return self._put.read() - done

    def wake(self, threads: int) -> None:
        """Have so many threads that wait for an item look whether they still run."""
        for _ in range(threads):
            self._tokens.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait until all are dealt with; whether that was so in time. For one thread at a time."""
        until = time.monotonic() + seconds
        self._waiting = True
        try:
            while self.unfinished_tasks:
                self._news.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            return not self.unfinished_tasks
        finally:
            self._waiting = False
        return True

    def join(self) -> None:
        """Wait until all are dealt with."""
        while not self.wait(1.0):
            pass

    def take_back(self, consumer: object, keep: int) -> list[Any]:
        """Take out what ``consumer`` has put and nobody has begun, but for the first ``keep``; they count as done."""
        taken, kept, own = [], [], 0
        while True:
            try:
                self._tokens.get_nowait()
                entry = heappop(self._heap)
            except (Empty, IndexError):
                break
            own += entry[2].message.consumer is consumer
            if entry[2].message.consumer is consumer and own > keep:
                taken.append(entry[2].message)
            else:
                kept.append(entry)
        for entry in kept:
            heappush(self._heap, entry)
            self._tokens.put(None)
        for _ in taken:
            self.task_done()
        return taken
