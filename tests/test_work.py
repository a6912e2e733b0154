"""The queue between consumers and handlers."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from queue import Empty
from typing import Any

import pytest

from carrier.messaging.work import WorkQueue
from tests.waiting import wait_until


@dataclass
class Message:
    """What a consumer has taken."""

    consumer: object
    n: int


@dataclass
class Item:
    """As Dramatiq wraps it."""

    priority: Any
    message: Any


def filled(*items: Item) -> WorkQueue:
    """A queue with these."""
    work = WorkQueue()
    for item in items:
        work.put(item)
    return work


def numbers(work: WorkQueue) -> list[int]:
    """What is in it, in its order."""
    return [work.get_nowait().message.n for _ in range(work.qsize())]


def test_it_keeps_the_order_of_priorities_and_of_coming() -> None:
    items = [Item(priority, Message(None, n)) for n, priority in enumerate([5, 0, 5, 0, -1])]
    assert numbers(filled(*items)) == [4, 1, 3, 0, 2]


def test_nothing_is_waited_for_longer_than_asked() -> None:
    with pytest.raises(Empty):
        WorkQueue().get(timeout=0.01)
    with pytest.raises(Empty):
        WorkQueue().get_nowait()


def test_who_waits_can_be_woken_for_nothing() -> None:
    work, woken = WorkQueue(), []

    def wait() -> None:
        with pytest.raises(Empty):
            work.get(timeout=60)
        woken.append(True)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    work.wake(3)
    wait_until(lambda: len(woken) == 3, "all are")


def test_it_is_over_when_all_are_dealt_with() -> None:
    work = filled(Item(0, Message(None, 0)), Item(0, Message(None, 1)))
    assert not work.wait(0.01)
    work.get()
    work.task_done()
    assert work.unfinished_tasks == 1, "one of them is not even begun"
    work.get()
    threading.Timer(0.05, work.task_done).start()
    assert work.wait(60)
    work.join()


def test_what_one_consumer_has_put_is_taken_back_but_for_the_first() -> None:
    own, other = object(), object()
    work = filled(*[Item(0, Message(own if n % 2 else other, n)) for n in range(8)])
    assert [each.n for each in work.take_back(own, keep=1)] == [3, 5, 7]
    assert work.unfinished_tasks == 5
    assert numbers(work) == [0, 1, 2, 4, 6]


def test_threads_that_put_and_get_at_once_lose_nothing() -> None:
    work, got, over = WorkQueue(), [], threading.Event()

    def put(first: int) -> None:
        for n in range(first, first + 2_000):
            work.put(Item(n % 3, Message(None, n)))

    def get() -> None:
        while not over.is_set():  # as Dramatiq's worker threads
            try:
                item = work.get(timeout=0.5)
            except Empty:
                continue
            got.append(item.message.n)
            work.task_done()

    getting = [threading.Thread(target=get) for _ in range(4)]
    putting = [threading.Thread(target=put, args=(first,)) for first in (0, 2_000, 4_000)]
    for thread in [*getting, *putting]:
        thread.start()
    for thread in putting:
        thread.join()
    assert work.wait(60)
    assert sorted(got) == list(range(6_000))
    over.set()
    work.wake(len(getting))
    for thread in getting:
        thread.join()
