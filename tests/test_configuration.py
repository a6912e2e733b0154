"""What is added to carrier.toml is known to the next message; what is wrong in it takes nothing away."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from carrier.configuration import current_settings
from settings import get_settings


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of this process, with nobody in it."""
    path = tmp_path / "carrier.toml"
    path.write_text("")
    monkeypatch.setenv("CARRIER_CONFIG", str(path))
    get_settings.cache_clear()
    return path


def write(path: Path, text: str, age: float = 10) -> None:
    path.write_text(text)
    then = time.time() - age
    os.utime(path, (then, then))


def known() -> dict[str, str]:
    return {name: each.email for name, each in current_settings().config.recipients.items()}


def test_what_is_added_is_known(config: Path) -> None:
    assert known() == {}
    write(config, '[recipients.a]\nemail = "a@example.com"')
    assert known() == {"a": "a@example.com"}
    write(config, '[recipients.bb]\nemail = "b@example.com"')
    assert known() == {"bb": "b@example.com"}
    assert current_settings() is current_settings(), "it is read once"


def test_what_is_wrong_takes_nothing_away(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(config, '[recipients.a]\nemail = "a@example.com"')
    assert known() == {"a": "a@example.com"}
    write(config, "[recipients.a")
    with caplog.at_level(logging.ERROR):
        assert [known() for _ in range(3)] == [{"a": "a@example.com"}] * 3
    assert len(caplog.records) == 1, "it is said once"
    assert "carrier.toml: not valid TOML" in caplog.text
    config.unlink()
    assert known() == {"a": "a@example.com"}


def test_a_file_that_is_being_written_is_waited_for(config: Path) -> None:
    write(config, '[recipients.a]\nemail = "a@example.com"')
    assert known() == {"a": "a@example.com"}
    write(config, "", age=0.2)
    assert known() == {"a": "a@example.com"}
    write(config, "", age=2)
    assert known() == {}
