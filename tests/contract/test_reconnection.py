"""The broker is not there yet, refuses, freezes, comes back: senders get through or an error in time, workers wait."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import dramatiq
import pytest
from dramatiq.message import Message

from carrier.messaging.broker import Broker
from carrier.messaging.errors import PublishError
from carrier.messaging.rabbitmq.broker import RabbitmqBroker
from tests.contract.backend import Backend, Rabbitmq
from tests.contract.conftest import numbered
from tests.programs import Run, Start
from tests.servers.ports import HOST, free_port
from tests.servers.proxy import Proxy
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

WORKER = ("dramatiq", "tests.contract.application", "-p", "1", "-t", "2")


def test_a_worker_without_a_broker_says_so_once_and_ends_at_once(start: Start) -> None:
    port = free_port()
    worker = start(*WORKER, RABBITMQ_URL=f"amqp://guest:guest@{HOST}:{port}/")
    wait_until(lambda: "cannot be used" in worker.output(), "it says so")
    with socket.create_server((HOST, port)) as server:
        server.accept()[0].close()  # it tries again
        server.accept()[0].close()
    worker.signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    said = [line.partition("[WARNING] ")[2] for line in worker.output().splitlines() if "trying again" in line]
    assert "connection refused" in said[0]
    assert 2 <= len(said) == len(set(said)), "each reason once, for all of its queues"
    assert "Traceback" not in worker.output()


@pytest.mark.parametrize("version", ["4"], indirect=True)
def test_a_broker_that_starts_late_freezes_and_returns(
    own_node: RabbitmqNode, start: Start, notes: Callable[[], list[list[str]]]
) -> None:
    url = f"{own_node.url}/"
    worker = start(*WORKER, RABBITMQ_URL=url)
    wait_until(lambda: "cannot be used" in worker.output(), "the worker was there first")
    patient = RabbitmqBroker([url], publish_timeout=90)
    patient.declare_queue("work_queue")
    patient.enqueue(numbered("quick", 1))
    wait_until(lambda: ["done", "1"] in [words[1:] for words in notes()], "it works")
    wait_until(lambda: "is there again" in worker.output(), "it says so")

    connected, unconnected = RabbitmqBroker([url], publish_timeout=5), RabbitmqBroker([url], publish_timeout=1)
    connected.enqueue(numbered("quick", 0))
    own_node.freeze()
    for broker in (connected, unconnected):
        began = time.monotonic()
        with pytest.raises(PublishError):
            broker.enqueue(numbered("quick", 2))
        assert time.monotonic() - began < 10
    worker.signal(signal.SIGTERM)
    assert worker.wait(20) == 0, "it does not wait for the frozen server"
    own_node.thaw()
    again = start(*WORKER, RABBITMQ_URL=url)
    patient.enqueue(numbered("quick", 3))
    wait_until(lambda: ["done", "3"] in [words[1:] for words in notes()], "it is worked off")
    again.signal(signal.SIGTERM)
    assert again.wait() == 0
    for broker in (connected, unconnected, patient):
        broker.close()


def test_a_connection_limit_is_named(rabbitmq: Rabbitmq, run: Run) -> None:
    rabbitmq.node.api(f"/vhost-limits/{rabbitmq.vhost}/max-connections", "PUT", {"value": 0})
    words = ("send", "cleanup", "logs", "30")
    refused = run("carrier", *words, RABBITMQ_URL=rabbitmq.url, PUBLISH_TIMEOUT="1")
    assert refused.returncode == 1
    assert "connection limit (0) is reached" in refused.stderr
    rabbitmq.node.api(f"/vhost-limits/{rabbitmq.vhost}/max-connections", "DELETE")
    assert run("carrier", *words, RABBITMQ_URL=rabbitmq.url).returncode == 0


def test_many_short_lived_senders_leave_nothing_behind(backend: Backend, broker: Broker) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    actor = dramatiq.actor(lambda: None, actor_name="work", queue_name="work_queue", broker=broker)
    actor.send()
    # Idle threads of another test's worker may still be about to end.
    there, before = set(threading.enumerate()), descriptors()
    for _ in range(15):
        threads = [threading.Thread(target=actor.send) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(threading.enumerate()) <= there
    assert descriptors() <= before
    assert backend.ready("work_queue") == 301


@pytest.fixture
def proxied(rabbitmq: Rabbitmq) -> Iterator[tuple[Proxy, RabbitmqBroker]]:
    proxy = Proxy(rabbitmq.node.amqp)
    broker = RabbitmqBroker([f"amqp://guest:guest@{HOST}:{proxy.port}/{rabbitmq.vhost}?heartbeat=2"])
    broker.declare_queue("work_queue")
    yield proxy, broker
    broker.close()
    proxy.close()


@pytest.mark.parametrize(
    "harm",
    [
        lambda proxy: proxy.drop(),
        lambda proxy: proxy.tear("up"),
        lambda proxy: proxy.tear("down"),
        lambda proxy: proxy.half_close("up"),
        lambda proxy: proxy.half_close("down"),
    ],
    ids=["dropped", "torn publish", "torn confirm", "half closed by us", "half closed by the broker"],
)
def test_a_send_gets_through_a_connection_that_breaks(
    rabbitmq: Rabbitmq, proxied: tuple[Proxy, RabbitmqBroker], harm: Callable[[Proxy], None]
) -> None:
    proxy, broker = proxied
    broker.enqueue(numbered("quick", 1))
    harm(proxy)
    broker.enqueue(numbered("quick", 2))
    # Whether a message whose confirm was lost is there nobody can know: it is sent again, under the same id.
    assert {envelope["payload"]["n"] for envelope in rabbitmq.envelopes("work_queue")} == {1, 2}
    assert len({envelope["id"] for envelope in rabbitmq.envelopes("work_queue")}) == 2


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0], ids=["before it wrote", "in a frame", "after it wrote"])
def test_a_sender_that_is_interrupted_while_it_writes_harms_no_other(
    rabbitmq: Rabbitmq, part: float, caplog: pytest.LogCaptureFixture
) -> None:
    broker = rabbitmq.broker()
    broker.declare_queue("work_queue")
    broker.enqueue(numbered("quick", 0))
    connection = broker.publisher._connection

    def write(frames: bytes) -> None:
        connection.send(frames[: round(len(frames) * part)])
        raise KeyboardInterrupt

    connection.send_from_elsewhere = write
    with pytest.raises(KeyboardInterrupt):
        broker.enqueue(numbered("quick", 1))
    for n in range(2, 12):
        broker.enqueue(numbered("quick", n))
    assert broker.publisher._connection is not connection
    assert {envelope["payload"]["n"] for envelope in rabbitmq.envelopes("work_queue")} - {1} == {0, *range(2, 12)}
    assert "cannot be used: a sender was interrupted while it wrote; trying again" in caplog.text
    assert "it has closed the connection" not in caplog.text
    broker.close()


def test_a_sender_that_is_interrupted_while_it_wakes_the_connection_stops_no_other(rabbitmq: Rabbitmq) -> None:
    broker = rabbitmq.broker(publish_timeout=5)  # the connection's thread would look by itself at a heartbeat, in 30 s
    broker.declare_queue("work_queue")
    broker.enqueue(numbered("quick", 0))
    loop = broker.publisher._connection.ioloop
    wake = loop.add_callback_threadsafe

    def interrupted(_: Callable[[], None]) -> None:
        loop.add_callback_threadsafe = wake
        raise KeyboardInterrupt

    loop.add_callback_threadsafe = interrupted
    with pytest.raises(KeyboardInterrupt):
        broker.enqueue_many([numbered("quick", 1), numbered("quick", 2)])
    broker.enqueue_many([numbered("quick", 3), numbered("quick", 4)])
    assert {envelope["payload"]["n"] for envelope in rabbitmq.envelopes("work_queue")} - {1, 2} == {0, 3, 4}
    broker.close()


def test_a_send_that_finds_no_thread_stops_no_other(rabbitmq: Rabbitmq, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    broker = rabbitmq.broker(publish_timeout=10)
    broker.declare_queue("work_queue")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            broker.enqueue(numbered("quick", 1))
    broker.enqueue(numbered("quick", 2))
    assert [envelope["payload"]["n"] for envelope in rabbitmq.envelopes("work_queue")] == [2]
    broker.close()


def test_what_an_interrupted_sender_has_not_written_is_not_sent_later(rabbitmq: Rabbitmq) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    broker = rabbitmq.broker()
    broker.declare_queue("work_queue")
    broker.enqueue(numbered("quick", 0))
    publisher = broker.publisher
    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        publisher._on_blocked(None, SimpleNamespace(method=SimpleNamespace(reason="memory")))
        for messages in ([numbered("quick", 1)], [numbered("quick", n) for n in range(2, 2_000)]):
            known = len(publisher._waiting)
            threading.Thread(
                target=lambda known: (
                    wait_until(lambda: len(publisher._waiting) > known, "it waits"),
                    signal.pthread_kill(main, signal.SIGUSR1),
                ),
                args=(known,),
            ).start()
            with pytest.raises(Interrupted):
                broker.enqueue_many(messages)
    finally:
        signal.signal(signal.SIGUSR1, before)
    publisher._connection.ioloop.add_callback_threadsafe(publisher._on_unblocked)
    broker.enqueue(numbered("quick", 2_000))
    assert {envelope["payload"]["n"] for envelope in rabbitmq.envelopes("work_queue")} == {0, 2_000}
    broker.close()


def test_what_a_slow_socket_takes_in_parts_arrives_whole(rabbitmq: Rabbitmq) -> None:
    broker = rabbitmq.broker()
    broker.declare_queue("work_queue")
    broker.enqueue(numbered("quick", 0))
    connection = broker.publisher._connection
    connection._transport._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    texts = {n: f"{n} " * 20_000 for n in range(1, 41)}

    def send(numbers: range) -> None:
        for n in numbers:
            broker.enqueue(Message("work_queue", "quick", (), {"n": n, "text": texts[n]}, {}))

    send(range(1, 21))
    threads = [threading.Thread(target=send, args=(range(first, 41, 2),)) for first in (21, 22)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = {envelope["payload"]["n"]: envelope["payload"].get("text") for envelope in rabbitmq.envelopes("work_queue")}
    assert found == {0: None, **texts}
    assert broker.publisher._connection is connection
    broker.close()


def test_a_send_gets_through_once_a_silent_network_speaks_again(
    rabbitmq: Rabbitmq, proxied: tuple[Proxy, RabbitmqBroker]
) -> None:
    proxy, broker = proxied
    broker.enqueue(numbered("quick", 1))
    wait_until(lambda: rabbitmq.node.api(f"/vhosts/{rabbitmq.vhost}/connections"), "the connection is known")
    proxy.silence()
    sender = threading.Thread(target=broker.enqueue, args=(numbered("quick", 2),))
    sender.start()
    gone = "the broker has given up the connection that it heard nothing of"
    wait_until(lambda: not rabbitmq.node.api(f"/vhosts/{rabbitmq.vhost}/connections"), gone)
    assert sender.is_alive()
    proxy.speak()
    sender.join(30)
    assert {envelope["payload"]["n"] for envelope in rabbitmq.envelopes("work_queue")} == {1, 2}
