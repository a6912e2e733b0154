"""The message of a fire time in a worker's hands: of copies one is handled, and its row says what became of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime

import dramatiq
import pytest
from dramatiq import Message

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import timestamp
from carrier.messaging.errors import PermanentError
from carrier.monitor import failed
from carrier.monitor.failed import Filter
from carrier.store import fires
from carrier.store.database import session
from carrier.store.models import FireEntry
from carrier.store.turn import DONE, FAILED, RECORDED, RETRYING, RUNNING, SENT, Fire, Turn, Verdict
from scheduler.message import id_of
from settings import get_settings
from tests.contract.backend import Backend
from tests.contract.conftest import StartWorker, Working
from tests.waiting import wait_until

AT = datetime(2026, 11, 26, 10, tzinfo=UTC)
ID = id_of("nightly", AT)


def scheduled(type_: str, seconds: float = 0) -> Message[None]:
    """The message of a fire time that is recorded."""
    with session() as opened:
        fires.record(opened, [Fire("nightly", AT, ID, RECORDED)])
    options = {"meta": {"schedule": "nightly", "fire": timestamp(AT.timestamp())}}
    return Message("work_queue", type_, (), {"n": 1, "seconds": seconds}, options, message_id=ID)


def row() -> FireEntry:
    return fires.of("nightly", 1)[0]


def is_(state: str) -> Callable[[], bool]:
    return lambda: row().state == state


def test_of_two_copies_one_is_handled(broker: Broker, working: Working) -> None:
    handled = []

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work(n: int, seconds: float) -> None:
        handled.append(n)

    message = scheduled("work")
    broker.enqueue_many([message])
    with working():
        wait_until(is_(DONE), "it is done")
        broker.enqueue_many([message, message])
        broker.join("work_queue", timeout=20_000)
    assert handled == [1]
    assert row().worker
    assert row().began <= row().ended  # type: ignore[operator]  # both are set


def test_a_copy_waits_while_the_other_is_handled(broker: Broker, backend: Backend, working: Working) -> None:
    handled = []

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work(n: int, seconds: float) -> None:
        handled.append(n)

    message = scheduled("work")
    assert fires.claim(ID, Turn(0, 1), "another worker", "there:1", None) is Verdict.RUN
    broker.enqueue(message)
    with working():
        wait_until(lambda: broker.counts_of("work_queue") == (0, 1), "it is put off")
    assert handled == []
    assert row().state == RUNNING


def test_the_embedded_broker_takes_it_once(broker: Broker, backend: Backend) -> None:
    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work(n: int, seconds: float) -> None: ...

    message = scheduled("work")
    for _ in range(2):
        broker.enqueue_many([message], once=True)
    assert backend.ready("work_queue") == (1 if backend.name == "embedded" else 2)
    broker.enqueue(message)  # whoever does not ask for it
    assert backend.ready("work_queue") == (2 if backend.name == "embedded" else 3)


def test_its_row_says_what_becomes_of_it_and_a_retry_by_hand_runs_again(broker: Broker, working: Working) -> None:
    tried = []

    @dramatiq.actor(broker=broker, queue_name="work_queue", max_attempts=2, min_backoff=10, max_backoff=20)
    def work(n: int, seconds: float) -> None:
        tried.append(row().attempt)
        if len(tried) < 3:
            raise RuntimeError(f"no luck, {len(tried)}")

    message = scheduled("work")
    broker.enqueue(message)
    with working():
        wait_until(is_(FAILED), "it has failed")
        assert tried == [1, 2]
        assert row().error == "RuntimeError: no luck, 2"
        broker.enqueue(message)  # a copy that comes late
        broker.join("work_queue", timeout=20_000)
        assert tried == [1, 2]
        counted = failed.count(broker, Filter())
        assert failed.retry(broker, counted).done == 1
        wait_until(is_(DONE), "it is done after all")
    assert tried == [1, 2, 1]
    assert (row().returned, row().error) == (1, None)


def test_one_that_fails_is_retrying_meanwhile(broker: Broker, working: Working) -> None:
    @dramatiq.actor(broker=broker, queue_name="work_queue", min_backoff=600_000)
    def work(n: int, seconds: float) -> None:
        raise RuntimeError("not now")

    broker.enqueue(scheduled("work"))
    with working():
        wait_until(is_(RETRYING), "it waits for its next attempt")
    assert (row().attempt, row().error) == (2, "RuntimeError: not now")


def test_it_is_put_off_while_the_store_cannot_be_used(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled = []

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work(n: int, seconds: float) -> None:
        handled.append(n)

    message = scheduled("work")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    get_settings.cache_clear()
    broker.enqueue(message)
    with working():
        wait_until(lambda: broker.counts_of("work_queue") == (0, 1), "it is put off")
        broker.enqueue(Message("work_queue", "work", (), {"n": 2, "seconds": 0}, {}))
        wait_until(lambda: handled == [2], "others go on")


def test_one_that_is_interrupted_goes_back(start_worker: StartWorker, broker: Broker, backend: Backend) -> None:
    broker.declare_queue("work_queue")
    worker = start_worker(SHUTDOWN_GRACE="0.1")
    broker.enqueue(scheduled("busy", seconds=60))
    wait_until(is_(RUNNING), "it runs")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    wait_until(lambda: backend.ready("work_queue") == 1, "it is back")
    assert (row().state, row().attempt) == (SENT, 1)


def test_one_whose_worker_was_killed_runs_again(
    start_worker: StartWorker, broker: Broker, notes: Callable[[], list[list[str]]]
) -> None:
    broker.declare_queue("work_queue")
    worker = start_worker()
    broker.enqueue(scheduled("slow", seconds=2))
    wait_until(lambda: ["began", "1"] in [line[1:] for line in notes()], "it runs")
    worker.kill()
    start_worker()
    wait_until(is_(DONE), "another worker has done it", timeout=60)
    assert [line[1] for line in notes()] == ["began", "began", "done"]
    assert row().attempt == 2


def test_one_that_kills_its_worker_has_failed(start_worker: StartWorker, broker: Broker) -> None:
    broker.declare_queue("work_queue")
    message = scheduled("poison")
    broker.enqueue(message.copy(options={**message.options, "max_attempts": 1}))
    for _ in range(3):  # one more start at most
        worker = start_worker()
        wait_until(lambda worker=worker: not worker.running or is_(FAILED)(), "it dies, or has failed", timeout=60)
    assert row().state == FAILED
    assert "WorkerDied" in (row().error or "")


def test_one_that_fails_for_good_at_once(broker: Broker, working: Working) -> None:
    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work(n: int, seconds: float) -> None:
        raise PermanentError("never")

    broker.enqueue(scheduled("work"))
    with working():
        wait_until(is_(FAILED), "it has failed")
    assert row().error == "carrier.messaging.errors.PermanentError: never"
