"""The broker is not there yet, refuses, freezes, comes back: senders get through or an error in time, workers wait."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dramatiq
import pytest
from dramatiq import Message

from carrier.messaging.broker import Broker
from carrier.messaging.errors import PublishError
from carrier.messaging.rabbitmq.broker import RabbitmqBroker
from tests.conftest import RabbitmqOf
from tests.contract.backend import Backend, Rabbitmq
from tests.programs import Run
from tests.servers.installed import INSTALLATIONS
from tests.servers.ports import HOST, free_port
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

WORKER = [sys.executable, "-m", "dramatiq", "tests.contract.application", "-p", "1", "-t", "2"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a worker on a URL."""
    started: list[Process] = []

    def start(url: str) -> Process:
        environment = {"PATH": os.environ["PATH"], "NOTES": str(tmp_path / "notes"), "RABBITMQ_URL": url}
        root = str(Path(__file__).parents[2])
        log = tmp_path / f"worker-{len(started)}.log"
        started.append(Process(WORKER, log=log, environment={**environment, "PYTHONPATH": root}, cwd=tmp_path))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def quick(n: int) -> Message[None]:
    return Message(queue_name="work_queue", actor_name="quick", args=(), kwargs={"n": n}, options={})


def test_a_worker_without_a_broker_says_so_once_and_ends_at_once(start: Callable[..., Process]) -> None:
    port = free_port()
    worker = start(f"amqp://guest:guest@{HOST}:{port}/")
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
    version: str,
    rabbitmq_of: RabbitmqOf,
    start: Callable[..., Process],
    notes: Callable[[], list[list[str]]],
    tmp_path: Path,
) -> None:
    rabbitmq_of(version)  # skips where there is none
    (tmp_path / "node").mkdir()
    node = RabbitmqNode(tmp_path / "node", INSTALLATIONS[version])
    url = f"{node.url}/"
    worker = start(url)
    wait_until(lambda: "cannot be used" in worker.output(), "the worker was there first")
    patient = RabbitmqBroker([url], publish_timeout=90)
    patient.declare_queue("work_queue")
    patient.enqueue(quick(1))
    wait_until(lambda: ["done", "1"] in [words[1:] for words in notes()], "it works")
    assert "is there again" in worker.output()

    hurried = RabbitmqBroker([url], publish_timeout=1)
    hurried.declare_queue("work_queue")
    node.freeze()
    for broker in (hurried, hurried):  # one has no connection yet
        began = time.monotonic()
        with pytest.raises(PublishError):
            broker.enqueue(quick(2))
        assert time.monotonic() - began < 10
    worker.signal(signal.SIGTERM)
    assert worker.wait(20) == 0, "it does not wait for the frozen server"
    node.thaw()
    again = start(url)
    patient.enqueue(quick(3))
    wait_until(lambda: ["done", "3"] in [words[1:] for words in notes()], "it is worked off")
    again.signal(signal.SIGTERM)
    assert again.wait() == 0
    hurried.close()
    patient.close()
    node.stop()


def test_a_connection_limit_is_named(rabbitmq: Rabbitmq, run: Run) -> None:
    rabbitmq.node.api(f"/vhost-limits/{rabbitmq.vhost}/max-connections", "PUT", {"value": 0})
    words = ("send", "cleanup", "logs", "30")
    refused = run("carrier", *words, RABBITMQ_URL=rabbitmq.url, PUBLISH_TIMEOUT="1")
    assert refused.returncode == 1
    assert "connection limit (0) is reached" in refused.stderr
    rabbitmq.node.api(f"/vhost-limits/{rabbitmq.vhost}/max-connections", "DELETE")
    assert run("carrier", *words, RABBITMQ_URL=rabbitmq.url).returncode == 0


def test_many_short_lived_senders_leave_nothing_behind(backend: Backend, broker: Broker) -> None:
    def open_things() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    actor = dramatiq.actor(lambda: None, actor_name="work", queue_name="work_queue", broker=broker)
    actor.send()
    before = open_things()
    for _ in range(15):
        threads = [threading.Thread(target=actor.send) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert open_things() == before
    assert backend.ready("work_queue") == 301
