"""What RabbitMQ says of Carrier's queues: over AMQP, which is exact and always there, and over the management API
where its address is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from carrier.messaging.errors import BrokerUnavailable
from carrier.messaging.figures import Figures, QueueFigures
from carrier.messaging.rabbitmq import topology
from carrier.messaging.rabbitmq.connection import Nodes, explain
from carrier.messaging.rabbitmq.management import Management

_NOT_FOUND = 404


def figures(nodes: Nodes, queues: list[str], management: Management | None) -> Figures:
    """A moment of the broker; it makes no queue.

    Raises:
        BrokerUnavailable: RabbitMQ or its management API cannot be reached.
    """
    connection = nodes.connect("status")
    try:
        broker: dict[str, Any] = {"kind": "rabbitmq", "nodes": str(nodes)}
        broker["version"] = connection._impl.server_properties["version"]
        found, missing = [], []
        for name in queues:
            one = _look(connection, name)
            found.append(one or QueueFigures(name, 0))
            if one is None:
                missing.append(f"queue {name} is not there; the first worker or message makes it")
        broker["delayed"] = _delayed(connection)
    except AMQPError as error:
        raise BrokerUnavailable(f"RabbitMQ at {nodes} cannot be used: {explain(error)}") from None
    finally:
        if connection.is_open:
            connection.close()
    if management is None:
        return Figures(broker, found, None, missing)
    seen = management.queues()
    found = [_with_rates(each, seen.get(each.name)) for each in found]
    return Figures(broker, found, management.workers(), [*management.alarms(), *missing])


def _with_rates(exact: QueueFigures, seen: QueueFigures | None) -> QueueFigures:
    if seen is None:
        return exact
    return replace(exact, unacked=seen.unacked, publish_rate=seen.publish_rate, ack_rate=seen.ack_rate)


def _look(connection: pika.BlockingConnection, name: str) -> QueueFigures | None:
    """A queue, or None where it is not there. A passive declaration of what is not there costs the channel."""
    channel = connection.channel()
    try:
        found = channel.queue_declare(name, passive=True).method
    except ChannelClosedByBroker as error:
        if error.reply_code != _NOT_FOUND:
            raise
        return None
    channel.close()
    return QueueFigures(name, found.message_count, consumers=found.consumer_count)


def _delayed(connection: pika.BlockingConnection) -> int:
    """All that is in the delay levels, for whichever queue."""
    if _look(connection, topology.level(0)) is None:
        return 0  # nobody has sent a delay yet
    levels = (_look(connection, topology.level(number)) for number in range(topology.LEVELS))
    return sum(each.ready for each in levels if each is not None)
