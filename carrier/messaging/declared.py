"""What a broker has of what Carrier wants declared there, and of what stock Dramatiq has left, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Declared:
    """One queue, or the delay levels as a whole.

    Attributes:
        state: "at risk" is one that works and can lose messages; "differs" one that cannot be used; "left over" one of
            stock Dramatiq's that nobody here works on.
        found: what is there; None where there is nothing.
        todo: what a person does about it; empty where all is well.
    """

    name: str
    state: Literal["ok", "missing", "at risk", "differs", "left over"]
    wanted: str
    found: str | None
    todo: str = ""


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """What was in a queue of stock Dramatiq's.

    Attributes:
        moved: how many messages were carried over.
        to: where they are now.
        consumers: how many programs still take from it; what they hold was not to be seen.
    """

    queue: str
    moved: int
    to: str
    consumers: int
