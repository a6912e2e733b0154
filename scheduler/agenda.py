"""One schedule in the leader's memory: how far it has come, and when it fires next.

A cron schedule goes by the time of the day. One with ``every`` goes on when the clock is set back: its own time is
never behind its cursor and the seconds that have passed since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.catch_up import MOST
from scheduler.clock import Clock
from scheduler.every import Every
from scheduler.timing import Timing, text_of
from settings import Schedule


@dataclass
class Agenda:
    """A schedule whose fire times up to ``cursor`` are dealt with.

    Attributes:
        timing_text: what decides when it fires, as it is stored.
        next: the next fire time.
    """

    name: str
    schedule: Schedule
    timing: Timing
    clock: Clock
    cursor: datetime
    timing_text: str = field(init=False)
    next: datetime = field(init=False)
    _times: Iterator[datetime] = field(init=False, repr=False)
    _moved: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.timing_text = text_of(self.schedule)
        self.go_on_from(self.cursor)

    def go_on_from(self, cursor: datetime) -> None:
        """Deal with what comes after ``cursor``."""
        self.cursor, self._moved = cursor, self.clock.passed()
        self._times = self.timing.after(cursor)
        self.next = next(self._times)

    def now(self) -> datetime:
        """The time that it goes by."""
        now = self.clock.now()
        if isinstance(self.timing, Every):
            return max(now, self.cursor + timedelta(seconds=self.clock.passed() - self._moved))
        return now

    def wait(self) -> timedelta:
        """How long until it fires next; not above zero when it is due."""
        return self.next - self.now()

    def due(self) -> list[datetime]:
        """The fire times that have passed, the oldest first; they are dealt with."""
        now = self.now()
        if isinstance(self.timing, Every) and now - self.next > MOST * self.timing.period:
            self.go_on_from(now - MOST * self.timing.period)
        due = []
        while self.next <= now:
            due.append(self.next)
            self.next = next(self._times)
        if due:
            self.cursor, self._moved = due[-1], self.clock.passed()
        return due[-MOST:]
