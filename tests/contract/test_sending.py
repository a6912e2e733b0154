"""What is sent is in the queue, as the JSON that the wire format says, before ``send`` returns."""

from __future__ import annotations

import ctypes
import json
import random
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime

import dramatiq
import pytest
from pydantic import BaseModel, ValidationError

import carrier
from carrier.messaging.actor import MessageActor
from carrier.messaging.broker import Broker
from carrier.messaging.errors import EnvelopeError
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until


class Letter(BaseModel):
    to: str
    text: str
    copies: int = 1


@pytest.fixture
def letter(broker: Broker) -> MessageActor:
    received: list[tuple[Letter, float]] = []

    @carrier.actor("letter", queue="letter_queue", payload=Letter)
    def send_letter(message: Letter) -> None:
        received.append((message, time.time()))

    send_letter.received = received
    return send_letter


def test_the_body_is_the_json_of_the_wire_format(letter: MessageActor, backend: Backend) -> None:
    before = datetime.now(UTC)
    sent = letter.send("a@example.com", "Ünicode ✓", copies=2)
    (body,) = backend.bodies("letter_queue")
    fields = json.loads(body)
    assert list(fields) == ["id", "type", "payload", "max_attempts", "delay", "priority", "created_at", "meta"]
    assert fields | {"created_at": ""} == {
        "id": sent.message_id,
        "type": "letter",
        "payload": {"to": "a@example.com", "text": "Ünicode ✓", "copies": 2},
        "max_attempts": 5,
        "delay": 0,
        "priority": 0,
        "created_at": "",
        "meta": {"attempt": 1},
    }
    created = datetime.fromisoformat(fields["created_at"])
    assert fields["created_at"].endswith("Z")
    assert abs((created - before).total_seconds()) < 30
    assert "Ünicode ✓".encode() in body


def test_the_handler_gets_the_checked_payload(letter: MessageActor, working: Working) -> None:
    letter.send("a@example.com", "hello")
    with working():
        ((message, _),) = wait_until(lambda: letter.received, "it is handled")
    assert message == Letter(to="a@example.com", text="hello")


def test_a_payload_that_does_not_fit_raises_in_the_caller_and_sends_nothing(
    letter: MessageActor, backend: Backend
) -> None:
    letter.send("a@example.com", "the queue is there now")
    with pytest.raises(ValidationError):
        letter.send("a@example.com", "text", copies="many")
    with pytest.raises(TypeError, match="3 arguments at most"):
        letter.send("a@example.com", "text", 1, "too much")
    assert backend.ready("letter_queue") == 1


def test_options_travel(letter: MessageActor, backend: Backend) -> None:
    letter.send_with_options(args=("a@example.com", "text"), priority=9, max_attempts=3)
    (fields,) = backend.envelopes("letter_queue")
    assert (fields["priority"], fields["max_attempts"], fields["delay"]) == (9, 3, 0)


@pytest.mark.parametrize(
    "option",
    [
        *({"priority": 10}, {"priority": -1}, {"priority": "high"}),
        *({"max_attempts": 0}, {"max_retries": -1}, {"max_retries": "x"}),
        *({"delay": "x"}, {"delay": float("nan")}, {"delay": 10**18}),
        *({"min_backoff": "x"}, {"max_backoff": -1}, {"time_limit": "x"}, {"max_age": True}),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(letter: MessageActor, option: dict[str, object]) -> None:
    (name,) = option
    with pytest.raises(EnvelopeError, match=name):
        letter.send_with_options(args=("a@example.com", "text"), **option)


@pytest.mark.parametrize("option", [{"max_retries": "x"}, {"min_backoff": -1}, {"time_limit": "x"}])
def test_an_actor_with_one_is_refused(broker: Broker, option: dict[str, object]) -> None:
    (name,) = option
    with pytest.raises(EnvelopeError, match=name):
        dramatiq.actor(lambda: None, broker=broker, actor_name="wrong", **option)
    assert "wrong" not in broker.actors


@pytest.mark.parametrize("name", ["failed_queue", "carrier.delay.01"])
def test_carriers_own_queues_are_no_actors(broker: Broker, name: str) -> None:
    with pytest.raises(ValueError, match="Carrier's own"):
        dramatiq.actor(lambda: None, broker=broker, actor_name="wrong", queue_name=name)


def test_zero_retries_is_one_attempt(letter: MessageActor, backend: Backend) -> None:
    letter.send_with_options(args=("a@example.com", "text"), max_retries=0)
    assert backend.envelopes("letter_queue")[0]["max_attempts"] == 1


def test_a_delay_is_kept_by_the_broker_and_never_early(
    letter: MessageActor, broker: Broker, backend: Backend, working: Working
) -> None:
    sent = {}
    for delay in (3_600_000, 1_100, 300):
        sent[str(delay)] = time.time()
        letter.send_with_options(args=("a@example.com", str(delay)), delay=delay)
    with working():
        wait_until(lambda: len(letter.received) == 2, "a short delay does not wait behind a long one")
    assert all(at - sent[message.text] >= int(message.text) / 1000 for message, at in letter.received)
    assert backend.ready("letter_queue") == 0
    assert broker.figures().broker["delayed"] == 1


def test_an_urgent_message_overtakes(letter: MessageActor, working: Working) -> None:
    for n, priority in enumerate((0, 1, 9, 5)):
        letter.send_with_options(args=("a@example.com", str(n)), priority=priority)
    with working(threads=1):
        wait_until(lambda: len(letter.received) == 4, "all are handled")
    assert [message.text for message, _ in letter.received] == ["2", "3", "1", "0"]


def test_many_are_sent_in_one_go_and_in_order(letter: MessageActor, broker: Broker, backend: Backend) -> None:
    sent = broker.enqueue_many([letter.message("a@example.com", str(n)) for n in range(1_234)])
    found = backend.envelopes("letter_queue")
    assert [fields["id"] for fields in found] == [message.message_id for message in sent]
    assert [fields["payload"]["text"] for fields in found] == [str(n) for n in range(1_234)]


def test_threads_send_at_once_and_lose_nothing(letter: MessageActor, backend: Backend) -> None:
    def send(thread: int) -> None:
        for n in range(25):
            letter.send("a@example.com", f"{thread}-{n}")

    threads = [threading.Thread(target=send, args=(each,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = {fields["payload"]["text"] for fields in backend.envelopes("letter_queue")}
    assert texts == {f"{thread}-{n}" for thread in range(8) for n in range(25)}


class Interrupted(BaseException):
    """As a handler's time limit raises it in the handler's thread."""


def test_senders_interrupted_anywhere_lose_nothing_that_was_confirmed(letter: MessageActor, backend: Backend) -> None:
    confirmed: list[str] = []

    def send() -> None:
        with suppress(Interrupted):
            while True:
                message = letter.send("a@example.com", "a text")
                confirmed.append(message.message_id)

    for _ in range(150):
        before = len(confirmed)
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        wait_until(lambda before=before: len(confirmed) > before, "it sends", every=0.001)
        time.sleep(random.uniform(0, 0.002))  # anywhere in a send is what is wanted
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Interrupted))
        thread.join(30)
        assert not thread.is_alive()
    ids = [fields["id"] for fields in backend.envelopes("letter_queue")]
    assert set(confirmed) <= set(ids)
    # What was interrupted may be there as well, and nobody knows: no more than one each time.
    assert len(set(ids) - set(confirmed)) <= 150


def test_a_value_that_is_no_json_is_refused(broker: Broker) -> None:
    @dramatiq.actor(broker=broker, queue_name="any_queue")
    def anything(value: object) -> None:
        raise AssertionError("nothing was sent")

    for value in (float("nan"), float("inf"), object()):
        with pytest.raises(EnvelopeError):
            anything.send(value)


def test_what_cannot_travel_is_refused_and_the_next_one_goes(broker: Broker, backend: Backend) -> None:
    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work(value: object) -> None: ...

    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    endless: list[object] = []
    endless.append(endless)
    for message in (
        work.message("x").copy(message_id="half a pair \ud800"),
        work.message("x" * (15 * 2**20)),
        work.message(deep),
        work.message(endless),
        work.message(float("nan")),
    ):
        with pytest.raises(EnvelopeError):
            broker.enqueue(message)
    broker.enqueue(work.message("{[" * 5_000))
    assert backend.ready("work_queue") == 1
