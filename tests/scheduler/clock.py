"""A clock that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scheduler.clock import Clock


class SetClock(Clock):
    """Stands still until time passes; begins at 10:00:00.5."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 26, 10, 0, 0, 500_000, tzinfo=UTC)
        self._passed = 1000.0

    def now(self) -> datetime:
        return self._now

    def passed(self) -> float:
        return self._passed

    def pass_by(self, seconds: float) -> None:
        """Time passes."""
        self._now += timedelta(seconds=seconds)
        self._passed += seconds

    def set_by(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self._now += timedelta(seconds=seconds)
