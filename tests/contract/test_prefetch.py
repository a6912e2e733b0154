"""What a worker takes in advance follows how fast its handlers are."""

from __future__ import annotations

import time

import dramatiq
import pytest

from carrier.messaging import prefetch
from carrier.messaging.broker import Broker
from carrier.messaging.delivery import Delivery
from carrier.messaging.rabbitmq.broker import RabbitmqBroker
from carrier.messaging.work import WorkQueue
from tests.contract.backend import Backend, Rabbitmq
from tests.contract.conftest import Working
from tests.waiting import wait_until

QUICK, SLOW = 3_000, 300


def test_hundreds_are_in_hand_while_handlers_are_quick_and_go_back_when_they_are_slow(
    broker: Broker, backend: Backend, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetch, "_AHEAD", 2.0)  # seconds: a busy machine is quick enough, too
    handled: list[int] = []
    went_back: list[int] = []
    take_back = WorkQueue.take_back

    def noting(self: WorkQueue, consumer: object, keep: int) -> list[object]:
        taken = take_back(self, consumer, keep)
        went_back.append(len(taken))
        return taken

    monkeypatch.setattr(WorkQueue, "take_back", noting)

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work(n: int) -> None:
        if n >= QUICK:
            time.sleep(0.5)  # the handler is slow
        handled.append(n)

    broker.enqueue_many([work.message(n) for n in range(QUICK + SLOW)])
    with working():
        wait_until(lambda: sum(went_back) >= 50, "what was taken goes back")
        wait_until(lambda: backend.ready("work_queue") > SLOW - 100, "they are there for other workers")
        first = len(handled)
        wait_until(lambda: len(handled) >= first + 8, "it goes on")
    assert len(set(handled)) == len(handled)
    assert backend.ready("work_queue") == QUICK + SLOW - len(handled)


def test_what_was_settled_behind_one_that_is_not_is_acknowledged_at_the_end(rabbitmq: Rabbitmq) -> None:
    broker = rabbitmq.broker()
    assert isinstance(broker, RabbitmqBroker)
    quick = dramatiq.actor(lambda n: None, broker=broker, actor_name="quick", queue_name="work_queue")
    broker.enqueue_many([quick.message(n) for n in range(4)])
    consumer = broker.consume("work_queue", prefetch=4)
    consumer._prefetch.size = 512  # as if handlers were quick: then acknowledgements wait for those before them
    deliveries: list[Delivery] = []
    while len(deliveries) < 4:
        deliveries += [each for each in [next(consumer)] if each is not None]
    consumer.hold(b"", deliveries[0].receipt)
    for each in deliveries[1:]:
        consumer.ack(each)
    consumer.close()
    broker.close()
    assert rabbitmq.ready("work_queue") == 1
