"""What an application's own tests use: a worker in the test's process, ``join``, ``flush`` and counts."""

from __future__ import annotations

import threading

import dramatiq
import pytest
from dramatiq.errors import QueueJoinTimeout, QueueNotFound

from carrier.messaging.broker import Broker
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until


def test_join_waits_for_what_waits_runs_and_is_delayed(broker: Broker, working: Working) -> None:
    release, done = threading.Event(), []

    @dramatiq.actor(broker=broker)
    def hold() -> None:
        assert release.wait(30)
        done.append("held")

    @dramatiq.actor(broker=broker)
    def later() -> None:
        done.append("later")

    with pytest.raises(QueueNotFound):
        broker.join("nobody's queue")
    hold.send()
    later.send_with_options(delay=700)
    with working():
        with pytest.raises(QueueJoinTimeout):
            broker.join("default", timeout=300)
        release.set()
        broker.join("default", timeout=20_000)
    assert done == ["held", "later"]


def test_join_raises_what_a_handler_raised(broker: Broker, working: Working) -> None:
    @dramatiq.actor(broker=broker, max_retries=0)
    def fail(word: str) -> None:
        raise KeyError(word)

    with pytest.raises(ValueError, match="fail_fast_default"):
        broker.join("default", fail_fast=True)
    broker.fail_fast_default = True
    fail.send("one")
    with working():
        with pytest.raises(KeyError, match="one"):
            broker.join("default", timeout=20_000)
        fail.send("two")
        broker.join("default", timeout=20_000, fail_fast=False)
    broker.flush_all()
    broker.join("default", timeout=20_000)


def test_flush_drops_what_waits_and_what_is_delayed(broker: Broker, backend: Backend) -> None:
    send = dramatiq.actor(lambda: None, broker=broker, actor_name="drop", queue_name="to.drop")
    keep = dramatiq.actor(lambda: None, broker=broker, actor_name="keep", queue_name="drop")
    for actor in (send, keep):
        actor.send()
        actor.send_with_options(delay=3_600_000)
    assert broker.get_declared_queues() == {"to.drop", "drop"}
    broker.flush("to.drop")
    assert broker.counts_of("to.drop")[0] == 0
    assert broker.get_queue_message_counts("drop") == (1, 1, 0), "in all there is one delayed message left"
    broker.flush_all()
    assert broker.get_queue_message_counts("drop") == (0, 0, 0)
    assert backend.ready("drop") == 0


def test_counts_are_of_what_waits_runs_is_delayed_and_has_failed(broker: Broker, working: Working) -> None:
    release = threading.Event()

    @dramatiq.actor(broker=broker)
    def hold() -> None:
        assert release.wait(30)

    @dramatiq.actor(broker=broker, max_retries=0)
    def fail() -> None:
        raise RuntimeError("no")

    @dramatiq.actor(broker=broker, queue_name="other", max_retries=0)
    def fail_too() -> None:
        raise RuntimeError("no")

    fail_too.send()
    fail.send()
    with working():
        broker.join("default", timeout=20_000)
        broker.join("other", timeout=20_000)
        hold.send()
        wait_until(lambda: broker.handling, "it runs")
        hold.send_with_options(delay=3_600_000)
        assert broker.get_queue_message_counts("default") == (1, 1, 1)
        release.set()
