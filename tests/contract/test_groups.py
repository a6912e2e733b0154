"""Failures are grouped by their cause, filtered, and mended a group at a time."""

from __future__ import annotations

from datetime import UTC, datetime

import dramatiq
import pytest

from carrier.messaging.broker import Broker
from carrier.messaging.errors import PermanentError
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.outgoing import Outgoing
from carrier.monitor import failed
from carrier.monitor.failed import Filter
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until

#: A drill has 100,000 of them.
MANY = 600


def fail(cause: int, n: int) -> None:
    """Three causes, in words that differ from message to message."""
    if cause == 0:
        raise PermanentError(f"user{n}@example.com is refused: 0x{n:x} at '{n}'")
    if cause == 1:
        raise PermanentError(f"order {n} is unknown")
    int(f"n{n}")


def test_hundreds_of_three_causes_are_three_groups_and_three_retries(
    broker: Broker, backend: Backend, working: Working
) -> None:
    mended = False
    done: list[int] = []

    @dramatiq.actor(broker=broker, queue_name="work_queue", max_retries=0)
    def work(n: int) -> None:
        if not mended:
            fail(n % 3, n)
        done.append(n)

    broker.enqueue_many([work.message(n) for n in range(MANY)])
    with working():
        wait_until(lambda: backend.ready(FAILED_QUEUE) == MANY, "all have failed")
        groups = failed.groups(broker)
        assert [group.count for group in groups] == [200, 200, 200]
        assert {group.error.rpartition(".")[2] for group in groups} == {"PermanentError", "ValueError"}
        assert {group.place for group in groups} == {"tests.contract.test_groups.fail"}
        for group in groups:
            assert group.first_at <= group.last_at
            assert group.type == "work"
        mended = True
        for group in groups:
            counted = failed.count(broker, Filter(groups={group.fingerprint}))
            assert failed.retry(broker, counted) == failed.Mended(counted=group.count, done=group.count)
        wait_until(lambda: sorted(done) == list(range(MANY)), "all are done")
    assert failed.groups(broker) == []


@pytest.fixture
def three(broker: Broker, backend: Backend, working: Working) -> float:
    """Three that have failed, one of each cause, and a stranger's bytes without a record; returns when."""

    @dramatiq.actor(broker=broker, queue_name="work_queue", max_retries=0)
    def work(cause: int, word: str, token: str) -> None:
        fail(cause, 7)

    @dramatiq.actor(broker=broker, queue_name="other_queue", max_retries=0)
    def other() -> None:
        raise LookupError("nowhere")

    work.send(0, "Straße", "hunter2")
    work.send(2, "b", "hunter2")
    other.send()
    began = datetime.now(UTC).timestamp()
    with working():
        wait_until(lambda: len(backend.failures()) == 3, "all have failed")
    broker.store([Outgoing(FAILED_QUEUE, "", "", b"a stranger's")])
    return began


CASES = [
    (Filter(), 4),
    (Filter(types={"work"}), 2),
    (Filter(types={"work", "other"}), 3),
    (Filter(types={""}), 1),
    (Filter(queues={"other_queue"}), 1),
    (Filter(errors={"ValueError"}), 1),
    (Filter(errors={"PermanentError"}), 1),
    (Filter(errors={"carrier.messaging.errors.PermanentError"}), 1),
    (Filter(errors={"Error"}), 0),
    (Filter(groups={"unrecorded"}), 1),
    (Filter(types={"work"}, errors={"LookupError"}), 0),
    (Filter(text="STRASSE"), 1),
    (Filter(text="a stranger"), 1),
    (Filter(text="hunter2"), 0),
    (Filter(text="nowhere", queues={"other_queue"}), 1),
]


def test_every_condition_must_hold(broker: Broker, three: float) -> None:
    found = [(wanted, failed.find(broker, wanted).total) for wanted, _ in CASES]
    assert found == CASES
    within = Filter(since=three - 1), Filter(until=three - 1), Filter(since=three - 1, until=three + 60)
    assert [failed.find(broker, each).total for each in within] == [3, 0, 3], "the fourth does not say when it failed"
    limited = failed.find(broker, Filter(queues={"work_queue"}), limit=1)
    assert (len(limited.messages), limited.total) == (1, 2), "a limit bounds what is shown, not what is counted"
