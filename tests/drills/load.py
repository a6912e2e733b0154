"""What one sending process sends."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Load:
    """Messages numbered from ``first`` on.

    Attributes:
        actor: of application.py.
        pace: messages a second at most; 0: as fast as it goes.
        seconds: a handler's time, between these two.
        delay: ms, between these two.
        size: bytes that are added to each message.
        batch: messages that are sent together.
    """

    count: int
    first: int = 0
    actor: str = "work"
    pace: float = 0
    seconds: tuple[float, float] = (0, 0)
    delay: tuple[int, int] | None = None
    size: int = 0
    batch: int = 1

    def text(self) -> str:
        """For the command line of the sending process."""
        return json.dumps(asdict(self))
