"""One event for each message that finally fails, without its payload, and none for an attempt."""

from __future__ import annotations

import signal
from typing import Any

from dramatiq import Message

from carrier.messaging.broker import Broker
from tests.contract.backend import Backend
from tests.contract.conftest import StartWorker
from tests.servers.sentry import sentry
from tests.waiting import wait_until

SECRET = 0.8372615


def message(type_: str, **payload: Any) -> Message[None]:
    return Message("work_queue", type_, (), payload, {"max_attempts": 3})


def test_ten_that_fail_are_ten_events(backend: Backend, broker: Broker, start_worker: StartWorker) -> None:
    broker.declare_queue("work_queue")
    broker.enqueue_many([message("broken", n=n, seconds=SECRET) for n in range(10)])
    broker.enqueue(message("quick", n=1))
    with sentry() as told:
        worker = start_worker(SENTRY_DSN=told.dsn)
        wait_until(lambda: len(backend.failures()) == 10, "all have failed")
        worker.signal(signal.SIGTERM)
        assert worker.wait(30) == 0, worker.output()
        # Nothing more can come: what was on its way was sent before the worker ended.
        assert len(told.events) == 10
    for event in told.events:
        (error,) = event["exception"]["values"]
        assert error["type"] == "RuntimeError"
        assert error["value"].endswith("is broken")
        assert error["stacktrace"]["frames"][-1]["function"] == "broken"
        assert event["tags"]["message.type"] == "broken"
        assert event["tags"]["message.queue"] == "work_queue"
        assert event["contexts"]["message"]["attempts"] == 3
        assert event["fingerprint"] == [backend.failures()[0]["fingerprint"]]
    ids = {event["contexts"]["message"]["id"] for event in told.events}
    assert ids == {fields["id"] for fields in backend.envelopes("failed_queue")}
    assert str(SECRET) not in "".join(told.texts)


def test_what_cannot_be_read_is_told_without_its_bytes(
    backend: Backend, broker: Broker, start_worker: StartWorker
) -> None:
    broker.declare_queue("work_queue")
    broker.enqueue(message("quick", n="s3cret"))
    backend.put("work_queue", b"not json, but s3cret")
    with sentry() as told:
        worker = start_worker(SENTRY_DSN=told.dsn)
        wait_until(lambda: len(told.events) == 2, "both are told")
        worker.signal(signal.SIGTERM)
        worker.wait(30)
    assert {event["tags"]["message.reason"] for event in told.events} == {"unreadable", "payload refused"}
    assert "s3cret" not in "".join(told.texts)


def test_a_sentry_that_does_not_answer_keeps_nobody(
    backend: Backend, broker: Broker, start_worker: StartWorker
) -> None:
    broker.declare_queue("work_queue")
    broker.enqueue(message("broken", n=1))
    worker = start_worker(SENTRY_DSN="http://key@127.0.0.1:9/1")
    wait_until(backend.failures, "it has failed")
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0, worker.output()
