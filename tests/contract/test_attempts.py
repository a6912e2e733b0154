"""A handler that raises is tried again with backoff, as often as the message says, and then lies in failed_queue."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from itertools import pairwise

import dramatiq
import pytest
from dramatiq.errors import Retry

from carrier.messaging.broker import Broker
from carrier.messaging.errors import PermanentError
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until

FAST = {"min_backoff": 10, "max_backoff": 40}


def test_ten_that_always_fail_lie_in_failed_queue_with_every_attempt(
    broker: Broker, backend: Backend, working: Working
) -> None:
    tried: Counter[int] = Counter()

    @dramatiq.actor(broker=broker, queue_name="work_queue", max_attempts=3, **FAST)
    def fail(n: int) -> None:
        tried[n] += 1
        raise RuntimeError(f"no luck with {n}")

    for n in range(10):
        fail.send(n)
    with working():
        wait_until(lambda: len(backend.failures()) == 10, "all ten have failed")
    assert tried == dict.fromkeys(range(10), 3)
    found = backend.envelopes("failed_queue")
    assert sorted(fields["meta"]["args"][0] for fields in found) == list(range(10))
    for fields in found:
        failure = fields["meta"]["failure"]
        n = fields["meta"]["args"][0]
        assert (failure["reason"], failure["error"]) == ("attempts exhausted", "RuntimeError")
        assert failure["message"] == f"no luck with {n}"
        assert failure["queue"] == "work_queue"
        assert "no luck with" in failure["traceback"]
        assert [attempt["attempt"] for attempt in failure["attempts"]] == [1, 2, 3]
        assert all(attempt["error"] == "RuntimeError" and ":" in attempt["worker"] for attempt in failure["attempts"])
        moments = [datetime.fromisoformat(attempt["at"]) for attempt in failure["attempts"]]
        assert moments == sorted(moments)
        # The least backoff is 10 ms, and times are whole milliseconds.
        assert all((b - a).total_seconds() >= 0.009 for a, b in pairwise(moments))
    assert len({fields["meta"]["failure"]["fingerprint"] for fields in found}) == 1
    assert backend.ready("work_queue") == 0


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_max_attempts_is_exactly_that_many_starts(
    broker: Broker, backend: Backend, working: Working, attempts: int
) -> None:
    tried = []

    @dramatiq.actor(broker=broker, queue_name="work_queue", **FAST)
    def fail() -> None:
        tried.append(1)
        raise RuntimeError("again")

    fail.send_with_options(max_attempts=attempts)
    with working():
        wait_until(backend.failures, "it has failed")
    assert len(tried) == attempts


def test_one_that_succeeds_at_last_is_done(broker: Broker, backend: Backend, working: Working) -> None:
    seen = []

    @dramatiq.actor(broker=broker, queue_name="work_queue", **FAST)
    def third_time(word: str) -> None:
        seen.append(word)
        if len(seen) < 3:
            raise OSError("not yet")

    third_time.send("lucky")
    with working():
        wait_until(lambda: len(seen) == 3, "it is tried three times")
        broker.join("work_queue", timeout=20_000)
    assert seen == ["lucky"] * 3
    assert backend.ready("failed_queue") == 0


def test_a_permanent_error_is_not_tried_again(
    broker: Broker, backend: Backend, working: Working, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    @dramatiq.actor(broker=broker, queue_name="work_queue", **FAST)
    def never(kind: str) -> None:
        tried.append(kind)
        raise PermanentError("there is no such user") if kind == "permanent" else KeyError(kind)

    @dramatiq.actor(broker=broker, queue_name="work_queue", throws=KeyError, **FAST)
    def expected() -> None:
        tried.append("throws")
        raise KeyError("expected")

    id_ = never.send("permanent").message_id
    expected.send()
    with working():
        wait_until(lambda: len(backend.failures()) == 2, "both have failed")
    (said,) = [each for each in caplog.records if "no such user" in each.getMessage()]
    assert (said.getMessage(), said.exc_info) == (f"never {id_} has failed for good: there is no such user", None)
    assert not [each for each in caplog.records if each.exc_info], "a text that says what to do needs no traceback"
    assert sorted(tried) == ["permanent", "throws"]
    assert {failure["reason"] for failure in backend.failures()} == {"permanent error"}


def test_retry_says_itself_when(broker: Broker, working: Working, caplog: pytest.LogCaptureFixture) -> None:
    began = []

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def later() -> None:
        began.append(time.monotonic())
        if len(began) == 1:
            raise Retry("in a moment", delay=400)

    later.send()
    with working():
        wait_until(lambda: len(began) == 2, "it is tried again")
    assert began[1] - began[0] >= 0.4
    (said,) = [each for each in caplog.records if "in a moment" in each.getMessage()]
    assert said.levelname == "WARNING"
    assert "attempt 1: in a moment; again in 0 s" in said.getMessage()


def test_retry_when_decides_before_the_limit(broker: Broker, backend: Backend, working: Working) -> None:
    tried = []

    @dramatiq.actor(
        broker=broker, queue_name="work_queue", retry_when=lambda retries, error: retries < 1, max_retries=9, **FAST
    )
    def once_more() -> None:
        tried.append(1)
        raise RuntimeError("no")

    once_more.send()
    with working():
        wait_until(backend.failures, "it has failed")
    assert len(tried) == 2


def test_who_listens_is_told_once_for_each_failure(broker: Broker, backend: Backend, working: Working) -> None:
    told = []
    broker.failure_listeners.append(lambda envelope, failure, error: told.append((envelope, failure.reason, error)))

    @dramatiq.actor(broker=broker, queue_name="work_queue", max_attempts=3, **FAST)
    def fail() -> None:
        raise ValueError("this one")

    sent = fail.send()
    with working():
        wait_until(lambda: told, "it is told")
        assert len(backend.failures()) == 1, "it is told once the message lies in failed_queue"
    ((envelope, reason, error),) = told
    assert envelope is not None
    assert (envelope.id, reason) == (sent.message_id, "attempts exhausted")
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("options", [{"min_backoff": 10**30}, {"max_backoff": 10**30}, {"min_backoff": 10**15}])
def test_a_backoff_beyond_all_time_is_a_week_at_most(
    broker: Broker, backend: Backend, working: Working, options: dict[str, int]
) -> None:
    done = []

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def fail() -> None:
        raise RuntimeError("again")

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work() -> None:
        done.append(1)

    fail.send_with_options(**options)
    with working():
        wait_until(lambda: broker.figures().broker["delayed"] == 1, "it waits for its next attempt")
        work.send()
        wait_until(lambda: done, "the others go on")
    assert backend.failures() == []


@pytest.mark.parametrize("delay", [10**40, -(10**40)])
def test_a_retry_beyond_all_time_is_held(broker: Broker, backend: Backend, working: Working, delay: int) -> None:
    tried = []

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def later() -> None:
        tried.append(1)
        if len(tried) == 1:
            raise Retry(delay=delay)

    later.send()
    with working():
        if delay > 0:
            wait_until(lambda: broker.figures().broker["delayed"] == 1, "it is delayed")
        else:
            wait_until(lambda: len(tried) == 2, "it is tried at once")
    assert backend.failures() == []
