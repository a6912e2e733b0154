"""``carrier schedule`` and what ``carrier status`` says of schedules."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from carrier.store import fires
from carrier.store.database import session
from carrier.store.turn import SKIPPED, Fire
from scheduler import by_hand
from scheduler.commands import schedule as schedule_command
from scheduler.message import id_of, jitter
from settings import Schedule, get_settings
from tests.programs import Run, Start
from tests.waiting import wait_until

CLEANUP = 'message = {type = "cleanup", payload = {type = "demo", days = 30}}'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process sees the store of the programs."""
    monkeypatch.setenv("CARRIER_HOME", str(tmp_path / "var"))
    get_settings.cache_clear()
    return tmp_path / "var"


def states(name: str) -> list[str]:
    return [each.state for each in fires.of(name, 1_000)]


def listed(run: Run) -> dict[str, Any]:
    seen = json.loads(run("carrier", "schedule", "list", "--json").stdout)
    return {**{each["name"]: each for each in seen["schedules"]}, "leader": seen["leader"]}


def test_people_look_and_have_it_fire_pause_and_resume(run: Run, start: Start, tmp_path: Path, home: Path) -> None:
    (tmp_path / "carrier.toml").write_text(
        f'[schedule.often]\n{CLEANUP}\nevery = "1s"\n[schedule.nightly]\n{CLEANUP}\ncron = "0 2 * * *"\njitter = "1h"\n'
        f'[schedule.off]\n{CLEANUP}\nevery = "1s"\nenabled = false\n'
    )
    (tmp_path / "var" / "demo").mkdir(parents=True)
    scheduler = start("carrier", "scheduler")
    worker = start("carrier", "worker")
    wait_until(lambda: "done" in states("often"), "it has fired, and is done")
    seen = listed(run)
    assert seen["leader"].endswith(f":{scheduler.pid}")
    assert seen["nightly"]["next"].endswith("T02:00:00.000Z")
    assert (seen["off"]["state"], seen["off"]["next"]) == ("off", None)

    assert run("carrier", "schedule", "pause", "often").stdout.startswith("often is paused")
    assert listed(run)["often"]["state"] == "paused"
    scheduler.signal(signal.SIGTERM)
    assert scheduler.wait() == 0
    scheduler = start("carrier", "scheduler")
    wait_until(lambda: "leading" in scheduler.output(), "another one leads")
    before = len(states("often"))
    sent = run("carrier", "schedule", "run", "nightly")
    id_ = sent.stdout.split()[1].rstrip(":")
    wait_until(lambda: states("nightly") == ["done"], "it was run by hand")
    (history,) = json.loads(run("carrier", "schedule", "history", "nightly", "--json").stdout)
    assert (history["message_id"], history["state"]) == (id_, "done")
    assert len(states("often")) == before
    resumed = datetime.now(UTC)
    assert run("carrier", "schedule", "resume", "often").stdout == "often goes on\n"
    wait_until(lambda: len(states("often")) > before, "it fires again")
    newest = fires.of("often", len(states("often")) - before)
    assert min(each.at for each in newest) > resumed  # nothing is made up for
    assert "done" in run("carrier", "schedule", "history", "often").stdout
    for each in (scheduler, worker):
        each.signal(signal.SIGTERM)
        assert each.wait() == 0


def test_next_fire_times_are_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "carrier.toml").write_text(f'[schedule.s]\n{CLEANUP}\ncron = "0 2 29 2 *"\n')
    found = run("carrier", "schedule", "next", "s", "--count", "2").stdout.splitlines()
    assert len(found) == 2
    assert all("-02-29 02:00:00 UTC" in line for line in found)


def test_a_schedule_that_cannot_be_is_one_line_with_its_name(run: Run, tmp_path: Path) -> None:
    tables = {"cron": f'{CLEANUP}\ncron = "0 0 30 2 *"', "zone": f'{CLEANUP}\ncron = "0 0 * * *"\ntimezone = "Nowhere"'}
    for name, table in tables.items():
        (tmp_path / "carrier.toml").write_text(f"[schedule.{name}]\n{table}\n")
        for words in (["list"], ["next", name], ["run", name]):
            said = run("carrier", "schedule", *words)
            assert (said.returncode, said.stderr.count("\n")) == (2, 1), said.stderr
            assert f"carrier.toml: schedule.{name}: " in said.stderr


def test_next_says_what_time_that_is_where_it_is_meant(run: Run, tmp_path: Path) -> None:
    (tmp_path / "carrier.toml").write_text(
        f'[schedule.s]\n{CLEANUP}\ncron = "30 4 * * *"\ntimezone = "Asia/Tokyo"\njitter = "10m"\n'
    )
    (line,) = run("carrier", "schedule", "next", "s", "--count", "1").stdout.splitlines()
    assert line.endswith("19:30:00 UTC  04:30:00 Asia/Tokyo, and up to 10m later")


def test_a_payload_is_held_against_the_signature_of_a_plain_actor(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import carrier, dramatiq\ndramatiq.set_broker(carrier.connect())\n@dramatiq.actor\ndef slow(s=5): ...\n"
    )
    (tmp_path / "carrier.toml").write_text(
        '[schedule.s]\nmessage = {type = "slow", payload = {zz = 1}}\nevery = "1h"\n'
    )
    said = run("carrier", "check", CARRIER_ACTORS="mine")
    assert said.returncode == 2
    assert "schedule.s: got an unexpected keyword argument 'zz'" in said.stderr


def test_a_schedule_that_is_not_there_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "carrier.toml").write_text(f'[schedule.s]\n{CLEANUP}\nevery = "1m"\n')
    done = run("carrier", "schedule", "run", "nope")
    assert done.returncode == 1
    assert done.stderr == "carrier: there is no schedule 'nope' in carrier.toml (known: s)\n"
    monkeypatch.setenv("CARRIER_CONFIG", str(tmp_path / "carrier.toml"))
    get_settings.cache_clear()
    for word in ("pause", "resume", "history", "next"):
        refused = CliRunner().invoke(schedule_command.command, [word, "nope"])
        assert refused.exit_code == 1
        assert "there is no schedule 'nope'" in refused.output


def test_without_any_carriers_own_actors_have_two(run: Run, tmp_path: Path) -> None:
    (tmp_path / "var" / "log").mkdir(parents=True)
    assert listed(run).keys() == {"nightly-backup", "daily-cleanup", "leader"}
    (tmp_path / "carrier.toml").write_text("[schedule]\n")
    assert "Nothing is scheduled" in run("carrier", "schedule", "list").stdout


def test_status_says_that_no_scheduler_runs_and_what_is_skipped(
    run: Run, start: Start, tmp_path: Path, home: Path
) -> None:
    (tmp_path / "carrier.toml").write_text(f'[schedule.s]\n{CLEANUP}\nevery = "1h"\noverlap = "skip"\n')
    assert "schedule" not in run("carrier", "status").stdout  # none has ever run
    scheduler = start("carrier", "scheduler")
    wait_until(lambda: "leading" in scheduler.output(), "it leads")
    now = datetime.now(UTC)
    with session() as opened:
        times = [now - timedelta(hours=n) for n in range(3)]
        fires.record(opened, [Fire("s", at, id_of("s", at), SKIPPED) for at in times])
    said = run("carrier", "status").stdout
    assert "! schedule s is skipped again and again: carrier schedule history s" in said
    assert "no scheduler" not in said
    scheduler.signal(signal.SIGTERM)
    assert scheduler.wait() == 0
    said = run("carrier", "schedule", "list").stdout
    assert "no scheduler runs" in said
    assert "! s: the newest 3 were skipped" in said


def test_the_delay_of_jitter_is_always_the_same_for_a_fire_time() -> None:
    schedule = Schedule.model_validate({"message": {"type": "cleanup"}, "every": "1h", "jitter": "10m"})
    at = datetime(2026, 11, 26, 10, tzinfo=UTC)
    delays = [jitter("s", schedule, at + timedelta(hours=n)) for n in range(200)]
    assert delays == [jitter("s", schedule, at + timedelta(hours=n)) for n in range(200)]
    assert 0 <= min(delays) < 60_000
    assert 540_000 < max(delays) <= 600_000
    assert jitter("s", schedule.model_copy(update={"jitter": None}), at) == 0


def test_a_schedule_that_is_paused_before_any_scheduler_ran(home: Path) -> None:
    schedule = Schedule.model_validate({"message": {"type": "cleanup"}, "every": "1h"})
    by_hand.pause("s", schedule)
    assert by_hand.resume("s")
    assert not by_hand.resume("s")
