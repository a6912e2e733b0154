"""Failed messages go into a file and come back from it, byte for byte; whatever breaks, none is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import Envelope
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.walk import WINDOW
from carrier.monitor import failed
from carrier.monitor.failed import Filter, archive
from carrier.zstd import zstd
from tests.contract.backend import Backend
from tests.waiting import wait_until

MANY = WINDOW + 100


def some(number: int) -> list[Outgoing]:
    """Messages and bytes that are none, as they lie in failed_queue."""
    beside = json.dumps({"queue": "work_queue", "error": "E", "last_at": "2026-11-26T10:00:00Z", "fingerprint": "f"})
    bodies = [b"\xff\x00" + str(n).encode() if n % 2 else f'"ü" {n}'.encode() for n in range(number - 1)]
    envelope = Envelope("a", "work", {"password": "hunter2"}, 1, meta={"failure": {"error": "E"}})
    return [
        *(Outgoing(FAILED_QUEUE, "", "", body, failure=beside) for body in bodies),
        Outgoing(FAILED_QUEUE, "a", "work", envelope.encode()),
    ]


def test_what_is_archived_comes_back_as_it_was(broker: Broker, backend: Backend, tmp_path: Path) -> None:
    broker.store(some(MANY))
    bodies, failures = sorted(backend.bodies(FAILED_QUEUE)), backend.failures()
    file = tmp_path / "failed.zst"
    counted = archive.write(broker, Filter(), file)
    assert counted.number == MANY
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.glob("failed*")] == ["failed.zst"]
    assert failed.discard(broker, counted).done == MANY
    assert backend.ready(FAILED_QUEUE) == 0
    assert archive.restore(broker, file) == (MANY, MANY)
    assert sorted(backend.bodies(FAILED_QUEUE)) == bodies
    assert sorted(map(str, backend.failures())) == sorted(map(str, failures))
    assert archive.restore(broker, file) == (0, MANY), "what is there is not doubled"


def test_an_archive_is_readable_by_others_tools(broker: Broker, tmp_path: Path) -> None:
    broker.store(some(3))
    archive.write(broker, Filter(types={"work"}), tmp_path / "a")
    with (tmp_path / "a").open("rb") as file:
        lines = zstd.decompress(file.read()).splitlines()
    head, message, end = map(json.loads, lines)
    assert head["archive"] == "failed messages of Carrier"
    assert message.items() >= {"id": "a", "type": "work", "error": "E", "beside": None}.items()
    assert json.loads(message["body"])["payload"] == {"password": "hunter2"}
    assert end == {"messages": 1}


def test_a_file_is_whole_or_not_there(broker: Broker, tmp_path: Path) -> None:
    broker.store(some(20))
    file = tmp_path / "a.zst"
    with pytest.raises(archive.ArchiveError, match="nothing to archive"):
        archive.write(broker, Filter(types={"nosuch"}), file)
    with pytest.raises(archive.ArchiveError, match="cannot be written: No such file"):
        archive.write(broker, Filter(), tmp_path / "nosuch" / "a.zst")
    archive.write(broker, Filter(), file)
    with pytest.raises(archive.ArchiveError, match="it exists; name another file"):
        archive.write(broker, Filter(), file)
    assert sorted(each.name for each in tmp_path.glob("a*")) == ["a.zst"]
    whole = file.read_bytes()
    for damaged in (whole[:-9], whole[: len(whole) // 2], b"", b"{}", whole[:40] + b"\x00\x00" + whole[42:]):
        file.write_bytes(damaged)
        with pytest.raises(archive.ArchiveError, match=r"it is not whole|it is no archive, or damaged"):
            archive.restore(broker, file)
    file.write_bytes(zstd.compress(b'{"a": 1}\n'))
    with pytest.raises(archive.ArchiveError, match="no archive of failed messages"):
        archive.restore(broker, file)
    assert failed.find(broker).total == 20


def test_a_file_that_came_meanwhile_is_not_written_over(broker: Broker, tmp_path: Path) -> None:
    broker.store(some(2))
    with pytest.raises(archive.ArchiveError, match="it came to exist meanwhile"), archive.new_file(tmp_path / "a.zst"):
        archive.write(broker, Filter(), tmp_path / "a.zst")
    assert archive.contents(tmp_path / "a.zst").number == 2
    assert [each.name for each in tmp_path.glob("a*")] == ["a.zst"]


def test_what_a_killed_writer_has_left_is_swept_and_not_written_to(broker: Broker, tmp_path: Path) -> None:
    broker.store(some(2))
    first, left, young = tmp_path / "old", tmp_path / "a.zst.01234567.partial", tmp_path / "a.zst.89abcdef.partial"
    archive.write(broker, Filter(), first)
    os.link(first, left)  # killed between its name and the end
    os.utime(left, (1, 1))
    young.touch()
    archive.write(broker, Filter(), tmp_path / "a.zst")
    assert sorted(each.name for each in tmp_path.glob("a*")) == ["a.zst", young.name]
    assert archive.contents(first).number == 2


def test_an_export_is_masked(broker: Broker, backend: Backend, tmp_path: Path) -> None:
    broker.store(some(3))
    with (tmp_path / "a").open("wb") as file:
        assert archive.export(broker, Filter(), file) == 3
    text = (tmp_path / "a").read_text()
    assert "hunter2" not in text
    assert {json.loads(line)["id"][:4] for line in text.splitlines()} == {"a", "raw-"}
    wait_until(lambda: backend.ready(FAILED_QUEUE) == 3, "they stay")
