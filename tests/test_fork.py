"""A process forks while it uses the embedded broker: what parent and child send is stored, neither harms the other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dramatiq
import pytest

from carrier.messaging.embedded.broker import EmbeddedBroker
from carrier.messaging.errors import BrokerUnavailable
from tests.waiting import wait_until


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(tmp_path, publish_timeout=5)
    yield broker
    broker.close()


@pytest.fixture
def work(broker: EmbeddedBroker) -> dramatiq.Actor[[int], None]:
    @dramatiq.actor(broker=broker, queue_name="q")
    def work(n: int) -> None: ...

    work.send(0)
    return work


def _ready(broker: EmbeddedBroker) -> int:
    return broker.counts()["q"]["ready"]


def _forked(task: Callable[[], object]) -> int:
    """A child that ends with status 0 when ``task`` is done, and with 1 where it raises; its process id."""
    if child := os.fork():
        return child
    status = 1
    try:
        task()
        status = 0
    finally:
        os._exit(status)


def _status(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_sends_over_a_connection_of_its_own(
    broker: EmbeddedBroker, work: dramatiq.Actor[[int], None]
) -> None:
    assert _status(_forked(lambda: work.send(1))) == 0
    work.send(2)
    assert _ready(broker) == 3


@pytest.mark.parametrize("early", [True, False], ids=["opened before", "opened afterwards"])
def test_what_a_child_sends_outlives_the_closing_of_its_parent(
    broker: EmbeddedBroker, work: dramatiq.Actor[[int], None], tmp_path: Path, early: bool
) -> None:
    to_child, to_parent = os.pipe(), os.pipe()

    def task() -> None:
        if early:
            work.send(1)
        os.write(to_parent[1], b".")
        os.read(to_child[0], 1)
        for n in range(2, 6):
            work.send(n)

    child = _forked(task)
    os.read(to_parent[0], 1)
    broker.close()  # the last one to close the file removes its WAL
    os.write(to_child[1], b".")
    assert _status(child) == 0
    for each in (*to_child, *to_parent):
        os.close(each)
    later = EmbeddedBroker(tmp_path)
    later.declare_queue("q")
    assert _ready(later) == 5 + early
    later.close()


def test_children_that_are_forked_while_threads_send_are_kept_from_nothing(
    broker: EmbeddedBroker, work: dramatiq.Actor[[int], None]
) -> None:
    over, sent = threading.Event(), []

    def send() -> None:
        while not over.is_set():
            work.send(1)
            sent.append(1)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    children = []
    for _ in range(10):
        before = len(sent)
        wait_until(lambda before=before: len(sent) > before + 3, "they send")
        children.append(_forked(lambda: [work.send(n) for n in (1, 2)]))
    statuses = [_status(child) for child in children]
    over.set()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 10
    assert _ready(broker) == 1 + len(sent) + 20


def test_a_consumer_goes_on_beside_a_child(broker: EmbeddedBroker, work: dramatiq.Actor[[int], None]) -> None:
    consumer = broker.consume("q", prefetch=1, timeout=5000)
    first = next(consumer)
    assert first is not None
    assert _status(_forked(lambda: work.send(1))) == 0
    consumer.ack(first)
    second = next(consumer)
    assert second is not None
    assert second.args == (1,)
    consumer.ack(second)
    consumer.close()


def test_a_child_of_a_thread_that_writes_just_now_is_refused(
    broker: EmbeddedBroker, work: dramatiq.Actor[[int], None]
) -> None:
    def task() -> None:
        with pytest.raises(BrokerUnavailable, match=r"in use when this process was forked"):
            work.send(1)

    database = broker.database
    with database.transaction(database.sending) as connection:
        connection.execute("INSERT INTO messages (queue, priority, due, body) VALUES ('q', 0, 0, x'')")
        child = _forked(task)  # as a signal's handler may
        assert _status(child) == 0
    work.send(2)
    assert _ready(broker) == 3
