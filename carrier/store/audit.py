"""Who has done what in the console, when, and what came of it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select, update

from carrier.store.database import session
from carrier.store.models import AuditEntry


def record(who: str, what: str, subject: str, outcome: str = "") -> int:
    """Write it down, before it is done; the number that :func:`complete` takes.

    Raises:
        StoreUnavailable: it is not written: then it must not be done.
    """
    with session() as opened:
        entry = AuditEntry(at=datetime.now(UTC), who=who, what=what, subject=subject, outcome=outcome)
        opened.add(entry)
        opened.flush()
        return entry.seq


def complete(seq: int, outcome: str) -> None:
    """What came of it. Raises as :func:`record`."""
    with session() as opened:
        opened.execute(update(AuditEntry).where(AuditEntry.seq == seq).values(outcome=outcome))


def cut_off(before: datetime) -> list[AuditEntry]:
    """What was begun before a moment and is not over, the newest first: its console is gone, and that is noted as what
    came of it. A console that is still about it, beside this one, notes what comes of it in the end. Raises as
    :func:`record`."""
    with session() as opened:
        found = select(AuditEntry).where(AuditEntry.outcome == "", AuditEntry.at < before)
        entries = list(opened.scalars(found.order_by(AuditEntry.seq.desc())))
        for entry in entries:
            entry.outcome = "cut off by the end of its console; what was not done is where it was"
        return entries


def newest(limit: int, before: int | None = None) -> list[AuditEntry]:
    """The newest first; those before one of them. Raises as :func:`record`."""
    with session(reading=True) as opened:
        found = select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(limit)
        return list(opened.scalars(found if before is None else found.where(AuditEntry.seq < before)))
