"""Another answer to when cron(8) runs something: minute by minute through a zone, in as few words as possible."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: With every kind of change: of half an hour, at midnight, backwards in spring, of a whole day, none at all.
ZONES = (
    "UTC", "Europe/Berlin", "Europe/London", "Europe/Helsinki", "Europe/Dublin", "US/Eastern", "America/Sao_Paulo",
    "America/Havana", "America/Santiago", "America/St_Johns", "Asia/Tehran", "Asia/Kathmandu", "Asia/Beirut",
    "Asia/Gaza", "Africa/Cairo", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham",
    "Antarctica/Troll",
)  # fmt: skip
_NAMES = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}


@dataclass(frozen=True)
class Minute:
    """One minute that passes: its instant, what the clock shows, and the times that it has left out just before."""

    at: datetime
    wall: datetime
    skipped: Sequence[datetime]
    is_repeated: bool


def minutes(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[Minute]:
    """The minutes after ``begin`` up to ``end``."""
    at = begin - 2 * DAY  # what the clock has shown already
    before = newest = at.astimezone(zone).replace(tzinfo=None)
    while at < end:
        at += MINUTE
        wall = at.astimezone(zone).replace(tzinfo=None, fold=0)
        gap = [before + n * MINUTE for n in range(1, (wall - before) // MINUTE)]
        if at > begin:
            yield Minute(at, wall, [each for each in gap if each > newest], is_repeated=wall <= newest)
        before, newest = wall, max(newest, wall)


class Crontab:
    """An expression, read anew."""

    def __init__(self, expression: str) -> None:
        minute, hour, day, month, weekday = expression.split()
        self._minutes, self._hours = _numbers(minute, 0, 59), _numbers(hour, 0, 23)
        self._days, self._months = _numbers(day, 1, 31), _numbers(month, 1, 12)
        self._weekdays = {each % 7 for each in _numbers(weekday, 0, 7)}
        self._both = day.startswith("*") or weekday.startswith("*")
        self._follows = minute.startswith("*") or hour.startswith("*")

    def _matches(self, wall: datetime) -> bool:
        if wall.minute not in self._minutes or wall.hour not in self._hours or wall.month not in self._months:
            return False
        day, weekday = wall.day in self._days, wall.isoweekday() % 7 in self._weekdays
        return (day and weekday) if self._both else (day or weekday)

    def runs(self, minute: Minute) -> bool:
        """Whether cron runs it in this minute."""
        if self._follows:
            return self._matches(minute.wall)
        now = not minute.is_repeated and self._matches(minute.wall)
        return now or any(map(self._matches, minute.skipped))


def runs(crontabs: Sequence[Crontab], passing: Iterable[Minute]) -> list[list[datetime]]:
    """When cron runs each of them while these minutes pass."""
    found: list[list[datetime]] = [[] for _ in crontabs]
    for minute in passing:
        for crontab, times in zip(crontabs, found, strict=True):
            if crontab.runs(minute):
                times.append(minute.at)
    return found


def changes(zone: ZoneInfo, first: int, last: int) -> list[datetime]:
    """The hours in which the clock is changed, from one year to another."""
    at, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    found = []
    while at < end:
        step = DAY if at.astimezone(zone).utcoffset() == (at + DAY).astimezone(zone).utcoffset() else HOUR
        if step == HOUR and at.astimezone(zone).utcoffset() != (at + HOUR).astimezone(zone).utcoffset():
            found.append(at)
        at += step
    return found


def expression(chance: random.Random) -> str:
    """One that somebody might write; most fire within days."""
    hours = ("*", "*/2", "*/5", "0", "1", "2", "3", "0-3", "1,2,23", "22-23", "*/24", "2-4/2", "5-5/10")
    fields = (
        chance.choice(("*", "0", "30", "*/20", "*/7", "15,45", "0-10/5", "59", "1", "*/30", "7-7")),
        chance.choice(hours),
        chance.choice(("*", "*", "*", "1", "*/2", "25-31", "1-7", "28,29,30,31")),
        chance.choice(("*", "*", "*", "*", "3,10", "1-6", "*/2")),
        chance.choice(("*", "*", "*", "0", "7", "sun", "mon-fri", "*/2", "6-7", "fri-sun")),
    )
    return " ".join(fields)


def _numbers(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        begin, end = _number(first), _number(last or first)
        found.update(range(begin, (7 if end < begin else end) + 1, int(step or 1)))
    return found


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _NAMES[text]
