"""What is known of a stored backup; it lies beside it, and there is no other list of backups."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

logger = logging.getLogger(__name__)

SUFFIX = ".json"


class Manifest(BaseModel):
    """A stored backup.

    Attributes:
        id: the beginning of the names of both files.
        file: the name of the backup, in the folder of the manifest.
        database: the name that a message gives.
        server, tool: who gave and who made it, with their versions.
        seconds: how long it took.
        bytes: of the dump, before it was compressed and encrypted.
        stored_bytes, sha256: of the file.
        recipients: who can decrypt it (age); empty when it is not encrypted.
        warnings: what the tool had to say.
        verified_at: when all of it was last read and found whole; ``damage`` is what was found otherwise.
    """

    model_config = ConfigDict(frozen=True)

    carrier_backup: int = 1
    id: str
    file: str
    database: str
    engine: str
    server: str
    tool: str
    message_id: str
    created_at: AwareDatetime
    seconds: float
    bytes: int
    stored_bytes: int
    sha256: str
    compressed: bool
    recipients: list[str] = []
    warnings: str = ""
    verified_at: AwareDatetime | None = None
    damage: str = ""


def read(path: Path) -> Manifest | None:
    """The manifest in a file, or None where it is none."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = "it cannot be read as one" if isinstance(error, ValidationError) else error.strerror
        logger.warning("%s is no manifest of a backup: %s", path, reason)
        return None


def manifests(folder: Path, pattern: str = "**/*") -> Iterator[tuple[Path, Manifest]]:
    """The manifests under a folder, and where they lie; the oldest first."""
    found = [(path, made) for path in folder.glob(f"{pattern}{SUFFIX}") if (made := read(path)) is not None]
    yield from sorted(found, key=lambda each: (each[1].created_at, each[1].id))
