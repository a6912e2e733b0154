"""The service object: many messages at once, of which one makes no sense."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest

from carrier.messaging import application
from carrier.messaging.broker import Broker
from carrier.messaging.errors import EnvelopeError, UnknownMessageType
from carrier.messaging.service import Messages
from tests.contract.backend import Backend


@pytest.fixture
def messages(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Messages:
    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work(n: int) -> None: ...

    monkeypatch.setattr(application, "load", lambda: broker)
    return Messages()


def _work(n: int, **options: Any) -> dict[str, Any]:
    return {"type": "work", "payload": {"n": n}, **options}


@pytest.mark.parametrize(
    ("wrong", "kind", "text"),
    [
        (None, EnvelopeError, "needs a type and a payload"),
        ("work", EnvelopeError, "needs a type and a payload"),
        ({"type": "work"}, EnvelopeError, "needs a type and a payload"),
        ({"type": "none", "payload": {}}, UnknownMessageType, "unknown message type 'none'"),
        (_work(2, colour="red"), EnvelopeError, "a message has no colour"),
        (_work(2, delay="5"), EnvelopeError, "delay must be a number of seconds, not '5'"),
        (_work(2, delay=float("nan")), EnvelopeError, "delay must be a number of seconds, not nan"),
    ],
)
def test_the_one_of_many_that_makes_no_sense_is_named_and_none_is_sent(
    messages: Messages, backend: Backend, wrong: Any, kind: type[Exception], text: str
) -> None:
    sent = messages.send_many([_work(0), _work(0, priority=9)])
    with pytest.raises(kind, match=text) as raised:
        messages.send_many([_work(1), wrong, _work(3)])
    assert raised.value.__notes__ == ["it is message 2 of those to be sent; nothing was sent"]
    assert [each["id"] for each in backend.envelopes("work_queue")] == sent[::-1]


def test_one_that_makes_no_sense_is_refused(messages: Messages, backend: Backend) -> None:
    with pytest.raises(EnvelopeError, match="delay must be a number of seconds, not 'soon'"):
        messages.send("work", {"n": 1}, delay="soon")  # type: ignore[arg-type]  # what is tested
    assert messages.send("work", {"n": 1}, priority=9) == backend.envelopes("work_queue")[0]["id"]
