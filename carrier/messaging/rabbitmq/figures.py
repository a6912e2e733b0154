"""What RabbitMQ says of Carrier's queues: over AMQP, which is exact and always there, and over the management API
where its address is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pika.exceptions import AMQPError

from carrier.messaging.figures import Figures, QueueFigures
from carrier.messaging.rabbitmq import topology
from carrier.messaging.rabbitmq.connection import Connection, Nodes
from carrier.messaging.rabbitmq.management import Management

#: Seconds that RabbitMQ has for all answers.
_LIMIT = 20.0
#: Of these, for which a busy queue is asked how many it has.
_COUNTING = 5.0


def figures(nodes: Nodes, queues: list[str], management: Management | None) -> Figures:
    """A moment of the broker; it makes no queue.

    Raises:
        BrokerUnavailable: RabbitMQ or its management API cannot be reached.
    """
    connection = nodes.connect("status")
    try:
        connection.give_up_after(_LIMIT)
        broker: dict[str, Any] = {"kind": "rabbitmq", "nodes": str(nodes)}
        broker["version"] = connection.release
        found, missing = [], []
        for name in queues:
            queue = topology.count_queue(connection, name, _COUNTING)
            if queue is None:
                found.append(QueueFigures(name, 0))
                missing.append(f"queue {name} is not there; the first worker or message makes it")
            else:
                found.append(QueueFigures(name, queue.message_count, consumers=queue.consumer_count))
        broker["delayed"] = _delayed(connection)
    except AMQPError as error:
        raise nodes.unavailable(error) from None
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


def _delayed(connection: Connection) -> int:
    """All that is in the delay levels, for whichever queue."""
    total = 0
    for number in range(topology.LEVELS):
        level = topology.count_queue(connection, topology.level(number), _COUNTING)
        if level is None:
            break  # the lowest is declared first
        total += level.message_count
    return total
