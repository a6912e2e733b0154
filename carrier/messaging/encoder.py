"""Between Dramatiq's messages and Carrier's envelopes.

A payload is a message's keyword arguments; positional ones and options travel in ``meta``. Options that a retry
writes, and ``eta``, which would keep a message in a worker's memory, are never taken from the wire, nor is ``throws``,
whose value is a class.

An application may have set an encoder of its own (``dramatiq.set_encoder``), for values that JSON has not: what it
writes goes into the envelope, and what is read from the envelope goes through it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dramatiq.broker import MessageProxy
from dramatiq.encoder import JSONEncoder
from dramatiq.message import Message, get_encoder

from carrier.messaging.envelope import ENDLESS, Envelope, from_fields, now_ms, timestamp_of
from carrier.messaging.errors import EnvelopeError
from carrier.messaging.fields import MAX_PRIORITY

_NOT_FROM_THE_WIRE = ("eta", "retries", "traceback", "requeue_timestamp", "throws")
#: Options that are fields of an envelope.
_FIELDS = ("broker_priority", "max_attempts", "meta")


def envelope_of(message: Message[Any], *, delay: int = 0, max_attempts: int) -> Envelope:
    """The envelope of a message that is sent.

    Parameters:
        delay: milliseconds before the first attempt.
        max_attempts: what holds where the message's own options do not say it.

    Raises:
        EnvelopeError: an option has a value that no message can have.
    """
    own = message.options
    args, kwargs, options = _written(message)
    meta: dict[str, Any] = {"attempt": _attempt(own), **own.get("meta", {})}
    limit = attempts_of(own)
    if delay:
        meta["eta"] = now_ms() + delay
    if args:
        meta["args"] = list(args)
    if options:
        meta["options"] = options
    return from_fields(
        {
            "id": message.message_id,
            "type": message.actor_name,
            "payload": kwargs,
            "max_attempts": max_attempts if limit is None else limit,
            "delay": delay / 1000 if delay else 0,
            "priority": own.get("broker_priority") or 0,
            "created_at": timestamp_of(message.message_timestamp),
            "meta": meta,
        }
    )


def options_of(message: Message[Any] | MessageProxy) -> dict[str, Any]:
    """The options of a message that stand in its ``meta.options``, as JSON has them.

    Raises:
        EnvelopeError: the application's own encoder cannot write them.
    """
    return _written(message)[2]


def _travelling(options: Mapping[str, Any]) -> dict[str, Any]:
    if not options:  # as most messages have none
        return {}
    return {name: value for name, value in options.items() if name not in _NOT_FROM_THE_WIRE and name not in _FIELDS}


def _attempt(options: Mapping[str, Any]) -> int:
    """Which attempt comes next of a message that is sent: somebody's own middleware may send on what has failed."""
    retries = options.get("retries")
    return retries + 1 if isinstance(retries, int) and not isinstance(retries, bool) and retries > 0 else 1


def _written(message: Message[Any] | MessageProxy) -> tuple[Sequence[Any], dict[str, Any], dict[str, Any]]:
    """Arguments and options as the application's own encoder writes them; as they are where it has none."""
    plain = message.args, message.kwargs, _travelling(message.options)
    encoder = get_encoder()
    if type(encoder) is JSONEncoder:
        return plain
    try:
        fields = json.loads(encoder.encode({**message.asdict(), "options": plain[2]}))
        return fields["args"], fields["kwargs"], fields["options"]
    except (ValueError, LookupError, TypeError) as error:
        name = type(encoder).__name__
        raise EnvelopeError(f"{name} does not write JSON, which is what messages are: {error}") from None


def _read(message: Message[Any]) -> Message[Any]:
    """The message as the application's own encoder reads it; as it is where it has none."""
    encoder = get_encoder()
    if type(encoder) is JSONEncoder:
        return message
    try:
        fields = encoder.decode(json.dumps(message.asdict()).encode())
        return replace(message, args=tuple(fields["args"]), kwargs=fields["kwargs"], options=fields["options"])
    except Exception as error:  # noqa: BLE001  (somebody else's code meets what came off the wire)
        raise EnvelopeError(f"{type(encoder).__name__} cannot read the message: {type(error).__name__}") from None


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
    """The Dramatiq message of an envelope that was taken from ``queue``.

    Raises:
        EnvelopeError: the application's own encoder cannot read it.
    """
    options = _travelling(envelope.meta.get("options", {}))
    options["max_attempts"] = envelope.max_attempts
    if envelope.priority:
        options["broker_priority"] = envelope.priority
    if envelope.attempt > 1:  # a first attempt has no such options, which is how middleware tells a retry
        options |= {"retries": envelope.attempt - 1, "requeue_timestamp": _last_tried(envelope)}
    return _read(
        Message(
            queue_name=queue,
            actor_name=envelope.type,
            args=tuple(envelope.meta.get("args", ())),
            kwargs=envelope.payload,
            options=options,
            message_id=envelope.id,
            message_timestamp=_unix_ms(envelope.created_at),
        )
    )


def _last_tried(envelope: Envelope) -> int:
    attempts = envelope.meta.get("attempts")
    try:
        return _unix_ms(attempts[-1]["at"])  # type: ignore[index]  # whatever is wrong with it is caught
    except (TypeError, LookupError, ValueError):
        return _unix_ms(envelope.created_at)


def _unix_ms(moment: str) -> int:
    when = datetime.fromisoformat(moment)
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


#: How many attempts Dramatiq gives a message for which neither it nor its actor says it.
DRAMATIQS_LIMIT = 21


def envelope_of_dramatiq(fields: dict[str, Any], limit_of: Callable[[str], int] | None = None) -> Envelope:
    """The envelope of what Dramatiq's own JSON encoder has written, so that a running installation can move over.

    Parameters:
        limit_of: how many attempts an actor's messages have, by its name: a message of Dramatiq's says it only where
            it has been sent with a limit of its own.

    Raises:
        EnvelopeError: it is not that.
    """
    try:
        options = dict(fields["options"])
        eta = options.pop("eta", None)
        attempt = options.get("retries", 0) + 1
        limit = attempts_of(options) or (limit_of(fields["actor_name"]) if limit_of else DRAMATIQS_LIMIT)
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
