"""Sending from the command line, and the four lines of the README."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.programs import Run, Start
from tests.waiting import wait_until

FOUR_LINES = """
from actors import send_email, send_backup, send_cleanup, send_notification

send_email.send("user@example.com", "Subject", "Body", "<html>Body</html>")
send_backup.send("my_database", "/backups/", True)
send_cleanup.send("logs", 30)
send_notification.send("user123", "email", "Title", "Message", None)
"""


def stored(folder: Path) -> list[tuple[str, Any]]:
    with closing(sqlite3.connect(folder / "var" / "queue.db")) as database:
        found = database.execute("SELECT queue, body FROM messages ORDER BY seq").fetchall()
    return [(queue, json.loads(body)) for queue, body in found]


def test_the_four_lines_word_for_word(run: Run, tmp_path: Path) -> None:
    (tmp_path / "four.py").write_text(FOUR_LINES)
    done = run(Path(sys.executable).name, "four.py")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert [(queue, body["payload"]) for queue, body in stored(tmp_path)] == [
        (
            "email_queue",
            {"to": "user@example.com", "subject": "Subject", "body": "Body", "html": "<html>Body</html>"},
        ),
        ("backup_queue", {"database": "my_database", "path": "/backups/", "compress": True}),
        ("cleanup_queue", {"type": "logs", "days": 30}),
        (
            "notification_queue",
            {"user_id": "user123", "type": "email", "title": "Title", "message": "Message", "data": None},
        ),
    ]


def test_dramatiq_actors_works_on_them(run: Run, start: Start, tmp_path: Path) -> None:
    (tmp_path / "four.py").write_text(FOUR_LINES)
    run(Path(sys.executable).name, "four.py")
    worker = start(
        "dramatiq", "actors", "--processes", "1", "--threads", "2", "--queues", "email_queue", "backup_queue"
    )
    wait_until(lambda: list((tmp_path / "var").glob("outbox/*.eml")), "the e-mail is written")
    wait_until(lambda: any(queue == "failed_queue" for queue, _ in stored(tmp_path)), "the backup has failed")
    queues = sorted(queue for queue, _ in stored(tmp_path))
    assert queues == ["cleanup_queue", "failed_queue", "notification_queue"], worker.output()
    (failed,) = [body for queue, body in stored(tmp_path) if queue == "failed_queue"]
    assert "add [databases.my_database]" in failed["meta"]["failure"]["message"]


def test_options_become_the_envelope(run: Run, tmp_path: Path) -> None:
    words = ("--delay", "10m", "--priority", "9", "--max-attempts", "3", "--json")
    done = run("carrier", "send", "email", "a@example.com", "Subject", "Body", *words)
    assert done.returncode == 0, done.stderr
    ((queue, body),) = stored(tmp_path)
    assert json.loads(done.stdout) == [{"id": body["id"], "type": "email", "queue": queue}]
    assert (body["delay"], body["priority"], body["max_attempts"]) == (600, 9, 3)


def test_envelopes_from_a_file_are_all_checked_before_one_is_sent(run: Run, tmp_path: Path) -> None:
    good = {
        "id": "my-id",
        "type": "cleanup",
        "payload": {"type": "logs", "days": 1},
        "max_attempts": 2,
        "delay": 0,
        "priority": 4,
        "created_at": "2026-11-23T10:00:00Z",
    }
    bad = {**good, "payload": {"type": "logs", "days": -1}}
    done = run("carrier", "send", "--envelope", "-", stdin=f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    assert done.returncode == 1
    assert "days" in done.stderr
    assert not (tmp_path / "var" / "queue.db").exists()
    done = run("carrier", "send", "--envelope", "-", stdin=f"{json.dumps(good)}\n\n")
    assert done.returncode == 0, done.stderr
    ((queue, body),) = stored(tmp_path)
    assert (queue, body["id"], body["max_attempts"], body["priority"]) == ("cleanup_queue", "my-id", 2, 4)


@pytest.mark.parametrize(
    ("words", "environment", "status", "text"),
    [
        (["email", "no address", "s", "b"], {}, 1, "to: "),
        (["email", "a@example.com", "s"], {}, 1, "carrier: give body or html"),
        (["email", "a@example.com"], {}, 2, "SUBJECT"),
        (["backup", "postgres://u:hunter2@h/d"], {}, 1, "database: "),
        (["email", "a@example.com", "s", "b", "--priority", "10"], {}, 2, "--priority"),
        (["email", "a@example.com", "s", "b", "--max-attempts", "0"], {}, 2, "--max-attempts"),
        (["email", "a@example.com", "s", "b", "--delay", "soon"], {}, 2, "30s"),
        (["--envelope", "-"], {}, 0, ""),
        ([], {}, 2, "--envelope"),
        (["email", "a@example.com", "s", "b"], {"RABBITMQ_URL": "http://h"}, 2, "RABBITMQ_URL: each URL must start"),
        (["email", "a@example.com", "s", "b"], {"PUBLISH_TIMEOUT": "ten"}, 2, "PUBLISH_TIMEOUT: "),
        (["email", "a@example.com", "s", "b"], {"PUBLISH_TIMEOUT": "0"}, 2, "PUBLISH_TIMEOUT: "),
        (["email", "a@example.com", "s", "b"], {"CARRIER_CONFIG": "/no/such.toml"}, 2, "/no/such.toml does not exist"),
        (["email", "a@example.com", "s", "b"], {"CARRIER_HOME": "/proc/no"}, 1, "CARRIER_HOME"),
        (
            ["email", "a@example.com", "s", "b"],
            {"RABBITMQ_URL": "amqp://u:hunter2@127.0.0.1:9", "PUBLISH_TIMEOUT": "0.3"},
            1,
            "connection refused",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    run: Run, words: list[str], environment: dict[str, str], status: int, text: str
) -> None:
    done = run("carrier", "send", *words, **environment)
    assert done.returncode == status, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
