"""An application's own encoder is honoured both ways, as long as it makes JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import dramatiq
import pytest
from dramatiq.encoder import Encoder, JSONEncoder, PickleEncoder

from carrier.messaging.broker import Broker
from carrier.messaging.errors import EnvelopeError
from tests.contract.backend import Backend
from tests.contract.conftest import Working

ID = UUID("0199c0de-0000-7000-8000-000000000001")


class Uuids(Encoder):
    """JSON in which UUIDs are objects."""

    def encode(self, data: dict[str, Any]) -> bytes:
        return json.dumps(data, default=lambda value: {"uuid": str(value)}).encode()

    def decode(self, data: bytes) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(data, object_hook=lambda o: UUID(o["uuid"]) if o.keys() == {"uuid"} else o)
        return decoded


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    dramatiq.set_encoder(JSONEncoder())


def test_what_it_writes_it_reads(broker: Broker, backend: Backend, working: Working) -> None:
    dramatiq.set_encoder(Uuids())
    got = []

    @dramatiq.actor(broker=broker, max_retries=1, min_backoff=10, max_backoff=20)
    def take(*args: Any, **kwargs: Any) -> None:
        got.append((args, kwargs))
        if len(got) == 1:
            raise RuntimeError("once more")

    take.send(ID, key=ID)
    assert backend.envelopes("default")[0]["payload"] == {"key": {"uuid": str(ID)}}
    with working():
        broker.join("default", timeout=20_000)
    assert got == [((ID,), {"key": ID})] * 2


def test_what_it_cannot_read_has_failed_and_the_next_is_done(
    broker: Broker, backend: Backend, working: Working
) -> None:
    got = []
    take = dramatiq.actor(got.append, broker=broker, actor_name="take")
    take.send({"uuid": "none"})
    take.send(2)
    dramatiq.set_encoder(Uuids())
    with working():
        broker.join("default", timeout=20_000)
    assert got == [2]
    assert backend.failures()[0]["reason"] == "unreadable"


def test_one_that_makes_no_json_is_refused_when_sending(broker: Broker) -> None:
    dramatiq.set_encoder(PickleEncoder())
    take = dramatiq.actor(lambda: None, broker=broker, actor_name="take")
    with pytest.raises(EnvelopeError, match="PickleEncoder does not write JSON"):
        take.send()
