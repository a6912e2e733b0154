"""When a schedule fires: carrier.toml's ``cron`` or ``every``."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from scheduler.cron import Cron
from scheduler.every import Every
from settings import Schedule

Timing = Cron | Every


def timing_of(schedule: Schedule) -> Timing:
    """The timing of a schedule.

    Raises:
        ValueError: the expression or the time zone makes no sense, or it never fires; the text says which.
    """
    if schedule.every_seconds is not None:
        return Every(timedelta(seconds=schedule.every_seconds))
    try:
        zone = ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"timezone: there is no {schedule.timezone!r}; write a name such as Europe/Berlin") from None
    return Cron(schedule.cron or "", zone)


def text_of(schedule: Schedule) -> str:
    """What decides when it fires, for people and to be compared."""
    if schedule.every is not None:
        return f"every {schedule.every}"
    return f"{' '.join((schedule.cron or '').split())} {schedule.timezone}"
