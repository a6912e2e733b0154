"""A failed message whose content was wrong is edited, and goes as a new message that names the old one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from pydantic import BaseModel

import carrier
from carrier.messaging.broker import Broker
from carrier.messaging.embedded.broker import EmbeddedBroker
from carrier.messaging.envelope import Envelope
from carrier.messaging.errors import PermanentError
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.walk import Stored
from carrier.monitor import failed
from carrier.monitor.failed import FailedMessage, Filter, editing
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.waiting import wait_until

Failing = Callable[..., FailedMessage]


class Order(BaseModel):
    """A payload with each kind of field."""

    n: int
    to: str
    password: str = ""
    data: dict[str, Any] | None = None


@pytest.fixture
def failing(tmp_path: Path) -> Callable[..., FailedMessage]:
    """A failed message with this payload, for what does not depend on where it lies."""
    broker = EmbeddedBroker(tmp_path / "home")
    dramatiq.set_broker(broker)
    carrier.actor("order", queue="work_queue", payload=Order)(print)

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def plain(n: int, token: str, *, word: str = "") -> None:
        """Is only looked at."""

    def make(type_: str = "order", **payload: Any) -> FailedMessage:
        body = Envelope("a", type_, payload, 1, meta={"failure": {"queue": "work_queue"}}).encode()
        return FailedMessage(Stored(body, None, None), broker)

    return make


class Shop:
    """An actor with a model, one without, and what they have handled."""

    def __init__(self, broker: Broker, backend: Backend, working: Working) -> None:
        self.broker, self.backend, self.working = broker, backend, working
        self.handled: list[Any] = []

        @carrier.actor("order", queue="work_queue", payload=Order)
        def order(payload: Order) -> None:
            if payload.n < 0:
                raise PermanentError("n must not be negative")
            self.handled.append(payload.model_dump())

        @dramatiq.actor(broker=broker, queue_name="work_queue", max_retries=0)
        def plain(n: int, token: str, *, word: str = "") -> None:
            if n < 0:
                raise PermanentError("n must not be negative")
            self.handled.append((n, token, word))

        self.order, self.plain = order, plain

    def fail(self, body: bytes | None = None) -> FailedMessage:
        """Have what was sent, or these bytes, fail."""
        if body is not None:
            self.broker.consume("work_queue").close()  # declares it
            self.backend.put("work_queue", body)
        with self.working():
            wait_until(lambda: len(self.backend.failures()) == 1, "it has failed")
        (found,) = failed.find(self.broker).messages
        return found

    def mend(self, found: FailedMessage, text: str) -> dict[str, Any]:
        """Edit it, and return the meta of what was sent, once it is handled."""
        out = editing.edited(found, text, by="ann@desk")
        assert editing.send(self.broker, found, out, by="ann@desk") == failed.Mended(counted=1, done=1)
        (fields,) = self.backend.envelopes("work_queue")
        with self.working():
            wait_until(lambda: bool(self.handled), "it is handled")
        assert fields["id"] != found.id
        assert self.backend.ready(FAILED_QUEUE) == 0
        meta: dict[str, Any] = fields["meta"]
        assert meta["original"].items() >= {"id": found.id, "by": "ann@desk"}.items()
        assert meta["attempt"] == 1
        assert "failure" not in meta
        return meta


@pytest.fixture
def shop(broker: Broker, backend: Backend, working: Working) -> Shop:
    return Shop(broker, backend, working)


def test_a_payload_is_put_right_and_its_secrets_stay(shop: Shop) -> None:
    shop.order.send(-1, "bob", "hunter2", {"api_key": "hunter3", "list": [{"token": "hunter4"}, 1]})
    found = shop.fail()
    draft = editing.draft(found)
    assert "hunter" not in draft
    given = json.loads(draft)
    given["n"] = 5
    given["data"]["list"].append(2)
    shop.mend(found, json.dumps(given))
    data = {"api_key": "hunter3", "list": [{"token": "hunter4"}, 1, 2]}
    assert shop.handled == [{"n": 5, "to": "bob", "password": "hunter2", "data": data}]


def test_positional_arguments_are_edited_beside_the_others(shop: Shop) -> None:
    shop.plain.send(-1, "hunter2", word="w")
    found = shop.fail()
    assert json.loads(editing.draft(found)) == {"args": [-1, "[masked]"], "payload": {"word": "w"}}
    shop.mend(found, '{"args": [3, "[masked]"], "payload": {}}')
    assert shop.handled == [(3, "hunter2", "")]


def test_what_was_refused_at_the_edge_and_what_is_no_json_can_be_edited(shop: Shop) -> None:
    fields = {
        "id": "a",
        "type": "order",
        "max_attempts": 3,
        "delay": 0,
        "priority": 7,
        "created_at": "2026-11-23T10:00",
    }
    found = shop.fail(json.dumps({**fields, "payload": {"n": "x", "to": "bob"}}).encode())
    assert found.failure["reason"] == "payload refused"
    shop.mend(found, '{"n": 1, "to": "bob"}')
    shop.handled.clear()
    whole = json.dumps({**fields, "payload": {"n": 2, "to": "bob"}})
    found = shop.fail(whole[:-1].encode())
    assert editing.draft(found) == whole[:-1]
    shop.mend(found, whole)
    assert [each["n"] for each in shop.handled] == [2]


def test_one_that_was_mended_meanwhile_is_not_sent_twice(shop: Shop) -> None:
    shop.order.send(-1, "bob")
    found = shop.fail()
    out = editing.assigned(found, {"n": "5"}, by="ann")
    failed.retry(shop.broker, Filter(ids={found.id}))
    assert editing.send(shop.broker, found, out, by="ann") == failed.Mended()
    assert len(shop.backend.envelopes("work_queue")) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"n": NaN, "to": "bob"}', "it is not JSON"),
        ('{"n": "x", "to": "bob"}', "n: Input should be a valid integer"),
        ('{"n": 1, "to": "[masked]"}', "to: write the value in the place of [masked]"),
        ('{"n": 1}', "to: Field required"),
        ('{"n": 1, "to": "b", "data": ' + '{"a":' * 300 + "1" + "}" * 301, "nested"),
    ],
)
def test_what_cannot_be_sent_is_said(failing: Failing, text: str, why: str) -> None:
    found = failing(n=-1, to="bob", password="hunter2")
    with pytest.raises(editing.EditError, match=why.replace("[", r"\[")) as raised:
        editing.edited(found, text, by="ann")
    assert "hunter" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "payload"),
    [
        ({"n": "5"}, {"n": 5, "to": "bob", "data": None}),
        ({"n": "5", "to": "17"}, {"n": 5, "to": "17", "data": None}),
        ({"n": "5", "data": '{"a": 1}'}, {"n": 5, "to": "bob", "data": {"a": 1}}),
        ({"n": "5", "data.a.b": "x"}, {"n": 5, "to": "bob", "data": {"a": {"b": "x"}}}),
    ],
)
def test_keys_are_set_as_their_type_takes_them(
    failing: Failing, values: dict[str, str], payload: dict[str, Any]
) -> None:
    out = editing.assigned(failing(n=-1, to="bob", data=None), values, by="ann")
    assert json.loads(out.body)["payload"] == payload


@pytest.mark.parametrize("values", [{"n": "x"}, {"to.a": "x"}, {"n": "5", "data": "[]"}])
def test_a_key_that_does_not_fit_is_refused(failing: Failing, values: dict[str, str]) -> None:
    with pytest.raises(editing.EditError):
        editing.assigned(failing(n=-1, to="bob"), values, by="ann")


def test_without_a_model_a_value_keeps_its_kind_and_the_call_must_fit(failing: Failing) -> None:
    found = failing("plain", n=-1, token="17")
    out = editing.assigned(found, {"n": "5", "token": "18"}, by="ann")
    assert json.loads(out.body)["payload"] == {"n": 5, "token": "18"}
    with pytest.raises(editing.EditError, match="cannot be called with it"):
        editing.assigned(found, {"nosuch": "5"}, by="ann")
