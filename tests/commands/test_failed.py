"""``carrier failed``, ``carrier status`` and ``carrier schema``, as people and programs call them."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from carrier.messaging.embedded.broker import EmbeddedBroker
from carrier.messaging.envelope import from_fields
from carrier.messaging.errors import EnvelopeError, PermanentError
from carrier.messaging.failure import failure_of
from carrier.messaging.outgoing import outgoing
from tests.contract.backend import Backend, Embedded, Rabbitmq
from tests.programs import Run, Start
from tests.servers.rabbitmq import RabbitmqServer
from tests.waiting import wait_until

#: Text that would take over a terminal.
ESCAPE = "\x1b]0;owned\x07\x9b31m"


#: For a test on both; the others are about what a command says.
ON_BOTH = pytest.mark.parametrize("failures", ["embedded", "rabbitmq"], indirect=True)


LINES = [
    {"id": f"id-2{ESCAPE}" if n == 2 else f"id-{n}", "type": "backup", "payload": {"database": "shop"}}
    | {"max_attempts": 1, "delay": 0, "priority": 0, "created_at": "2026-11-23T10:00:00Z"}
    for n in range(3)
]


@pytest.fixture
def failures(
    request: pytest.FixtureRequest, run: Run, start: Start, environment: dict[str, str], tmp_path: Path
) -> Any:
    """Three backups of a database that nobody has configured have failed; the worker has ended."""
    if not hasattr(request, "param"):
        lying(tmp_path / "var")
        return
    backend: Backend = Embedded(tmp_path / "var")
    if request.param == "rabbitmq":
        node: RabbitmqServer = request.getfixturevalue("rabbitmq_node")
        backend = Rabbitmq(node, tmp_path / "var")
        request.addfinalizer(lambda url=backend.url: node.delete_vhost(url))  # noqa: PT021  (for one of two params)
    environment.update(backend.environment)
    done = run("carrier", "send", "--envelope", "-", stdin="\n".join(map(json.dumps, LINES)))
    assert done.returncode == 0, done.stderr
    worker = start("carrier", "worker")
    wait_until(lambda: backend.ready("backup_queue") == 0 and backend.ready("failed_queue") == 3, "all have failed")
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0, worker.output()


def lying(home: Path) -> None:
    """The same failures, for tests that are about what commands say."""
    broker = EmbeddedBroker(home)
    for line in LINES:
        envelope = from_fields(line)
        error = PermanentError("unknown database 'shop': add [databases.shop]")
        failure = failure_of(envelope, error, reason="permanent error", queue="backup_queue")
        failed = replace(envelope, meta={"attempt": 1, "failure": failure.fields()})
        broker.store([outgoing(failed, "failed_queue")])
    broker.close()


def listed(run: Run) -> list[dict[str, Any]]:
    done = run("carrier", "failed", "list", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@ON_BOTH
@pytest.mark.usefixtures("failures")
def test_a_failure_is_seen_mended_and_sent_back(run: Run, start: Start, tmp_path: Path) -> None:
    first = next(each for each in listed(run) if each["id"] == "id-0")
    assert set(first) == {"id", "type", "queue", "error", "message", "attempts", "failed_at", "fingerprint"}
    assert (first["id"], first["type"], first["queue"], first["attempts"]) == ("id-0", "backup", "backup_queue", 1)
    for_people = run("carrier", "failed", "list", "--limit", "2").stdout
    assert "add [databases.shop]" in for_people
    assert "These 2 have been there longest; 1 more: --limit 3 shows all" in for_people
    shown = run("carrier", "failed", "show", "id-0")
    assert (shown.returncode, shown.stderr) == (0, "")
    for text in ("permanent error", "attempt 1", "Traceback", '"database": "shop"'):
        assert text in shown.stdout
    (details,) = json.loads(run("carrier", "failed", "show", "id-0", "--json").stdout)
    assert details["envelope"]["payload"] == {"database": "shop"}
    assert details["failure"]["place"] == "actors.backup.run.configured"

    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE t (x)")
    (tmp_path / "carrier.toml").write_text('[databases.shop]\nurl = "sqlite:///shop.db"\n')
    done = run("carrier", "failed", "retry", "id-0", "--json")
    assert json.loads(done.stdout) == {"counted": 1, "done": 1, "skipped": 0}
    start("carrier", "worker")
    wait_until(lambda: list((tmp_path / "var").glob("backups/*.zst")), "the backup is there")
    assert len(listed(run)) == 2


@pytest.mark.usefixtures("failures")
def test_nothing_from_a_message_reaches_the_terminal_as_a_command(run: Run) -> None:
    for words in (["list"], ["show", f"id-2{ESCAPE}"]):
        done = run("carrier", "failed", *words)
        assert done.returncode == 0
        assert r"id-2\x1b]0;owned\x07\x9b31m" in done.stdout
        assert not {"\x1b", "\x07", "\x9b"} & set(done.stdout)


@pytest.mark.usefixtures("failures")
def test_what_is_asked_for_is_done_and_what_is_not_there_is_named(run: Run) -> None:
    done = run("carrier", "failed", "discard", "--all")
    assert done.returncode == 130, "nobody was there to say yes"
    assert "Throw away all failed messages (3)?" in done.stderr
    done = run("carrier", "failed", "discard", "--all", stdin="n\n")
    assert done.returncode == 130
    done = run("carrier", "failed", "discard", "id-0", "nosuch")
    assert (done.returncode, done.stdout) == (1, "1 of 1 thrown away.\n")
    assert done.stderr == "carrier: ids that are not in failed_queue: 1\n"
    assert len(listed(run)) == 2
    status = run("carrier", "status")
    assert (status.returncode, status.stderr) == (0, "")
    assert "! 2 failed: carrier failed list" in status.stdout
    done = run("carrier", "failed", "discard", "--all", stdin="y\n")
    assert (done.returncode, done.stdout) == (0, "2 of 2 thrown away.\n")
    assert run("carrier", "failed", "list").stdout == "Nothing has failed.\n"
    for words in (
        ["retry"],
        ["discard", "x", "--all"],
        ["retry", "--all", "--type", "email"],
        ["retry", "--since", "x"],
    ):
        assert run("carrier", "failed", *words).returncode == 2


@pytest.mark.usefixtures("failures")
def test_a_group_is_mended_without_a_question(run: Run, tmp_path: Path) -> None:
    (group,) = json.loads(run("carrier", "failed", "groups", "--json").stdout)
    assert set(group) == {"fingerprint", "type", "error", "message", "place", "count", "first_at", "last_at"}
    assert (group["type"], group["count"], group["message"]) == ("backup", 3, listed(run)[0]["message"])
    for_people = run("carrier", "failed", "groups").stdout
    assert for_people.splitlines()[1].startswith(f"{group['fingerprint']}      3  backup  ")
    assert for_people.endswith(f"carrier failed list|retry|discard --group {group['fingerprint']}\n")
    assert run("carrier", "failed", "list", "--type", "email").stdout == "Nothing of that has failed.\n"
    assert run("carrier", "failed", "groups", "--until", "1h").stdout == "Nothing of that has failed.\n"
    done = run("carrier", "failed", "discard", "--type", "email")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing in failed_queue is meant by that" in done.stderr
    done = run("carrier", "failed", "retry", "--group", group["fingerprint"])
    assert (done.returncode, done.stdout) == (0, "3 of 3 sent back.\n")
    assert done.stderr == "Send back failed messages (3).\n"
    assert listed(run) == []


@ON_BOTH
@pytest.mark.usefixtures("failures")
def test_a_message_is_edited(run: Run, start: Start, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE t (x)")
    (tmp_path / "carrier.toml").write_text('[databases.real]\nurl = "sqlite:///shop.db"\n')
    done = run("carrier", "failed", "edit", "id-0", "--set", "database=/etc/passwd")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("carrier: database: ")
    assert done.stderr.endswith("; nothing was sent\n")
    assert run("carrier", "failed", "edit", "id-0", "--set", "database").returncode == 2
    assert "no failed message" in run("carrier", "failed", "edit", "nosuch", "--set", "a=b").stderr
    done = run("carrier", "failed", "edit", "id-0", EDITOR="true")
    assert (done.returncode, done.stderr) == (1, "carrier: it was not changed; nothing was sent\n")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/shop/real/ "$1"\n')
    editor.chmod(0o755)
    sent = json.loads(run("carrier", "failed", "edit", "id-0", "--json", EDITOR=str(editor)).stdout)
    assert sent.items() >= {"type": "backup", "queue": "backup_queue", "original": "id-0"}.items()
    assert sent["id"] != "id-0"
    start("carrier", "worker")
    wait_until(lambda: list((tmp_path / "var").glob("backups/*.zst")), "the backup is there")
    assert {each["id"] for each in listed(run)} == {"id-1", f"id-2{ESCAPE}"}
    old = run("carrier", "trace", "id-0").stdout.splitlines()
    assert old[0] == "backup id-0: edited (backup_queue)"
    assert [line.partition("  ")[2].split(" ")[0] for line in old[1:]] == ["sent", "failed", "edited"]
    assert old[3].endswith(f": {sent['id']} goes in its place")
    new = ["carrier", "trace", sent["id"]]
    is_done = f"backup {sent['id']}: done (backup_queue)\n"
    wait_until(lambda: run(*new).stdout.startswith(is_done), "its end is known")
    assert ", in the place of id-0" in run(*new).stdout
    done = run("carrier", "trace", "nosuch")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("carrier: nothing is known of nosuch: ")


@pytest.mark.usefixtures("failures")
def test_failed_messages_are_moved_into_a_file_and_back(run: Run, tmp_path: Path) -> None:
    done = run("carrier", "failed", "archive", "--type", "backup", "--text", "id-0", "old.zst")
    assert (done.returncode, done.stdout) == (0, "1 of 1 moved into old.zst.\n"), done.stderr
    assert len(listed(run)) == 2
    done = run("carrier", "failed", "archive", "old.zst")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "carrier: old.zst exists, and nothing of that is in it and in failed_queue; name another file\n"
    )
    for put_back, there in ((1, ""), (0, "; 1 were there")):
        done = run("carrier", "failed", "restore", "old.zst")
        assert (done.returncode, done.stdout) == (0, f"{put_back} of 1 put back into failed_queue{there}.\n")
    done = run("carrier", "failed", "archive", "old.zst", "--json")
    assert json.loads(done.stdout) == {"counted": 1, "done": 1, "skipped": 0}
    assert done.stderr == "old.zst is there already; 1 of 1 are still in failed_queue.\n"
    exported = run("carrier", "failed", "export", "-")
    assert {json.loads(line)["id"] for line in exported.stdout.splitlines()} == {"id-1", f"id-2{ESCAPE}"}
    assert run("carrier", "failed", "export", "some.ndjson").stdout == "2 written.\n"
    assert (tmp_path / "some.ndjson").read_text() == exported.stdout
    for words in (["archive", "--type", "nosuch", "new"], ["restore", "nosuch"], ["restore", "some.ndjson"]):
        done = run("carrier", "failed", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1


def test_status_as_json_has_the_shape_that_programs_rely_on(run: Run) -> None:
    run("carrier", "send", "cleanup", "logs", "30", "--delay", "1h")
    found = json.loads(run("carrier", "status", "--json").stdout)
    assert set(found) == {"broker", "queues", "workers", "alarms", "work"}
    names = {"name", "ready", "unacked", "delayed", "consumers", "publish_rate", "ack_rate"}
    assert all(set(each) == names for each in found["queues"])
    assert {each["name"]: each["delayed"] for each in found["queues"]} == {
        "email_queue": 0,
        "backup_queue": 0,
        "cleanup_queue": 1,
        "notification_queue": 0,
        "failed_queue": 0,
    }


@pytest.mark.parametrize(
    ("words", "environment", "status", "text"),
    [
        (["status"], {"RABBITMQ_URL": "amqp://u:hunter2@127.0.0.1:9"}, 1, "connection refused"),
        (["status"], {"RABBITMQ_MANAGEMENT_URL": "ftp://u:hunter2@h"}, 2, "RABBITMQ_MANAGEMENT_URL: must be"),
        (["failed", "list"], {"RABBITMQ_URL": "amqp://u:hunter2@127.0.0.1:9"}, 1, "connection refused"),
        (["failed", "show", "nosuch"], {}, 1, "no failed message has the id nosuch"),
        (["failed", "list", "--limit", "0"], {}, 2, "--limit"),
        (["schema", "nosuch"], {}, 1, "backup, cleanup, email, notification"),
        (["status"], {"SENTRY_DSN": "hunter2"}, 2, "SENTRY_DSN: "),
        (["status"], {"CARRIER_ACTORS": "nosuch"}, 1, "CARRIER_ACTORS"),
    ],
)
def test_what_is_wrong_is_one_line(
    run: Run, words: list[str], environment: dict[str, str], status: int, text: str
) -> None:
    done = run("carrier", *words, **environment)
    assert done.returncode == status, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_a_management_api_that_does_not_answer_is_named(
    run: Run, rabbitmq_node: RabbitmqServer, tmp_path: Path
) -> None:
    backend = Rabbitmq(rabbitmq_node, tmp_path / "var")
    port = rabbitmq_node.management
    for url, text in (
        ("http://127.0.0.1:9", "connection refused"),
        (f"http://guest:hunter2@127.0.0.1:{port}", "user or password is wrong"),
    ):
        done = run("carrier", "status", RABBITMQ_MANAGEMENT_URL=url, **backend.environment)
        assert done.returncode == 1
        assert (
            f"RABBITMQ_MANAGEMENT_URL: http://127.0.0.1:{url.rpartition(':')[2]} cannot be used: {text}" in done.stderr
        )
        assert "hunter2" not in done.stderr
    run("carrier", "send", "cleanup", "logs", "30", **backend.environment)
    done = run("carrier", "status", RABBITMQ_MANAGEMENT_URL=f"http://127.0.0.1:{port}/", **backend.environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "done/s" in done.stdout
    assert "! cleanup_queue: 1 wait and nobody works on them" in done.stdout
    rabbitmq_node.delete_vhost(backend.url)


GOOD = {
    "id": "1",
    "type": "email",
    "payload": {},
    "max_attempts": 5,
    "delay": 0.5,
    "priority": 9,
    "created_at": "2026-11-23T10:00:00.000Z",
}


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"extra": 1, "meta": {}}, True),
        ({"max_attempts": 0}, False),
        ({"max_attempts": "5"}, False),
        ({"delay": -1}, False),
        ({"delay": 1e11}, False),
        ({"priority": 10}, False),
        ({"priority": 1.5}, False),
        ({"id": ""}, False),
        ({"type": None}, False),
        ({"payload": []}, False),
        ({"created_at": 5}, False),
        ({"meta": 5}, False),
    ],
)
def test_the_schema_of_the_envelope_says_what_the_worker_does(change: dict[str, Any], good: bool) -> None:
    from carrier.monitor.schema import ENVELOPE

    fields = {**GOOD, **change}
    assert jsonschema.Draft202012Validator(ENVELOPE).is_valid(fields) is good
    try:
        from_fields(fields)
    except EnvelopeError:
        assert not good
    else:
        assert good


def test_the_schemas_of_the_payloads(run: Run) -> None:
    found = json.loads(run("carrier", "schema").stdout)
    assert set(found["payloads"]) == {"email", "backup", "cleanup", "notification"}
    for schema in [found["envelope"], *found["payloads"].values()]:
        jsonschema.Draft202012Validator.check_schema(schema)
    email = jsonschema.Draft202012Validator(found["payloads"]["email"])
    assert email.is_valid({"to": "a@example.com", "subject": "s", "body": "b", "from": "b@example.com"})
    assert not email.is_valid({"to": "a@example.com", "subject": "s"})
    assert json.loads(run("carrier", "schema", "email").stdout) == found["payloads"]["email"]


def test_status_names_a_queue_that_nobody_knows(run: Run, tmp_path: Path) -> None:
    run("carrier", "send", "cleanup", "logs", "30", "--delay", "1h")
    with closing(sqlite3.connect(tmp_path / "var" / "queue.db")) as database, database:
        row = ("old_queue", 0, b"{}")
        database.execute("INSERT INTO messages (queue, priority, due, body) VALUES (?, ?, 0, ?)", row)
    assert "! old_queue: 1 wait and nobody works on them" in run("carrier", "status").stdout
