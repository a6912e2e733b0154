"""Failed messages are looked at where they lie, sent back, or thrown away; whatever happens, none is lost."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import BaseModel

import carrier
from carrier.messaging.broker import Broker
from carrier.messaging.envelope import now_ms
from carrier.messaging.errors import PermanentError, PublishError
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.rabbitmq import deliveries, walk
from carrier.messaging.walk import WINDOW
from carrier.monitor import failed
from carrier.monitor.failed import Filter, archive
from carrier.monitor.trace import trace
from tests.contract.backend import Backend, Embedded, Rabbitmq
from tests.contract.conftest import Working
from tests.programs import Start
from tests.waiting import wait_until


class Number(BaseModel):
    """A payload."""

    n: int


def junk(number: int) -> Outgoing:
    """Something unreadable from ``work_queue``, as it lies in failed_queue."""
    failure = {"queue": "work_queue", "error": "EnvelopeError", "message": "no", "last_at": "then", "fingerprint": "f"}
    return Outgoing(FAILED_QUEUE, "", "", f"junk {number}".encode(), failure=json.dumps(failure))


def test_one_of_ten_is_sent_back_and_succeeds_with_a_fresh_count(
    broker: Broker, backend: Backend, working: Working
) -> None:
    mended, done, tried = threading.Event(), [], []

    @dramatiq.actor(broker=broker, queue_name="work_queue", max_attempts=2, min_backoff=10, max_backoff=20)
    def fragile(n: int) -> None:
        tried.append(n)
        if not mended.is_set():
            raise RuntimeError("not yet")
        done.append(n)

    sent = [fragile.send(n).message_id for n in range(10)]
    with working():
        wait_until(lambda: len(backend.failures()) == 10, "all ten have failed")
        assert {each.attempts for each in failed.find(broker).messages} == {2}
        one = failed.find(broker, Filter(ids={sent[3]})).messages[0]
        assert (one.type, one.queue, one.error, one.message) == ("fragile", "work_queue", "RuntimeError", "not yet")
        assert failed.retry(broker, Filter(ids={sent[3]})) == failed.Mended(counted=1, done=1)
        wait_until(lambda: tried.count(3) == 4, "it is tried twice again")
        wait_until(lambda: len(backend.failures()) == 10, "it has failed again")
        assert failed.find(broker, Filter(ids={sent[3]})).messages[0].attempts == 2
        mended.set()
        failed.retry(broker, Filter(ids={sent[3]}))
        wait_until(lambda: done == [3], "it is done")
    assert sorted(each.id for each in failed.find(broker).messages) == sorted(set(sent) - {sent[3]})


def look_thirty_times(broker: Broker, backend: Backend) -> None:
    broker.store([junk(n) for n in range(20)])
    for _ in range(30):
        assert len(failed.find(broker, limit=7).messages) == 7
    wait_until(lambda: backend.ready(FAILED_QUEUE) == 20, "all are back")
    assert sorted(backend.bodies(FAILED_QUEUE)) == sorted(f"junk {n}".encode() for n in range(20))
    assert len(backend.failures()) == 20


@pytest.mark.each_version
def test_thirty_looks_lose_nothing(broker: Broker, backend: Backend) -> None:
    look_thirty_times(broker, backend)


@pytest.mark.each_version
@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_thirty_looks_lose_nothing_on_each_type_of_queue(rabbitmq: Rabbitmq, queue_type: str) -> None:
    broker = rabbitmq.broker(queue_type=queue_type)
    look_thirty_times(broker, rabbitmq)
    broker.close()


def test_messages_that_come_before_the_answer_to_a_consumer_are_counted(
    rabbitmq: Rabbitmq, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(channel: BlockingChannel, *arguments: Any) -> str:
        tag = deliveries.consume(channel, *arguments)
        channel.connection.process_data_events(time_limit=5)  # its first messages
        return tag

    monkeypatch.setattr(walk, "consume", slowly)
    monkeypatch.setattr(walk.RabbitmqWalk, "ahead", 5)
    broker = rabbitmq.broker()
    broker.store([junk(n) for n in range(12)])
    assert failed.find(broker, limit=20).total == 12
    broker.close()


def test_an_empty_queue_has_nothing(broker: Broker) -> None:
    assert failed.find(broker) == failed.Found([], 0)
    assert failed.retry(broker) == failed.Mended()


@pytest.mark.each_version
def test_what_no_handler_could_have_goes_back_byte_for_byte(broker: Broker, backend: Backend, working: Working) -> None:
    handled = []

    @carrier.actor("number", queue="work_queue", payload=Number)
    def number(message: Number) -> None:
        handled.append(message.n)

    fields = {"id": "a", "type": "late", "max_attempts": 1, "delay": 0, "priority": 7, "created_at": "2026-11-23T10:00"}
    unknown = json.dumps({**fields, "payload": {"n": 1}}, indent=3).encode()
    refused = json.dumps({**fields, "id": "b", "type": "number", "payload": {"n": "x"}}).encode()
    number.send(0)  # the queue is there now
    with working():
        wait_until(lambda: handled == [0], "it is handled")
    bodies = {unknown, refused, b"\xff\x00not json"}
    for body in bodies:
        backend.put("work_queue", body)
    with working():
        wait_until(lambda: len(backend.failures()) == 3, "all are refused")
    found = {each.failure["reason"]: each for each in failed.find(broker).messages}
    assert found["unknown type"].id == "a"
    assert found["payload refused"].id == "b"
    assert found["unreadable"].id.startswith("raw-")
    assert failed.retry(broker) == failed.Mended(counted=3, done=3)
    assert set(backend.bodies("work_queue")) == bodies

    @carrier.actor("late", queue="work_queue", payload=Number)
    def late(message: Number) -> None:
        handled.append(message.n + 100)

    with working():
        wait_until(lambda: handled == [0, 101], "the actor that was missing has handled it")
        wait_until(lambda: len(backend.failures()) == 2, "the others have failed again")
    assert failed.discard(broker, Filter(ids={found["unreadable"].id})) == failed.Mended(counted=1, done=1)
    assert [each.id for each in failed.find(broker).messages] == ["b"]


def test_what_nobody_here_works_on_stays_and_is_named(broker: Broker, backend: Backend) -> None:
    broker.store([junk(1), Outgoing(FAILED_QUEUE, "", "", b"a stranger's")])
    broker.declare_queue("other_queue")
    mended = failed.retry(broker)
    assert (mended.counted, mended.done) == (2, 0)
    assert sorted(mended.kept.values()) == [
        "no actor here works on its queue work_queue",
        "nothing says which queue it came from",
    ]
    wait_until(lambda: backend.ready(FAILED_QUEUE) == 2, "both are back")


@pytest.mark.parametrize(
    "record",
    [
        '{"attempts": [{"at": [], "what": "done", "seconds": "x"}, 5]}',
        '{"attempts": 5, "queue": [], "last_at": {}}',
        *("", "[]", "7", "{"),
        '{"queue": 5, "attempts": "x", "error": [], "last_at": null}',
        '{"queue": "\\ud800"}',
    ],
)
def test_a_record_that_makes_no_sense_is_shown_all_the_same(broker: Broker, record: str) -> None:
    broker.store([Outgoing(FAILED_QUEUE, "", "", b"x", failure=record)])
    (found,) = failed.find(broker).messages
    assert json.dumps(found.details())
    life = trace(broker, found.id)
    assert life is not None
    assert json.dumps(life.fields())
    assert life.state == "failed"
    assert found.type == ""


def test_a_delayed_message_is_not_delayed_again(broker: Broker, backend: Backend, working: Working) -> None:
    @dramatiq.actor(broker=broker, queue_name="work_queue", max_retries=0)
    def fail() -> None:
        raise PermanentError("no")

    fail.send_with_options(delay=300)
    with working():
        wait_until(backend.failures, "it has failed")
    failed.retry(broker)
    (fields,) = backend.envelopes("work_queue")
    assert fields["delay"] == 0.3
    assert fields["meta"]["eta"] <= now_ms()
    assert "failure" not in fields["meta"]
    assert fields["meta"]["attempt"] == 1


def test_thousands_are_sent_back_and_none_is_lost(broker: Broker, backend: Backend) -> None:
    broker.declare_queue("work_queue")
    broker.store([junk(n) for n in range(4_500)])
    assert failed.retry(broker) == failed.Mended(counted=4_500, done=4_500)
    assert backend.ready(FAILED_QUEUE) == 0
    assert backend.ready("work_queue") == 4_500


def test_what_is_counted_is_acted_on_and_nothing_else(broker: Broker, backend: Backend) -> None:
    broker.store([junk(n) for n in range(6)])
    counted = failed.count(broker, Filter(groups={"f"}))
    first, second = failed.find(broker, limit=2).messages
    assert failed.discard(broker, Filter(ids={first.id})) == failed.Mended(counted=1, done=1)
    # One that has failed again has the same bytes, and another failure beside them.
    later = json.dumps({"queue": "work_queue", "last_at": "later", "fingerprint": "f"})
    broker.store([junk(7), Outgoing(FAILED_QUEUE, "", "", second.stored.body, failure=later)])
    mended = failed.discard(broker, counted)
    assert (counted.number, mended.counted, mended.done) == (6, 5, 5)
    came_later = sorted([b"junk 7", second.stored.body])
    wait_until(lambda: sorted(backend.bodies(FAILED_QUEUE)) == came_later, "what came later is there")


def test_two_retry_the_same_and_each_message_goes_once(broker: Broker, backend: Backend) -> None:
    broker.declare_queue("work_queue")
    broker.store([junk(n) for n in range(1_200)])
    counted = [failed.count(broker, Filter()) for _ in range(2)]
    done: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: done.append(failed.retry(broker, each).done)) for each in counted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(done) == 1_200
    assert backend.ready("work_queue") == 1_200


def is_refused(broker: Broker) -> bool:
    """Whether ``work_queue`` takes nothing more."""
    try:
        broker.store([junk(0)._replace(queue="work_queue")])
    except PublishError:
        return True
    return False


def test_a_broker_that_stops_taking_leaves_what_is_not_done(rabbitmq: Rabbitmq) -> None:
    broker = rabbitmq.broker(publish_timeout=1)
    broker.declare_queue("work_queue")
    broker.ensure({"work_queue"})
    broker.store([junk(n) for n in range(10)])
    rabbitmq.refuse("^work_queue$")
    wait_until(lambda: is_refused(broker), "it refuses")  # a full queue takes some more
    mended = failed.retry(broker)
    assert (mended.counted, mended.done) == (10, 0)
    assert isinstance(mended.stopped, PublishError)
    wait_until(lambda: rabbitmq.ready(FAILED_QUEUE) == 10, "all are where they were")
    broker.close()


def discard_until(broker: Broker, number: int, error: BaseException) -> int:
    """Discard so many, then raise; returns how many are gone."""
    walking = broker.walk(FAILED_QUEUE)
    with contextlib.suppress(type(error)), walking:
        for stored in itertools.islice(walking, number):
            walking.discard(stored)
        raise error
    return walking.done


def test_a_walk_that_breaks_off_has_done_whole_windows_and_lost_nothing(broker: Broker, backend: Backend) -> None:
    broker.store([junk(n) for n in range(WINDOW + 300)])
    assert discard_until(broker, WINDOW + 100, RuntimeError("broken")) == WINDOW
    wait_until(lambda: backend.ready(FAILED_QUEUE) == 300, "what was not decided on is back")


def test_ctrl_c_does_what_was_decided_before_it(broker: Broker, backend: Backend) -> None:
    broker.store([junk(n) for n in range(10)])
    assert discard_until(broker, 4, KeyboardInterrupt()) == 4
    wait_until(lambda: backend.ready(FAILED_QUEUE) == 6, "the others are back")


def test_ctrl_c_in_the_middle_waits_until_what_was_stored_is_removed(
    broker: Broker, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.declare_queue("work_queue")
    broker.store([junk(n) for n in range(10)])
    with broker.walk(FAILED_QUEUE) as walking:
        kind: Any = type(walking)
    carry_out = kind._carry_out

    def interrupted(self: Any, decided: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return carry_out(self, decided)

    monkeypatch.setattr(kind, "_carry_out", interrupted)
    mended = failed.retry(broker)
    assert (mended.done, type(mended.stopped)) == (10, KeyboardInterrupt)
    wait_until(lambda: backend.ready("work_queue") == 10, "all are sent back")
    assert backend.ready(FAILED_QUEUE) == 0


def test_one_walker_waits_for_the_other(rabbitmq: Rabbitmq) -> None:
    broker = rabbitmq.broker()
    broker.store([junk(n) for n in range(10)])
    totals: list[int] = []
    with broker.walk(FAILED_QUEUE) as walking:
        assert len(list(walking)) == 10
        second = threading.Thread(target=lambda: totals.append(len(failed.find(broker).messages)))
        second.start()
        second.join(0.5)
        assert second.is_alive()
    second.join(30)
    assert totals == [10]
    broker.close()


def kill_in_the_second_window(start: Start, backend: Backend, words: list[str], environment: dict[str, str]) -> None:
    """Kill ``carrier failed …`` there, and see that what it had not done is back."""
    killed = start("python", "-m", "tests.contract.stopped", "SIGKILL", "2", "failed", *words, **environment)
    assert killed.wait() == -signal.SIGKILL, killed.output()
    wait_until(lambda: backend.ready(FAILED_QUEUE) == 2 * WINDOW, "what was not done is back")


@pytest.fixture
def many(backend: Backend) -> Iterator[set[bytes]]:
    """Three windows of failed messages, and an empty ``work_queue``."""
    broker = backend.broker()
    broker.declare_queue("work_queue")
    broker.store([junk(0)._replace(queue="work_queue")])
    broker.drop({"work_queue"})
    broker.store([junk(n) for n in range(3 * WINDOW)])
    backend.environment["CARRIER_ACTORS"] = "tests.contract.application"
    yield {f"junk {n}".encode() for n in range(3 * WINDOW)}
    broker.close()


def test_a_retry_that_is_killed_loses_nothing_and_goes_on(backend: Backend, start: Start, many: set[bytes]) -> None:
    words, environment = ["retry", "--all", "--yes"], backend.environment
    kill_in_the_second_window(start, backend, words, environment)
    doubled = 0 if backend.name == "embedded" else WINDOW
    assert backend.ready("work_queue") == WINDOW + doubled
    assert {*backend.bodies(FAILED_QUEUE), *backend.bodies("work_queue")} == many
    again = start("carrier", "failed", *words, **environment)
    assert again.wait() == 0, again.output()
    assert set(backend.bodies("work_queue")) == many
    assert backend.ready(FAILED_QUEUE) == 0


def test_an_archive_that_is_killed_loses_nothing_and_goes_on(
    backend: Backend, start: Start, many: set[bytes], tmp_path: Path
) -> None:
    words, environment = ["archive", "old.zst"], backend.environment
    kill_in_the_second_window(start, backend, words, environment)
    again = start("carrier", "failed", *words, **environment)
    assert again.wait() == 0, again.output()
    assert backend.ready(FAILED_QUEUE) == 0
    broker = backend.broker()
    assert archive.restore(broker, tmp_path / "old.zst") == (len(many), len(many))
    assert set(backend.bodies(FAILED_QUEUE)) == many
    broker.close()


def test_ctrl_c_at_a_terminal_says_what_was_done(start: Start, tmp_path: Path) -> None:
    backend = Embedded(tmp_path / "home")
    broker = backend.broker()
    broker.store([junk(n) for n in range(3 * WINDOW)])
    environment = {**backend.environment, "CARRIER_ACTORS": "tests.contract.application"}
    words = ("SIGINT", "2", "failed", "discard", "--all", "--yes")
    stopped = start("python", "-m", "tests.contract.stopped", *words, **environment)
    assert stopped.wait() == 130
    assert "1,000 of 1,500 thrown away.\n" in stopped.output()
    assert "carrier: stopped: 500 are where they were\n" in stopped.output()
    assert backend.ready(FAILED_QUEUE) == 500
    broker.close()
