"""Who of the schedulers leads: one row, taken by compare-and-set, so that clocks have no say in it.

The leader raises ``beat``; who has seen the same row for long enough, by a clock of its own, takes over with the next
``fence``. What a leader writes is checked against its fence in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from carrier.store.database import insert, session
from carrier.store.models import LeaderEntry

_NAME = "scheduler"
#: A leader that has not been heard of for so long is not there, for people; what it writes is decided otherwise.
SILENT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Seen:
    """The row as somebody saw it."""

    owner: str | None
    fence: int
    beat: int


def look() -> LeaderEntry | None:
    """The row; None where nobody ever led.

    Raises:
        StoreUnavailable: the store cannot be used; so do all functions here.
    """
    with session() as opened:
        return opened.get(LeaderEntry, _NAME)


def take(seen: Seen | None, owner: str, process: str) -> int | None:
    """Lead, if the row is still as it was seen; returns the new fence, or None if it is not."""
    values = {"owner": owner, "process": process, "beat": 0, "at": datetime.now(UTC)}
    with session() as opened:
        if seen is None:
            made = insert(opened, LeaderEntry).values(name=_NAME, fence=1, **values).on_conflict_do_nothing()
            return opened.scalar(made.returning(LeaderEntry.fence))
        taken = (
            update(LeaderEntry)
            .where(
                LeaderEntry.name == _NAME,
                LeaderEntry.owner.is_not_distinct_from(seen.owner),
                LeaderEntry.fence == seen.fence,
                LeaderEntry.beat == seen.beat,
            )
            .values(fence=seen.fence + 1, **values)
        )
        return opened.scalar(taken.returning(LeaderEntry.fence))


def beat(owner: str, fence: int) -> bool:
    """Say that the leader lives; False when it leads no more."""
    with session() as opened:
        more = {"beat": LeaderEntry.beat + 1, "at": datetime.now(UTC)}
        said = update(LeaderEntry).where(_is(owner, fence)).values(more).returning(LeaderEntry.beat)
        return opened.scalar(said) is not None


def leave(owner: str, fence: int) -> None:
    """Lead no more, so that another takes over at once."""
    with session() as opened:
        opened.execute(update(LeaderEntry).where(_is(owner, fence)).values(owner=None))


def leads(opened: Session, owner: str, fence: int) -> bool:
    """Whether it leads, which stays so until the end of the transaction."""
    found = select(LeaderEntry.fence).where(_is(owner, fence)).with_for_update(read=True)
    return opened.scalar(found) is not None


def _is(owner: str, fence: int) -> ColumnElement[bool]:
    return (LeaderEntry.name == _NAME) & (LeaderEntry.owner == owner) & (LeaderEntry.fence == fence)
