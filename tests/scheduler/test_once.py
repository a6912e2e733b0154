"""Each fire time once: who leads, what is recorded, and who runs it. On SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from carrier.store import fires, leader
from carrier.store.database import session
from carrier.store.errors import StoreUnavailable
from carrier.store.models import FireEntry
from carrier.store.turn import DONE, FAILED, MISSED, RECORDED, RETRYING, SENT, SKIPPED, Fire, Holder, Turn, Verdict
from scheduler.agenda import Agenda
from scheduler.leadership import SILENCE, Leadership
from scheduler.message import id_of
from scheduler.round import NotLeading, Rounds
from scheduler.timing import timing_of
from settings import Schedule
from tests.scheduler.clock import SetClock

pytestmark = pytest.mark.usefixtures("store_url")

AT = datetime(2026, 11, 26, 10, tzinfo=UTC)
FIRST = Turn(0, 1)


# Who leads


def test_one_of_several_leads_and_another_follows_when_it_is_silent() -> None:
    clock, changes = SetClock(), []
    first, second = (Leadership(lambda: changes.append(1), clock) for _ in range(2))
    first.step()
    second.step()
    assert (first.fence, second.fence) == (1, None)
    for _ in range(10):
        clock.pass_by(1)
        first.step()
        second.step()
    assert (first.fence, second.fence) == (1, None)
    clock.pass_by(SILENCE)  # the first is frozen
    second.step()
    assert second.fence == 2
    first.step()
    assert first.fence is None
    assert len(changes) == 3


def test_one_that_ends_is_followed_at_once() -> None:
    clock = SetClock()
    first, second = (Leadership(lambda: None, clock) for _ in range(2))
    first.start()
    first.end()
    second.step()
    assert second.fence == 2


def test_of_those_who_take_over_at_once_one_leads() -> None:
    clock = SetClock()
    all_of_them = [Leadership(lambda: None, clock) for _ in range(4)]
    threads = [threading.Thread(target=each.step) for each in all_of_them]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.fence or 0 for each in all_of_them) == [0, 0, 0, 1]


def test_who_cannot_beat_does_not_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Leadership(lambda: None, SetClock())
    one.step()
    assert one.fence == 1

    def unavailable(*_: object) -> bool:
        raise StoreUnavailable("it is frozen")

    monkeypatch.setattr(leader, "beat", unavailable)
    one.step()
    assert one.fence is None
    monkeypatch.undo()
    one.step()
    assert one.fence == 2  # its own row: there is nobody to wait for


# What is recorded


def rounds(clock: SetClock, **schedules: dict[str, object]) -> Rounds:
    agendas = {}
    for name, fields in schedules.items():
        schedule = Schedule.model_validate({"message": {"type": "cleanup"}, **fields})
        agendas[name] = Agenda(name, schedule, timing_of(schedule), clock, clock.now())
    return Rounds(agendas, clock)


def lead(owner: str = "me") -> int:
    row = leader.look()
    fence = leader.take(None if row is None else leader.Seen(row.owner, row.fence, row.beat), owner, "here")
    assert fence is not None
    return fence


def states(schedule: str) -> list[str]:
    return [each.state for each in reversed(fires.of(schedule, 2_000))]


def test_a_round_records_what_is_due_and_only_the_leaders() -> None:
    clock, fence = SetClock(), lead()
    own = rounds(clock, a={"every": "10s"}, b={"cron": "0 12 * * *"})
    assert not own.record("me", fence)
    clock.pass_by(10)
    assert own.record("me", fence)
    assert not own.record("me", fence)
    assert (states("a"), states("b")) == ([RECORDED], [])
    other = lead("another")
    clock.pass_by(10)
    with pytest.raises(NotLeading):
        own.record("me", fence)
    assert states("a") == [RECORDED]
    follower = rounds(clock, a={"every": "10s"}, b={"cron": "0 12 * * *"})
    assert follower.record("another", other)
    assert states("a") == [RECORDED, RECORDED]  # where the first has left off
    own.record("another", other)
    assert states("a") == [RECORDED, RECORDED]


def test_a_new_timing_begins_anew_and_what_is_gone_is_forgotten() -> None:
    clock, fence = SetClock(), lead()
    rounds(clock, a={"every": "10s"}, gone={"every": "10s"}).record("me", fence)
    clock.pass_by(3600)
    assert not rounds(clock, a={"every": "1m"}).record("me", fence)
    assert states("a") == []
    clock.pass_by(60)
    assert rounds(clock, a={"every": "1m"}, gone={"every": "10s"}).record("me", fence)
    assert (states("a"), states("gone")) == ([RECORDED], [])


def test_what_was_missed_is_written_down() -> None:
    clock, fence = SetClock(), lead()
    own = rounds(clock, a={"every": "20s"})
    own.record("me", fence)
    clock.pass_by(200)
    own.record("me", fence)
    assert states("a") == [MISSED] * 7 + [RECORDED] * 3


def test_one_that_must_not_overlap_waits_for_the_one_before_it() -> None:
    clock, fence = SetClock(), lead()
    own = rounds(clock, a={"every": "10s", "overlap": "skip"})
    own.record("me", fence)
    clock.pass_by(20)
    own.record("me", fence)
    assert states("a") == [RECORDED, SKIPPED]
    id_ = fires.of("a", 10)[1].message_id
    fires.sent([id_])
    clock.pass_by(10)
    own.record("me", fence)
    assert fires.claim(id_, FIRST, "worker", "w", None) is Verdict.RUN
    clock.pass_by(10)
    own.record("me", fence)
    fires.end(id_, FIRST, "worker", DONE)
    clock.pass_by(10)
    own.record("me", fence)
    assert states("a") == [DONE, SKIPPED, SKIPPED, SKIPPED, RECORDED]


def test_a_worker_that_is_not_heard_of_holds_up_nobody_for_ever() -> None:
    clock, fence = SetClock(), lead()
    own = rounds(clock, a={"every": "10s", "overlap": "skip"})
    own.record("me", fence)
    clock.pass_by(10)
    own.record("me", fence)
    id_ = fires.of("a", 1)[0].message_id
    fires.claim(id_, FIRST, "worker", "w", None)
    for _ in range(12):
        clock.pass_by(10)
        fires.beat("worker", [id_])
        own.record("me", fence)
    assert set(states("a")[1:]) == {SKIPPED}
    for _ in range(8):
        clock.pass_by(10)
        own.record("me", fence)
    assert states("a")[0] == "lost"
    assert states("a").count(RECORDED) == 1
    assert fires.claim(id_, FIRST, "another", "w", None) is Verdict.RUN  # it was redelivered after all


def test_old_fire_times_are_forgotten_and_open_ones_are_not() -> None:
    clock, fence = SetClock(), lead()
    own = rounds(clock, a={"every": "1s", "catch_up": "none"})
    own.record("me", fence)
    for _ in range(13):
        clock.pass_by(100)
        own.record("me", fence)
    found = states("a")
    assert 1_000 <= len(found) < 1_300
    assert MISSED in found


# Who runs it


def recorded(at: datetime = AT) -> str:
    id_ = id_of("a", at)
    with session() as opened:
        fires.record(opened, [Fire("a", at, id_, RECORDED)])
    return id_


def test_a_copy_is_dropped_once_its_fire_time_is_over() -> None:
    id_ = recorded()
    assert fires.claim(id_, FIRST, "one", "w", None) is Verdict.RUN
    fires.sent([id_])  # the sender is late to say so
    assert states("a") == ["running"]
    fires.end(id_, FIRST, "one", DONE)
    assert fires.claim(id_, FIRST, "two", "w", None) is Verdict.DROP


def test_a_copy_waits_while_another_worker_runs_it_and_follows_if_that_one_is_dead() -> None:
    id_ = recorded()
    fires.claim(id_, FIRST, "one", "w", None)
    seen = fires.claim(id_, FIRST, "two", "w", None)
    assert isinstance(seen, Holder)
    fires.beat("one", [id_])
    again = fires.claim(id_, FIRST, "two", "w", seen)
    assert isinstance(again, Holder)
    assert again != seen
    assert fires.claim(id_, FIRST, "two", "w", again) is Verdict.RUN
    fires.end(id_, FIRST, "one", DONE)  # it was only slow, and has nothing to say any more
    assert states("a") == ["running"]


def test_a_copy_of_an_attempt_that_has_failed_is_dropped() -> None:
    id_ = recorded()
    fires.claim(id_, FIRST, "one", "w", None)
    fires.end(id_, FIRST, "one", RETRYING, "ValueError: no")
    assert fires.claim(id_, FIRST, "two", "w", None) is Verdict.DROP
    assert fires.claim(id_, Turn(0, 2), "two", "w", None) is Verdict.RUN
    fires.end(id_, Turn(0, 2), "two", FAILED, "ValueError: no")
    assert fires.claim(id_, Turn(0, 2), "one", "w", None) is Verdict.DROP
    assert fires.claim(id_, Turn(1, 1), "one", "w", None) is Verdict.RUN  # by hand
    fires.end(id_, Turn(1, 1), "one", DONE)
    (entry,) = fires.of("a", 10)
    assert (entry.state, entry.error) == (DONE, None)


def test_one_that_went_back_is_run_by_whoever_gets_it() -> None:
    id_ = recorded()
    fires.claim(id_, FIRST, "one", "w", None)
    fires.end(id_, FIRST, "one", SENT)
    assert fires.claim(id_, FIRST, "two", "w", None) is Verdict.RUN


def test_what_has_no_row_is_run() -> None:
    assert fires.claim("unknown", FIRST, "one", "w", None) is Verdict.RUN


def test_a_fire_time_is_recorded_once() -> None:
    recorded()
    fires.claim(id_of("a", AT), FIRST, "one", "w", None)
    recorded()
    assert states("a") == ["running"]
    recorded(AT + timedelta(milliseconds=1))
    assert states("a") == ["running", RECORDED]


def test_of_many_who_claim_at_once_one_runs() -> None:
    id_, answers = recorded(), []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(fires.claim(id_, FIRST, f"worker {n}", "w", None)))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(Verdict.RUN) == 1
    assert sum(isinstance(each, Holder) for each in answers) == 5


def test_times_are_kept_in_utc() -> None:
    recorded(AT.astimezone(None))
    with session() as opened:
        entry = opened.get(FireEntry, ("a", AT))
    assert entry is not None
    assert entry.at.utcoffset() == timedelta(0)
