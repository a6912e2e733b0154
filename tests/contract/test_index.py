"""The index of failed messages: what comes and goes is seen, and what is missed is found by counting."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing

import dramatiq
import pytest

from carrier.messaging.broker import Broker
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.outgoing import Outgoing
from carrier.monitor import failed
from carrier.monitor.failed import Filter, index
from carrier.monitor.failed.index import Index
from tests.contract.backend import Backend, Rabbitmq
from tests.contract.conftest import StartWorker, Working
from tests.programs import Start
from tests.waiting import wait_until


def lying(number: int, fingerprint: str = "f") -> Outgoing:
    """Something from ``work_queue``, as it lies in failed_queue."""
    failure = {"queue": "work_queue", "error": "E", "message": f"no {number}", "fingerprint": fingerprint}
    return Outgoing(FAILED_QUEUE, "", "", f"junk {number}".encode(), failure=json.dumps(failure))


@pytest.fixture
def following(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index on 30 messages that were there before it."""
    monkeypatch.setattr(index, "_COUNTING", 0.2)
    broker.declare_queue("work_queue")
    broker.store([lying(n) for n in range(30)])
    with closing(Index(broker)) as made:
        wait_until(lambda: made.is_whole and made.count() == 30, "what was there is seen")
        yield made


def test_what_comes_and_goes_is_seen(broker: Broker, following: Index) -> None:
    (group,) = following.groups()
    assert (group.fingerprint, group.count, group.error) == ("f", 30, "E")
    broker.store([lying(n, "g") for n in range(30, 70)])
    wait_until(lambda: [each.count for each in following.groups()] == [40, 30], "what has come is seen")
    failed.discard(broker, Filter(groups={"f"}))
    wait_until(lambda: [each.fingerprint for each in following.groups()] == ["g"], "what has gone is seen")
    failed.retry(broker)
    wait_until(lambda: following.count() == 0, "what was sent back is seen")
    assert following.walks <= 1


def test_hundreds_that_fail_now_are_seen_at_once(
    broker: Broker, following: Index, backend: Backend, working: Working
) -> None:
    @dramatiq.actor(broker=broker, queue_name="work_queue", max_retries=0)
    def work(n: int) -> None:
        raise RuntimeError(f"no {n}")

    broker.enqueue_many([work.message(n) for n in range(500)])
    with working():
        wait_until(lambda: backend.ready(FAILED_QUEUE) == 530, "all have failed")
        wait_until(lambda: following.count() == 530, "all are seen", timeout=5)
    assert following.walks <= 1


def test_what_comes_without_news_is_found_by_counting(backend: Backend, following: Index) -> None:
    for number in range(5):
        backend.put(FAILED_QUEUE, b"a stranger's %d" % number)
    wait_until(lambda: following.count() == 35, "they are found")
    assert [each.fingerprint for each in following.groups()] == ["f", "unrecorded"]


def test_a_deleted_exchange_loses_no_failed_message_and_comes_back(rabbitmq: Rabbitmq) -> None:
    broker = rabbitmq.broker()
    broker.store([lying(0)])
    with closing(Index(broker)) as following:
        wait_until(lambda: following.count() == 1, "what was there is seen")
        with closing(rabbitmq.connect()) as connection:
            connection.channel().exchange_delete("carrier.events")
        for number in range(1, 4):
            broker.store([lying(number)])
        wait_until(lambda: following.count() == 4, "all are seen")
        walks = following.walks
        broker.store([lying(4)])
        wait_until(lambda: following.count() == 5, "news come again")
        assert following.walks == walks
    assert rabbitmq.ready(FAILED_QUEUE) == 5
    broker.close()


def test_closed_connections_are_made_again(rabbitmq: Rabbitmq) -> None:
    broker = rabbitmq.broker()
    broker.store([lying(0)])
    with closing(Index(broker)) as following:
        wait_until(lambda: following.count() == 1, "what was there is seen")
        wait_until(lambda: "carrier feed" in str(rabbitmq.connections()), "the server lists them")
        rabbitmq.close_connections()
        broker.store([lying(1)])
        wait_until(lambda: following.count() == 2 and following.trouble is None, "all is seen")
    broker.close()


def test_groups_are_watched_from_a_terminal(
    start: Start, start_worker: StartWorker, backend: Backend, broker: Broker
) -> None:
    broker.store([lying(0)])
    environment = {**backend.environment, "CARRIER_ACTORS": "tests.contract.application"}
    watching = start("carrier", "failed", "groups", "--watch", "--json", **environment)
    wait_until(lambda: '"count": 1' in watching.output(), "what was there is shown")
    began = time.monotonic()
    broker.store([lying(1)])
    wait_until(lambda: '"count": 2' in watching.output(), "what has come is shown", timeout=5)
    assert time.monotonic() - began < 5
