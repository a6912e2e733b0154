"""The newcomer's first minute."""

from __future__ import annotations

from pathlib import Path

from tests.contract.backend import Rabbitmq
from tests.programs import Run
from tests.servers.rabbitmq import RabbitmqServer


def test_all_four_effects_are_there_and_nothing_else_is_printed(run: Run, tmp_path: Path) -> None:
    done = run("carrier", "demo")
    assert done.stderr == ""
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert lines[6] == "Sent at their times, once `carrier scheduler` runs:"
    assert lines[7].startswith("  nightly-backup  backup, 0 2 * * * UTC, next 20")
    assert {line.split()[0] for line in lines[1:5]} == {"email", "backup", "cleanup", "notification"}
    assert len(list((tmp_path / "var" / "outbox").glob("*.eml"))) == 1
    assert len(list((tmp_path / "var" / "backups" / "demo").glob("*.sqlite3.zst"))) == 1
    assert [path.name for path in (tmp_path / "var" / "demo").iterdir()] == ["young.log"]


def test_a_fifth_message_is_left_to_be_mended(run: Run, tmp_path: Path) -> None:
    done = run("carrier", "demo", "--fail-one")
    assert (done.stderr, done.returncode) == ("", 0)
    said = done.stdout.splitlines()
    place = said.index("A fifth has failed on purpose:")
    assert "add '[recipients.user123]'" in said[place + 1]
    assert "add '[recipients.user123]'" in run("carrier", "failed", "list").stdout
    (tmp_path / "carrier.toml").write_text('[recipients.user123]\nemail = "user@example.com"\n')
    assert "on purpose" not in run("carrier", "demo", "--fail-one").stdout, "it would not fail"


def test_it_runs_on_rabbitmq_too(run: Run, rabbitmq_node: RabbitmqServer, tmp_path: Path) -> None:
    backend = Rabbitmq(rabbitmq_node, tmp_path / "var")
    done = run("carrier", "demo", **backend.environment)
    rabbitmq_node.delete_vhost(backend.url)
    assert (done.stderr, done.returncode) == ("", 0)


def test_an_effect_that_does_not_come_is_a_failure(run: Run) -> None:
    done = run("carrier", "demo", "--timeout", "2", SMTP_URL="smtp://127.0.0.1:9")
    assert done.returncode == 1
    assert "no effect within 2 s: email" in done.stderr
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr
