"""RabbitMQ refuses, loses its queues, closes its connections, dies: nothing that was confirmed is lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import dramatiq
import pytest

from carrier.messaging.broker import Broker
from carrier.messaging.errors import BrokerUnavailable, PublishError
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.rabbitmq import topology
from carrier.messaging.rabbitmq.broker import RabbitmqBroker
from carrier.messaging.rabbitmq.management import Management
from carrier.messaging.rabbitmq.revival import revive
from tests.contract.backend import Rabbitmq
from tests.contract.conftest import Working
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

#: Seconds for which retries are refused. It is the outage itself, not a wait for something.
OUTAGE = 6.0
#: Milliseconds of a backoff that lasts longer, and waits in one level only (64 units). A queue that may hold nothing
#: takes one message, of a new channel at times one more, and refuses the others as long as that one is there.
LONG = 6_400


@pytest.fixture
def backend(rabbitmq: Rabbitmq) -> Rabbitmq:
    return rabbitmq


@pytest.fixture
def rabbit(broker: Broker) -> RabbitmqBroker:
    assert isinstance(broker, RabbitmqBroker)
    return broker


@pytest.fixture
def collected(broker: Broker) -> list[int]:
    collected: list[int] = []

    @dramatiq.actor(queue_name="work_queue")
    def collect(n: int) -> None:
        collected.append(n)

    return collected


def test_refused_retries_are_neither_lost_nor_doubled(
    backend: Rabbitmq, rabbit: RabbitmqBroker, working: Working
) -> None:
    tried: Counter[int] = Counter()
    lock = threading.Lock()

    @dramatiq.actor(queue_name="work_queue", max_attempts=2, min_backoff=LONG, max_backoff=LONG)
    def fail(n: int) -> None:
        with lock:
            tried[n] += 1
        raise RuntimeError(f"{n} fails")

    rabbit.ensure({"work_queue"}, levels=topology.levels_of(LONG))
    backend.refuse("^carrier.delay.")
    for n in range(50):
        fail.send(n)
    until = time.monotonic() + OUTAGE
    with working(threads=8):
        wait_until(lambda: len(tried) >= 9, "one retry was taken, and each thread has one that was refused")
        wait_until(lambda: time.monotonic() >= until, "the outage is over", timeout=OUTAGE + 30)
        assert backend.ready("failed_queue") == 0
        assert max(tried.values()) == 1, "what could not be stored was not run again"
        assert len(tried) < 50, "most have not been tried, because each thread holds one that is refused"
        backend.allow()
        wait_until(lambda: backend.ready("failed_queue") == 50, "all have failed", timeout=60)
    assert tried == dict.fromkeys(range(50), 2)
    assert sorted(fields["meta"]["args"][0] for fields in backend.envelopes("failed_queue")) == list(range(50))
    assert backend.ready("work_queue") == 0


def test_what_failed_queue_refuses_stays_where_it_is(
    backend: Rabbitmq, rabbit: RabbitmqBroker, working: Working
) -> None:
    tried = []

    @dramatiq.actor(queue_name="work_queue", max_attempts=1)
    def fail() -> None:
        tried.append(1)
        raise RuntimeError("for good")

    rabbit.ensure({"work_queue"})
    backend.put("failed_queue", b"what fills it")
    backend.refuse("^failed_queue")
    fail.send()
    backend.put("work_queue", b"not json")
    with working():
        wait_until(lambda: tried, "it has failed")
        wait_until(lambda: backend.unacked("work_queue") == 2, "both are still held")
        backend.allow()
        wait_until(lambda: backend.ready("failed_queue") == 3, "both are in failed_queue", timeout=60)
    assert tried == [1]


@pytest.mark.each_version
def test_a_deleted_queue_is_declared_again(
    backend: Rabbitmq, rabbit: RabbitmqBroker, collected: list[int], working: Working
) -> None:
    collect = rabbit.actors["collect"]
    collect.send(1)
    with backend.connect() as connection:
        connection.channel().queue_delete("work_queue")
    collect.send(2)
    assert backend.ready("work_queue") == 1
    with working():
        wait_until(lambda: collected == [2], "it is handled")
        with backend.connect() as connection:
            connection.channel().queue_delete("work_queue")
        collect.send(3)
        wait_until(lambda: collected == [2, 3], "the worker takes from the new queue", timeout=60)


@pytest.mark.each_version
def test_deleted_delay_levels_are_declared_again(
    backend: Rabbitmq, rabbit: RabbitmqBroker, collected: list[int], working: Working
) -> None:
    collect = rabbit.actors["collect"]
    rabbit.ensure({"work_queue"}, levels=4)
    with backend.connect() as connection:
        channel = connection.channel()
        for number in range(4):
            channel.queue_delete(topology.level(number))
    collect.send_with_options(args=(1,), delay=100)
    with working():
        wait_until(lambda: collected == [1], "it is handled")


def test_an_idle_connection_that_was_closed_is_replaced(
    backend: Rabbitmq, rabbit: RabbitmqBroker, collected: list[int], working: Working
) -> None:
    collect = rabbit.actors["collect"]
    collect.send(1)
    with working():
        wait_until(lambda: collected == [1], "it is handled")
        wait_until(lambda: "worker work_queue" in str(backend.connections()), "the connections are known")
        backend.close_connections()
        collect.send(2)
        wait_until(lambda: 2 in collected, "the worker is back", timeout=60)
    assert collected == [1, 2]


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
def test_a_handler_that_outlives_its_connection_is_not_begun_again(
    backend: Rabbitmq, rabbit: RabbitmqBroker, working: Working, fails: bool
) -> None:
    began: list[int] = []
    release = threading.Event()

    @dramatiq.actor(queue_name="work_queue", max_attempts=2, min_backoff=10, max_backoff=20)
    def hold(n: int) -> None:
        began.append(n)
        assert release.wait(60)
        if fails and n == 0:
            raise RuntimeError("it fails each time")

    for n in range(3):
        hold.send(n)
    with working(threads=1):
        wait_until(lambda: began == [0], "the first is being handled")
        wait_until(lambda: "worker work_queue" in str(backend.connections()), "the connections are known")
        (old,) = rabbit.consumers
        backend.close_connections()
        # Its thread makes a new consumer, and RabbitMQ hands out all three again, to the same tags.
        wait_until(
            lambda: any(each is not old and each.busy == 2 for each in list(rabbit.consumers)),
            "the new consumer holds as many as it may",
        )
        release.set()
        rabbit.join("work_queue", timeout=60_000)
    assert sorted(began) == ([0, 0, 1, 2] if fails else [0, 1, 2]), "each attempt was begun once"
    assert backend.ready("work_queue") == 0
    if fails:
        (failure,) = backend.failures()
        assert [each["error"].rpartition(".")[2] for each in failure["attempts"]] == ["OutcomeLost", "RuntimeError"]


@pytest.mark.parametrize("version", ["4"], indirect=True)  # bin/drill broker-killed does worse, on each
def test_all_that_was_confirmed_is_there_after_the_node_was_killed(
    own_node: RabbitmqNode, tmp_path: Path, working: Working
) -> None:
    own_node.wait()
    broker = RabbitmqBroker([Rabbitmq(own_node, tmp_path).url], publish_timeout=60)
    collected: set[int] = set()

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def collect(n: int) -> None:
        collected.add(n)

    broker.enqueue_many([collect.message(n) for n in range(300)])
    broker.enqueue_many([collect.message(n) for n in range(300, 600)], delay=2_000)
    own_node.kill()  # before it has written down by itself that there is a delay level, the last that was declared
    sender = threading.Thread(target=collect.send, args=(600,))
    sender.start()  # it waits for the node, and is confirmed then
    own_node.start()
    own_node.wait()
    sender.join(90)
    assert not sender.is_alive()
    with working(broker):
        wait_until(lambda: collected == set(range(601)), "all are handled", timeout=90)
    broker.close()


@pytest.mark.parametrize("version", ["4"], indirect=True)  # a leader is busy for so long with 100,000 messages, on each
def test_a_queue_whose_leader_is_busy_is_not_taken_for_an_empty_one(own_node: RabbitmqNode, tmp_path: Path) -> None:
    own_node.wait()
    broker = RabbitmqBroker([Rabbitmq(own_node, tmp_path).url], publish_timeout=60)
    actor = dramatiq.actor(lambda n: None, broker=broker, actor_name="work", queue_name="work_queue")
    broker.enqueue_many([actor.message(n) for n in range(3)])
    leaders = "[sys:{}(element(1, amqqueue:get_pid(Q))) || Q <- rabbit_amqqueue:list(), amqqueue:is_quorum(Q)]."
    own_node.ctl("eval", leaders.format("suspend"))
    with pytest.raises(BrokerUnavailable, match="work_queue: its leader does not answer"):
        broker.figures()
    looking = threading.Thread(target=lambda: totals.append(_total(broker)))
    totals: list[int] = []
    looking.start()
    own_node.ctl("eval", leaders.format("resume"))
    looking.join(60)
    assert totals == [3]
    broker.close()


def _total(broker: RabbitmqBroker) -> int:
    with broker.walk("work_queue") as walk:
        return walk.total


@pytest.mark.each_version
def test_what_has_expired_without_a_route_is_sent_on_when_it_is_told_to(rabbitmq: Rabbitmq, working: Working) -> None:
    broker = rabbitmq.broker()
    done: list[int] = []
    collect = dramatiq.actor(done.append, broker=broker, actor_name="collect", queue_name="work_queue")
    collect.send(1)
    with rabbitmq.connect() as connection:
        channel = connection.channel()
        channel.queue_unbind("work_queue", topology.OUT, "#.work_queue")
        collect.send_with_options(args=(2,), delay=100)
        waiting = partial(channel.queue_declare, topology.level(0), passive=True)
        wait_until(lambda: waiting().method.message_count == 0, "it has expired")
        channel.queue_bind("work_queue", topology.OUT, "#.work_queue")
    management = Management(f"http://127.0.0.1:{rabbitmq.node.management}", rabbitmq.vhost, ("guest", "guest"))
    revive(management, threading.Event())
    with working(broker):  # RabbitMQ itself would try again after 180 s
        wait_until(lambda: sorted(done) == [1, 2], "both are handled, by whichever thread is first")
    broker.close()


def test_a_send_without_a_broker_ends_with_an_error_in_time() -> None:
    broker = RabbitmqBroker(["amqp://guest:guest@127.0.0.1:9"], publish_timeout=0.5)

    @dramatiq.actor(broker=broker)
    def never() -> None:
        raise AssertionError("it was not sent")

    began = time.monotonic()
    with pytest.raises(PublishError, match=r"127\.0\.0\.1:9.*connection refused"):
        never.send()
    assert time.monotonic() - began >= 0.5, "it was tried for as long as it may"
    broker.close()


def test_what_cannot_be_written_as_amqp_keeps_nobody_from_publishing(rabbitmq: Rabbitmq) -> None:
    broker = rabbitmq.broker(publish_timeout=1)
    broker.declare_queue("work_queue")
    bad, good = (Outgoing("work_queue", id_, "type", b"{}") for id_ in ("half a pair \ud800", "good"))
    with pytest.raises(PublishError, match=r"1 of 2 messages: it cannot be written as AMQP"):
        broker.store([bad, good])
    broker.store([good])
    assert rabbitmq.ready("work_queue") == 2
    broker.close()


def test_a_message_does_not_wait_for_all_that_somebody_else_sends(rabbitmq: Rabbitmq) -> None:
    broker = rabbitmq.broker()
    broker.declare_queue("work_queue")
    broker.ensure({"work_queue"})
    many = [Outgoing("work_queue", f"of many {number}", "type", b"x" * 500) for number in range(30_000)]
    sender = threading.Thread(target=broker.store, args=(many,))
    sender.start()
    wait_until(lambda: rabbitmq.ready("work_queue") > 0, "the first of many")
    broker.store([Outgoing("work_queue", "one", "type", b"{}")])
    assert sender.is_alive()
    sender.join()
    wait_until(lambda: rabbitmq.ready("work_queue") == len(many) + 1, "all of them")
    broker.close()
