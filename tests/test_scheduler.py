"""Recurring messages: when they are due, what is sent, and what makes no sense."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from scheduler.trigger import trigger_of
from settings import Schedule
from tests.programs import Run, Start
from tests.waiting import wait_until

MESSAGE = {"type": "cleanup", "payload": {"type": "logs", "days": 30}}


def schedule(**fields: object) -> Schedule:
    return Schedule.model_validate({"message": MESSAGE, **fields})


def fires(made: Schedule, begin: str, count: int) -> list[str]:
    """The next fire times after a moment in UTC, as local times of the schedule."""
    trigger, found = trigger_of(made), []
    previous, now = None, datetime.fromisoformat(begin).replace(tzinfo=UTC)
    for _ in range(count):
        fire = trigger.get_next_fire_time(previous, now)
        found.append(fire.strftime("%a %d %H:%M"))
        previous = now = fire
    return found


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
        ("0 2 * * sat", ["Sat 28 02:00", "Sat 05 02:00", "Sat 12 02:00"]),
        ("*/20 9 1 * *", ["Tue 01 09:00", "Tue 01 09:20", "Tue 01 09:40"]),
    ],
)
def test_cron_means_what_crontab_means(cron: str, expected: list[str]) -> None:
    assert fires(schedule(cron=cron), "2026-11-23T10:00", 3) == expected


def test_cron_is_in_the_time_zone() -> None:
    made = schedule(cron="0 2 * * *", timezone="Europe/Berlin")
    trigger = trigger_of(made)
    fire = trigger.get_next_fire_time(None, datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert fire.astimezone(UTC) == datetime(2026, 7, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Europe/Helsinki", "US/Eastern", "Australia/Lord_Howe"])
@pytest.mark.parametrize("cron", ["30 * * * *", "30 2 * * *"])
@pytest.mark.parametrize("begin", ["2026-10-24T00:00", "2026-10-31T00:00", "2027-03-27T00:00", "2026-10-03T00:00"])
def test_fire_times_rise_over_every_change_of_the_clock(zone: str, cron: str, begin: str) -> None:
    trigger = trigger_of(schedule(cron=cron, timezone=zone))
    previous, now, found = None, datetime.fromisoformat(begin).replace(tzinfo=UTC), []
    for _ in range(60):
        previous = now = trigger.get_next_fire_time(previous, now)
        found.append(now.astimezone(UTC))
    assert all(a < b for a, b in pairwise(found))


def test_every_fires_at_multiples_of_the_period() -> None:
    assert fires(schedule(every="15m"), "2026-11-23T10:01", 2) == ["Mon 23 10:15", "Mon 23 10:30"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cron": "* * * * *", "every": "1m"},
        {"every": "0m"},
        {"every": "-1m"},
        {"every": "1.5h"},
        {"every": "soon"},
        {"every": "999999999d"},
        {"cron": "* * * * *", "unknown": 1},
        {"cron": "* * * * *", "priority": 10},
    ],
)
def test_a_table_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        schedule(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"cron": "* * * *"},
        {"cron": "* * * * * *"},
        {"cron": "61 * * * *"},
        {"cron": "0 2 * * 8"},
        {"cron": "0 2 1 * 1"},
        {"cron": "0 0 31 2 *"},
        {"cron": "0 2 * * 1#2"},
        {"cron": "0 2 * * 3/2"},
        {"cron": "0 2 * * 5-1"},
        {"cron": "0 2 * * */0"},
        {"cron": "* * * * *", "timezone": "Europe"},
        {"cron": "@daily"},
        {"cron": "* * * * *", "timezone": "Europe/Bärlin"},
        {"cron": "* * * * *", "timezone": "../etc/passwd"},
    ],
)
def test_an_expression_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"cron|timezone"):
        trigger_of(schedule(**fields))


def test_the_process_sends_and_ends_cleanly(start: Start, tmp_path: Path) -> None:
    (tmp_path / "carrier.toml").write_text(
        '[schedule.often]\nmessage = {type = "cleanup", payload = {type = "logs", days = 30}}\nevery = "1s"\n'
        '[schedule.off]\nmessage = {type = "backup", payload = {database = "default"}}\nevery = "1s"\nenabled = false\n'
    )
    process = start("carrier", "scheduler")

    def sent() -> list[str]:
        if not (tmp_path / "var" / "queue.db").exists():
            return []
        with closing(sqlite3.connect(tmp_path / "var" / "queue.db", timeout=30)) as database:
            return [row[0] for row in database.execute("SELECT queue FROM messages")]

    wait_until(lambda: "schedule often: sent" in process.output(), "one is sent")
    wait_until(lambda: len(sent()) >= 2, "two are sent")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.output()
    assert set(sent()) == {"cleanup_queue"}
    assert "Traceback" not in process.output()


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ('message = {type = "nosuch"}\nevery = "1m"', "schedule.x: unknown message type 'nosuch'"),
        ('message = {type = "cleanup", payload = {type = "logs", days = -1}}\nevery = "1m"', "message.payload.days"),
        ('message = {type = "backup", payload = {database = "d"}}\ncron = "nonsense"', "schedule.x: cron"),
        ('message = {type = "backup", payload = {database = "d"}}', "schedule.x"),
        (
            'message = {type = "notification", payload = {user_id = "a", type = "inbox", title = "t", message = "m",'
            ' data = {a = nan}}}\nevery = "1s"',
            "schedule.x: message",
        ),
    ],
)
def test_what_cannot_be_sent_is_named_at_the_start(run: Run, tmp_path: Path, table: str, text: str) -> None:
    (tmp_path / "carrier.toml").write_text(f"[schedule.x]\n{table}\n")
    for command in ("scheduler", "check"):
        done = run("carrier", command)
        assert done.returncode == 2
        assert text in done.stderr
        assert "carrier.toml" in done.stderr
        assert "Traceback" not in done.stderr
