"""What Dramatiq documents of actors and messages, on both brokers."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq import GenericActor, Message
from dramatiq.rate_limits import ConcurrentRateLimiter
from dramatiq.rate_limits.backends import StubBackend

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import ENDLESS
from tests.contract.backend import Backend
from tests.contract.conftest import StartWorker, Working, numbered
from tests.waiting import wait_until

QUICKLY = {"min_backoff": 10, "max_backoff": 20}


def test_positional_and_keyword_arguments(broker: Broker, working: Working) -> None:
    got = []

    @dramatiq.actor(broker=broker)
    def take(*args: Any, **kwargs: Any) -> None:
        got.append((args, kwargs))

    take.send(1, None, [2.5, {"a": "ü"}], name=True)
    with working():
        wait_until(lambda: got, "it is handled")
    assert got == [((1, None, [2.5, {"a": "ü"}]), {"name": True})]


def test_how_often_one_is_tried(broker: Broker, backend: Backend, working: Working) -> None:
    tried: Counter[str] = Counter()

    def fail(word: str) -> None:
        tried[word] += 1
        raise RuntimeError(word)

    once = dramatiq.actor(fail, broker=broker, actor_name="once", max_retries=0, **QUICKLY)
    thrice = dramatiq.actor(fail, broker=broker, actor_name="thrice", max_retries=2, **QUICKLY)
    once.send("the actor's zero")
    once.send_with_options(args=("the message's one",), max_retries=1)
    once.send_with_options(args=("the message's three attempts",), max_attempts=3)
    thrice.send("the actor's two")
    thrice.send_with_options(args=("the message's zero",), max_retries=0)
    with working():
        wait_until(lambda: len(backend.failures()) == 5, "all have failed")
    assert tried == {
        "the actor's zero": 1,
        "the message's one": 2,
        "the message's three attempts": 3,
        "the actor's two": 3,
        "the message's zero": 1,
    }


def test_limits_that_nobody_reaches(broker: Broker, backend: Backend) -> None:
    plain = dramatiq.actor(lambda: None, broker=broker, actor_name="plain", queue_name="q")
    endless = dramatiq.actor(lambda: None, broker=broker, actor_name="endless", queue_name="q", max_retries=None)
    plain.send()
    plain.send_with_options(max_retries=None)
    endless.send()
    assert [each["max_attempts"] for each in backend.envelopes("q")] == [21, ENDLESS, ENDLESS]


def test_backoff_is_between_its_limits(broker: Broker, working: Working) -> None:
    begun: dict[str, list[float]] = {"actor's": [], "message's": []}

    @dramatiq.actor(broker=broker, max_retries=1, min_backoff=400, max_backoff=400)
    def fail(whose: str) -> None:
        begun[whose].append(time.monotonic())
        if len(begun[whose]) == 1:
            raise RuntimeError(whose)

    fail.send("actor's")
    fail.send_with_options(args=("message's",), min_backoff=1_000, max_backoff=1_000)
    with working():
        broker.join("default", timeout=20_000)
    waited = {whose: later - first for whose, (first, later) in begun.items()}
    assert 0.4 <= waited["actor's"] < waited["message's"]
    assert waited["message's"] >= 1.0


def test_what_throws_names_is_not_tried_again(broker: Broker, backend: Backend, working: Working) -> None:
    tried = []

    @dramatiq.actor(broker=broker, throws=(KeyError, ZeroDivisionError))
    def fail() -> None:
        tried.append(1)
        raise KeyError("nobody")

    fail.send()
    with working():
        wait_until(backend.failures, "it has failed")
    assert (len(tried), backend.failures()[0]["error"]) == (1, "KeyError")


def test_somebody_is_told_when_retries_are_exhausted(broker: Broker, backend: Backend, working: Working) -> None:
    told: list[Any] = []

    @dramatiq.actor(broker=broker)
    def mourn(message: dict[str, Any], retries: dict[str, Any]) -> None:
        told.append((message["args"], message["options"]["retries"], "RuntimeError" in message["options"]["traceback"]))
        told.append(retries)

    @dramatiq.actor(broker=broker, max_retries=1, on_retry_exhausted="mourn", **QUICKLY)
    def fail(word: str) -> None:
        raise RuntimeError(word)

    fail.send("x")
    with working():
        wait_until(lambda: len(told) == 2, "it is told")
    assert told == [(["x"], 2, True), {"retries": 1, "max_retries": 1}]


def test_a_message_too_old_is_failed(broker: Broker, backend: Backend, working: Working) -> None:
    @dramatiq.actor(broker=broker, max_age=1)
    def take() -> None:
        raise AssertionError("it is too old")

    message: Message[Any] = take.message()
    broker.enqueue(message.copy(message_timestamp=message.message_timestamp - 60_000))
    with working():
        wait_until(backend.failures, "it has failed")
    assert backend.failures()[0]["error"].endswith("SkipMessage")


def test_a_time_limit_and_a_notice_of_the_end(
    start_worker: StartWorker, broker: Broker, backend: Backend, notes: Callable[[], list[list[str]]]
) -> None:
    broker.enqueue(numbered("busy", 1, seconds=60, time_limit=100, max_attempts=1))
    worker = start_worker()
    wait_until(backend.failures, "it was interrupted")
    assert backend.failures()[0]["error"].endswith("TimeLimitExceeded")
    broker.enqueue(numbered("busy", 2, seconds=20, notify_shutdown=True))
    wait_until(lambda: [words[1:] for words in notes()][1:] == [["began", "2"]], "the other one has begun")
    worker.signal(signal.SIGTERM)
    assert worker.wait(15) == 0, "it did not wait for the handler's end"
    assert backend.envelopes("work_queue")[0]["meta"]["attempt"] == 1


def test_an_actors_priority_decides_among_those_in_hand(broker: Broker, working: Working) -> None:
    release, done = threading.Event(), []

    @dramatiq.actor(broker=broker, queue_name="first")
    def hold() -> None:
        assert release.wait(30)

    @dramatiq.actor(broker=broker, queue_name="second", priority=10)
    def later() -> None:
        done.append("later")

    @dramatiq.actor(broker=broker, queue_name="third", priority=-10)
    def sooner() -> None:
        done.append("sooner")

    hold.send()
    with working(threads=1) as worker:
        wait_until(lambda: broker.handling, "the thread is busy")
        later.send()
        sooner.send()
        wait_until(lambda: worker.work_queue.qsize() == 2, "both are in hand")
        release.set()
        wait_until(lambda: len(done) == 2, "both are done")
    assert done == ["sooner", "later"]


def test_first_in_first_out_at_equal_priority(broker: Broker, working: Working) -> None:
    done = []

    @dramatiq.actor(broker=broker)
    def take(n: int) -> None:
        done.append(n)

    for n in range(40):
        take.send(n)
    with working(threads=1):
        broker.join("default", timeout=20_000)
    assert done == list(range(40))


def test_a_rate_limiter_sends_some_back(broker: Broker, working: Working) -> None:
    limiter, inside, done = ConcurrentRateLimiter(StubBackend(), "one", limit=1), [0], []

    @dramatiq.actor(broker=broker, max_retries=None, min_backoff=20, max_backoff=60)
    def take(n: int) -> None:
        with limiter.acquire():
            inside[0] += 1
            assert inside[0] == 1
            time.sleep(0.02)  # the work, which must not overlap
            inside[0] -= 1
        done.append(n)

    for n in range(6):
        take.send(n)
    with working():
        broker.join("default", timeout=30_000)
    assert sorted(done) == list(range(6))


def test_generic_actors_in_several_queues(broker: Broker, working: Working) -> None:
    done = []

    class Task(GenericActor):
        class Meta:
            abstract = True
            broker: Broker

        def perform(self, word: str) -> None:
            done.append((type(self).__name__, self.queue_name, word))

    class Import(Task):
        class Meta:
            queue_name = "imports"

    class Export(Task):
        class Meta:
            queue_name = "exports"

    Import.send("a")
    Export.send("b")
    with working():
        wait_until(lambda: len(done) == 2, "both are done")
    assert sorted(done) == [("Export", "exports", "b"), ("Import", "imports", "a")]


def test_a_worker_of_some_queues(broker: Broker, backend: Backend) -> None:
    done = []
    ours = dramatiq.actor(done.append, broker=broker, actor_name="ours", queue_name="ours")
    theirs = dramatiq.actor(done.append, broker=broker, actor_name="theirs", queue_name="theirs")
    theirs.send("theirs")
    ours.send("ours")
    worker = dramatiq.Worker(broker, queues={"ours"}, worker_threads=1, worker_timeout=100)
    worker.start()
    try:
        broker.join("ours", timeout=20_000)
    finally:
        worker.stop()
    assert done == ["ours"]
    assert backend.ready("theirs") == 1


async def _double(n: int) -> None:
    _doubled.append(n * 2)


_doubled: list[int] = []


def test_async_actors(broker: Broker, working: Working) -> None:
    from dramatiq.middleware import AsyncIO

    _doubled.clear()
    broker.add_middleware(AsyncIO())
    double = dramatiq.actor(_double, broker=broker, actor_name="double")
    double.send(21)
    with working():
        wait_until(lambda: _doubled == [42], "it is handled")


def test_a_paused_worker_begins_nothing_and_each_is_done_once(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.2)
    release, done = threading.Event(), Counter[int]()

    @dramatiq.actor(broker=broker)
    def take(n: int) -> None:
        assert release.wait(30)
        done[n] += 1

    for n in range(20):
        take.send(n)
    with working(threads=2) as worker:
        wait_until(lambda: len(broker.handling) == 2 and worker.work_queue.qsize(), "two run, others are in hand")
        pausing = threading.Thread(target=worker.pause)
        pausing.start()
        wait_until(lambda: all(thread.paused for thread in worker.workers), "it is told to pause")
        release.set()
        pausing.join()
        assert done == {0: 1, 1: 1}
        worker.resume()
        broker.join("default", timeout=20_000)
    assert done == dict.fromkeys(range(20), 1)
