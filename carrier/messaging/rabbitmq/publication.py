"""A message as it is published: where to, with which properties, and what became of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from struct import Struct

from pika import BasicProperties, spec
from pika.data import encode_table

from carrier.messaging.envelope import decode
from carrier.messaging.failure import FAILURE_HEADER
from carrier.messaging.identity import new_mark
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.rabbitmq import topology

#: What there is to say of a message that nothing has been heard of.
UNCONFIRMED = "it was not confirmed"

_END = bytes([spec.FRAME_END])
_METHOD = Struct(">BHIHHH")  # frame: type, channel, size; method: class, number, and 16 bits that are reserved
_HEADER = Struct(">BHIHHQH")  # frame; class, weight, size of the body, flags of the properties
_BODY = Struct(">BHI")
_TIME = Struct(">Q")
_PERSISTENT = 2
_CARRIER = b"\x07carrier"


@dataclass(slots=True, eq=False)
class Publication:
    """One message and what became of it: ``error`` is None once the broker has confirmed it.

    Attributes:
        sent: two sends of one message differ in it, two deliveries of one send do not. It is the correlation id.
        made: Unix time in seconds.
        unroutable: the broker had no queue or no exchange for it.
    """

    exchange: str
    routing_key: str
    body: bytes
    id: str = ""
    type: str = ""
    priority: int = 0
    failure: str | None = None
    content_type: str = "application/json"
    sent: str = field(default_factory=new_mark)
    made: int = field(default_factory=lambda: int(time.time()))
    error: str | None = UNCONFIRMED
    unroutable: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What a message that comes back is known by."""
        return self.id, self.exchange, self.routing_key

    def frames(self, channel: int, largest: int, *, mandatory: bool) -> bytes:
        """The frames that publish it (AMQP 0-9-1, sections 1.8.3.7 and 4.2.6), several times faster than by pika.

        Parameters:
            largest: bytes of the body that a frame holds.

        Raises:
            ValueError: an id or a name is too long, or no text that UTF-8 can write.
        """
        body = self.body
        route = _short(self.exchange) + _short(self.routing_key)
        flags, properties = self._properties()
        parts = [
            _METHOD.pack(spec.FRAME_METHOD, channel, 7 + len(route), 60, 40, 0),
            route,
            b"\x01\xce" if mandatory else b"\x00\xce",
            _HEADER.pack(spec.FRAME_HEADER, channel, 14 + len(properties), 60, 0, len(body), flags),
            properties,
            _END,
        ]
        for start in range(0, len(body), largest):
            part = body[start : start + largest] if len(body) > largest else body
            parts += _BODY.pack(spec.FRAME_BODY, channel, len(part)), part, _END
        return b"".join(parts)

    def _properties(self) -> tuple[int, bytes]:
        """Their flags and those that there are. Headers are all our own: RabbitMQ 3 drops what has been in a level."""
        flags = _ALWAYS
        # In the order of their flags. A quorum queue takes a message without a priority for 4.
        parts = [_short(self.content_type), bytes((_PERSISTENT, self.priority)), _short(self.sent)]
        if self.failure is not None:
            flags |= BasicProperties.FLAG_HEADERS
            headers: list[bytes] = []
            encode_table(headers, {FAILURE_HEADER: self.failure})
            parts[1:1] = headers
        if self.id:
            flags |= BasicProperties.FLAG_MESSAGE_ID
            parts.append(_short(self.id))
        parts.append(_TIME.pack(self.made))
        if self.type:
            flags |= BasicProperties.FLAG_TYPE
            parts.append(_short(self.type))
        parts.append(_CARRIER)
        return flags, b"".join(parts)


_ALWAYS = (
    BasicProperties.FLAG_CONTENT_TYPE
    | BasicProperties.FLAG_DELIVERY_MODE
    | BasicProperties.FLAG_PRIORITY
    | BasicProperties.FLAG_CORRELATION_ID
    | BasicProperties.FLAG_TIMESTAMP
    | BasicProperties.FLAG_APP_ID
)


def _short(text: str) -> bytes:
    """A short string: its length in one byte, and its bytes."""
    written = text.encode()
    return bytes((len(written),)) + written  # ValueError beyond 255


def publication(out: Outgoing) -> Publication:
    """``out`` as it is published."""
    exchange, key, body = "", out.queue, out.body
    if out.delay:
        if out.delay > topology.LONGEST_PASS:
            body = _with_remaining(out)
        exchange, key = topology.route(out.queue, min(out.delay, topology.LONGEST_PASS))
    return Publication(exchange, key, body, out.id, out.type, out.priority, out.failure)


def _with_remaining(out: Outgoing) -> bytes:
    """A delay longer than one pass: how much is left after it stands in the message, and the worker sends it on."""
    envelope = decode(out.body)
    meta = {**envelope.meta, "remaining": out.delay - topology.LONGEST_PASS}
    return replace(envelope, meta=meta).encode()
