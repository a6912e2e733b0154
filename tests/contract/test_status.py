"""What the broker says of itself."""

from __future__ import annotations

import dramatiq

from carrier.messaging.broker import Broker
from carrier.messaging.figures import QueueFigures
from carrier.monitor.status import status
from tests.contract.backend import Backend, Rabbitmq
from tests.contract.conftest import StartWorker, Working
from tests.waiting import wait_until


def queue(broker: Broker, name: str = "work_queue") -> QueueFigures:
    return next(each for each in broker.figures().queues if each.name == name)


def test_what_waits_is_delayed_or_has_failed_is_counted(broker: Broker, working: Working) -> None:
    @dramatiq.actor(broker=broker, queue_name="work_queue", max_retries=0)
    def fail() -> None:
        raise RuntimeError("no")

    fail.send()
    fail.send()
    fail.send_with_options(delay=3_600_000)
    wait_until(lambda: status(broker).broker["delayed"] == 1, "the delay is counted")
    assert (queue(broker).ready, queue(broker).consumers) == (2, 0)
    assert any("work_queue: 2 wait and nobody works on them" in alarm for alarm in status(broker).alarms)
    with working():
        wait_until(lambda: queue(broker, "failed_queue").ready == 2, "both have failed")
        assert queue(broker).consumers == 1
        assert status(broker).alarms == ["2 failed: carrier failed list"]
    wait_until(lambda: queue(broker).consumers == 0, "the worker is gone")


def test_a_look_makes_nothing(broker: Broker, backend: Backend) -> None:
    broker.declare_queue("work_queue")
    assert queue(broker).ready == 0
    if isinstance(backend, Rabbitmq):
        assert backend.node.api(f"/queues/{backend.vhost}") == []
        assert "queue work_queue is not there" in status(broker).alarms[0]


def test_workers_are_named_and_what_they_hold_is_counted(backend: Backend, start_worker: StartWorker) -> None:
    management = None
    if isinstance(backend, Rabbitmq):
        management = f"http://guest:guest@127.0.0.1:{backend.node.management}/"
    broker = backend.broker(**({"management_url": management} if management else {}))
    broker.declare_queue("work_queue")
    worker = start_worker(processes=1)
    (seen,) = wait_until(lambda: broker.figures().workers, "the worker is seen", every=0.2)
    assert {"work_queue", "plain_queue"} >= set(seen.queues)
    body = b'{"id": "1", "type": "slow", "payload": {"n": 1, "seconds": 100}, "max_attempts": 1, "delay": 0,'
    backend.put("work_queue", body + b' "priority": 0, "created_at": "2026-11-23T10:00:00Z"}')
    wait_until(lambda: queue(broker).unacked == 1, "it is in the worker's hands", every=0.2)
    worker.kill()
    wait_until(lambda: not broker.figures().workers, "the worker is gone", every=0.2)
    broker.close()
