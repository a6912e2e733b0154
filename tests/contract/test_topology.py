"""What is declared on RabbitMQ: compared, made, used as it is, or refused in clear words."""

from __future__ import annotations

import json

import dramatiq
import pytest

from carrier.messaging.errors import BrokerUnavailable, PublishError
from carrier.messaging.rabbitmq.broker import RabbitmqBroker
from carrier.monitor import failed
from tests.contract.backend import Rabbitmq
from tests.contract.conftest import Working
from tests.programs import Run
from tests.waiting import wait_until

QUORUM = {"x-queue-type": "quorum"}
CLASSIC = {"x-max-priority": 10}
LAZY = {**CLASSIC, "x-queue-mode": "lazy"}

pytestmark = pytest.mark.each_version


@pytest.fixture
def made(rabbitmq: Rabbitmq) -> RabbitmqBroker:
    """A broker with an actor on work_queue; nothing is declared yet."""
    broker = rabbitmq.broker(publish_timeout=5)
    assert isinstance(broker, RabbitmqBroker)
    dramatiq.actor(lambda: None, actor_name="work", queue_name="work_queue", broker=broker)
    return broker


def declare(rabbitmq: Rabbitmq, queue: str, arguments: dict[str, object]) -> None:
    with rabbitmq.connect() as connection:
        connection.channel().queue_declare(queue, durable=True, arguments=arguments)


def states(broker: RabbitmqBroker) -> dict[str, str]:
    return {each.name: each.state for each in broker.inspect()}


def test_check_makes_nothing_and_apply_makes_all(run: Run, rabbitmq: Rabbitmq) -> None:
    words = {"RABBITMQ_URL": rabbitmq.url}
    before = run("carrier", "topology", "check", "--json", **words)
    assert before.returncode == 0, before.stderr
    assert {each["state"] for each in json.loads(before.stdout)} == {"missing"}
    assert rabbitmq.node.api(f"/queues/{rabbitmq.vhost}") == []
    applied = run("carrier", "topology", "apply", **words)
    assert applied.returncode == 0, applied.stderr
    after = run("carrier", "topology", "check", "--json", **words)
    assert after.returncode == 0
    names = [each["name"] for each in json.loads(after.stdout)]
    assert names == [
        *("backup_queue", "cleanup_queue", "email_queue", "notification_queue", "failed_queue"),
        "carrier.delay.00 to 27",
    ]
    assert {each["state"] for each in json.loads(after.stdout)} == {"ok"}


def test_a_new_queue_is_one_whose_backlog_takes_no_memory(
    rabbitmq: Rabbitmq, made: RabbitmqBroker, version: str
) -> None:
    made.actors["work"].send()
    queue = rabbitmq.node.api(f"/queues/{rabbitmq.vhost}/work_queue")
    assert queue["arguments"] == (LAZY if version == "3.10" else {**QUORUM, "x-delivery-limit": -1})
    made.close()


def test_a_queue_that_cannot_be_used_is_named_and_nothing_is_sent_past_it(
    rabbitmq: Rabbitmq, made: RabbitmqBroker
) -> None:
    declare(rabbitmq, "work_queue", {"x-max-length": 3})
    assert states(made)["work_queue"] == "differs"
    with pytest.raises(PublishError, match=r"queue work_queue exists with other arguments: .*; .* set QUEUE_TYPE"):
        made.actors["work"].send()
    made.apply()
    assert states(made) == {"work_queue": "differs", "failed_queue": "ok", "carrier.delay.00 to 27": "ok"}
    made.close()


@pytest.mark.parametrize("arguments", [QUORUM, CLASSIC, LAZY], ids=["quorum", "classic", "lazy"])
def test_auto_uses_what_is_there(
    rabbitmq: Rabbitmq, made: RabbitmqBroker, working: Working, version: str, arguments: dict[str, object]
) -> None:
    """A server moves to version 4 under its queues: classic ones, or quorum ones that have a delivery limit there."""
    declare(rabbitmq, "work_queue", arguments)
    made.actors["work"].send()
    with working(made):
        wait_until(lambda: rabbitmq.ready("work_queue") == 0, "it is handled")
    at_risk = version == "4" and arguments is QUORUM
    assert states(made)["work_queue"] == ("at risk" if at_risk else "ok")
    made.close()


@pytest.mark.parametrize("version", ["4"], indirect=True)
def test_a_delivery_limit_is_lifted_before_anything_is_looked_at(rabbitmq: Rabbitmq, made: RabbitmqBroker) -> None:
    declare(rabbitmq, "failed_queue", QUORUM)
    rabbitmq.put("failed_queue", b"{}")
    with pytest.raises(BrokerUnavailable, match=r"failed_queue drops messages .* rabbitmqctl set_policy"):
        failed.find(made)
    able = rabbitmq.broker(management_url=f"http://guest:guest@127.0.0.1:{rabbitmq.node.management}")
    assert isinstance(able, RabbitmqBroker)
    able.apply()
    assert states(able)["failed_queue"] == "ok"
    for _ in range(25):
        assert len(failed.find(able).messages) == 1
    able.close()
    made.close()
