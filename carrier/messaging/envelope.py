"""The message on the wire: seven fields that any program in any language can write, and ``meta``, which is ours.

What comes off a queue is untrusted. It is checked here, once; behind this edge a message is an :class:`Envelope`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]  # CPython has it
from typing import Any

from carrier.messaging.document import read
from carrier.messaging.errors import EnvelopeError
from carrier.messaging.fields import KNOWN, is_plain, wrong_fields

#: ``max_attempts`` of a message that is retried without end.
ENDLESS = 1_000_000
#: Milliseconds of the longest delay.
MAX_DELAY_MS = 10**13
#: Bytes of the largest message. RabbitMQ 4 takes 16 MiB, and what is written down of failed attempts comes on top.
MAX_SIZE = 14 * 2**20


def timestamp(moment: float | None = None) -> str:
    """A Unix time in seconds, or now, as RFC 3339 in UTC with milliseconds."""
    return timestamp_of(now_ms() if moment is None else round(moment * 1_000_000) // 1000)


@lru_cache(maxsize=16)  # of many messages that are sent at once some share their millisecond
def timestamp_of(milliseconds: int) -> str:
    """As :func:`timestamp`, of a Unix time in milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_to_the_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=16)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Envelope:
    """One message, checked. Nobody changes it; it is not frozen because it would cost thrice as much to make one.

    Attributes:
        max_attempts: how often it is tried in all, the first attempt included.
        delay: seconds before the first attempt.
        meta: Carrier's own part: ``attempt`` (from 1), ``eta`` (Unix ms; the delay is being or was kept), ``attempts``
            (those that failed), ``failure``, ``args`` and ``options`` (Dramatiq's), and what others put there.
        extra: fields that somebody added; they are carried along.
    """

    id: str
    type: str
    payload: dict[str, Any]
    max_attempts: int
    delay: float = 0
    priority: int = 0
    created_at: str = field(default_factory=timestamp)
    meta: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def attempt(self) -> int:
        """Which attempt the next handling is, from 1."""
        attempt: int = self.meta.get("attempt", 1)
        return attempt

    def encode(self) -> bytes:
        """The envelope as UTF-8 JSON.

        Raises:
            EnvelopeError: a value is not JSON, such as NaN or an object of some class.
        """
        fields = {
            "id": self.id,
            "type": self.type,
            "payload": self.payload,
            "max_attempts": self.max_attempts,
            "delay": self.delay,
            "priority": self.priority,
            "created_at": self.created_at,
            "meta": self.meta,
            **self.extra,
        }
        try:
            return "".join(_write(fields, 0)).encode()
        except UnicodeEncodeError:
            # Half a surrogate pair cannot be UTF-8, but JSON can escape it (RFC 8259, section 8.2).
            return json.dumps(fields, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise EnvelopeError(f"message {self.id} of type {self.type!r} cannot be written as JSON: {error}") from None


#: What json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")) makes for each call, which costs
#: more than the writing. Without markers what holds itself ends as a RecursionError.
_write: Any = c_make_encoder(
    None, json.JSONEncoder().default, encode_basestring, None, ":", ",", False, False, False
)  # fmt: skip


def decode(body: bytes, limit_of: Callable[[str], int] | None = None) -> Envelope:
    """The envelope in ``body``, or in the JSON that Dramatiq's own encoder writes.

    Parameters:
        limit_of: how many attempts a type's messages have, for a message of Dramatiq's that does not say it.

    Raises:
        EnvelopeError: not JSON, or fields are missing or wrong; the text names them.
    """
    fields = read(body)
    if not isinstance(fields, dict):
        raise EnvelopeError("the body is JSON, but not an object with the fields of a message")
    if "actor_name" in fields and "type" not in fields:
        from carrier.messaging.encoder import envelope_of_dramatiq

        return envelope_of_dramatiq(fields, limit_of)
    return from_fields(fields)


def check_size(body: bytes) -> None:
    """A body as it is sent, before anything is written down in it.

    Raises:
        EnvelopeError: it is too large.
    """
    if len(body) > MAX_SIZE:
        raise EnvelopeError(f"the message has {len(body)} bytes; {MAX_SIZE} are the most")


def from_fields(fields: dict[str, Any]) -> Envelope:
    """The envelope with these fields; they are checked.

    Raises:
        EnvelopeError: fields are missing or wrong; the text names them.
    """
    if is_plain(fields):
        if len(fields) == len(KNOWN) and "attempt" in fields["meta"] and fields["max_attempts"] <= ENDLESS:
            return Envelope(**fields)  # as nearly all are: nothing is missing or more
    elif wrong := wrong_fields(fields):
        raise EnvelopeError(wrong)
    meta = fields.get("meta", {})
    delay = fields["delay"]
    known = len(KNOWN) - ("meta" not in fields)
    return Envelope(
        id=fields["id"],
        type=fields["type"],
        payload=fields["payload"],
        max_attempts=min(fields["max_attempts"], ENDLESS),
        delay=int(delay) if delay == int(delay) else delay,
        priority=fields["priority"],
        created_at=fields["created_at"],
        meta={"attempt": 1, **meta},
        extra={name: fields[name] for name in fields.keys() - KNOWN} if len(fields) > known else {},
    )
