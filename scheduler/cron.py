"""Fire times of a cron expression in a time zone, as crontab(5) and cron(8) have them.

cronsim reads the expression; the walk through the zone is ours. Minute and hour without a star are a time of the day:
in an hour that comes twice it fires once, the earlier, and one that does not exist fires at the next instant that does.
Where minute or hour begins with a star, it follows the clock: both, or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_DAY = timedelta(days=1)
#: Days without a match after which there is none: 29 February falls on one weekday every 40 years at the latest.
_HORIZON = 41 * 366
#: An item of a field; cronsim reads more (L, W, #, a step without a range), and ``5-5/10`` in another way.
_ITEM = re.compile(r"(?:\*|(?P<first>[0-9]+|[a-z]{3})(?:-(?P<last>[0-9]+|[a-z]{3}))?)(?P<step>/[0-9]+)?", re.I)


class Cron:
    """An expression of five fields in a zone.

    Raises:
        ValueError: it makes no sense, or never fires.
    """

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        fields = expression.split()
        if len(fields) != 5:
            raise ValueError(f"cron: {expression!r} must have five fields: minute hour day month weekday")
        try:
            parsed = CronSim(" ".join(map(_plain, fields)), datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(f"cron: {expression!r} makes no sense: {error}") from None
        self._zone = zone
        hours, minutes = sorted(parsed.hours), sorted(parsed.minutes)
        self._times = [timedelta(hours=hour, minutes=minute) for hour in hours for minute in minutes]
        self._months, self._matches = parsed.months, parsed.match_day
        self._follows_the_clock = fields[0].startswith("*") or fields[1].startswith("*")
        if not any(self._fires_on(date(2000, 1, 1) + number * _DAY) for number in range(_HORIZON)):
            raise ValueError(f"cron: {expression!r} never fires")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Its fire times after ``moment``, in UTC, each later than the one before it."""
        begin = datetime.combine(moment.astimezone(UTC).date(), time(0), UTC)
        while True:
            for each in self._between(begin, begin + _DAY):
                if each > moment:
                    yield each
            begin += _DAY

    def _between(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Those of one day of UTC. It has parts of two days of the zone; of two more where one is left out."""
        first = begin.astimezone(self._zone).date()
        days = [day for day in (first + number * _DAY for number in (-1, 0, 1, 2)) if self._fires_on(day)]
        if any(self._steady_offset(day) is None for day in days):
            yield from sorted({at for day in days for at in self._times_of(day) if begin <= at < end})
            return
        for day in days:
            for at in self._times_of(day):
                if begin <= at < end:
                    yield at

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta(0)

    def _steady_offset(self, day: date) -> timedelta | None:
        """The zone's offset from UTC on this day; None where it changes."""
        noon = datetime.combine(day, time(12), UTC)
        before, offset, after = (self._offset(noon + number * _DAY) for number in (-1, 0, 1))
        return offset if before == offset == after else None

    def _fires_on(self, day: date) -> bool:
        return day.month in self._months and self._matches(day)

    def _times_of(self, day: date) -> Iterator[datetime]:
        """The instants of a day's times, whatever the clock does in it."""
        offset = self._steady_offset(day)
        if offset is not None:
            midnight = datetime.combine(day, time(0), UTC) - offset
            yield from (midnight + each for each in self._times)
            return
        for each in self._times:
            wall = datetime.combine(day, time(0)) + each
            first, second = (wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
            if first.astimezone(self._zone).replace(tzinfo=None) == wall:
                yield first
                if self._follows_the_clock:
                    yield second  # the same, but in an hour that comes twice
            elif not self._follows_the_clock:
                yield self._end_of_gap(second, first)

    def _end_of_gap(self, before: datetime, after: datetime) -> datetime:
        """The instant between these two at which the clock is set forward."""
        offset = self._offset(before)
        while after - before > timedelta(seconds=1):
            middle = (before + (after - before) // 2).replace(microsecond=0)
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after


def _plain(field: str) -> str:
    """A field of crontab(5) in words that cronsim reads in the same way."""
    return ",".join(map(_plain_item, field.split(",")))


def _plain_item(item: str) -> str:
    found = _ITEM.fullmatch(item)
    if found is None:
        raise CronSimError(f"{item!r} must be as *, 5, 1-5, */15 or 10-50/20, with names for months and weekdays")
    first, last, step = found["first"], found["last"], found["step"] or ""
    if first is None:
        return item
    if step and last is None:
        raise CronSimError(f"{item!r} has a step without a range; write as 0-59{step}")
    if last is None or last.lower() == first.lower():
        return first
    return f"{first}-{'7' if last.lower() == 'sun' else last}{step}"  # from a day to Sunday, the last one
