"""What is written down of an e-mail's recipients, on SQLite and on PostgreSQL."""

from __future__ import annotations

import ctypes
import threading
import time
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from random import Random

import pytest
from sqlalchemy import text

from carrier.store import database, deliveries, faults
from carrier.store.deliveries import Reply, State
from carrier.store.errors import StoreUnavailable
from carrier.store.models import DeliveryEntry, FaultEntry
from settings import get_settings

pytestmark = pytest.mark.usefixtures("store_url")


def test_who_has_accepted_has_accepted() -> None:
    deliveries.record("id", {"a@x": Reply(State.ACCEPTED, "250 ok"), "b@x": Reply(State.LATER, "451 \ud800\0")})
    deliveries.record("id", {"a@x": Reply(State.LATER, "451 no"), "b@x": Reply(State.REFUSED, "550 no")})
    found = deliveries.known("id")
    assert {who: (reply.state, reply.text) for who, reply in found.items()} == {
        "a@x": (State.ACCEPTED, "250 ok"),
        "b@x": (State.REFUSED, "550 no"),
    }
    entries = deliveries.of("id")
    assert [(each.recipient, each.state) for each in entries] == [("a@x", "accepted"), ("b@x", "refused")]
    assert all(datetime.now(UTC) - each.at < timedelta(minutes=5) for each in entries)
    assert deliveries.known("another") == {}


def test_threads_share_transactions_and_each_is_told_when_its_own_is_over() -> None:
    database.prepare()
    wrong = []

    def work(n: int) -> None:
        for m in range(20):
            deliveries.record(f"{n}-{m}", {f"{n}@x": Reply(State.ACCEPTED, "250 ok")})
            if deliveries.known(f"{n}-{m}").keys() != {f"{n}@x"}:
                wrong.append((n, m))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    with database.session() as opened:
        assert opened.query(DeliveryEntry).count() == 160


def test_an_id_that_is_no_utf8_is_found_again() -> None:
    deliveries.record("\ud800\0", {"a@x": Reply(State.ACCEPTED, "250 ok")})
    assert deliveries.known("\ud800\0").keys() == {"a@x"}


def test_a_transaction_waits_for_others_who_send_but_not_for_long() -> None:
    begun, over = threading.Event(), threading.Event()

    def send_for_long() -> None:
        with deliveries.sending():
            begun.set()
            over.wait(60)

    other = threading.Thread(target=send_for_long)
    other.start()
    assert begun.wait(60)
    with deliveries.sending():
        deliveries.record("id", {"a@x": Reply(State.ACCEPTED, "250 ok")})
    assert deliveries.known("id").keys() == {"a@x"}
    assert other.is_alive(), "it was not waited for until it was over"
    over.set()
    other.join(60)


def test_without_the_store_each_who_waits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    database.prepare()
    with monkeypatch.context() as patched:
        patched.setenv("DATABASE_URL", "sqlite:////proc/nowhere/carrier.db")
        get_settings.cache_clear()
        for _ in range(2):  # the thread that writes goes on
            with pytest.raises(StoreUnavailable):
                deliveries.record("id", {"a@x": Reply(State.ACCEPTED, "250 ok")})
        with pytest.raises(StoreUnavailable):
            deliveries.known("id")
    get_settings.cache_clear()
    deliveries.record("id", {"a@x": Reply(State.ACCEPTED, "250 ok")})
    assert deliveries.known("id").keys() == {"a@x"}


def test_a_table_that_is_gone_is_one_clear_error() -> None:
    database.prepare()
    with database.session() as opened:
        opened.execute(text("DROP TABLE deliveries"))
    with pytest.raises(StoreUnavailable, match=r"the store cannot be used: .*deliveries"):
        deliveries.known("id")


class Interrupt(BaseException):
    """As Dramatiq has it for a time limit."""


def test_whoever_is_interrupted_keeps_nobody_waiting() -> None:
    database.prepare()
    over, ready = threading.Event(), SimpleQueue[None]()

    def work() -> None:
        while True:
            try:
                ready.put(None)
                while not over.is_set():
                    with deliveries.sending():
                        deliveries.record("id", {"a@x": Reply(State.ACCEPTED, "250 ok")})
            except Interrupt:
                continue
            return

    thread = threading.Thread(target=work)
    thread.start()
    chance = Random(7)
    for _ in range(100):
        ready.get(timeout=30)
        time.sleep(chance.uniform(0, 0.005))  # wherever it is by then
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Interrupt))
    ready.get(timeout=30)
    over.set()
    thread.join(30)
    assert not thread.is_alive()
    deliveries.record("another", {"a@x": Reply(State.ACCEPTED, "250 ok")})
    assert deliveries.known("another").keys() == deliveries.known("id").keys() == {"a@x"}


def test_looking_up_waits_for_nobody_who_writes() -> None:
    deliveries.record("id", {"a@x": Reply(State.ACCEPTED, "250 ok")})
    with database.session() as opened:
        opened.add(FaultEntry(source="s", text="t", since=datetime.now(UTC), at=datetime.now(UTC)))
        opened.flush()
        assert deliveries.known("id").keys() == {"a@x"}


def test_what_is_old_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    deliveries.record("old", {"a@x": Reply(State.ACCEPTED, "250 ok")})
    with database.session() as opened:
        opened.query(DeliveryEntry).update({"at": datetime.now(UTC) - timedelta(days=91)})
    monkeypatch.setattr(deliveries, "_FORGETTING", 1)
    deliveries.record("new", {"a@x": Reply(State.ACCEPTED, "250 ok")})
    assert deliveries.known("old") == {}
    assert deliveries.known("new").keys() == {"a@x"}


def test_a_fault_is_known_since_it_began_and_forgotten_after_an_hour() -> None:
    faults.note("mail server a:25", "away")
    (first,) = faults.recent()
    faults.note("mail server a:25", "still away")
    (second,) = faults.recent()
    assert (second.text, second.since) == ("still away", first.since)
    assert second.at >= first.at
    with database.session() as opened:
        opened.query(FaultEntry).update({"at": datetime.now(UTC) - timedelta(minutes=61)})
    assert faults.recent() == []
    faults.note("mail server a:25", "away")
    faults.clear("mail server a:25")
    assert faults.recent() == []
