"""What comes off a queue is untrusted: what no handler can have goes to failed_queue, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import carrier
from carrier.messaging.broker import Broker
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until

GOOD: dict[str, Any] = {
    "id": "1",
    "type": "number",
    "payload": {"n": 1},
    "max_attempts": 3,
    "delay": 0,
    "priority": 0,
    "created_at": "2026-11-23T10:00:00.123456789Z",
}


def changed(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


BAD = [
    b"",
    b"\x80\x81",
    b"null",
    b"[]",
    b"5",
    b'"x"',
    b"{}",
    b"not json",
    b'{"type":1}',
    b"[" * 100_000,
    changed(deep=json.loads("[" * 250 + "]" * 250)),
    changed(payload={"n": 1, "text": "x" * (14 * 2**20)}),
    b"[" * 300 + b'"' + b'\\"' * 500_000 + b"\\",
    b"1" * 5000,
    changed(payload="x"),
    changed(payload=[]),
    changed(payload={"n": "many"}),
    changed(payload={}),
    changed(created_at=None),
    changed(created_at="x"),
    changed(type="nosuch"),
    changed(type=""),
    changed(type="x" * 300),
    changed(type=["bad"]),
    changed(type=7),
    changed(id=None),
    changed(id="half a pair: \ud800"),
    changed(type="\udfff"),
    changed(max_attempts="3"),
    changed(max_attempts=None),
    changed(max_attempts=0),
    changed(max_attempts=True),
    changed(priority=10),
    changed(delay=-1),
    changed(delay="10s"),
    changed(meta=None),
    changed(meta={"attempt": "x"}),
    changed(meta={"eta": 1e300}),
    changed(meta={"args": 3}),
    changed(meta={"options": []}),
    changed(meta={"options": {"time_limit": "x"}}),
    changed(payload={"n": 1}).replace(b'"n": 1', b'"n": NaN'),
    changed(payload={"n": 1}).replace(b'"n": 1', b'"n": 1e400'),
    b'{"actor_name": "number"}',
    b'{"actor_name": 3, "queue_name": [], "args": 1, "kwargs": 2, "options": 3, "message_id": 4, "message_timestamp": 5}',  # noqa: E501  (one body, one line)
]


class Number(BaseModel):
    n: int


@pytest.fixture
def handled(broker: Broker) -> Iterator[list[int]]:
    handled: list[int] = []

    @carrier.actor("number", queue="number_queue", payload=Number, max_attempts=1)
    def number(message: Number) -> None:
        handled.append(message.n)

    number.send(0)  # the queue is there now
    return handled


def test_bad_bodies_are_kept_byte_for_byte_and_good_ones_go_on(
    handled: list[int], backend: Backend, working: Working
) -> None:
    for body in BAD:
        backend.put("number_queue", body)
    backend.put("number_queue", changed(payload={"n": 42}))
    with working():
        wait_until(lambda: 42 in handled, "the good one is handled")
        wait_until(lambda: backend.ready("failed_queue") == len(BAD), "all bad ones are in failed_queue")
    assert sorted(backend.bodies("failed_queue")) == sorted(BAD)
    assert {failure["reason"] for failure in backend.failures()} == {"unreadable", "unknown type", "payload refused"}
    assert all(failure["queue"] == "number_queue" and failure["message"] for failure in backend.failures())
    assert backend.ready("number_queue") == 0
    assert sorted(handled) == [0, 42]


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + changed(payload={"n": 42}),
        changed(payload={"n": 42}, extra={"carried": "along"}),
        changed(payload={"n": 42}, created_at="2026-11-23T10:00:00"),
        changed(payload={"n": 42}, meta={"options": {"throws": "x", "eta": 9e99, "retries": "x"}}),
    ],
    ids=["a byte order mark", "an extra field", "a time without a zone", "options of wrong types"],
)
def test_what_can_be_understood_is_served(handled: list[int], backend: Backend, working: Working, body: bytes) -> None:
    backend.put("number_queue", body)
    with working():
        wait_until(lambda: 42 in handled, "it is handled")
        backend.put("number_queue", changed(payload={"n": 43}))
        wait_until(lambda: 43 in handled, "the next one too")
    assert backend.ready("failed_queue") == 0
