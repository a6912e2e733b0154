"""The payload of a backup message."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from actors.payload import Line, Payload

#: Of a folder's name; nothing that could be an option, an address or a list of settings to somebody.
_FOLDER = re.compile(r"[\w.][\w.@+ -]{0,99}")


def _path(value: str) -> str:
    parts = PurePosixPath(value).parts
    if ".." in parts:
        raise ValueError('must not hold ".."')
    if not all(part == "/" or _FOLDER.fullmatch(part) for part in parts) or "//" in value:
        raise ValueError("must be a folder under BACKUP_ROOT, of letters, digits, spaces and . _ @ + - between slashes")
    return value


class Backup(Payload):
    """A backup of one configured database."""

    # Somebody will give a connection string: no error repeats it.
    model_config = ConfigDict(hide_input_in_errors=True)

    #: The name of a ``[databases.NAME]`` table, or ``default`` for Carrier's own store.
    database: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")
    #: A folder under BACKUP_ROOT; a leading slash is BACKUP_ROOT too.
    path: Annotated[Line, Field(max_length=1000), AfterValidator(_path)] | None = None
    compress: bool = True
