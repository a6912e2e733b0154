"""What becomes of fire times that have passed: sent when they are fresh, and by the schedule's ``catch_up`` if not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from settings import Schedule

#: So late is not missed.
FRESH = timedelta(seconds=60)
#: Of more than these the oldest are forgotten without a word.
MOST = 1_000


def to_send(due: Sequence[datetime], now: datetime, schedule: Schedule) -> set[datetime]:
    """Those of the passed fire times, the oldest first, that are sent; the others are missed."""
    fresh = {at for at in due if now - at <= FRESH}
    match schedule.catch_up:
        case "all":
            return set(due)
        case "latest" if due and not fresh:
            return {due[-1]}
    return fresh
