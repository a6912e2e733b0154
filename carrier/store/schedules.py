"""How far each schedule has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from carrier.store.database import insert, session
from carrier.store.models import ScheduleEntry


def entries(opened: Session) -> dict[str, ScheduleEntry]:
    """All of them by name."""
    return {each.name: each for each in opened.scalars(select(ScheduleEntry))}


def add(opened: Session, timings: Mapping[str, str], cursor: datetime) -> None:
    """Note new schedules, which begin at ``cursor``, and changed ones, which begin anew; each by name and timing."""
    for name, timing in timings.items():
        values = {"timing": timing, "cursor": cursor}
        made = insert(opened, ScheduleEntry).values(name=name, paused=False, **values)
        opened.execute(made.on_conflict_do_update(index_elements=["name"], set_=values))


def move(opened: Session, cursors: Mapping[str, datetime]) -> None:
    """Note how far they have come."""
    if cursors:
        opened.execute(update(ScheduleEntry), [{"name": name, "cursor": at} for name, at in cursors.items()])


def remove(opened: Session, names: Iterable[str]) -> None:
    """Forget those that are not in carrier.toml any more."""
    opened.execute(delete(ScheduleEntry).where(ScheduleEntry.name.in_(list(names))))


def pause(name: str, timing: str, cursor: datetime) -> None:
    """Have it fire no more until it is resumed.

    Raises:
        StoreUnavailable: the store cannot be used; so does :func:`resume`.
    """
    with session() as opened:
        made = insert(opened, ScheduleEntry).values(name=name, timing=timing, cursor=cursor, paused=True)
        opened.execute(made.on_conflict_do_update(index_elements=["name"], set_={"paused": True}))


def resume(name: str, cursor: datetime) -> bool:
    """Have it fire from ``cursor`` on; returns whether it was paused."""
    with session() as opened:
        resumed = (
            update(ScheduleEntry)
            .where(ScheduleEntry.name == name, ScheduleEntry.paused)
            .values(paused=False, cursor=cursor)
            .returning(ScheduleEntry.name)
        )
        return opened.scalar(resumed) is not None
