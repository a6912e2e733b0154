"""Fire times of a period: its multiples since 1970, so that they are the same whenever a process starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Every:
    """Every ``period``."""

    period: timedelta

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Its fire times after ``moment``, in UTC."""
        at = _EPOCH + ((moment - _EPOCH) // self.period + 1) * self.period
        while True:
            yield at
            at += self.period
