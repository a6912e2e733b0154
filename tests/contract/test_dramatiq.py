"""Actors written for Dramatiq run as they are."""

from __future__ import annotations

import threading
from typing import Any

import dramatiq
import pytest
from dramatiq import pipeline
from dramatiq.errors import QueueJoinTimeout, QueueNotFound
from dramatiq.middleware import Middleware, SkipMessage

from carrier.messaging.broker import Broker
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until


def test_positional_and_keyword_arguments(broker: Broker, working: Working) -> None:
    got = []

    @dramatiq.actor(broker=broker)
    def take(*args: Any, **kwargs: Any) -> None:
        got.append((args, kwargs))

    take.send(1, None, [2.5, {"a": "ü"}], name=True)
    with working():
        wait_until(lambda: got, "it is handled")
    assert got == [((1, None, [2.5, {"a": "ü"}]), {"name": True})]


def test_callbacks_and_pipelines_go_out_with_the_outcome(broker: Broker, backend: Backend, working: Working) -> None:
    got: list[Any] = []

    @dramatiq.actor(broker=broker)
    def add(a: int, b: int) -> int:
        return a + b

    @dramatiq.actor(broker=broker)
    def keep(value: int) -> None:
        got.append(value)

    @dramatiq.actor(broker=broker)
    def told(message: dict[str, Any], result: Any) -> None:
        got.append((message["actor_name"], result))

    @dramatiq.actor(broker=broker, max_retries=0, on_failure="told")
    def fail() -> None:
        raise RuntimeError("no")

    pipeline([add.message(1, 2), add.message(10), keep.message()]).run()
    add.send_with_options(args=(1, 1), on_success="told", pipe_ignore=True)
    fail.send()
    with working():
        wait_until(lambda: len(got) == 3, "all have come")
        wait_until(backend.failures, "the failing one lies in failed_queue")
    assert 13 in got
    assert ("add", 2) in got
    assert ("fail", {"type": "RuntimeError", "message": "no"}) in got


def test_a_middlewares_own_decisions_hold(broker: Broker, backend: Backend, working: Working) -> None:
    acked, nacked, got = [], [], []

    class Bouncer(Middleware):
        def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
            if message.args == ("skip",):
                raise SkipMessage("not today")
            if message.args == ("fail",):
                message.fail()

        def after_ack(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
            acked.append(message.args[0])

        def after_nack(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
            nacked.append(message.args[0])

    broker.add_middleware(Bouncer())

    @dramatiq.actor(broker=broker)
    def take(word: str) -> None:
        got.append(word)

    for word in ("skip", "fail", "go"):
        take.send(word)
    with working():
        wait_until(lambda: len(acked) + len(nacked) == 3, "all are settled")
        wait_until(backend.failures, "the failed one is in failed_queue")
    assert (sorted(acked), nacked, got) == (["go", "skip"], ["fail"], ["go"])


def test_a_message_too_old_is_failed(broker: Broker, backend: Backend, working: Working) -> None:
    @dramatiq.actor(broker=broker, max_age=1)
    def take() -> None:
        raise AssertionError("it is too old")

    message: dramatiq.Message[Any] = take.message()
    broker.enqueue(message.copy(message_timestamp=message.message_timestamp - 60_000))
    with working():
        wait_until(backend.failures, "it has failed")
    assert backend.failures()[0]["error"].endswith("SkipMessage")


def test_join_and_flush(broker: Broker, backend: Backend, working: Working) -> None:
    release = threading.Event()

    @dramatiq.actor(broker=broker)
    def hold() -> None:
        assert release.wait(30)

    with pytest.raises(QueueNotFound):
        broker.join("nobody's queue")
    hold.send()
    with working():
        with pytest.raises(QueueJoinTimeout):
            broker.join("default", timeout=300)
        release.set()
        broker.join("default", timeout=20_000)
    hold.send()
    hold.send()
    assert backend.ready("default") == 2
    broker.flush_all()
    assert backend.ready("default") == 0


async def _double(n: int) -> None:
    _doubled.append(n * 2)


_doubled: list[int] = []


def test_async_actors(broker: Broker, working: Working) -> None:
    from dramatiq.middleware import AsyncIO

    broker.add_middleware(AsyncIO())
    double = dramatiq.actor(_double, broker=broker, actor_name="double")
    double.send(21)
    with working():
        wait_until(lambda: _doubled == [42], "it is handled")
