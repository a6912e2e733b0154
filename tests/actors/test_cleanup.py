"""Old files go, and nothing else does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from actors.cleanup.handler import clean_up
from actors.cleanup.payload import Cleanup
from carrier.messaging.errors import PermanentError
from settings import Settings

Make = Callable[..., Settings]
DAY = 86_400
TOML = '[cleanup.logs]\nroots = ["logs"]\npatterns = ["*.log*"]\nstamp = "modified"\n'


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def old(path: Path, days: float = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("old")
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def test_old_ones_that_match_go_and_the_others_stay(settings: Make, logs: Path) -> None:
    gone = [old(logs / "a.log"), old(logs / "deep" / "b.log.1"), old(logs / "just.log", 30.001)]
    gone.append(old(logs / os.fsdecode(b"\xff\xfe-\n.log")))
    kept = [old(logs / "c.txt"), old(logs / "young.log", 29.99), old(logs / "future.log", -5)]
    tally = clean_up(Cleanup(type="logs", days=30), settings(TOML))
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in kept)
    assert (tally.deleted, tally.bytes, tally.kept, tally.failures) == (4, 12, 3, [])
    assert (logs / "deep").is_dir()


def test_a_dry_run_deletes_nothing_and_counts_the_same(settings: Make, logs: Path) -> None:
    path = old(logs / "a.log")
    assert clean_up(Cleanup(type="logs", days=30, dry_run=True), settings(TOML)).deleted == 1
    assert path.exists()


def test_by_default_a_file_that_was_unpacked_now_is_young(settings: Make, logs: Path) -> None:
    path = old(logs / "from-an-archive.log")
    assert clean_up(Cleanup(type="logs", days=30), settings(TOML.replace('stamp = "modified"', ""))).deleted == 0
    assert path.exists()


def test_links_lead_nowhere(settings: Make, logs: Path, tmp_path: Path) -> None:
    outside = old(tmp_path / "outside" / "precious.log")
    (logs / "link").symlink_to(outside.parent)
    (logs / "link.log").symlink_to(outside)
    assert clean_up(Cleanup(type="logs", days=1), settings(TOML)).deleted == 0
    assert outside.exists()


@pytest.mark.parametrize("root", ["/", "/etc", "/usr/lib", "~", "home", "."])
def test_roots_that_must_not_be_cleaned_are_refused(settings: Make, root: str, tmp_path: Path) -> None:
    path = Path.home() if root == "~" else root
    with pytest.raises(PermanentError, match="roots"):
        clean_up(Cleanup(type="x", days=1), settings(f'[cleanup.x]\nroots = ["{path}"]\n'))


def test_an_unknown_policy_says_what_to_add(settings: Make) -> None:
    with pytest.raises(PermanentError, match=r"add \[cleanup.nosuch\]"):
        clean_up(Cleanup(type="nosuch", days=1), settings())


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf"), "30d", "", 1e9, None])
def test_a_bad_age_never_means_everything(days: object) -> None:
    with pytest.raises(ValidationError):
        Cleanup.model_validate({"type": "logs", "days": days})


def test_a_home_behind_a_link_is_a_home_too(settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = old(tmp_path / "real" / "queue.db")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("CARRIER_HOME", str(tmp_path / "link"))
    with pytest.raises(PermanentError, match="CARRIER_HOME"):
        clean_up(Cleanup(type="logs", days=30), settings(TOML.replace('"logs"]', '"real"]')))
    assert queue.exists()
