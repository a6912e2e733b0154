"""Backups by messages: workers that end in the middle, two at once, and what becomes of what cannot be done."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from dramatiq import Message
from sqlalchemy import update

import carrier
from actors.backup.actor import send_backup
from actors.backup.payload import Backup
from carrier.messaging.broker import Broker
from carrier.monitor import failed, history
from carrier.monitor.trace import Life, trace
from carrier.store.database import session
from carrier.store.models import LockEntry
from settings import get_settings
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.programs import Start
from tests.waiting import wait_until

#: A program that says when it begins and ends once it may; what it writes is a whole dump.
_SLOW = """#!/bin/bash
[ "$1" = --version ] && echo "mysqldump 1" && exit
trap "" TERM; echo begun >>"$HOME/begun"; echo "-- a dump"
while [ ! -e "$HOME/go" ]; do sleep 0.05; done
echo "-- Dump completed"
"""


@pytest.fixture
def slow(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A database whose backup takes for as long as there is no file ``go``; how often one was begun."""
    program = tmp_path / "tools" / "mysqldump"
    program.parent.mkdir()
    program.write_text(_SLOW)
    program.chmod(0o755)
    config = tmp_path / "slow.toml"
    config.write_text(f"[databases.slow]\nurl = 'mariadb://u:geheim@h/x'\ntools = '{program.parent}'\n")
    environment["CARRIER_CONFIG"] = str(config)
    monkeypatch.setenv("CARRIER_CONFIG", str(config))
    get_settings.cache_clear()
    begun = tmp_path / "begun"
    return lambda: len(begun.read_text().splitlines()) if begun.exists() else 0


def running(what: str) -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
    return [line for line in found if what in line]


def test_workers_end_in_the_middle_and_two_come_at_once(
    backend: Backend, broker: Broker, start: Start, slow: Callable[[], int], tmp_path: Path
) -> None:
    tools, folder = str(tmp_path / "tools"), get_settings().backups
    broker.declare_queue("backup_queue")
    history.watch(broker, 10_000)

    def send() -> str:
        id_: str = broker.enqueue(Message("backup_queue", "backup", (), {"database": "slow"}, {})).message_id
        return id_

    killed = send()

    def worker() -> Any:
        return start("dramatiq", "actors", "-p", "1", "-t", "2", **backend.environment, SHUTDOWN_GRACE="1")

    first = worker()
    wait_until(lambda: slow() == 1, "it has begun")
    first.signal(signal.SIGTERM)
    first.wait(30)
    assert running(tools) == []
    assert list(folder.iterdir()) == []
    second = worker()
    wait_until(lambda: slow() == 2, "it has begun again")
    second.kill()
    wait_until(lambda: not running(tools), "its program has ended with it")
    assert [path.suffix for path in folder.iterdir()] == [".partial"]
    ids = [send(), send()]
    with session() as opened:  # the dead one's; nobody waits half a minute for that here
        opened.execute(update(LockEntry).values(until=0))
    third = worker()

    def state(id_: str) -> Life:
        return trace(broker, id_) or Life(id_)

    def events() -> list[str]:
        return [event["what"] for id_ in ids for event in state(id_).events]

    wait_until(lambda: slow() == 3 and "deferred" in events(), "one is made, the other waits")
    (tmp_path / "go").touch()
    wait_until(lambda: [state(id_).state for id_ in ids] == ["done", "done"], "both are done", timeout=60)
    assert slow() == 4
    made = [json.loads(path.read_bytes()) for path in folder.glob("*.json")]
    assert sorted(each["message_id"] for each in made) == sorted(ids)
    assert len(list(folder.iterdir())) == 4
    assert {state(id_).events[-1]["attempt"] for id_ in ids} == {1}, "who waits is charged nothing"
    assert state(killed).events[-1]["what"] == "retrying", "in five minutes"
    assert "Traceback" not in third.output()
    assert not any("geheim" in path.read_text() for path in tmp_path.glob("dramatiq-*.log"))


def test_what_may_heal_is_tried_again_after_five_minutes_and_what_cannot_fails_at_once(
    backend: Backend, broker: Broker, working: Working, slow: Callable[[], int], tmp_path: Path
) -> None:
    history.watch(broker, 10_000)
    carrier.actor("backup", queue="backup_queue", payload=Backup, broker=broker)(send_backup.fn)
    script = tmp_path / "tools" / "mysqldump"
    script.write_text("#!/bin/bash\necho 'the server is away' >&2; exit 1\n")
    heals = Message("backup_queue", "backup", (), {"database": "slow"}, {})
    unknown = Message("backup_queue", "backup", (), {"database": "unknown"}, {})
    for message in (heals, unknown):
        broker.enqueue(message)
    url = {"id": "bad", "type": "backup", "payload": {"database": "postgresql://u:geheim@h/x"}, "max_attempts": 1,
           "delay": 0, "priority": 0, "created_at": "2026-11-23T10:00"}  # fmt: skip
    backend.put("backup_queue", json.dumps(url).encode())
    with working():
        wait_until(lambda: len(backend.failures()) == 2, "two have failed")
        wait_until(lambda: "retrying" in str(trace(broker, heals.message_id)), "one is tried again")
    life = trace(broker, heals.message_id)
    assert life is not None
    (retrying,) = [event for event in life.events if event["what"] == "retrying"]
    assert "the server is away" in retrying["message"]
    wait = datetime.fromisoformat(retrying["next_at"]) - datetime.fromisoformat(retrying["at"])
    assert 299 < wait.total_seconds() < 1_000
    found = {each.id: each for each in failed.find(broker).messages}
    assert "add [databases.unknown]" in found[unknown.message_id].message
    assert "database" in found["bad"].message
    assert "geheim" not in str([each.details() for each in found.values()])
    assert "geheim" not in str([each["message"] for each in backend.failures()])
