"""The message on the wire: seven fields that any program in any language can write, and ``meta``, which is ours.

What comes off a queue is untrusted. It is checked here, once; behind this edge a message is an :class:`Envelope`.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from carrier.messaging.errors import EnvelopeError

#: ``priority`` goes from 0, the default, to 9, the most urgent.
MAX_PRIORITY = 9
#: The largest whole number in attempts and milliseconds that every part of the system can hold.
LARGEST = 2**53 - 1
#: ``max_attempts`` of a message that is retried without end.
ENDLESS = 1_000_000
#: Seconds of the longest delay, about 300 years, and the same in milliseconds.
MAX_DELAY = 1e10
MAX_DELAY_MS = 10**13
#: Bytes of the largest message. RabbitMQ 4 takes 16 MiB, and what is written down of failed attempts comes on top.
MAX_SIZE = 14 * 2**20
#: How deep lists and objects may stand in each other: what is deeper could be read here and not elsewhere.
MAX_DEPTH = 200


def new_id() -> str:
    """A UUID of version 7 (RFC 9562, section 5.7): unique, and in the order of its making."""
    number = int.from_bytes((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def timestamp(moment: float | None = None) -> str:
    """A Unix time in seconds, or now, as RFC 3339 in UTC with milliseconds."""
    when = datetime.fromtimestamp(time.time() if moment is None else moment, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, checked.

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
            return _write(fields).encode()
        except UnicodeEncodeError:
            # Half a surrogate pair cannot be UTF-8, but JSON can escape it (RFC 8259, section 8.2).
            return json.dumps(fields, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise EnvelopeError(f"message {self.id} of type {self.type!r} cannot be written as JSON: {error}") from None


#: Made once: json.dumps makes an encoder a call.
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise EnvelopeError(f"the body is not JSON: the number {text[:20]} is out of range")
    return number


def _refuse(constant: str) -> float:
    raise EnvelopeError(f"the body is not JSON: it holds {constant}")


# What cannot be written again must not be read: JSON has no NaN and no infinity (RFC 8259, section 6).
_read = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse).decode


def decode(body: bytes, limit_of: Callable[[str], int] | None = None) -> Envelope:
    """The envelope in ``body``, or in the JSON that Dramatiq's own encoder writes.

    Parameters:
        limit_of: how many attempts a type's messages have, for a message of Dramatiq's that does not say it.

    Raises:
        EnvelopeError: not JSON, or fields are missing or wrong; the text names them.
    """
    check_depth(body)
    try:
        fields = _read(body.decode().removeprefix("\ufeff"))
    except EnvelopeError:
        raise
    except (ValueError, RecursionError) as error:
        # ValueError: no JSON, no UTF-8, or an integer of thousands of digits.
        raise EnvelopeError(f"the body is not JSON: {str(error).partition(':')[0]}") from None
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


def check_depth(body: bytes) -> None:
    """A body that is JSON, or pretends to be.

    Raises:
        EnvelopeError: lists and objects stand too deep in each other.
    """
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise EnvelopeError(f"the message is nested more than {MAX_DEPTH} deep")


#: A string, or a bracket. An unfinished string goes to the end: it is no JSON anyway.
_NESTING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def _depth(body: bytes) -> int:
    deepest = depth = 0
    for found in _NESTING.finditer(body):
        if found[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in b"]}":
            depth -= 1
    return deepest


def from_fields(fields: dict[str, Any]) -> Envelope:
    """The envelope with these fields; they are checked.

    Raises:
        EnvelopeError: fields are missing or wrong; the text names them.
    """
    if not _CHECKS.keys() <= fields.keys():
        missing = [name for name in _CHECKS if name not in fields]
        raise EnvelopeError(f"fields are missing: {', '.join(missing)}")
    wrong = [f"{name} {what}" for name, (holds, what) in _CHECKS.items() if not holds(fields[name])]
    meta = fields.get("meta", {})
    if not isinstance(meta, dict):
        wrong.append("meta must be an object")
    else:
        wrong += [
            f"meta.{name} {what}" for name, (holds, what) in _META.items() if name in meta and not holds(meta[name])
        ]
        wrong += wrong_options(meta["options"]) if isinstance(meta.get("options"), dict) else []
    if wrong:
        raise EnvelopeError("; ".join(wrong))
    delay = fields["delay"]
    known = len(_CHECKS) + ("meta" in fields)
    return Envelope(
        id=fields["id"],
        type=fields["type"],
        payload=fields["payload"],
        max_attempts=min(fields["max_attempts"], ENDLESS),
        delay=int(delay) if delay == int(delay) else delay,
        priority=fields["priority"],
        created_at=fields["created_at"],
        meta={"attempt": 1, **meta},
        extra={name: fields[name] for name in fields.keys() - _CHECKS.keys() - {"meta"}} if len(fields) > known else {},
    )


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _short_text(value: object) -> bool:
    """Whether AMQP's short strings, which carry id and type as properties, can hold it."""
    try:
        return isinstance(value, str) and 0 < len(value.encode()) <= 255
    except UnicodeEncodeError:
        return False  # half a surrogate pair


def _moment(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value) is not None
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


#: A field's check, and what is said of a value that does not pass it.
_Checks = dict[str, tuple[Callable[[Any], bool], str]]
_CHECKS: _Checks = {
    "id": (_short_text, "must be text of 1 to 255 bytes of UTF-8"),
    "type": (_short_text, "must be text of 1 to 255 bytes of UTF-8"),
    "payload": (_is_object, "must be an object"),
    "max_attempts": (_whole(1, LARGEST), "must be a whole number from 1"),
    "delay": (
        lambda value: _is_number(value) and value <= MAX_DELAY,
        f"must be a number of seconds from 0 to {MAX_DELAY:.0f}",
    ),
    "priority": (_whole(0, MAX_PRIORITY), f"must be a whole number from 0 to {MAX_PRIORITY}"),
    "created_at": (_moment, "must be a time such as 2026-11-23T10:00:00.000Z"),
}
#: Of ``meta``, what Carrier reads; each may be missing.
_META: _Checks = {
    "attempt": (_whole(1, LARGEST), "must be a whole number from 1"),
    "eta": (_whole(0, LARGEST), "must be Unix time in whole milliseconds"),
    "remaining": (_whole(0, LARGEST), "must be a whole number of milliseconds"),
    "args": (_is_list, "must be a list"),
    "attempts": (_is_list, "must be a list"),
    "options": (_is_object, "must be an object"),
    "failure": (_is_object, "must be an object"),
}


#: Options of Dramatiq's that are numbers of milliseconds; who reads them trusts that.
_MILLISECONDS = ("min_backoff", "max_backoff", "max_age", "time_limit")


def wrong_options(options: dict[str, Any]) -> list[str]:
    """What is wrong with options of a message or of an actor."""
    return [
        f"{name} must be a number of milliseconds from 0"
        for name in _MILLISECONDS
        if not _is_number(options.get(name, 0) or 0)
    ]
