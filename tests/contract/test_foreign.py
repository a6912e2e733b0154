"""A program in any language publishes the seven fields, straight to a queue, and is served the same."""

from __future__ import annotations

import json
import time
from typing import Any

import dramatiq
import pytest

from carrier.messaging.broker import Broker
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until


@pytest.fixture
def handled(broker: Broker) -> list[tuple[str, float]]:
    handled: list[tuple[str, float]] = []

    @dramatiq.actor(broker=broker, queue_name="word_queue", actor_name="word", min_backoff=10, max_backoff=20)
    def say(word: str) -> None:
        handled.append((word, time.time()))
        if word.startswith("bad"):
            raise RuntimeError(word)

    say.send("first")
    return handled


def body(word: str, **fields: Any) -> bytes:
    given = {
        "id": word,
        "type": "word",
        "payload": {"word": word},
        "max_attempts": 5,
        "delay": 0,
        "priority": 0,
        "created_at": "2026-11-23T10:00:00Z",
    }
    return json.dumps({**given, **fields}).encode()


@pytest.mark.each_version
def test_its_delay_is_honoured(handled: list[tuple[str, float]], backend: Backend, working: Working) -> None:
    put = time.time()
    backend.put("word_queue", body("later", delay=0.7))
    backend.put("word_queue", body("now"))
    with working():
        wait_until(lambda: len(handled) == 3, "all are handled")
    words = dict(handled)
    assert words["later"] - put >= 0.7
    assert words["now"] < words["later"]


def test_its_max_attempts_are_honoured(handled: list[tuple[str, float]], backend: Backend, working: Working) -> None:
    backend.put("word_queue", body("bad", max_attempts=2, extra={"carried": "along"}))
    with working():
        wait_until(backend.failures, "it has failed")
    assert [word for word, _ in handled].count("bad") == 2
    (fields,) = backend.envelopes("failed_queue")
    assert fields["extra"] == {"carried": "along"}
    assert fields["meta"]["failure"]["reason"] == "attempts exhausted"


@pytest.mark.each_version
def test_its_priority_is_kept_over_a_retry(
    handled: list[tuple[str, float]], backend: Backend, working: Working
) -> None:
    backend.put("word_queue", body("bad", max_attempts=3, priority=7), priority=7)
    with working():
        wait_until(backend.failures, "it has failed")
    assert backend.envelopes("failed_queue")[0]["priority"] == 7


def test_a_message_in_dramatiqs_own_json_is_read(
    handled: list[tuple[str, float]], backend: Backend, working: Working
) -> None:
    message: dramatiq.Message[Any] = dramatiq.Message(
        queue_name="word_queue", actor_name="word", args=("moved",), kwargs={}, options={"max_retries": 3}
    )
    backend.put("word_queue", message.encode())
    with working():
        wait_until(lambda: "moved" in dict(handled), "it is handled")
    assert backend.ready("failed_queue") == 0
