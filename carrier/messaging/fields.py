"""What each field of an envelope must be.

Every message that comes off a queue is checked here, so there are two ways: the table says what a field must be and
what is wrong with one that is not; nearly all messages are seen to be right by a shorter one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

#: ``priority`` goes from 0, the default, to 9, the most urgent.
MAX_PRIORITY = 9
#: The largest whole number in attempts and milliseconds that every part of the system can hold.
LARGEST = 2**53 - 1
#: Seconds of the longest delay, about 300 years.
MAX_DELAY = 1e10


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
KNOWN = frozenset({*_CHECKS, "meta"})
#: Of ``meta``, what the short way knows: the kind, and of a number that it is not 0. Options are for the long one.
_PLAIN: dict[str, type | None] = {
    **dict.fromkeys(("attempt", "eta", "remaining"), int),
    **dict.fromkeys(("args", "attempts"), list),
    "failure": dict,
    "options": None,
}


def is_plain(fields: dict[str, Any]) -> bool:
    """Whether they are surely right, as nearly all are: a shorter way to what the table would say."""
    try:
        id_, type_, limit, delay, priority = (
            fields["id"], fields["type"], fields["max_attempts"], fields["delay"], fields["priority"],
        )  # fmt: skip
        if not (
            id_.__class__ is type_.__class__ is fields["created_at"].__class__ is str
            and 0 < len(id_) <= 255
            and id_.isascii()
            and 0 < len(type_) <= 255
            and type_.isascii()
            and limit.__class__ is delay.__class__ is priority.__class__ is int
            and 0 < limit <= LARGEST
            and 0 <= delay <= MAX_DELAY
            and 0 <= priority <= MAX_PRIORITY
            and fields["payload"].__class__ is dict
        ):
            return False
        datetime.fromisoformat(fields["created_at"])
        for name, value in fields["meta"].items():
            if name in _PLAIN and (
                value.__class__ is not _PLAIN[name] or (value.__class__ is int and not 0 < value <= LARGEST)
            ):
                return False
    except (KeyError, ValueError, AttributeError):
        return False
    return True


def wrong_fields(fields: dict[str, Any]) -> str:
    """What is wrong with them, each named; empty where nothing is."""
    if missing := [name for name in _CHECKS if name not in fields]:
        return f"fields are missing: {', '.join(missing)}"
    wrong = [f"{name} {what}" for name, (holds, what) in _CHECKS.items() if not holds(fields[name])]
    meta = fields.get("meta", {})
    if not isinstance(meta, dict):
        wrong.append("meta must be an object")
    else:
        wrong += [
            f"meta.{name} {what}" for name, (holds, what) in _META.items() if name in meta and not holds(meta[name])
        ]
        wrong += wrong_options(meta["options"]) if isinstance(meta.get("options"), dict) else []
    return "; ".join(wrong)


#: Options of Dramatiq's that are numbers of milliseconds; who reads them trusts that.
_MILLISECONDS = ("min_backoff", "max_backoff", "max_age", "time_limit")


def wrong_options(options: dict[str, Any]) -> list[str]:
    """What is wrong with options of a message or of an actor."""
    return [
        f"{name} must be a number of milliseconds from 0"
        for name in _MILLISECONDS
        if not _is_number(options.get(name, 0) or 0)
    ]
