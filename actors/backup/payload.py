"""The payload of a backup message."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from actors.payload import Line, Payload


def _path(value: str) -> str:
    if ".." in PurePosixPath(value).parts:
        raise ValueError('must not hold ".."')
    return value


class Backup(Payload):
    """A backup of one configured database."""

    #: The name of a ``[databases.NAME]`` table, or ``default`` for Carrier's own store.
    database: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")
    #: A folder under BACKUP_ROOT; a leading slash is BACKUP_ROOT too.
    path: Annotated[Line, Field(max_length=1000), AfterValidator(_path)] | None = None
    compress: bool = True
