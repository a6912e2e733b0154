"""What has become of a stored backup is found, whatever it is; and what cannot be looked at is said."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pyrage
import pytest

from actors.backup.payload import Backup
from actors.backup.run import back_up
from actors.backup.trouble import Damaged
from actors.backup.verify import Stored, backups, find, verify
from carrier.messaging.errors import PermanentError
from settings import Settings
from tests.actors.backup.engines import Database

Make = Callable[..., Settings]
IDENTITY = pyrage.x25519.Identity.generate()
FORMS = ("plain", "compressed", "encrypted", "compressed and encrypted")


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped byte": flipped,
    "a missing last byte": lambda data: data[:-1],
    "twenty more bytes": lambda data: data + b"x" * 20,
    "half of it": lambda data: data[: len(data) // 2],
    "nothing": lambda data: b"",
}


def make(settings: Make, database: Database, form: str) -> tuple[Settings, Stored]:
    recipients = [str(IDENTITY.to_public())] if "encrypted" in form else []
    made = settings(f"[databases.app]\nurl = '{database.url}'\nrecipients = {recipients}\n")
    back_up(Backup(database="app", compress="compressed" in form), "id", made)
    (one,) = backups(made)
    return made, one


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{IDENTITY}\n")
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_change_is_found(settings: Make, database: Database, form: str, keys: Path) -> None:
    made, one = make(settings, database, form)
    data = one.path.read_bytes()
    for change in CHANGES.values():
        one.path.write_bytes(change(data))
        with pytest.raises(Damaged, match=r"bytes; .* were stored|SHA-256"):
            verify(one, made, keys, lambda _: None)
        assert find(one.manifest.id, made).state == "damaged"
    one.path.unlink()
    assert find(one.manifest.id, made).state == "missing"
    with pytest.raises(Damaged, match="is gone"):
        verify(one, made, keys, lambda _: None)
    one.path.write_bytes(data)
    assert (
        verify(one, made, keys, lambda _: None).manifest.verified_at == find(one.manifest.id, made).manifest.verified_at
    )
    assert len(list(one.folder.iterdir())) == 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", ["a missing last byte", "twenty more bytes", "half of it", "nothing"])
def test_a_backup_that_was_never_whole_is_found_inside(
    settings: Make, database: Database, form: str, what: str, keys: Path
) -> None:
    made, one = make(settings, database, form)
    data = CHANGES[what](one.path.read_bytes())
    one.path.write_bytes(data)
    lying = one.manifest.model_copy(update={"stored_bytes": len(data), "sha256": sha256(data).hexdigest()})
    with pytest.raises(Damaged) as caught:
        verify(Stored(one.folder, lying), made, keys, lambda _: None)
    assert "\n" not in str(caught.value)


def test_progress_is_told_of_both_passes(settings: Make, database: Database) -> None:
    made, one = make(settings, database, "compressed")
    seen: list[int] = []
    verify(one, made, None, seen.append)
    assert sum(seen) == 2 * one.manifest.stored_bytes


def test_the_folder_of_all_backups_may_be_a_link(settings: Make, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    made = settings(BACKUP_ROOT=str(tmp_path / "link"))
    back_up(Backup(database="default", path="a"), "id", made)
    (one,) = backups(made)
    assert verify(one, made, None, lambda _: None).folder == tmp_path / "real" / "a"


def test_what_is_needed_is_said(settings: Make, database: Database, tmp_path: Path) -> None:
    made, one = make(settings, database, "encrypted")
    with pytest.raises(PermanentError, match="its bytes are right, but it is encrypted: give --identity FILE"):
        verify(one, made, None, lambda _: None)
    other = tmp_path / "other"
    other.write_text(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(PermanentError, match="none of these identities is of its recipients"):
        verify(one, made, other, lambda _: None)
    assert find(one.manifest.id, made).state == "stored"
    for content in ("nonsense AGE-SECRET", "\xff"):
        other.write_text(content)
        with pytest.raises(PermanentError, match="holds no identity") as caught:
            verify(one, made, other, lambda _: None)
        assert "nonsense" not in str(caught.value)
    with pytest.raises(PermanentError, match="there is no backup 'none'"):
        find("none", made)
