"""How it goes: the broker's figures, and what in them needs somebody."""

from __future__ import annotations

from dataclasses import replace

from carrier.messaging.broker import Broker
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.figures import Figures, QueueFigures


def status(broker: Broker) -> Figures:
    """A moment of the broker; ``alarms`` says what is wrong, a line each.

    Raises:
        BrokerUnavailable: the broker cannot be reached.
    """
    figures = broker.figures()
    own = [alarm for each in figures.queues if (alarm := _alarm(each))]
    return replace(figures, alarms=[*figures.alarms, *own])


def _alarm(queue: QueueFigures) -> str | None:
    if queue.name == FAILED_QUEUE:
        failed = queue.ready + (queue.unacked or 0)
        return f"{failed} failed: carrier failed list" if failed else None
    if queue.ready and queue.consumers == 0:
        return f"{queue.name}: {queue.ready} wait and nobody works on them; start one: carrier worker"
    return None
