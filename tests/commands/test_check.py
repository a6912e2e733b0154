"""``carrier check`` finds what would go wrong later."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import Run


def test_settings_that_are_right(run: Run) -> None:
    done = run("carrier", "check", LOG_LEVEL="debug")
    assert (done.returncode, done.stderr) == (0, "")
    assert "embedded" in done.stdout


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"SMTP_URL": "smtp://"}, "SMTP_URL: must be as smtp://"),
        ({"SMTP_URL": "smtp://u:hunter2@h:abc"}, "SMTP_URL: must be as smtp://"),
        ({"EMAIL_FROM": "bad"}, "EMAIL_FROM: must be one e-mail address"),
        ({"RABBITMQ_MANAGEMENT_URL": "http://h:abc"}, "RABBITMQ_MANAGEMENT_URL: must be as http://"),
        ({"RABBITMQ_URL": ","}, "RABBITMQ_URL: there is no URL in it"),
        ({"CLOUDAMQP_URL": " "}, "CLOUDAMQP_URL: there is no URL in it"),
        ({"BACKUP_ROOT": "/etc/passwd"}, "BACKUP_ROOT: /etc/passwd is not a folder"),
        ({"CARRIER_HOME": "/etc/passwd"}, "CARRIER_HOME: /etc/passwd is not a folder"),
        ({"CARRIER_ACTORS": ".x"}, "CARRIER_ACTORS: must be a module's name"),
        ({"SENTRY_DSN": "hunter2"}, "SENTRY_DSN: must be as https://"),
    ],
)
def test_what_is_wrong_in_the_environment(run: Run, environment: dict[str, str], text: str) -> None:
    done = run("carrier", "check", **environment)
    assert done.returncode == 2
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr


def test_every_wrong_table_is_named_at_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "carrier.toml").write_text(
        '[schedule.a]\nmessage = {type = "nosuch"}\nevery = "1d"\nenabled = false\n'
        '[recipients.b]\nemail = "none"\n'
        '[cleanup.c]\nroots = ["/"]\n'
    )
    done = run("carrier", "check")
    assert done.returncode == 2
    places = [line.split(": ")[2] for line in done.stderr.splitlines()]
    assert places == ["schedule.a", "recipients.b.email", "cleanup.c"]
