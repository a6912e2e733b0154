"""Applications test their messages without a broker and without a worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import AsyncIO
from pydantic import BaseModel, ValidationError

import carrier
from carrier.messaging.broker import Broker
from carrier.messaging.embedded.broker import EmbeddedBroker
from carrier.testing import Inbox
from tests.programs import Run


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = EmbeddedBroker(tmp_path / "home")
    dramatiq.set_broker(made)
    yield made
    dramatiq.set_broker(None)  # as before the first test
    assert not (tmp_path / "home").exists(), "nothing has left the test"


class Letter(BaseModel):
    to: str
    copies: int = 1


def test_what_was_sent_is_there_and_handled_when_asked_for(broker: Broker) -> None:
    got = []

    @carrier.actor("letter", queue="letters", payload=Letter)
    def letter(message: Letter) -> None:
        got.append(message)
        if message.copies > 1:
            letter.send(message.to, message.copies - 1)

    with Inbox(broker) as inbox:
        letter.send_with_options(args=("ada", 2), priority=7, delay=60_000)
        letter.send("bob")
        with pytest.raises(ValidationError):
            letter.send("bob", "many")
        first, second = inbox.sent(letter)
        assert (first.type, first.payload, first.delay, first.priority) == ("letter", {"to": "ada", "copies": 2}, 60, 7)
        assert second.payload == {"to": "bob"}
        assert inbox.drain() == 1
        assert got == [Letter(to="bob")]
        inbox.forward(timedelta(seconds=59))
        assert inbox.drain() == 0
        inbox.forward(1)
        assert inbox.drain() == 2
        assert got[1:] == [Letter(to="ada", copies=2), Letter(to="ada", copies=1)]
        assert (len(inbox), len(inbox.sent("letter"))) == (0, 3)


def test_an_error_is_raised_and_the_message_is_tried_again_in_its_time(broker: Broker) -> None:
    tried = []

    @dramatiq.actor(broker=broker, max_retries=1, min_backoff=1_000, max_backoff=1_000)
    def fail(word: str, *, loudly: bool) -> None:
        tried.append(word)
        raise KeyError(word)

    with Inbox(broker) as inbox:
        fail.send("x", loudly=True)
        assert (inbox.sent(fail)[0].args, inbox.sent(fail)[0].payload) == (("x",), {"loudly": True})
        with pytest.raises(KeyError, match="x"):
            inbox.drain()
        assert (inbox.drain(), len(inbox)) == (0, 1)
        inbox.forward(1)
        assert inbox.drain(raising=False) == 1
        assert (tried, len(inbox), len(inbox.sent())) == (["x", "x"], 0, 1)
        assert [each["reason"] for each in inbox.failed] == ["attempts exhausted"]


def test_pipelines_async_actors_and_unknown_ones(broker: Broker) -> None:
    got: list[Any] = []
    broker.add_middleware(AsyncIO())

    async def double(n: int) -> int:
        return 2 * n

    twice = dramatiq.actor(double, broker=broker)
    keep = dramatiq.actor(got.append, broker=broker, actor_name="keep")
    with Inbox(broker) as inbox:
        (twice.message(4) | twice.message() | keep.message()).run()
        assert inbox.drain() == 3
        assert got == [16]
        broker.enqueue(dramatiq.Message("default", "nobody", (), {}, {}))
        with pytest.raises(carrier.UnknownMessageType, match="nobody"):
            inbox.drain()
        assert inbox.failed[0]["reason"] == "unknown type"


def test_delays_end_in_their_order_and_messages_grow_old(broker: Broker) -> None:
    got = []
    take = dramatiq.actor(got.append, broker=broker, actor_name="take")

    @dramatiq.actor(broker=broker, max_age=3_000, max_retries=0)
    def fresh() -> None:
        got.append("fresh")

    with Inbox(broker) as inbox:
        take.send_with_options(args=("second",), delay=5_000)
        take.send_with_options(args=("first",), delay=1_000)
        fresh.send()
        inbox.forward(10)
        assert inbox.drain(raising=False) == 3
        assert got == ["first", "second"]
        assert [each["error"].rpartition(".")[2] for each in inbox.failed] == ["SkipMessage"]
        with pytest.raises(RuntimeError, match="another Inbox"), Inbox(broker):
            pass


def test_a_handler_that_sends_itself_has_an_end(broker: Broker) -> None:
    @dramatiq.actor(broker=broker)
    def again() -> None:
        again.send()

    with Inbox(broker) as inbox:
        again.send()
        with pytest.raises(RuntimeError, match="does a handler send itself"):
            inbox.drain()


def test_the_fixture(run: Run, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["carrier.testing.plugin"]\n')
    (tmp_path / "test_it.py").write_text(
        "from actors import send_email\n\n\n"
        "def test_it(inbox):\n"
        "    send_email.send('ada@example.com', 'Welcome', 'Hello')\n"
        "    [sent] = inbox.sent(send_email)\n"
        "    assert sent.payload['to'] == 'ada@example.com'\n"
    )
    ran = run("pytest", "-q", "-p", "no:cacheprovider")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
    (tmp_path / "test_it.py").write_text("import dramatiq\n\ndramatiq.get_broker()\n\ndef test_it(inbox): ...\n")
    refused = run("pytest", "-q", "-p", "no:cacheprovider")
    assert "is dramatiq.brokers.rabbitmq.RabbitmqBroker, not Carrier's" in refused.stdout


def test_the_guides_fixtures(run: Run, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[1] / "docs/testing.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "EmbeddedBroker" in block]
    failing = (
        "\ndef test_a_failure_is_raised(broker, worker):\n"
        "    @dramatiq.actor(max_retries=0)\n"
        "    def fail():\n"
        "        raise KeyError('from the handler')\n\n"
        "    fail.send()\n"
        "    broker.join(fail.queue_name, timeout=10_000)\n"
    )
    (tmp_path / "test_guide.py").write_text(code + failing)
    ran = run("pytest", "-q", "-p", "no:cacheprovider")
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "KeyError: 'from the handler'" in ran.stdout
