"""A message's frames are, byte for byte, those that pika writes; and confirms are read however their bytes arrive."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from pika import BasicProperties, frame, spec

from carrier.messaging.failure import FAILURE_HEADER
from carrier.messaging.rabbitmq.confirms import read_ack
from carrier.messaging.rabbitmq.frames import FrameConnection
from carrier.messaging.rabbitmq.publication import Publication

CHANNEL, LARGEST = 3, 1000
DELAYED = ("carrier.delay.27", "0.1.0.email_queue")
MESSAGES = [
    Publication("", "email_queue", b"{}", "an id", "email", 9),
    Publication(*DELAYED, b"x" * LARGEST, "größer", "email"),
    Publication("", "failed_queue", b"\xce" * (LARGEST + 1), failure='{"reason":"unreadable"}'),
    Publication("carrier.events", "failed.removed", b"", content_type="application/octet-stream"),
    Publication("", "q" * 255, b"z" * 3 * LARGEST, "i" * 255, "t" * 255, failure='{"größer":1}'),
]


def as_pika_writes(message: Publication, *, mandatory: bool) -> bytes:
    properties = BasicProperties(
        content_type=message.content_type,
        delivery_mode=2,
        priority=message.priority,
        message_id=message.id or None,
        correlation_id=message.sent,
        type=message.type or None,
        timestamp=message.made,
        app_id="carrier",
        headers=None if message.failure is None else {FAILURE_HEADER: message.failure},
    )
    method = spec.Basic.Publish(exchange=message.exchange, routing_key=message.routing_key, mandatory=mandatory)
    parts = [frame.Method(CHANNEL, method), frame.Header(CHANNEL, len(message.body), properties)]
    parts += [
        frame.Body(CHANNEL, message.body[start : start + LARGEST]) for start in range(0, len(message.body), LARGEST)
    ]
    return b"".join(part.marshal() for part in parts)


@pytest.mark.parametrize("mandatory", [True, False])
@pytest.mark.parametrize("number", range(len(MESSAGES)))
def test_frames_are_those_that_pika_writes(number: int, mandatory: bool) -> None:
    message = MESSAGES[number]
    assert message.frames(CHANNEL, LARGEST, mandatory=mandatory) == as_pika_writes(message, mandatory=mandatory)


@pytest.mark.parametrize(
    "message",
    [
        Publication("", "q" * 256, b""),
        Publication("e" * 256, "q", b""),
        Publication("", "q", b"", "i" * 128 + "ü" * 64),
        Publication("", "q", b"", "half a pair \ud800"),
        Publication("", "q", b"", "id", "type", 256),
    ],
)
def test_what_amqp_cannot_hold_is_a_value_error(message: Publication) -> None:
    with pytest.raises(ValueError, match=r"."):
        message.frames(CHANNEL, LARGEST, mandatory=True)


def test_two_sends_of_the_same_are_told_apart() -> None:
    assert len({Publication("", "q", b"").sent for _ in range(1000)}) == 1000


class Reading(FrameConnection):
    """Without a socket: the confirms that are read, and the methods that are left to pika."""

    def __init__(self) -> None:
        self.confirmed: list[tuple[int, bool]] = []
        self.left: list[Any] = []
        self.reads = 0
        self.readers = {CHANNEL: partial(read_ack, taker=self._take)}
        self.after_read = self._count
        self._frame_buffer = b""
        self.bytes_received = 0

    def _take(self, last: int, *, multiple: bool) -> None:
        self.confirmed.append((last, multiple))

    def _count(self) -> None:
        self.reads += 1

    def _process_frame(self, frame_value: Any) -> None:
        self.left.append(frame_value.method)


@pytest.mark.parametrize("seed", range(4))
def test_confirms_are_read_and_all_else_is_pikas(seed: int) -> None:
    chance = random.Random(seed)
    methods: list[Any] = []
    for tag in range(1, 200):
        multiple = chance.random() < 0.5
        methods += chance.choice(
            (
                [spec.Basic.Ack(tag, multiple)],
                [spec.Basic.Nack(tag, multiple)],
                [spec.Basic.Return(312, "NO_ROUTE", "", "q"), spec.Basic.Ack(2**40 + tag, multiple)],
            )
        )
    written = b"".join(frame.Method(CHANNEL, each).marshal() for each in methods)
    reading, at, pieces = Reading(), 0, 0
    while at < len(written):
        size = chance.choice((1, 7, 20, 300))
        reading._on_data_available(written[at : at + size])
        at, pieces = at + size, pieces + 1
    acks = [(each.delivery_tag, each.multiple) for each in methods if isinstance(each, spec.Basic.Ack)]
    assert reading.confirmed == acks
    assert [each.NAME for each in reading.left] == [
        each.NAME for each in methods if not isinstance(each, spec.Basic.Ack)
    ]
    assert reading.bytes_received == len(written)
    assert reading.reads == pieces
