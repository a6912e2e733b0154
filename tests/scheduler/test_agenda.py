"""How a schedule goes on while clocks are set, and what is made up for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from scheduler.agenda import Agenda
from scheduler.catch_up import MOST, to_send
from scheduler.timing import timing_of
from settings import Schedule
from tests.scheduler.clock import SetClock


def agenda(clock: SetClock, **fields: Any) -> Agenda:
    schedule = Schedule.model_validate({"message": {"type": "cleanup"}, **fields})
    return Agenda("nightly", schedule, timing_of(schedule), clock, clock.now())


def times(due: list[datetime]) -> list[str]:
    return [f"{at:%d %H:%M:%S}" for at in due]


def test_it_is_due_once_per_fire_time() -> None:
    clock = SetClock()
    made = agenda(clock, every="10s")
    assert made.due() == []
    assert made.wait() == timedelta(seconds=9.5)
    clock.pass_by(25)
    assert times(made.due()) == ["26 10:00:10", "26 10:00:20"]
    assert made.due() == []


def test_every_goes_on_within_a_period_when_the_clock_is_set_back() -> None:
    clock = SetClock()
    made = agenda(clock, every="10s")
    clock.pass_by(10)
    assert times(made.due()) == ["26 10:00:10"]
    clock.set_by(-7200)
    assert timedelta(0) < made.wait() <= timedelta(seconds=10)
    found = []
    for _ in range(30):
        clock.pass_by(1)
        found += made.due()
    assert times(found) == ["26 10:00:20", "26 10:00:30", "26 10:00:40"]
    again = agenda(clock, every="10s")  # another process, with the clock as it is
    again.go_on_from(made.cursor)
    clock.pass_by(10)
    assert times(again.due()) == ["26 10:00:50"]


def test_cron_waits_for_its_time_when_the_clock_is_set_back() -> None:
    clock = SetClock()
    made = agenda(clock, cron="*/10 * * * *")
    clock.pass_by(600)
    assert times(made.due()) == ["26 10:10:00"]
    clock.set_by(-7200)
    clock.pass_by(3600)
    assert made.due() == []
    clock.pass_by(3600 + 600)
    assert times(made.due()) == ["26 10:20:00"]


def test_of_very_many_the_newest_are_looked_at() -> None:
    clock = SetClock()
    made = agenda(clock, every="1s")
    clock.set_by(3 * 86_400)
    due = made.due()
    assert len(due) == MOST
    assert due[-1] == clock.now().replace(microsecond=0)
    cron = agenda(clock, cron="* * * * *")
    clock.set_by(3 * 86_400)
    assert len(cron.due()) == MOST
    assert cron.due() == []


@pytest.mark.parametrize(
    ("catch_up", "late", "sent"),
    [
        ("latest", 50, "3"),  # all are fresh, whatever is said
        ("none", 50, "3"),
        ("latest", 100, "1"),  # one is fresh
        ("all", 100, "3"),
        ("none", 100, "1"),
        ("latest", 200, "1"),  # none is
        ("all", 200, "3"),
        ("none", 200, "0"),
    ],
)
def test_what_has_passed_is_made_up_for(catch_up: str, late: int, sent: str) -> None:
    clock = SetClock()
    made = agenda(clock, every="20s", catch_up=catch_up)
    due = [clock.now() - timedelta(seconds=late - number * 20) for number in range(3)]
    wanted = to_send(due, clock.now(), made.schedule)
    assert len(wanted) == int(sent)
    assert not wanted or due[-1] in wanted
