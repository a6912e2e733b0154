"""What has become of an e-mail at each of its recipients. Who has it is never sent it again, so this is a promise."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, delete, select

from carrier.store.database import insert, session
from carrier.store.errors import StoreUnavailable
from carrier.store.models import DeliveryEntry

#: Rows are kept for so long, and looked for after so many new ones.
_KEPT, _FORGETTING = timedelta(days=90), 10_000


class State(StrEnum):
    """Accepted and refused are final."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server has said of one recipient: its code and text, in one line; ``at`` once it is written down."""

    state: State
    text: str
    at: datetime | None = None


_OF = select(DeliveryEntry.recipient, DeliveryEntry.state, DeliveryEntry.reply, DeliveryEntry.at).where(
    DeliveryEntry.message_id == bindparam("id", type_=DeliveryEntry.message_id.type)
)


def of(message_id: str) -> dict[str, Reply]:
    """What is known of an e-mail's recipients, by their addresses.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    with session(reading=True) as opened:
        found = opened.execute(_OF, {"id": message_id})
        return {recipient: Reply(State(state), reply, at) for recipient, state, reply, at in found}


def record(message_id: str, replies: Mapping[str, Reply]) -> None:
    """Write replies down; they are on the disk when this returns. "accepted" is never overwritten.

    Threads that call this at the same time share a transaction.

    Raises:
        StoreUnavailable: they are not written.
    """
    now = datetime.now(UTC)
    _journal.write(
        [
            {"message_id": message_id, "recipient": recipient, "state": reply.state, "reply": reply.text, "at": now}
            for recipient, reply in replies.items()
        ]
    )


class _Journal:
    """Whoever writes takes along what the others have for it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[list[dict[str, Any]], Future[None]]] = []
        self._writing = threading.Lock()
        self._new = 0

    def write(self, rows: list[dict[str, Any]]) -> None:
        own = Future[None]()
        self._waiting.append((rows, own))
        with self._writing:
            if not own.done():
                self._write_all()
        own.result()

    def _write_all(self) -> None:
        """Whoever is interrupted in it leaves everything to the next one: to write it twice is to write it once."""
        taken, trouble = self._waiting[:], None
        try:
            self._write([row for rows, _ in taken for row in rows])
        except StoreUnavailable as error:
            trouble = error
        for _, each in taken:
            if not each.done():
                each.set_exception(trouble) if trouble else each.set_result(None)
        del self._waiting[: len(taken)]  # others have appended meanwhile

    def _write(self, rows: list[dict[str, Any]]) -> None:
        with session() as opened:
            new = insert(opened, DeliveryEntry)
            opened.execute(
                new.on_conflict_do_update(
                    index_elements=["message_id", "recipient"],
                    set_={name: new.excluded[name] for name in ("state", "reply", "at")},
                    where=DeliveryEntry.state != State.ACCEPTED,
                ),
                rows,
            )
            self._new += len(rows)
            if self._new >= _FORGETTING:
                opened.execute(delete(DeliveryEntry).where(DeliveryEntry.at < datetime.now(UTC) - _KEPT))
                self._new = 0


_journal = _Journal()


def _after_fork() -> None:
    global _journal
    _journal = _Journal()


os.register_at_fork(after_in_child=_after_fork)
