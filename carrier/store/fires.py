"""Fire times: recorded before they are sent, claimed by the worker that runs them.

That row is what makes a fire time happen once: its key is (schedule, time), a scheduler that dies between recording and
sending leaves it for the next one, and of two copies of a message one finds that the other has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from carrier.store.database import insert, session
from carrier.store.models import FireEntry
from carrier.store.turn import (
    DONE,
    FAILED,
    LOST,
    OPEN,
    RECORDED,
    RETRYING,
    RUNNING,
    SENT,
    SKIPPED,
    Fire,
    Holder,
    Turn,
    Verdict,
)

#: Fire times of a schedule that are kept.
_KEPT = 1_000


# For the scheduler


def record(opened: Session, fires: Sequence[Fire]) -> None:
    """Record fire times; one that is there already stays as it is."""
    if not fires:
        return
    now = datetime.now(UTC)
    rows = [
        {"schedule": each.schedule, "at": each.at, "message_id": each.message_id, "state": each.state, "recorded": now,
         "beat": 0, "returned": 0, "attempt": 1}
        for each in fires
    ]  # fmt: skip
    opened.execute(insert(opened, FireEntry).on_conflict_do_nothing(), rows)


def recorded(opened: Session, limit: int) -> list[FireEntry]:
    """Those that are to be sent, the oldest first."""
    found = select(FireEntry).where(FireEntry.state == RECORDED).order_by(FireEntry.at, FireEntry.schedule)
    return list(opened.scalars(found.limit(limit)))


def sent(message_ids: Iterable[str]) -> None:
    """They are in their queues; a worker may have begun one already.

    Raises:
        StoreUnavailable: the store cannot be used; so do all functions below.
    """
    with session() as opened:
        now = datetime.now(UTC)
        of_them = FireEntry.message_id.in_(list(message_ids))
        opened.execute(update(FireEntry).where(of_them, FireEntry.sent.is_(None)).values(sent=now))
        opened.execute(update(FireEntry).where(of_them, FireEntry.state == RECORDED).values(state=SENT))


def under_way(opened: Session, schedules: Iterable[str]) -> list[FireEntry]:
    """Those of these schedules that are not over."""
    of_them = FireEntry.schedule.in_(list(schedules))
    return list(opened.scalars(select(FireEntry).where(of_them, FireEntry.state.in_(OPEN))))


def lose(opened: Session, fire: FireEntry) -> None:
    """Its worker was not heard of for long; whoever gets the message again may run it."""
    same = [FireEntry.state == RUNNING, FireEntry.owner == fire.owner, FireEntry.beat == fire.beat]
    opened.execute(update(FireEntry).where(FireEntry.message_id == fire.message_id, *same).values(state=LOST))


def trim(opened: Session, schedule: str) -> None:
    """Forget the oldest ones that are over."""
    own = FireEntry.schedule == schedule
    last = select(FireEntry.at).where(own).order_by(FireEntry.at.desc()).offset(_KEPT).limit(1).scalar_subquery()
    opened.execute(delete(FireEntry).where(own, FireEntry.state.not_in(OPEN), FireEntry.at <= last))


# For the worker


def claim(message_id: str, turn: Turn, owner: str, worker: str, seen: Holder | None) -> Verdict | Holder:
    """Run it, unless this turn of it is over, or another worker has it: then who. The same holder seen twice without a
    beat in between is dead. A message without a row is run.

    Parameters:
        seen: who had it when this message was looked at before.
    """
    with session() as opened:
        fire = opened.scalar(select(FireEntry).where(FireEntry.message_id == message_id).with_for_update())
        if fire is None:
            return Verdict.RUN
        known = Turn(fire.returned, fire.attempt)
        if (turn.returned, turn.attempt) < (known.returned, known.attempt):
            return Verdict.DROP
        if turn == known:
            if fire.state in (DONE, FAILED):
                return Verdict.DROP
            if fire.state == RUNNING and fire.owner != owner:
                holder = Holder(fire.owner or "", fire.beat)
                if holder != seen:
                    return holder
        fire.state, fire.owner, fire.beat, fire.worker = RUNNING, owner, fire.beat + 1, worker
        fire.returned, fire.attempt = turn.returned, turn.attempt
        fire.began, fire.ended, fire.error = datetime.now(UTC), None, None
    return Verdict.RUN


def beat(owner: str, message_ids: Sequence[str]) -> None:
    """Say that this worker lives, and runs these."""
    if message_ids:
        with session() as opened:
            own = [FireEntry.message_id.in_(message_ids), FireEntry.state == RUNNING, FireEntry.owner == owner]
            opened.execute(update(FireEntry).where(*own).values(beat=FireEntry.beat + 1))


def end(message_id: str, turn: Turn, owner: str | None, state: str, error: str | None = None) -> None:
    """Its run is over; ``turn`` is the one that was run.

    Parameters:
        owner: who has run it: nothing happens where another has taken it over. Without it this is so whoever says it.
    """
    attempt = turn.attempt + 1 if state == RETRYING else turn.attempt
    ended = {"state": state, "owner": None, "ended": datetime.now(UTC), "error": error, "attempt": attempt}
    same = [FireEntry.returned == turn.returned, FireEntry.attempt == turn.attempt]
    if owner is not None:
        same.append(FireEntry.owner == owner)
    with session() as opened:
        opened.execute(update(FireEntry).where(FireEntry.message_id == message_id, *same).values(ended))


# For people


def of(schedule: str, limit: int) -> list[FireEntry]:
    """The newest fire times of a schedule, the newest first."""
    return newest([schedule], limit)[schedule]


def newest(schedules: Iterable[str], limit: int) -> dict[str, list[FireEntry]]:
    """The newest fire times of each of these schedules, the newest first."""
    with session() as opened:
        found = select(FireEntry).order_by(FireEntry.at.desc()).limit(limit)
        # A question each: its index answers without looking at the others' rows, or at older ones.
        return {name: list(opened.scalars(found.where(FireEntry.schedule == name))) for name in schedules}


def skipping(schedules: Iterable[str], number: int) -> list[str]:
    """Those of which the newest ``number`` fire times were all skipped."""
    found = newest(schedules, number)
    return [name for name, fires in found.items() if [fire.state for fire in fires] == [SKIPPED] * number]
