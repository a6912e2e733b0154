"""Workers tell how they are; one that dies is lost, one that is stopped is gone."""

from __future__ import annotations

import json
import os
import signal

import pytest

from carrier.messaging.figures import Busy, WorkerFigures
from carrier.messaging.rabbitmq import roster as by_reports
from carrier.messaging.roster import Roster, Workers
from tests.contract.backend import Backend
from tests.contract.conftest import StartWorker
from tests.waiting import wait_until

SLOW = {"type": "slow", "max_attempts": 1, "delay": 0, "priority": 0, "created_at": "2026-11-23T10:00:00Z"}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is silent for 5 s is lost; workers tell something every 3 s."""
    monkeypatch.setattr(by_reports, "_SILENT", 5.0)


def put(backend: Backend, id_: str, seconds: float) -> None:
    backend.put("work_queue", json.dumps({**SLOW, "id": id_, "payload": {"n": 1, "seconds": seconds}}).encode())


def look(roster: Roster) -> Workers:
    return roster.look(0.1)


def test_a_worker_tells_what_it_does(backend: Backend, start_worker: StartWorker) -> None:
    broker = backend.broker()
    roster = broker.roster()
    worker = start_worker(processes=1)
    (seen,) = wait_until(lambda: [each for each in look(roster).living if each.threads], "it tells")
    assert (seen.done, seen.errors, seen.busy) == (0, 0, [])
    assert {"work_queue", "plain_queue"} >= set(seen.queues)
    assert seen.memory is not None
    assert 10_000_000 < seen.memory < 500_000_000
    broker.declare_queue("work_queue")
    wait_until(
        lambda: any(each.consumers for each in broker.figures().queues if each.name == "work_queue"),
        "its queue is there",
    )
    put(backend, "short", 0)
    put(backend, "long", 100)

    def is_busy() -> WorkerFigures | None:
        return next((each for each in look(roster).living if each.busy and each.done), None)

    told = wait_until(is_busy, "it tells what it has done, and does")
    assert told.done == 1
    assert [(each.type, each.id) for each in told.busy] == [("slow", "long")]
    assert 0 <= (told.at or 0) - told.busy[0].since < 30
    worker.kill()
    wait_until(lambda: look(roster).lost, "it is lost")
    workers = look(roster)
    assert workers.living == []
    (lost,) = workers.lost
    assert (lost.process, [each.id for each in lost.busy]) == (seen.process, ["long"])
    roster.close()
    broker.close()


def test_one_that_is_stopped_is_not_lost(backend: Backend, start_worker: StartWorker) -> None:
    broker = backend.broker()
    roster = broker.roster()
    worker = start_worker(processes=1)
    wait_until(lambda: [each for each in look(roster).living if each.threads], "it tells")
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    wait_until(lambda: not look(roster).living, "it is gone")
    assert look(roster) == Workers([], [])
    roster.close()
    broker.close()


def test_what_another_version_tells_is_nothing() -> None:
    told = WorkerFigures("host", os.getpid(), ["q"], busy=[Busy("t", "i", 1.5)], done=3)
    assert WorkerFigures.read(told.write()) == told
    assert WorkerFigures.read(b'{"host": "host", "process": 1, "queues": ["q"]}') == WorkerFigures("host", 1, ["q"])
    for text in (b"", b"[]", b"7", b"\xff", b'{"host": 1}', b'{"host": "h", "process": 1, "queues": [], "new": 1}',
                 b'{"host": "h", "process": 1, "queues": [], "busy": [1]}'):  # fmt: skip
        assert WorkerFigures.read(text) is None, text
