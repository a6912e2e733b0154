"""Reading deliveries off a connection gives what pika's own reading gives, however the bytes arrive."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from pika import BasicProperties, frame, spec

from carrier.messaging.rabbitmq.deliveries import Arrival, take
from carrier.messaging.rabbitmq.frames import FrameConnection

OURS, THEIRS = 1, 2
MESSAGES = [
    (BasicProperties(), b"x"),
    (BasicProperties(correlation_id="only that"), b""),
    (BasicProperties(content_type="application/json", delivery_mode=2, priority=3, correlation_id="c" * 255), b"{}"),
    (BasicProperties(content_encoding="utf-8", priority=0, correlation_id="größer", message_id="m"), b"\xce" * 300),
    (BasicProperties(headers={"carrier-failure": "{}", "n": 1}, correlation_id="with headers", type="email"), b"y" * 9),
    (BasicProperties(content_type="", message_id="none before it"), b"\x00" * 70_000),
]


class Reading(FrameConnection):
    """Without a socket: what is taken, and the frames that were left to pika."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.frames: list[Any] = []
        self.readers = {OURS: partial(take, taker=self.arrivals.append)}
        self._frame_buffer = b""
        self.bytes_received, self.after_read = 0, None

    def _process_frame(self, frame_value: Any) -> None:
        self.frames.append(frame_value)


def delivery(channel: int, tag: int, properties: BasicProperties, body: bytes, most: int = 131_072) -> bytes:
    method = spec.Basic.Deliver("consumer", tag, tag % 2 == 0, "exchange", "routing.key")
    parts = [frame.Method(channel, method).marshal(), frame.Header(channel, len(body), properties).marshal()]
    parts += [frame.Body(channel, body[at : at + most]).marshal() for at in range(0, len(body), most)]
    return b"".join(parts)


@pytest.mark.parametrize("seed", range(8))
def test_what_arrives_in_any_pieces_is_what_was_sent(seed: int) -> None:
    chance = random.Random(seed)
    sent, others = b"", 0
    expected = []
    for tag in range(1, 60):
        properties, body = chance.choice(MESSAGES)
        sent += delivery(OURS, tag, properties, body)
        if len(body) <= 65_536:
            expected.append(Arrival(tag, tag % 2 == 0, properties.correlation_id, properties.headers, body))
        else:
            others += 3  # a method, a header and a body for pika
        for _ in range(chance.randrange(2)):
            sent += frame.Heartbeat().marshal() + delivery(THEIRS, tag, properties, b"theirs")
            others += 4
    reading = Reading()
    at = 0
    while at < len(sent):
        size = chance.choice((1, 7, 100, 4_096))
        reading._on_data_available(sent[at : at + size])
        at += size
    assert reading.arrivals == expected
    assert len(reading.frames) == others
    assert reading.bytes_received == len(sent)


def test_a_body_in_several_frames_is_for_pika() -> None:
    reading = Reading()
    reading._on_data_available(delivery(OURS, 1, BasicProperties(), b"x" * 100, most=60))
    assert [type(each) for each in reading.frames] == [frame.Method, frame.Header, frame.Body, frame.Body]
    assert reading.arrivals == []


def test_a_frame_that_does_not_end_as_it_should_is_refused() -> None:
    broken = bytearray(delivery(OURS, 1, BasicProperties(), b"x" * 100))
    broken[-1] = 0
    with pytest.raises(Exception, match="FRAME_END"):
        Reading()._on_data_available(bytes(broken))
