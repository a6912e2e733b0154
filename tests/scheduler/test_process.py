"""Recurring messages: when they are due, what is sent, and what makes no sense."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from scheduler.timing import timing_of
from settings import Schedule
from tests.programs import Run, Start
from tests.waiting import wait_until

MESSAGE = {"type": "cleanup", "payload": {"type": "logs", "days": 30}}


def schedule(**fields: object) -> Schedule:
    return Schedule.model_validate({"message": MESSAGE, **fields})


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
        {"every": "1m", "timezone": "Europe/Berlin"},
        {"every": "1m", "jitter": "-1s"},
        {"every": "1m", "overlap": "maybe"},
        {"every": "1m", "catch_up": "some"},
    ],
)
def test_a_table_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        schedule(**fields)


@pytest.mark.parametrize("zone", ["Europe", "Europe/Bärlin", "../etc/passwd", "/etc/localtime", ""])
def test_a_zone_that_is_not_there_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="timezone"):
        timing_of(schedule(cron="* * * * *", timezone=zone))


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
