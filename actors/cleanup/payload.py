"""The payload of a cleanup message."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from actors.payload import Payload


class Cleanup(Payload):
    """A cleanup by one configured policy."""

    #: The name of a ``[cleanup.NAME]`` table.
    type: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")
    #: Files that were changed in the last ``days`` days are kept. A fraction is allowed; 0 is not: it would mean all.
    days: int | Annotated[float, Field(allow_inf_nan=False)] = Field(gt=0, le=36_525)
    dry_run: bool = False
