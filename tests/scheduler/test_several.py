"""The scheduler's drill in small: leaders that are killed and frozen while something fires every second."""

from __future__ import annotations

import pytest

from tests.drills.drill import Row, run
from tests.drills.schedules import DRILLS
from tests.servers import postgresql
from tests.servers.installed import INSTALLATIONS

BROKERS = ("embedded", *(f"rabbitmq-{version}" for version in INSTALLATIONS))


def small(name: str, broker: str, messages: int) -> Row:
    version = broker.partition("-")[2]
    if version and not (INSTALLATIONS[version].is_there and postgresql.is_installed()):
        pytest.skip(f"{broker} or PostgreSQL is not installed")
    drill = next(each for each in DRILLS if each.name == name)
    return run(drill, broker, "carrier", messages)


@pytest.mark.parametrize("broker", BROKERS[:2])
def test_each_fire_time_is_handled_once_while_leaders_die(broker: str) -> None:
    row = small("schedulers-killed", broker, 20)
    assert (row.lost, row.twice, row.waiting, row.failed) == (0, 0, 0, 0), row.line()
    assert row.done >= 20
    assert "missed 0" in row.note
