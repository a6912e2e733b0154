"""What people see of schedules: when they fire next, what became of the last ones, and who leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from carrier.messaging.envelope import timestamp
from carrier.monitor.masking import masking
from carrier.store import fires, leader, schedules
from carrier.store.database import session
from carrier.store.models import FireEntry
from carrier.store.turn import MISSED, SKIPPED
from scheduler.timing import Timing, text_of, timing_of
from settings import Schedule, SettingsError, get_settings


@dataclass(frozen=True)
class ScheduleView:
    """One schedule of carrier.toml.

    Attributes:
        state: "on", "paused" or "off" (``enabled = false``).
        next: its next fire time; None where there is none.
        last: the newest fire time that was not missed or skipped.
        skipped: how many were skipped since then.
    """

    name: str
    type: str
    timing: str
    state: str
    next: datetime | None
    last: FireEntry | None
    skipped: int

    def fields(self) -> dict[str, Any]:
        """The schedule as JSON has it."""
        return {
            "name": self.name,
            "type": self.type,
            "timing": self.timing,
            "state": self.state,
            "next": self.next and timestamp(self.next.timestamp()),
            "last": self.last and fire_fields(self.last),
            "skipped": self.skipped,
        }


@dataclass(frozen=True)
class Overview:
    """All schedules; ``leader`` is host and process of the scheduler that sends, None when there is none."""

    leader: str | None
    schedules: list[ScheduleView]


def fire_fields(fire: FireEntry) -> dict[str, Any]:
    """A fire time as JSON has it."""
    moments = {name: getattr(fire, name) for name in ("at", "recorded", "sent", "began", "ended")}
    rest = {name: getattr(fire, name) for name in ("message_id", "state", "attempt", "worker")}
    error = None if fire.error is None else masking().mask_error(fire.error)
    return {**{name: at and timestamp(at.timestamp()) for name, at in moments.items()}, **rest, "error": error}


def overview(known: Mapping[str, Schedule]) -> Overview:
    """What is so now.

    Raises:
        SettingsError: a timing makes no sense.
        StoreUnavailable: the store cannot be used.
    """
    now, row = datetime.now(UTC), leader.look()
    with session() as opened:
        stored = schedules.entries(opened)
    views = []
    for name, newest in fires.newest(known, 100).items():
        schedule, entry = known[name], stored.get(name)
        sent = [fire for fire in newest if fire.state not in (MISSED, SKIPPED)]
        last = sent[0] if sent else None
        skipped = sum(fire.state == SKIPPED and (last is None or fire.at > last.at) for fire in newest)
        timing = timing_in(name, schedule)
        state = "off" if not schedule.enabled else "paused" if entry and entry.paused else "on"
        begin = max(now, entry.cursor) if entry and entry.timing == text_of(schedule) else now
        following = upcoming(timing, begin, 1)[0] if state == "on" else None
        views.append(ScheduleView(name, schedule.message.type, text_of(schedule), state, following, last, skipped))
    leads = row is not None and row.owner is not None and now - row.at < leader.SILENT
    return Overview(row.process if row and leads else None, views)


def timing_in(name: str, schedule: Schedule) -> Timing:
    """The timing of a schedule of carrier.toml.

    Raises:
        SettingsError: it makes no sense.
    """
    try:
        return timing_of(schedule)
    except ValueError as error:
        raise SettingsError(f"{get_settings().carrier_config}: schedule.{name}: {error}") from None


def upcoming(timing: Timing, moment: datetime, number: int) -> list[datetime]:
    """The next fire times after ``moment``."""
    return list(islice(timing.after(moment), number))
