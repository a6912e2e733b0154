"""When a schedule fires: carrier.toml's ``cron`` and ``every`` as triggers of APScheduler."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from settings import Schedule

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def trigger_of(schedule: Schedule) -> BaseTrigger:
    """The trigger of a schedule. ``every`` fires at multiples of its period since 1970, whenever the process started.

    Raises:
        ValueError: the expression or the time zone makes no sense; the text says which.
    """
    if schedule.every_seconds is not None:
        return IntervalTrigger(seconds=schedule.every_seconds, start_date=datetime.fromtimestamp(0, UTC), timezone=UTC)
    try:
        zone = ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"timezone: there is no {schedule.timezone!r}; write a name such as Europe/Berlin") from None
    return _cron(schedule.cron or "", zone)


def _cron(expression: str, zone: ZoneInfo) -> CronTrigger:
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(f"cron: {expression!r} must have five fields: minute hour day month weekday")
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ValueError(f"cron: {expression!r} restricts day and weekday; make two schedules, one of each")
    # crontab(5) counts weekdays from Sunday, 0 or 7; APScheduler from Monday. Names mean the same to both.
    weekday = re.sub(r"(?<![/\d])[0-7](?!\d)", lambda found: _DAYS[int(found[0])], weekday)
    weekday = weekday.replace("sun-", "sun,mon-") if weekday.startswith("sun-") else weekday
    try:
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=zone)
    except ValueError as error:
        raise ValueError(f"cron: {expression!r}: {error}") from None
