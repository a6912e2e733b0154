"""Locks over processes and machines: what only one may do at a time, such as a backup of one database.

A lock is held for :data:`LEASE` and renewed while its holder lives. Its owner is a token of the one run, not of a
message or a process: RabbitMQ may hand a message out again, to the same process too, while its handler still runs.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, cast, delete, func, select, update
from sqlalchemy.orm import Session

from carrier.store import sqlite
from carrier.store.database import insert, session
from carrier.store.errors import StoreUnavailable
from carrier.store.models import LockEntry

logger = logging.getLogger(__name__)

#: Seconds for which a lock is held without a renewal, and between two renewals.
LEASE, _RENEW = 30, 5.0

Detail = dict[str, Any]


class LockHeld(Exception):
    """Somebody else has it."""

    def __init__(self, holder: LockEntry) -> None:
        super().__init__(f"{holder.name}: {holder.worker} does that")
        self.holder = holder


class LockLost(Exception):
    """It was not renewed in time, and somebody else has taken it."""


class Lock:
    """One that this run has."""

    def __init__(self, name: str, owner: str) -> None:
        self.name, self.owner = name, owner
        self._lost = False

    def check(self) -> None:
        """As of the last renewal.

        Raises:
            LockLost: somebody else has it.
        """
        if self._lost:
            raise LockLost(f"{self.name}: another run has taken it over")

    def renew(self, detail: Detail) -> None:
        """Have it for :data:`LEASE` more.

        Raises:
            LockLost: somebody else has it.
            StoreUnavailable: nobody can say.
        """
        with session() as opened:
            values = {"until": _now(opened) + LEASE, "detail": detail}
            found = opened.execute(update(LockEntry).where(*self._own()).values(values).returning(LockEntry.name))
            if found.first() is None:
                self._lost = True
        self.check()

    def release(self) -> None:
        """Have it no more. Where the store cannot be used, it ends by itself."""
        try:
            with session() as opened:
                opened.execute(delete(LockEntry).where(*self._own()))
        except StoreUnavailable as error:
            logger.warning("%s is held for %d s more: %s", self.name, LEASE, error)

    def _own(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return LockEntry.name == self.name, LockEntry.owner == self.owner


@contextmanager
def hold(name: str, worker: str, detail: Callable[[], Detail]) -> Iterator[Lock]:
    """Hold a lock for as long as the ``with`` block takes.

    Parameters:
        worker: who that is, for people.
        detail: asked at each renewal how far it has come.

    Raises:
        LockHeld: somebody else has it.
        StoreUnavailable: nobody can say.
    """
    lock = _take(name, worker, detail())
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_RENEW):
            try:
                lock.renew(detail())
            except StoreUnavailable as error:
                logger.warning("%s is not renewed: %s", name, error)
            except LockLost as error:
                logger.error("%s", error)
                return

    renewing = threading.Thread(target=renew, name="carrier-lock", daemon=True)
    renewing.start()
    try:
        yield lock
    finally:
        ended.set()
        renewing.join()
        lock.release()


def held() -> list[LockEntry]:
    """Those that somebody has, by their names.

    Raises:
        StoreUnavailable: the store cannot be used.
    """
    with session(reading=True) as opened:
        return list(opened.scalars(select(LockEntry).where(~_is_over(opened)).order_by(LockEntry.name)))


def _take(name: str, worker: str, detail: Detail) -> Lock:
    owner, holder = secrets.token_hex(16), None
    with session() as opened:
        values = {"owner": owner, "until": _now(opened) + LEASE, "since": datetime.now(UTC), "worker": worker,
                  "detail": detail}  # fmt: skip
        new = insert(opened, LockEntry).values(name=name, **values)
        taken = new.on_conflict_do_update(index_elements=["name"], set_=values, where=_is_over(opened))
        if opened.execute(taken.returning(LockEntry.name)).first() is None:
            holder = opened.scalar(select(LockEntry).where(LockEntry.name == name))
    if holder is not None:
        raise LockHeld(holder)
    return Lock(name, owner)


def _is_over(opened: Session) -> ColumnElement[bool]:
    """One that seems to be held for longer than anybody holds one was taken before the clock was set back."""
    now = _now(opened)
    return (LockEntry.until < now) | (LockEntry.until > now + 2 * LEASE)


def _now(opened: Session) -> ColumnElement[int]:
    """The database's own clock, in s of Unix time: those of its users may differ."""
    if opened.get_bind().dialect.name == sqlite.NAME:
        return cast(func.strftime("%s", "now"), BigInteger)
    return cast(func.extract("epoch", func.clock_timestamp()), BigInteger)
