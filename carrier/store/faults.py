"""What outside of Carrier cannot be used, such as a mail server: messages wait for somebody to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select

from carrier.store.database import insert, session
from carrier.store.models import FaultEntry

#: One that nobody has met for so long keeps no message waiting.
_RECENT = timedelta(hours=1)


def note(source: str, text: str) -> None:
    """Write down that it cannot be used, and why.

    Raises:
        StoreUnavailable: it is not written.
    """
    now = datetime.now(UTC)
    with session() as opened:
        new = insert(opened, FaultEntry).values(source=source, text=text, since=now, at=now)
        opened.execute(new.on_conflict_do_update(index_elements=["source"], set_={"text": text, "at": now}))


def clear(source: str) -> None:
    """It can be used. Raises as :func:`note`."""
    with session() as opened:
        opened.execute(delete(FaultEntry).where(FaultEntry.source == source))


def clear_others(kind: str, sources: Sequence[str]) -> None:
    """What begins with ``kind`` and is none of these is not used any more. Raises as :func:`note`."""
    with session() as opened:
        of_kind = FaultEntry.source.startswith(kind, autoescape=True)
        opened.execute(delete(FaultEntry).where(of_kind, FaultEntry.source.not_in(sources)))


def recent() -> list[FaultEntry]:
    """Those that somebody has met within the last hour. Raises as :func:`note`."""
    with session(reading=True) as opened:
        found = select(FaultEntry).where(FaultEntry.at > datetime.now(UTC) - _RECENT)
        return list(opened.scalars(found.order_by(FaultEntry.source)))
