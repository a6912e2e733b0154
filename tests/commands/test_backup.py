"""``carrier backup`` and what ``carrier status`` says of one that is under way."""

from __future__ import annotations

import json
from pathlib import Path

from carrier.store import locks
from settings import get_settings
from tests.programs import Run, Start
from tests.waiting import wait_until


def test_from_sending_to_verifying(run: Run, start: Start, tmp_path: Path) -> None:
    assert "There are no backups under" in run("carrier", "backup", "list").stdout
    sent = run("carrier", "send", "backup", "default", "--path", "nightly")
    assert sent.returncode == 0, sent.stderr
    start("dramatiq", "actors", "-p", "1", "-t", "1")
    wait_until(lambda: list((tmp_path / "var/backups/nightly").glob("*.json")), "it is made")
    (one,) = json.loads(run("carrier", "backup", "list", "--json").stdout)
    assert (one["database"], one["engine"], one["verified_at"]) == ("default", "sqlite", None)
    assert Path(one["path"]).stat().st_size == one["stored_bytes"]
    verified = run("carrier", "backup", "verify", one["id"])
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith(f"{one['id']} is whole: ")
    shown = run("carrier", "backup", "list", "--database", "default").stdout.splitlines()
    assert shown[0].split() == ["id", "made", "engine", "took", "size", "stored", "encrypted", "verified"]
    assert shown[1].startswith(one["id"])
    assert not shown[1].endswith("-")
    assert len(run("carrier", "backup", "list", "--database", "other").stdout.splitlines()) == 1
    path = Path(one["path"])
    path.write_bytes(path.read_bytes()[:-1])
    damaged = run("carrier", "backup", "verify", one["id"])
    assert damaged.returncode == 1
    assert f"carrier: {one['id']}: it has {one['stored_bytes'] - 1:,} bytes" in damaged.stderr
    missing = run("carrier", "backup", "verify", "../x\x1b[2J")
    assert missing.returncode == 1
    assert "there is no backup '../x\\x1b[2J'" in missing.stderr


def test_status_shows_one_that_is_under_way(run: Run) -> None:
    home = str(get_settings().home)
    detail = {"database": "app", "bytes": 1_200_000_000, "stored_bytes": 300_000, "seconds": 40.0}
    with locks.hold("backup app", "host:1", lambda: detail):
        shown = run("carrier", "status", CARRIER_HOME=home)
        as_json = json.loads(run("carrier", "status", "--json", CARRIER_HOME=home).stdout)
    assert "backup app by host:1: 1.2 GB read, 300.0 kB stored, 40 s, 30.0 MB/s\n" in shown.stdout
    assert [(each["name"], each["worker"], each["bytes"]) for each in as_json["work"]] == [
        ("backup app", "host:1", 1_200_000_000)
    ]
    assert json.loads(run("carrier", "status", "--json", CARRIER_HOME=home).stdout)["work"] == []
