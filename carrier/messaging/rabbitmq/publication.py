"""A message as it is published: where to, with which properties, and what became of it."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace

import pika

from carrier.messaging.envelope import decode
from carrier.messaging.failure import FAILURE_HEADER
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.rabbitmq import topology

#: What there is to say of a message that nothing has been heard of.
UNCONFIRMED = "it was not confirmed"


@dataclass(slots=True, eq=False)
class Publication:
    """One message and what became of it: ``error`` is None once the broker has confirmed it."""

    exchange: str
    routing_key: str
    body: bytes
    properties: pika.BasicProperties
    error: str | None = UNCONFIRMED
    #: The broker had no queue or no exchange for it.
    unroutable: bool = False


def publication(out: Outgoing) -> Publication:
    """``out`` as it is published. Headers are all our own: RabbitMQ 3 drops what has been in a level before."""
    exchange, key, body = "", out.queue, out.body
    if out.delay:
        if out.delay > topology.LONGEST_PASS:
            body = _with_remaining(out)
        exchange, key = topology.route(out.queue, min(out.delay, topology.LONGEST_PASS))
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=2,
        # A quorum queue takes a message without a priority for 4.
        priority=out.priority,
        message_id=out.id or None,
        # Two sends of one message differ in it, two deliveries of one send do not.
        correlation_id=secrets.token_hex(8),
        type=out.type or None,
        timestamp=int(time.time()),
        app_id="carrier",
        headers={FAILURE_HEADER: out.failure} if out.failure else None,
    )
    return Publication(exchange, key, body, properties)


def _with_remaining(out: Outgoing) -> bytes:
    """A delay longer than one pass: how much is left after it stands in the message, and the worker sends it on."""
    envelope = decode(out.body)
    meta = {**envelope.meta, "remaining": out.delay - topology.LONGEST_PASS}
    return replace(envelope, meta=meta).encode()
