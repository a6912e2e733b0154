"""The figures on the page are the broker's."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from carrier.messaging.broker import Broker
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.figures import QueueFigures, WorkerFigures
from carrier.messaging.outgoing import Outgoing
from carrier.monitor.console.pace import Pace
from tests.console.browser import Client
from tests.console.conftest import Serve
from tests.contract.backend import Backend, Rabbitmq
from tests.waiting import wait_until


def tiles(client: Client) -> dict[str, int]:
    """Those of the overview."""
    found = re.findall(r"<dt>(?:<a[^>]*>)?(\w+)(?:</a>)?</dt><dd>([^<]+)</dd>", client.get("/").text)
    return {name: int(number.replace("\u2009", "")) for name, number in found}


def of_the_broker(backend: Backend) -> tuple[int, int]:
    """How many wait and have failed, by the management API, or in the file."""
    if isinstance(backend, Rabbitmq):
        queues = {each["name"]: each.get("messages_ready", 0) for each in backend.node.api(f"/queues/{backend.vhost}")}
        return queues.get("email_queue", 0), queues.get(FAILED_QUEUE, 0)
    return backend.ready("email_queue"), backend.ready(FAILED_QUEUE)


def test_waiting_and_failed_are_those_of_the_broker(serve: Serve, broker: Broker, backend: Backend) -> None:
    broker.declare_queue("email_queue")
    broker.store([Outgoing("email_queue", "", "", b"{}") for _ in range(1234)])
    broker.store([Outgoing(FAILED_QUEUE, "", "", f"junk {n}".encode()) for n in range(567)])
    client = serve()
    wait_until(lambda: of_the_broker(backend) == (1234, 567), "the broker counts them")
    wait_until(lambda: tiles(client)["Failed"] == 567, "they are counted")
    assert tiles(client) == {"Waiting": 1234, "Running": 0, "Delayed": 0, "Failed": 567}
    assert "email_queue: 1234 wait and nobody works on them" in client.get("/").text
    wait_until(lambda: "567 messages failed" in client.get("/failed").text, "the page has them all")


def worker(at: float, done: int, errors: int, waits: dict[str, float] | None = None) -> WorkerFigures:
    return WorkerFigures("host", 1, ["q"], done=done, errors=errors, waits=waits or {}, started=0.0, at=at)


def test_the_pace_is_what_workers_have_told_since_the_time_before() -> None:
    pace = Pace()
    pace.note([], [])
    assert (pace.done, pace.errors, pace.longest) == (None, None, None)
    pace.note([worker(10.0, 100, 1)], [])
    assert pace.done is None, "nobody knows since when"
    pace.note([worker(13.0, 400, 4)], [])
    assert (pace.done, pace.errors) == (100.0, 1.0)
    pace.note([worker(13.0, 400, 4)], [])
    assert (pace.done, pace.errors) == (100.0, 1.0), "it has told nothing new"
    pace.note([], [])
    assert pace.done is None


def test_the_longest_wait_grows_while_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, clock = Pace(), [100.0]
    monkeypatch.setattr("carrier.monitor.console.pace.time", SimpleNamespace(monotonic=lambda: clock[0]))
    waiting = [QueueFigures("slow", 5), QueueFigures("empty", 0)]
    pace.note([worker(1.0, 0, 0, {"slow": 2.0, "empty": 0.5})], waiting)
    assert pace.longest == (2.0, "slow")
    clock[0] = 130.0
    pace.note([worker(1.0, 0, 0, {"slow": 2.0, "empty": 0.5})], waiting)
    assert pace.longest == (32.0, "slow")
    pace.note([worker(4.0, 0, 0, {"slow": 3.0})], waiting)
    assert pace.longest == (3.0, "slow"), "a new one is first"
    pace.note([worker(4.0, 0, 0)], [QueueFigures("slow", 0)])
    assert pace.longest == (3.0, "slow"), "it is shown for a moment"
    clock[0] = 140.0
    pace.note([worker(4.0, 0, 0)], [QueueFigures("slow", 0)])
    assert pace.longest is None
