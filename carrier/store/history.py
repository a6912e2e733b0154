"""What has become of messages: the newest entries, for people who ask about one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select

from carrier.store.database import session, transaction
from carrier.store.models import HistoryEntry


def add(rows: Sequence[dict[str, Any]]) -> None:
    """Add entries.

    Parameters:
        rows: values of HistoryEntry's columns, without ``seq``.

    Raises:
        StoreUnavailable: they are not written.
    """
    with transaction() as opened:
        opened.execute(insert(HistoryEntry), rows)


def keep(number: int) -> None:
    """Forget all but the newest ``number`` entries. Raises as :func:`add`."""
    with session() as opened:
        last = opened.scalar(select(func.max(HistoryEntry.seq))) or 0
        opened.execute(delete(HistoryEntry).where(HistoryEntry.seq <= last - number))


def of(message_id: str) -> list[HistoryEntry]:
    """What is known of a message, the oldest first. Raises as :func:`add`."""
    with session(reading=True) as opened:
        found = select(HistoryEntry).where(HistoryEntry.message_id == message_id)
        return list(opened.scalars(found.order_by(HistoryEntry.at, HistoryEntry.seq)))
