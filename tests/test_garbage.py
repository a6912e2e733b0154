"""A worker process looks for garbage more rarely; nobody else is changed."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from carrier.messaging.garbage import Garbage

USUAL = (700, 10, 10)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def boot(garbage: Garbage, *, in_process_of_command: bool) -> None:
    broker = StubBroker(middleware=[])
    if in_process_of_command:
        garbage.after_process_boot(broker)
    garbage.after_worker_boot(broker, dramatiq.Worker(broker))


def test_a_worker_process_looks_rarely() -> None:
    boot(Garbage(), in_process_of_command=True)
    assert gc.get_threshold()[0] > USUAL[0]
    assert gc.get_freeze_count() > 1_000, "what was imported is left out"


def test_a_program_with_a_worker_in_it_keeps_its_pace() -> None:
    boot(Garbage(), in_process_of_command=False)
    assert gc.get_threshold() == USUAL
    assert gc.get_freeze_count() == 0


def test_who_has_set_a_pace_keeps_it() -> None:
    gc.set_threshold(50_000, 5, 5)
    boot(Garbage(), in_process_of_command=True)
    assert gc.get_threshold() == (50_000, 5, 5)
