"""Sentry's cron monitors: a check-in when a schedule fires, and its end by the worker."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from carrier.monitor.checkin import monitor, slug
from carrier.store import fires
from carrier.store.database import session
from carrier.store.turn import RECORDED, Fire
from scheduler.message import id_of
from settings import Schedule, get_settings
from tests.programs import Start
from tests.servers.sentry import sentry
from tests.waiting import wait_until

ACTORS = """
import dramatiq, carrier
dramatiq.set_broker(carrier.connect())

@dramatiq.actor
def good(): pass

@dramatiq.actor(max_retries=0)
def bad(): raise RuntimeError("no")
"""


def schedule(**fields: Any) -> Schedule:
    return Schedule.model_validate({"message": {"type": "good"}, **fields})


def test_what_sentry_is_told_of_a_schedule() -> None:
    cron = monitor(schedule(cron="0  2 * * *", timezone="Europe/Berlin"))
    assert cron == {
        "schedule": {"type": "crontab", "value": "0 2 * * *"}, "timezone": "Europe/Berlin", "checkin_margin": 5,
    }  # fmt: skip
    every = monitor(schedule(every="2h"))
    assert every is not None
    assert every["schedule"] == {"type": "interval", "value": 120, "unit": "minute"}
    assert monitor(schedule(every="90s")) is None
    assert slug("Nightly.backup@Ä") == "nightly-backup--"


def test_a_fire_time_is_checked_in_and_out(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.py").write_text(ACTORS)
    (tmp_path / "carrier.toml").write_text(
        "".join(f'[schedule.{each}]\nmessage = {{type = "{each}"}}\ncron = "0 2 * * *"\n' for each in ("good", "bad"))
        + '[schedule.often]\nmessage = {type = "good"}\nevery = "1s"\n'
    )
    monkeypatch.setenv("CARRIER_HOME", str(tmp_path / "var"))
    get_settings.cache_clear()
    now = datetime.now(UTC)
    with session() as opened:  # as if it were two o'clock
        fires.record(opened, [Fire(each, now, id_of(each, now), RECORDED) for each in ("good", "bad")])
    with sentry() as told:
        settings = {"SENTRY_DSN": told.dsn, "CARRIER_ACTORS": "app", "PYTHONPATH": str(tmp_path)}
        scheduler, worker = (start("carrier", name, **settings) for name in ("scheduler", "worker"))
        wait_until(lambda: len(told.check_ins) == 4, "two check-ins and their ends")
        for each in (scheduler, worker):
            each.signal(signal.SIGTERM)
            assert each.wait() == 0, each.output()
    assert len(told.check_ins) == 4
    for name, status in (("good", "ok"), ("bad", "error")):
        of_it = [each for each in told.check_ins if each["monitor_slug"] == name]
        first, last = sorted(of_it, key=lambda each: str(each["status"]) != "in_progress")
        assert (first["status"], last["status"]) == ("in_progress", status)
        assert first["check_in_id"] == last["check_in_id"]
        assert first["monitor_config"]["schedule"]["value"] == "0 2 * * *"
        assert (last["duration"] is not None) == (status == "ok")
