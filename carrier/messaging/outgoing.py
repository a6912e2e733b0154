"""A message on its way to a queue: what both brokers are given to store."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dramatiq.broker import MessageProxy
from dramatiq.message import Message

from carrier.messaging.envelope import Envelope
from carrier.messaging.failure import FAILED_QUEUE, Failure


class Outgoing(NamedTuple):
    """Bytes and where they go.

    Attributes:
        delay: milliseconds for which the broker holds it.
        failure: JSON that goes beside the bytes, into the header ``carrier-failure``.
    """

    queue: str
    id: str
    type: str
    body: bytes
    priority: int = 0
    delay: int = 0
    failure: str | None = None


class Enqueued(NamedTuple):
    """What Dramatiq's middleware is told of a message that is sent, and how it travels.

    Attributes:
        delay: as it was asked for, in milliseconds; None without one.
    """

    message: Message[Any] | MessageProxy
    delay: int | None
    outgoing: Outgoing


def outgoing(envelope: Envelope, queue: str, delay: int = 0) -> Outgoing:
    """``envelope`` for ``queue``, in ``delay`` ms.

    Raises:
        EnvelopeError: it cannot be written as JSON.
    """
    return Outgoing(queue, envelope.id, envelope.type, envelope.encode(), envelope.priority, delay)


def refused(body: bytes, failure: Failure) -> Outgoing:
    """A body that never reached a handler, byte for byte, for failed_queue."""
    return Outgoing(FAILED_QUEUE, "", "", body, failure=json.dumps(failure.fields()))
