"""An application moves over from stock Dramatiq by one line, and what was under way is not lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.rabbitmq import RabbitmqBroker as StockBroker

from carrier.monitor import failed
from tests.contract.backend import Rabbitmq
from tests.contract.conftest import ROOT, Working
from tests.programs import Run
from tests.waiting import wait_until


@pytest.fixture(params=[None, 7])
def stock(request: pytest.FixtureRequest, rabbitmq: Rabbitmq) -> Iterator[Any]:
    """Stock Dramatiq's broker, with and without its priorities."""
    broker = StockBroker(url=rabbitmq.url, max_priority=request.param)
    yield broker
    broker.close()


@pytest.mark.each_version
def test_queues_and_messages_of_stock_dramatiq_are_taken_over(stock: Any, rabbitmq: Rabbitmq, working: Working) -> None:
    got: list[str] = []

    def work(word: str) -> None:
        got.append(word)
        if word.startswith("bad"):
            raise RuntimeError(word)

    options = {"actor_name": "work", "queue_name": "old.queue", "min_backoff": 10, "max_backoff": 20}
    on_stock = dramatiq.actor(work, broker=stock, max_retries=1, **options)
    on_stock.send("bad before")
    with working(stock):
        wait_until(lambda: stock.get_queue_message_counts("old.queue")[2] == 1, "stock Dramatiq has given it up")
    on_stock.send("bad after")
    on_stock.send("now")
    sent = time.monotonic()
    on_stock.send_with_options(args=("soon",), delay=2_500)
    on_stock.send_with_options(args=("much later",), delay=3_600_000)
    got.clear()

    broker = rabbitmq.broker()
    dramatiq.actor(work, broker=broker, max_retries=2, **options)
    states = {each.name: (each.state, each.found) for each in broker.inspect()}
    assert states["old.queue"][0] == "ok"
    assert states["old.queue.DQ"] == ("left over", "messages of stock Dramatiq, waiting for their time: 2")
    assert states["old.queue.XQ"] == ("left over", "messages of stock Dramatiq, given up: 1")
    with working(broker):
        moved = [(each.queue, each.moved, each.to, each.consumers) for each in broker.carry_over()]
        assert moved == [("old.queue.DQ", 2, "old.queue", 0), ("old.queue.XQ", 1, "failed_queue", 0)]
        wait_until(lambda: "soon" in got, "what was delayed is done")
        assert time.monotonic() - sent >= 2.5
        wait_until(lambda: broker.get_queue_message_counts("old.queue") == (0, 1, 2), "the rest waits, or has failed")
        assert sorted(got) == ["bad after"] * 3 + ["now", "soon"], "the limit is the actor's"
        reasons = {each["reason"]: each for each in rabbitmq.failures()}
        assert reasons["given up by Dramatiq"]["message"] == "RuntimeError: bad before"
        assert "in work" in reasons["given up by Dramatiq"]["traceback"]
        failed.retry(broker)
        wait_until(lambda: got.count("bad before") == 3, "it is tried afresh")
    assert broker.carry_over() == []
    broker.close()


def test_what_stock_dramatiq_could_not_read_is_carried_over_too(rabbitmq: Rabbitmq) -> None:
    stock = StockBroker(url=rabbitmq.url)
    dramatiq.actor(lambda: None, broker=stock, actor_name="work", queue_name="old.queue").send()
    stock.close()
    broker = rabbitmq.broker()
    work = dramatiq.actor(lambda: None, broker=broker, actor_name="work", queue_name="old.queue")
    broker.flush_all()
    sent = work.send()
    (body,) = rabbitmq.bodies("old.queue")
    rabbitmq.put("old.queue.XQ", body)
    rabbitmq.put("old.queue.XQ", b"no message")
    assert [(each.queue, each.moved) for each in broker.carry_over()] == [("old.queue.XQ", 2)]
    assert {each["reason"] for each in rabbitmq.failures()} == {"given up by Dramatiq", "unreadable"}
    assert {each.id for each in failed.find(broker).messages} > {sent.message_id}
    broker.close()


def test_the_commands_name_it_and_carry_it_over(rabbitmq: Rabbitmq, run: Run) -> None:
    stock = StockBroker(url=rabbitmq.url)
    dramatiq.actor(lambda n: None, broker=stock, actor_name="plain", queue_name="plain_queue").send_with_options(
        args=(1,), delay=3_600_000
    )
    consumer = stock.consume("plain_queue.DQ")
    assert next(consumer) is not None, "a worker holds it in its memory"
    words = {"RABBITMQ_URL": rabbitmq.url, "CARRIER_ACTORS": "tests.contract.application"}
    held = run("carrier", "topology", "migrate", **words)
    assert held.returncode == 1
    assert "plain_queue.DQ: workers of stock Dramatiq still take from it (1)" in held.stdout
    named = run("carrier", "topology", "check", **words)
    assert (named.returncode, "and what 1 workers hold" in named.stdout) == (1, True)
    consumer.close()
    stock.close()
    checked = run("carrier", "topology", "check", **words)
    assert checked.returncode == 1
    assert "plain_queue.DQ" in checked.stdout
    assert "then: carrier topology migrate" in checked.stdout
    moved = run("carrier", "topology", "migrate", "--json", **words)
    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout) == [{"queue": "plain_queue.DQ", "moved": 1, "to": "plain_queue", "consumers": 0}]
    again = run("carrier", "topology", "migrate", **words)
    assert (again.returncode, again.stdout) == (0, "There is nothing of stock Dramatiq to carry over.\n")


def test_the_example_does_the_same_before_and_after(rabbitmq: Rabbitmq, run: Run, tmp_path: Path) -> None:
    after = (ROOT / "examples/orders/tasks.py").read_text()
    line = "broker = carrier.connect()\n"
    assert after.count(line) == 1
    stocks = f"from dramatiq.brokers.rabbitmq import RabbitmqBroker; broker = RabbitmqBroker(url={rabbitmq.url!r})\n"
    (tmp_path / "before.py").write_text(after.replace(line, stocks))
    (tmp_path / "after.py").write_text(after)

    def printed(program: str, **more: str) -> list[str]:
        ran = run("python", program, **more)
        assert ran.returncode == 0, ran.stderr
        return sorted(ran.stdout.splitlines())

    before = printed("before.py")
    assert before == ["ada paid 250", "ada paid 30", "ada paid 480", "shipped to ada for 760"]
    sent = run("python", "-c", "import before; before.charge.send('bob', 100)")
    assert sent.returncode == 0, sent.stderr
    both = printed("after.py", RABBITMQ_URL=rabbitmq.url)
    assert [each for each in both if "paid" in each] == [*before[:3], "bob paid 100"]
    assert printed("after.py") == before, "and on the embedded broker"
