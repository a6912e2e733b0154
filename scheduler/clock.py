"""The time of the day, which may be set forward and back, and the time that only passes."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The machine's clocks; tests have one that they can set."""

    def now(self) -> datetime:
        """The time of the day in UTC."""
        return datetime.now(UTC)

    def passed(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()
