"""The life of a message: sent, each attempt, failed, mended, done."""

from __future__ import annotations

import logging
from typing import Any

import dramatiq
import pytest

from carrier.messaging.broker import Broker
from carrier.messaging.errors import PermanentError
from carrier.messaging.event import DONE, RETRYING, Event
from carrier.monitor import failed, history
from carrier.monitor.failed import Filter
from carrier.monitor.trace import Life, trace
from carrier.store import history as store
from settings import get_settings
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until


def traced(broker: Broker, id_: str) -> Life:
    found = trace(broker, id_)
    assert found is not None
    return found


def test_the_life_of_a_message(broker: Broker, backend: Backend, working: Working) -> None:
    history.watch(broker, 1_000)
    mended = False

    @dramatiq.actor(broker=broker, queue_name="work_queue", max_attempts=3, min_backoff=10, max_backoff=20)
    def work(n: int) -> None:
        if not mended:
            raise RuntimeError(f"no {n}: see ftp://bob:hunter2@host")

    id_ = work.send(5).message_id
    where = ("work_queue", "waiting") if backend.name == "embedded" else None
    assert broker.whereabouts(id_) == where
    with working():
        wait_until(lambda: len(backend.failures()) == 1, "it has failed")
        life = traced(broker, id_)
        assert (life.type, life.queue, life.state) == ("work", "work_queue", "failed")
        assert [event["what"] for event in life.events] == ["sent", "retrying", "retrying", "failed"]
        assert [event.get("attempt") for event in life.events] == [None, 1, 2, 3]
        assert {event["error"] for event in life.events[1:]} == {"RuntimeError"}
        assert "hunter2" not in str(life.fields())
        mended = True
        failed.retry(broker, Filter(ids={id_}), by="ann@desk")
        wait_until(lambda: (trace(broker, id_) or Life("")).state == "done", "it is done and this is written down")
    (sent_back, done) = traced(broker, id_).events[4:]
    assert sent_back.items() >= {"what": "sent back", "by": "ann@desk"}.items()
    assert done.items() >= {"what": "done", "attempt": 1}.items()
    assert done["seconds"] < 60
    assert trace(broker, "nosuch") is None


def test_what_a_failed_message_says_itself_is_enough(broker: Broker, backend: Backend, working: Working) -> None:
    @dramatiq.actor(broker=broker, queue_name="work_queue", max_attempts=2, min_backoff=10, max_backoff=20)
    def work() -> None:
        raise RuntimeError("no")

    id_ = work.send().message_id
    with working():
        wait_until(lambda: len(backend.failures()) == 1, "it has failed")
    life = traced(broker, id_)
    assert [(event["what"], event.get("attempt")) for event in life.events] == [
        ("sent", None),
        ("retrying", 1),
        ("failed", 2),
    ]
    failed.discard(broker)
    assert trace(broker, id_) is None, "nobody has written anything down"


def event(number: int, what: str = DONE, attempt: int = 1) -> Event:
    return Event(what, f"id-{number}", "work", "work_queue", attempt)


def test_the_oldest_entries_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_KEEPING", 10)
    kept = history.History(limit=5)
    for number in range(10):
        kept._waiting.append(event(number))
    kept.flush()
    assert sum(bool(store.of(f"id-{number}")) for number in range(10)) == 5
    assert [bool(store.of(f"id-{number}")) for number in range(10)] == [False] * 5 + [True] * 5


def test_a_store_that_cannot_be_used_is_said_once_and_what_waits_is_written_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CARRIER_HOME", str(tmp_path / "file"))
    get_settings.cache_clear()
    kept = history.History(limit=100)
    kept._waiting.extend(event(number) for number in range(3))
    with caplog.at_level(logging.WARNING):
        kept.flush()
        kept.flush()
    assert len(caplog.records) == 1
    monkeypatch.setenv("CARRIER_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    kept.flush()
    assert [each.what for each in store.of("id-2")] == [DONE]


def test_what_is_done_too_fast_to_be_written_down_is_left_out_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = history.History(limit=10_000)
    monkeypatch.setattr(kept, "_start", lambda: None)
    for number in range(700):
        kept(event(number))
    kept(event(1, RETRYING))
    kept(event(2, DONE, attempt=2))
    assert len(kept._waiting) == 502


def test_an_error_of_a_listener_harms_nothing(broker: Broker, working: Working) -> None:
    def broken(_: Event) -> None:
        raise PermanentError("broken")

    broker.event_listeners.append(broken)
    handled = []

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work(n: int) -> None:
        handled.append(n)

    for n in range(3):
        work.send(n)
    with working():
        wait_until(lambda: sorted(handled) == [0, 1, 2], "all are handled")
        broker.join("work_queue", timeout=20_000)
