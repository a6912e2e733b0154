"""The tables. What changes here needs a migration beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, DateTime, Dialect, Index, Integer, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Moment(TypeDecorator[datetime]):
    """An instant, always in UTC: SQLite keeps no zone, and PostgreSQL gives that of the session."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def as_text(value: str) -> str:
    """Text as a database takes it: half a surrogate pair is no UTF-8, and PostgreSQL has no NUL."""
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


class Characters(TypeDecorator[str]):
    """Text of at most so many characters, by :func:`as_text`."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else as_text(value)


class LongText(Characters):
    """The same without a limit."""

    impl = Text
    cache_ok = True


class Base(DeclarativeBase):
    """All tables of the store."""


class InboxEntry(Base):
    """A notification that a user finds in the application."""

    __tablename__ = "inbox"

    #: The message's id: handled twice, it is there once.
    message_id: Mapped[str] = mapped_column(Characters(255), primary_key=True)
    user_id: Mapped[str] = mapped_column(Characters(255), index=True)
    title: Mapped[str] = mapped_column(LongText)
    message: Mapped[str] = mapped_column(LongText)
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)


class HistoryEntry(Base):
    """Something that happened to a message; payloads are not kept."""

    __tablename__ = "history"

    #: In the order of writing, so that the oldest go first.
    seq: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    message_id: Mapped[str] = mapped_column(Characters(255), index=True)
    what: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(Moment)
    type: Mapped[str] = mapped_column(Characters(255))
    queue: Mapped[str] = mapped_column(Characters(255))
    attempt: Mapped[int] = mapped_column(BigInteger)
    worker: Mapped[str] = mapped_column(Characters(300))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


class LeaderEntry(Base):
    """Who of the schedulers sends. What decides is compared, never read off a clock; the rest is for people."""

    __tablename__ = "leader"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    #: A random token; None when nobody leads.
    owner: Mapped[str | None] = mapped_column(String(40))
    #: One more with each new leader.
    fence: Mapped[int] = mapped_column(BigInteger)
    #: One more every second.
    beat: Mapped[int] = mapped_column(BigInteger)
    #: Host and process.
    process: Mapped[str] = mapped_column(Characters(300))
    at: Mapped[datetime] = mapped_column(Moment)


class ScheduleEntry(Base):
    """How far a schedule of carrier.toml has come."""

    __tablename__ = "schedules"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    #: What decides when it fires: a change of it begins anew.
    timing: Mapped[str] = mapped_column(Characters(300))
    #: Fire times up to this one are dealt with.
    cursor: Mapped[datetime] = mapped_column(Moment)
    paused: Mapped[bool] = mapped_column(Boolean)


class FireEntry(Base):
    """One fire time of one schedule."""

    __tablename__ = "fires"
    __table_args__ = (Index("ix_fires_state", "state"),)

    schedule: Mapped[str] = mapped_column(String(100), primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    message_id: Mapped[str] = mapped_column(String(36), unique=True)
    state: Mapped[str] = mapped_column(String(10))
    #: The worker that runs it: a random token.
    owner: Mapped[str | None] = mapped_column(String(40))
    #: One more every few seconds while it runs.
    beat: Mapped[int] = mapped_column(BigInteger)
    #: How often it was sent back by hand, and the attempt that is next or under way.
    returned: Mapped[int] = mapped_column(Integer)
    attempt: Mapped[int] = mapped_column(BigInteger)
    recorded: Mapped[datetime] = mapped_column(Moment)
    sent: Mapped[datetime | None] = mapped_column(Moment)
    began: Mapped[datetime | None] = mapped_column(Moment)
    ended: Mapped[datetime | None] = mapped_column(Moment)
    #: Host and process of the worker, and what went wrong.
    worker: Mapped[str | None] = mapped_column(Characters(300))
    error: Mapped[str | None] = mapped_column(LongText)


class DeliveryEntry(Base):
    """What a mail server has said of one recipient of one e-mail."""

    __tablename__ = "deliveries"

    message_id: Mapped[str] = mapped_column(Characters(255), primary_key=True)
    #: As the server was given it.
    recipient: Mapped[str] = mapped_column(Characters(320), primary_key=True)
    #: "accepted", "refused" or "later".
    state: Mapped[str] = mapped_column(String(10))
    reply: Mapped[str] = mapped_column(LongText)
    at: Mapped[datetime] = mapped_column(Moment, index=True)


class FaultEntry(Base):
    """Something outside that cannot be used, and keeps messages waiting."""

    __tablename__ = "faults"

    #: What it is, as in "mail server smtp.example.com:587".
    source: Mapped[str] = mapped_column(Characters(300), primary_key=True)
    text: Mapped[str] = mapped_column(LongText)
    since: Mapped[datetime] = mapped_column(Moment)
    #: When it was last seen.
    at: Mapped[datetime] = mapped_column(Moment)


class LockEntry(Base):
    """What only one may do at a time, and who does it. One whose time is over is nobody's."""

    __tablename__ = "locks"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    #: A random token of the run that has it.
    owner: Mapped[str] = mapped_column(String(40))
    #: Until when, in s of Unix time by the database's own clock.
    until: Mapped[int] = mapped_column(BigInteger)
    since: Mapped[datetime] = mapped_column(Moment)
    #: Host and process.
    worker: Mapped[str] = mapped_column(Characters(300))
    #: How far it has come.
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


class AuditEntry(Base):
    """Something that somebody did in the console."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment, index=True)
    who: Mapped[str] = mapped_column(Characters(300))
    what: Mapped[str] = mapped_column(String(50))
    #: What it was done to, as people read it.
    subject: Mapped[str] = mapped_column(LongText)
    #: What came of it; empty while it is being done.
    outcome: Mapped[str] = mapped_column(LongText)
