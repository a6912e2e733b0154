"""When schedules fire: what expressions mean, and what becomes of them where a clock is changed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest

from scheduler.cron import Cron
from scheduler.every import Every
from tests.scheduler.crontab import ZONES, Crontab, changes, expression, minutes, runs

BERLIN = ZoneInfo("Europe/Berlin")


def first(cron: str, begin: str, number: int = 3, zone: ZoneInfo | None = None) -> list[str]:
    """The next fire times after a moment in UTC, as times of the zone."""
    own = zone or ZoneInfo("UTC")
    found = islice(Cron(cron, own).after(datetime.fromisoformat(begin).replace(tzinfo=UTC)), number)
    return [at.astimezone(own).strftime("%a %d %H:%M") for at in found]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", ["Tue 24 02:30", "Wed 25 02:30", "Thu 26 02:30"]),
        ("0 2 * * 0", ["Sun 29 02:00", "Sun 06 02:00", "Sun 13 02:00"]),
        ("0 2 * * 7", ["Sun 29 02:00", "Sun 06 02:00", "Sun 13 02:00"]),
        ("0 2 * * 1-3", ["Tue 24 02:00", "Wed 25 02:00", "Mon 30 02:00"]),
        ("0 2 * * 0-1", ["Sun 29 02:00", "Mon 30 02:00", "Sun 06 02:00"]),
        ("0 2 * * 5,6", ["Fri 27 02:00", "Sat 28 02:00", "Fri 04 02:00"]),
        ("0 2 * * 1,0-3", ["Tue 24 02:00", "Wed 25 02:00", "Sun 29 02:00"]),
        ("0 2 * * 0-6/2", ["Tue 24 02:00", "Thu 26 02:00", "Sat 28 02:00"]),
        ("0 2 * * */3", ["Wed 25 02:00", "Sat 28 02:00", "Sun 29 02:00"]),
        ("0 2 * * 6-7", ["Sat 28 02:00", "Sun 29 02:00", "Sat 05 02:00"]),
        ("0 2 * * fri-sun", ["Fri 27 02:00", "Sat 28 02:00", "Sun 29 02:00"]),
        ("0 2 * * SAT", ["Sat 28 02:00", "Sat 05 02:00", "Sat 12 02:00"]),
        ("0 2 1 dec *", ["Tue 01 02:00", "Wed 01 02:00", "Fri 01 02:00"]),
        ("0 2 29 2 *", ["Tue 29 02:00", "Sun 29 02:00", "Fri 29 02:00"]),
        ("0 2 1 * 1", ["Mon 30 02:00", "Tue 01 02:00", "Mon 07 02:00"]),
        ("*/20 9 1 * *", ["Tue 01 09:00", "Tue 01 09:20", "Tue 01 09:40"]),
        ("5-5/10 9 1-1 * *", ["Tue 01 09:05", "Fri 01 09:05", "Mon 01 09:05"]),
    ],
)
def test_cron_means_what_crontab_means(cron: str, expected: list[str]) -> None:
    assert first(cron, "2026-11-23T10:00") == expected


@pytest.mark.parametrize(
    ("cron", "begin", "expected"),
    [
        # 2026-03-29, 02:00 to 03:00 does not exist.
        ("30 2 * * *", "2026-03-28T12:00", ["Sun 29 03:00", "Mon 30 02:30"]),
        ("15,45 2 * * *", "2026-03-28T12:00", ["Sun 29 03:00", "Mon 30 02:15"]),
        ("*/30 2 * * *", "2026-03-28T12:00", ["Mon 30 02:00", "Mon 30 02:30"]),
        ("0 */2 * * *", "2026-03-29T00:00", ["Sun 29 04:00", "Sun 29 06:00"]),
        # 2026-10-25, it comes twice.
        ("30 2 * * *", "2026-10-24T12:00", ["Sun 25 02:30", "Mon 26 02:30"]),
        ("*/30 2 * * 0", "2026-10-24T12:00", ["Sun 25 02:00", "Sun 25 02:30", "Sun 25 02:00", "Sun 25 02:30"]),
    ],
)
def test_a_time_of_the_day_is_once_a_day_and_a_star_follows_the_clock(
    cron: str, begin: str, expected: list[str]
) -> None:
    assert first(cron, begin, len(expected), BERLIN) == expected


def test_a_day_that_does_not_exist() -> None:
    apia = ZoneInfo("Pacific/Apia")  # went from 29 to 31 December 2011
    assert first("0 3 * * *", "2011-12-29T10:00", 3, apia) == ["Thu 29 03:00", "Sat 31 00:00", "Sat 31 03:00"]
    assert first("0 */12 * * *", "2011-12-29T20:00", 3, apia) == ["Thu 29 12:00", "Sat 31 00:00", "Sat 31 12:00"]


def test_they_are_those_of_the_oracle_round_changes_of_the_clock() -> None:
    chance = random.Random(20261126)
    asked = 0
    for name in ZONES:
        zone = ZoneInfo(name)
        for change in chance.sample(found := changes(zone, 2017, 2026), min(2, len(found))):
            begin = change - timedelta(minutes=chance.randrange(2 * 1440))
            end = change + timedelta(days=1)
            crons = [expression(chance) for _ in range(5)]
            for cron, wanted in zip(crons, runs([*map(Crontab, crons)], minutes(zone, begin, end)), strict=True):
                got = list(takewhile(end.__ge__, Cron(cron, zone).after(begin)))
                assert got == wanted, (name, cron, begin)
                asked += bool(wanted)
    assert asked > 60


@pytest.mark.parametrize(
    "cron",
    [
        "", "* * * *", "* * * * * *", "61 * * * *", "0 2 * * 8", "0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6 *",
        "0 2 * * 1#2", "0 2 L * *", "0 2 * * 5L", "0 2 * * 3/2", "0 2 * * 5-1", "0 2 * * */0", "@daily", "0 2 * * mo",
        "0 2 * jan-foo *", "٣ 2 * * *", "-1 * * * *", "1,,2 * * * *", "1- * * * *",
    ],
)  # fmt: skip
def test_an_expression_that_makes_no_sense_or_never_fires_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="cron"):
        Cron(cron, BERLIN)


def test_every_fires_at_multiples_of_the_period() -> None:
    made = Every(timedelta(minutes=15)).after(datetime(2026, 11, 23, 10, 1, tzinfo=UTC))
    assert [f"{at:%H:%M}" for at in islice(made, 2)] == ["10:15", "10:30"]
    exact = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
    assert next(Every(timedelta(minutes=15)).after(exact)) == exact + timedelta(minutes=15)
