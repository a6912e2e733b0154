"""Several brokers and workers live in one process, and each is closed without a trace."""

from __future__ import annotations

import threading
from pathlib import Path

import dramatiq

from carrier.messaging.broker import Broker
from tests.contract.backend import Backend, Embedded
from tests.contract.conftest import Working
from tests.waiting import wait_until


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def a_round(backend: Backend, other: Backend, working: Working) -> list[tuple[str, int]]:
    """Two brokers, two workers, a message to each, one delayed; then both are closed."""
    done: list[tuple[str, int]] = []
    brokers: list[Broker] = [backend.broker(), other.broker()]
    for name, broker in zip(("first", "second"), brokers, strict=True):
        actor = dramatiq.actor(lambda n, name=name: done.append((name, n)), broker=broker, actor_name="take")
        actor.send(1)
        actor.send_with_options(args=(2,), delay=100)
    with working(brokers[0]), working(brokers[1]):
        for broker in brokers:
            broker.join("default", timeout=20_000)
    for broker in brokers:
        broker.close()
    return sorted(done)


def test_each_has_its_own_and_leaves_nothing(backend: Backend, tmp_path: Path, working: Working) -> None:
    other = Embedded(tmp_path / "other")
    everything = [("first", 1), ("first", 2), ("second", 1), ("second", 2)]
    assert a_round(backend, other, working) == everything  # what is made once a process is there after it
    threads, before = set(threading.enumerate()), descriptors()
    for _ in range(3):
        assert a_round(backend, other, working) == everything
    wait_until(lambda: set(threading.enumerate()) <= threads, "no thread is left")
    assert descriptors() <= before
