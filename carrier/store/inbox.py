"""Notifications that a user finds in the application."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from carrier.store.database import insert, session
from carrier.store.models import InboxEntry


def add(message_id: str, *, user_id: str, title: str, message: str, data: dict[str, Any] | None) -> bool:
    """Put a notification in, once for each message id; returns whether it is new.

    Raises:
        StoreUnavailable: it is not written.
    """
    values = {"user_id": user_id, "title": title, "message": message, "data": data, "created_at": datetime.now(UTC)}
    with session() as opened:
        added = opened.execute(
            insert(opened, InboxEntry)
            .values(message_id=message_id, **values)
            .on_conflict_do_nothing()
            .returning(InboxEntry.title)
        ).first()
    return added is not None


def entries(user_id: str, limit: int = 100) -> list[InboxEntry]:
    """A user's newest notifications, the newest first. Raises as :func:`add`."""
    with session() as opened:
        found = select(InboxEntry).where(InboxEntry.user_id == user_id).order_by(InboxEntry.created_at.desc())
        return list(opened.scalars(found.limit(limit)))
