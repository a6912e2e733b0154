"""Recurring messages: when they are due, what is sent, and what makes no sense."""

from __future__ import annotations

import json
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


def test_the_process_sends_takes_up_what_was_changed_and_ends_cleanly(start: Start, tmp_path: Path) -> None:
    table = '[schedule.{}]\nmessage = {{type = "cleanup", payload = {{type = "logs", days = {}}}}}\nevery = "1s"\n'
    off = table.format("off", 30) + "enabled = false\n"
    config = tmp_path / "carrier.toml"
    config.write_text(table.format("often", 30) + off)
    process = start("carrier", "scheduler")

    def sent() -> list[tuple[str, bytes]]:
        if not (tmp_path / "var" / "queue.db").exists():
            return []
        with closing(sqlite3.connect(tmp_path / "var" / "queue.db", timeout=30)) as database:
            return list(database.execute("SELECT queue, body FROM messages"))

    wait_until(lambda: "schedule often: sent" in process.output(), "one is sent")
    wait_until(lambda: len(sent()) >= 2, "two are sent")
    config.write_text(table.format("often", -1))
    process.signal(signal.SIGHUP)
    wait_until(lambda: "what was changed is not taken up: " in process.output(), "what makes no sense is not taken up")
    before = process.output().count("schedule often: sent")
    wait_until(lambda: process.output().count("schedule often: sent") > before, "what was known goes on")
    config.write_text(table.format("other", 7) + off)
    process.signal(signal.SIGHUP)
    wait_until(lambda: "schedule other: sent" in process.output(), "what was changed is sent")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.output()
    often, *_, other = [line for line in process.output().splitlines() if ": sent" in line]
    assert "schedule often: " in often
    assert "schedule other: " in other
    fires = [(json.loads(body)["meta"]["schedule"], json.loads(body)["meta"]["fire"]) for _, body in sent()]
    assert len(set(fires)) == len(fires)
    assert {queue for queue, _ in sent()} == {"cleanup_queue"}
    assert {schedule for schedule, _ in fires} == {"often", "other"}
    assert "Traceback" not in process.output()


WRONG = {
    "unknown": ('message = {type = "nosuch"}\nevery = "1m"', "unknown message type 'nosuch'"),
    "payload": (
        'message = {type = "cleanup", payload = {type = "logs", days = -1}}\nevery = "1m"',
        "message.payload.days",
    ),
    "cron": ('message = {type = "backup", payload = {database = "d"}}\ncron = "nonsense"', "cron"),
    "number": (
        'message = {type = "notification", payload = {user_id = "a", type = "inbox", title = "t", message = "m",'
        ' data = {a = nan}}}\nevery = "1s"',
        "message",
    ),
}


def test_what_cannot_be_sent_is_named_at_the_start(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "carrier.toml"
    config.write_text("".join(f"[schedule.{name}]\n{table}\n" for name, (table, _) in WRONG.items()))
    done = run("carrier", "check")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(WRONG)
    for line, (name, (_, text)) in zip(lines, WRONG.items(), strict=True):
        assert f"schedule.{name}: {text}" in line
        assert "carrier.toml" in line
    config.write_text('[schedule.never]\nmessage = {type = "backup", payload = {database = "d"}}\n')
    done = run("carrier", "scheduler")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "carrier.toml: schedule.never" in done.stderr


@pytest.mark.parametrize("zone", ["Nowhere/None", ":/etc/nothing", "Asia/Kathmandu", ""])
def test_the_machines_zone_has_no_say(start: Start, run: Run, tmp_path: Path, zone: str) -> None:
    table = '[schedule.{}]\nmessage = {{type = "cleanup", payload = {{type = "logs", days = 30}}}}\n{}\n'
    nightly = 'cron = "30 2 * * *"\ntimezone = "Asia/Tokyo"'
    (tmp_path / "carrier.toml").write_text(table.format("often", 'every = "1s"') + table.format("nightly", nightly))
    process = start("carrier", "scheduler", TZ=zone)
    wait_until(lambda: "sent" in process.output() or not process.running, "it has sent")
    assert process.running, process.output()
    shown = run("carrier", "schedule", "list", TZ=zone)
    assert "17:30:00 UTC" in shown.stdout, shown.stderr
