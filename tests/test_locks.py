"""A lock has one holder at a time, whatever becomes of who holds it; on each kind of store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from carrier.store import locks
from carrier.store.database import session
from carrier.store.errors import StoreUnavailable
from carrier.store.locks import LEASE, Lock, LockHeld, LockLost
from carrier.store.models import LockEntry
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("store_url")


def move(seconds: int) -> None:
    """As if the database's clock had gone so far."""
    with session() as opened:
        opened.execute(update(LockEntry).values(until=LockEntry.until - seconds))


def take(name: str = "one") -> Lock:
    """Without anybody who would renew it."""
    return locks._take(name, "host:1", {})


def test_of_many_at_once_one_has_it() -> None:
    at_once, over = threading.Barrier(8), threading.Event()

    def run(number: int) -> str:
        at_once.wait()
        try:
            with locks.hold("one", f"host:{number}", dict):
                over.wait(30)
                return "held"
        except LockHeld as error:
            return error.holder.worker

    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(run, number) for number in range(8)]
        wait_until(lambda: sum(each.done() for each in runs) == 7, "the others are refused")
        (held,) = locks.held()
        over.set()
    assert [each.result() for each in runs].count("held") == 1
    assert {each.result() for each in runs} == {"held", held.worker}
    assert locks.held() == []


def test_it_ends_with_its_lease_and_not_before() -> None:
    first = take()
    with pytest.raises(LockHeld, match="one: host:1 does that"):
        take()
    take("another")
    move(LEASE - 5)
    with pytest.raises(LockHeld):
        take()
    first.renew({"bytes": 1})
    move(LEASE - 5)
    with pytest.raises(LockHeld):
        take()
    move(10)
    assert [each.name for each in locks.held()] == []
    second = take()
    with pytest.raises(LockLost):
        first.renew({})
    with pytest.raises(LockLost):
        first.check()
    first.release()
    assert [each.name for each in locks.held()] == ["one"], "who has lost it cannot take it away"
    second.check()
    second.release()
    assert locks.held() == []


def test_a_clock_that_was_set_back_holds_nobody() -> None:
    take()
    move(-7200)
    assert locks.held() == []
    take()


def test_it_is_renewed_while_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_RENEW", 0.05)
    seen = 0

    def detail() -> locks.Detail:
        nonlocal seen
        seen += 1
        return {"seen": seen}

    with locks.hold("one", "host:1", detail):
        move(LEASE)
        wait_until(lambda: [each.detail["seen"] > 3 for each in locks.held()] == [True], "it is renewed")
    assert not [each for each in threading.enumerate() if each.name == "carrier-lock"]


def test_a_store_that_is_away_for_a_moment_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_RENEW", 0.05)
    renew, tries = Lock.renew, []

    def unavailable(lock: Lock, detail: locks.Detail) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise StoreUnavailable("the store cannot be used")
        renew(lock, detail)

    monkeypatch.setattr(Lock, "renew", unavailable)
    with locks.hold("one", "host:1", dict) as lock:
        wait_until(lambda: len(tries) > 4, "it is renewed again")
        lock.check()
