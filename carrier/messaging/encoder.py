"""Between Dramatiq's messages and Carrier's envelopes.

A payload is a message's keyword arguments; positional ones and options travel in ``meta``. Options that a retry
writes, and ``eta``, which would keep a message in a worker's memory, are never taken from the wire, nor is ``throws``,
whose value is a class.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dramatiq.message import Message

from carrier.messaging.envelope import ENDLESS, MAX_PRIORITY, Envelope, from_fields, now_ms, timestamp
from carrier.messaging.errors import EnvelopeError

_NOT_FROM_THE_WIRE = ("eta", "retries", "traceback", "requeue_timestamp", "throws")


def envelope_of(message: Message[Any], *, delay: int = 0, max_attempts: int) -> Envelope:
    """The envelope of a message that is sent.

    Parameters:
        delay: milliseconds before the first attempt.
        max_attempts: what holds where the message's own options do not say it.

    Raises:
        EnvelopeError: an option has a value that no message can have.
    """
    options = {name: value for name, value in message.options.items() if name not in _NOT_FROM_THE_WIRE}
    meta: dict[str, Any] = {"attempt": 1, **options.pop("meta", {})}
    limit = attempts_of(options)
    options.pop("max_retries", None)
    options.pop("max_attempts", None)
    priority = options.pop("broker_priority", 0)
    if delay:
        meta["eta"] = now_ms() + delay
    if message.args:
        meta["args"] = list(message.args)
    if options:
        meta["options"] = options
    return from_fields(
        {
            "id": message.message_id,
            "type": message.actor_name,
            "payload": message.kwargs,
            "max_attempts": max_attempts if limit is None else limit,
            "delay": delay / 1000,
            "priority": priority,
            "created_at": timestamp(message.message_timestamp / 1000),
            "meta": meta,
        }
    )


def attempts_of(options: dict[str, Any]) -> int | None:
    """How many attempts these options allow in all; None where they do not say it.

    ``max_retries`` is Dramatiq's: 0 means one attempt, None means without end.
    """
    if "max_attempts" in options:
        attempts: int = options["max_attempts"]
        return attempts
    if "max_retries" not in options:
        return None
    retries = options["max_retries"]
    if retries is None:
        return ENDLESS
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        raise EnvelopeError(f"max_retries must be a whole number from 0, or None, not {retries!r}")
    return min(retries + 1, ENDLESS)


def message_of(envelope: Envelope, queue: str) -> Message[Any]:
    """The Dramatiq message of an envelope that was taken from ``queue``."""
    sent = envelope.meta.get("options", {})
    options = {name: value for name, value in sent.items() if name not in _NOT_FROM_THE_WIRE}
    options |= {
        "broker_priority": envelope.priority,
        "max_attempts": envelope.max_attempts,
        "retries": envelope.attempt - 1,
    }
    return Message(
        queue_name=queue,
        actor_name=envelope.type,
        args=tuple(envelope.meta.get("args", ())),
        kwargs=envelope.payload,
        options=options,
        message_id=envelope.id,
        message_timestamp=_unix_ms(envelope.created_at),
    )


def _unix_ms(moment: str) -> int:
    when = datetime.fromisoformat(moment)
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def envelope_of_dramatiq(fields: dict[str, Any]) -> Envelope:
    """The envelope of what Dramatiq's own JSON encoder has written, so that a running installation can move over.

    Raises:
        EnvelopeError: it is not that.
    """
    try:
        options = dict(fields["options"])
        eta = options.pop("eta", None)
        attempt = options.get("retries", 0) + 1
        # Without a limit of its own a message had its actor's, which is not known here: Dramatiq's default.
        limit = attempts_of(options) or 21
        message: Message[Any] = Message(
            queue_name=fields["queue_name"],
            actor_name=fields["actor_name"],
            args=tuple(fields["args"]),
            kwargs=fields["kwargs"],
            options={
                **options,
                "max_attempts": limit,
                "broker_priority": max(0, min(MAX_PRIORITY, options.get("broker_priority") or 0)),
                "meta": {"attempt": attempt},
            },
            message_id=fields["message_id"],
            message_timestamp=fields["message_timestamp"],
        )
        envelope = envelope_of(message, max_attempts=limit)
        if eta is None:
            return envelope
        return from_fields({**_fields(envelope), "delay": max(0, eta - now_ms()) / 1000})
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise EnvelopeError(f"the body is not a Dramatiq message: {type(error).__name__}") from None


def _fields(envelope: Envelope) -> dict[str, Any]:
    return {name: getattr(envelope, name) for name in Envelope.__slots__ if name != "extra"}
