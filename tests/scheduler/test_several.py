"""The scheduler's drill in small: leaders that are killed and frozen while something fires every second."""

from __future__ import annotations

from tests.drills.drill import run
from tests.drills.schedules import DRILLS


def test_each_fire_time_is_handled_once_while_leaders_die() -> None:
    drill = next(each for each in DRILLS if each.name == "schedulers-killed")
    row = run(drill, "embedded", "carrier", 20)
    assert (row.lost, row.twice, row.waiting, row.failed) == (0, 0, 0, 0), row.line()
    assert row.done >= 20
    assert "missed 0" in row.note
