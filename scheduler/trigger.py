"""When a schedule fires: carrier.toml's ``cron`` and ``every`` as triggers of APScheduler."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from settings import Schedule

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def trigger_of(schedule: Schedule) -> BaseTrigger:
    """The trigger of a schedule. ``every`` fires at multiples of its period since 1970, whenever the process started.

    Raises:
        ValueError: the expression or the time zone makes no sense, or it never fires; the text says which.
    """
    trigger = _trigger_of(schedule)
    if trigger.get_next_fire_time(None, datetime.now(UTC)) is None:
        raise ValueError(f"cron: {schedule.cron!r} never fires")
    return trigger


def _trigger_of(schedule: Schedule) -> BaseTrigger:
    if schedule.every_seconds is not None:
        return IntervalTrigger(seconds=schedule.every_seconds, start_date=datetime.fromtimestamp(0, UTC), timezone=UTC)
    try:
        zone = ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"timezone: there is no {schedule.timezone!r}; write a name such as Europe/Berlin") from None
    return _cron(schedule.cron or "", zone)


def _cron(expression: str, zone: ZoneInfo) -> CronTrigger:
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(f"cron: {expression!r} must have five fields: minute hour day month weekday")
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ValueError(f"cron: {expression!r} restricts day and weekday; make two schedules, one of each")
    try:
        days = _weekdays(weekday)
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=days, timezone=zone)
    except ValueError as error:
        raise ValueError(f"cron: {expression!r}: {error}") from None


_WEEKDAY = re.compile(r"(\*|[0-7]|[a-z]{3})(?:-([0-7]|[a-z]{3}))?(?:/([1-9]))?", re.IGNORECASE)


def _weekdays(field: str) -> str:
    """The days by name: crontab(5) counts them from Sunday, 0 or 7, and APScheduler from Monday."""
    days: set[int] = set()
    for item in field.split(","):
        found = _WEEKDAY.fullmatch(item)
        if found is None or (found[3] and found[1] != "*" and not found[2]):
            raise ValueError(f"weekday {item!r} must be as 1, mon, 1-5, mon-fri, */2 or 1-5/2")
        first, last = (0, 6) if found[1] == "*" else (_day(found[1]), _day(found[2] or found[1]))
        if found[2] and last == 0:
            last = 7  # sat-sun
        if first > last:
            raise ValueError(f"weekday {item!r} goes backwards")
        days |= {day % 7 for day in range(first, last + 1, int(found[3] or 1))}
    return ",".join(_DAYS[day] for day in sorted(days))


def _day(text: str) -> int:
    if text.isdigit():
        return int(text)
    if text.lower() not in _DAYS:
        raise ValueError(f"there is no weekday {text!r}")
    return _DAYS.index(text.lower())
