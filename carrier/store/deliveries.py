"""What has become of an e-mail at each of its recipients. Who has it is never sent it again, so this is a promise."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import Executable, bindparam, delete, func, select

from carrier.store.database import insert, look_up, session, transaction
from carrier.store.models import DeliveryEntry, as_text

#: Rows are kept for so long, and looked for after so many new ones.
_KEPT, _FORGETTING = timedelta(days=90), 10_000
_LATELY = timedelta(hours=1)
#: A transaction waits for this share of those who send, but no longer than so many seconds (bin/bench email).
_SHARE, _GATHERING = 0.75, 0.02


class State(StrEnum):
    """Accepted and refused are final."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server has said of one recipient: its code and text, in one line."""

    state: State
    text: str


_KNOWN = select(DeliveryEntry.recipient, DeliveryEntry.state, DeliveryEntry.reply).where(
    DeliveryEntry.message_id == bindparam("id")
)


def known(message_id: str) -> dict[str, Reply]:
    """What is known of an e-mail's recipients, by their addresses; looked up before each sending.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    rows = look_up(_KNOWN, as_text(message_id))
    return {recipient: Reply(State(state), reply) for recipient, state, reply in rows}


def of(message_id: str) -> list[DeliveryEntry]:
    """The same in order of addresses, with when it was written down. Raises as :func:`known`."""
    with session(reading=True) as opened:
        found = select(DeliveryEntry).where(DeliveryEntry.message_id == message_id)
        return list(opened.scalars(found.order_by(DeliveryEntry.recipient)))


def newest(limit: int, *, offset: int = 0, text: str = "", state: State | None = None) -> list[DeliveryEntry]:
    """The newest of all, first. Raises as :func:`known`.

    Parameters:
        text: stands in the address, or is the message's id.
    """
    wanted = select(DeliveryEntry).order_by(DeliveryEntry.at.desc(), DeliveryEntry.message_id, DeliveryEntry.recipient)
    if text:
        text = as_text(text)
        wanted = wanted.where(
            DeliveryEntry.recipient.icontains(text, autoescape=True) | (DeliveryEntry.message_id == text)
        )
    if state is not None:
        wanted = wanted.where(DeliveryEntry.state == state)
    with session(reading=True) as opened:
        return list(opened.scalars(wanted.limit(limit).offset(offset)))


def lately() -> dict[State, int]:
    """How many recipients servers have answered for in the last hour, by what they said. Raises as :func:`known`."""
    counted = select(DeliveryEntry.state, func.count()).where(DeliveryEntry.at > datetime.now(UTC) - _LATELY)
    with session(reading=True) as opened:
        found = dict(opened.execute(counted.group_by(DeliveryEntry.state)).tuples().all())
    return {state: found.get(state, 0) for state in State}


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


@cache
def _recording(dialect: str) -> Executable:
    """Kept, because to put it together takes longer than to carry it out."""
    new = insert(dialect, DeliveryEntry)
    return new.on_conflict_do_update(
        index_elements=["message_id", "recipient"],
        set_={name: new.excluded[name] for name in ("state", "reply", "at")},
        where=DeliveryEntry.state != State.ACCEPTED,
    )


@contextlib.contextmanager
def sending() -> Iterator[None]:
    """This thread sends an e-mail while this lasts, and has something to write down in the end. Others wait for that, a
    little, so that many share a transaction."""
    senders, own = _journal.senders, threading.get_ident()
    _journal.start()  # where that fails, nothing is sent yet
    senders.add(own)
    try:
        yield
    finally:
        senders.discard(own)


class _Journal:
    """A thread writes what has gathered while it wrote: eight senders wait for one transaction, not for eight.

    A handler may be interrupted anywhere, by its time limit. So the senders share nothing with the thread that Python
    itself has to unlock: a queue in C, and a lock of each entry's own.
    """

    def __init__(self) -> None:
        #: The threads that send.
        self.senders = set[int]()
        self._waiting = SimpleQueue[_Entry]()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._new = 0

    def write(self, rows: list[dict[str, Any]]) -> None:
        self.start()
        entry = _Entry(rows)
        self._waiting.put(entry)
        entry.wait()

    def start(self) -> None:
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="carrier-deliveries", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while True:
            taken = self._gather()
            try:
                self._write([row for entry in taken for row in entry.rows])
            except Exception as error:  # noqa: BLE001  (each who waits is told)
                for entry in taken:
                    entry.trouble = error
            for entry in taken:
                entry.is_over.release()

    def _gather(self) -> list[_Entry]:
        taken = [self._waiting.get()]
        until = time.monotonic() + _GATHERING
        with contextlib.suppress(Empty):
            while len(taken) < len(self.senders) * _SHARE:
                taken.append(self._waiting.get(timeout=max(0, until - time.monotonic())))
        with contextlib.suppress(Empty):
            while True:
                taken.append(self._waiting.get_nowait())
        return taken

    def _write(self, rows: list[dict[str, Any]]) -> None:
        with transaction() as opened:
            opened.execute(_recording(opened.dialect.name), rows)
            self._new += len(rows)
            if self._new >= _FORGETTING:
                opened.execute(delete(DeliveryEntry).where(DeliveryEntry.at < datetime.now(UTC) - _KEPT))
                self._new = 0


class _Entry:
    """What one sender waits for."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.trouble: Exception | None = None
        self.is_over = threading.Lock()
        self.is_over.acquire()

    def wait(self) -> None:
        self.is_over.acquire()
        if self.trouble is not None:
            raise self.trouble


_journal = _Journal()


def _after_fork() -> None:
    global _journal
    _journal = _Journal()


os.register_at_fork(after_in_child=_after_fork)
