"""A handler that says "not now" is asked again later: no attempt is charged, and nothing is logged as an error."""

from __future__ import annotations

import logging
import time
from itertools import pairwise

import dramatiq
import pytest

from carrier.messaging.broker import Broker
from carrier.messaging.errors import Deferred
from carrier.monitor import failed, history
from carrier.monitor.failed import Filter
from carrier.monitor.trace import Life, trace
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until


def test_it_comes_back_as_often_as_it_likes_in_its_first_attempt(
    broker: Broker, backend: Backend, working: Working, caplog: pytest.LogCaptureFixture
) -> None:
    history.watch(broker, 1_000)
    seen: list[float] = []

    @dramatiq.actor(broker=broker, queue_name="work_queue", max_attempts=1)
    def wait() -> None:
        seen.append(time.monotonic())
        if len(seen) < 4:
            raise Deferred("the server is away", delay=300)

    id_ = wait.send().message_id
    with caplog.at_level(logging.INFO), working():
        wait_until(lambda: len((trace(broker, id_) or Life("")).events) == 5, "it is done, and this is written down")
    assert len(seen) == 4
    assert all(later - earlier >= 0.3 for earlier, later in pairwise(seen))
    life = trace(broker, id_)
    assert life is not None
    assert [event["what"] for event in life.events] == ["sent", "deferred", "deferred", "deferred", "done"]
    assert {event.get("attempt") for event in life.events[1:]} == {1}
    assert life.events[1]["message"] == "the server is away"
    assert life.events[1]["next_at"] > life.events[1]["at"]
    ours = [record for record in caplog.records if record.name.startswith(("carrier", "dramatiq"))]
    assert not [record for record in ours if record.levelno > logging.INFO or record.exc_info]
    assert "the server is away" in caplog.text


def test_no_thread_waits_for_it(broker: Broker, working: Working) -> None:
    done = []

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def wait() -> None:
        raise Deferred("not today", delay=60_000)

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work() -> None:
        done.append(1)

    for _ in range(5):
        wait.send()
    work.send()
    with working(threads=1):
        wait_until(lambda: done, "what came behind it is done")


def test_it_is_not_put_off_for_ever(broker: Broker, backend: Backend, working: Working) -> None:
    asked = []

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def wait() -> None:
        asked.append(1)
        raise Deferred("still away", delay=100, most=500)

    id_ = wait.send().message_id
    with working():
        wait_until(backend.failures, "it has failed")
        (failure,) = backend.failures()
        assert (failure["reason"], failure["error"]) == ("deferred for too long", "carrier.messaging.errors.Deferred")
        assert failure["message"] == "still away"
        before = len(asked)
        failed.retry(broker, Filter(ids={id_}), by="ann@desk")
        wait_until(lambda: len(asked) > before + 1, "sent back by hand, it may be put off anew")


def test_without_a_delay_it_is_put_off_longer_each_time(
    broker: Broker, backend: Backend, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr("carrier.messaging.deferral._LEAST", 50)
    monkeypatch.setattr("carrier.messaging.deferral._MOST", 400)

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def wait() -> None:
        told.append(time.monotonic())
        if len(told) < 6:
            raise Deferred("away")

    wait.send()
    with working():
        wait_until(lambda: len(told) == 6, "it is done at last")
    pauses = [later - earlier for earlier, later in pairwise(told)]
    for pause, least in zip(pauses, [0.05, 0.1, 0.2, 0.2, 0.2], strict=True):
        assert pause >= least
