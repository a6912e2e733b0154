"""What a broker has of what Carrier wants declared there, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Declared:
    """One queue, or the delay levels as a whole.

    Attributes:
        state: "at risk" is one that works and can lose messages; "differs" one that cannot be used.
        found: what is there; None where there is nothing.
        todo: what a person does about it; empty where all is well.
    """

    name: str
    state: Literal["ok", "missing", "at risk", "differs"]
    wanted: str
    found: str | None
    todo: str = ""
