"""Compares what RabbitMQ has with what Carrier declares there. Looking makes nothing."""

from __future__ import annotations

import re
import shlex
import time
from typing import Any

from pika.exceptions import AMQPError, ChannelClosedByBroker

from carrier.messaging.declared import Declared
from carrier.messaging.errors import BrokerUnavailable, TopologyMismatch
from carrier.messaging.rabbitmq import topology
from carrier.messaging.rabbitmq.connection import NOT_FOUND, PRECONDITION_FAILED, Connection, Nodes
from carrier.messaging.rabbitmq.management import Management

#: The policy that lifts the delivery limit of quorum queues which a RabbitMQ 3 has made; their arguments cannot change.
POLICY = "carrier-delivery-limit"
#: Seconds until the management API shows a new policy.
_IN_FORCE = 15.0
#: Seconds that RabbitMQ has for all answers.
_LIMIT = 60.0
_MAKE = "carrier topology apply makes what is missing, as the first message does"
_MAKE_LEVELS = "carrier topology apply makes what is missing, as the first delay does that is long enough to need it"


def inspect(nodes: Nodes, queues: list[str], queue_type: str, management: Management | None) -> list[Declared]:
    """Each queue, the delay levels, then what stock Dramatiq has left.

    Raises:
        BrokerUnavailable: RabbitMQ or its management API cannot be reached.
    """
    connection = nodes.connect("topology")
    try:
        connection.give_up_after(_LIMIT)
        found = [_queue(connection, name, queue_type, management) for name in queues]
        left = [each for name in queues for each in _left_over(connection, name)]
        return [*found, _levels(connection), *left]
    except AMQPError as error:
        raise nodes.unavailable(error) from None
    finally:
        if connection.is_open:
            connection.close()


def lift_limits(queues: list[str], at_risk: list[str], management: Management) -> None:
    """Set the policy for all of them, so that none drops a message that was handed out often.

    On return it is in force for those at risk; of the others no version of RabbitMQ shows it.

    Raises:
        BrokerUnavailable: the API cannot be used, or another policy is in the way.
    """
    management.set_policy(POLICY, f"^({'|'.join(map(re.escape, queues))})$", {"delivery-limit": -1})
    until = time.monotonic() + _IN_FORCE
    while any(management.policy_of(queue).get("delivery-limit") != -1 for queue in at_risk):
        if time.monotonic() >= until:
            raise BrokerUnavailable(
                f"the policy {POLICY} is not in force: is another one with a higher priority there?"
            )
        time.sleep(0.1)  # the API's figures follow the server by seconds


def is_at_risk(kind: topology.Kind, queue: str, management: Management | None) -> bool:
    """Whether messages of a queue are dropped when they have been handed out often. Raises as :func:`inspect`."""
    return kind.drops and not (management is not None and management.policy_of(queue).get("delivery-limit") == -1)


def command(queue: str) -> str:
    """What lifts the limit of a queue without the management API."""
    pattern = shlex.quote(f"^{re.escape(queue)}$")
    return f"rabbitmqctl set_policy {POLICY} {pattern} '{{\"delivery-limit\": -1}}' --apply-to queues"


def _queue(connection: Connection, name: str, queue_type: str, management: Management | None) -> Declared:
    wanted = topology.kinds(name, connection.version, queue_type)[0].text
    if topology.find_queue(connection, name) is None:
        return Declared(name, "missing", wanted, None, _MAKE)
    try:
        kind = topology.declare_queue(connection, name, queue_type)
    except TopologyMismatch as error:
        return Declared(name, "differs", wanted, "other arguments", str(error))
    if is_at_risk(kind, name, management):
        todo = "set RABBITMQ_MANAGEMENT_URL and run carrier topology apply, or: " + command(name)
        return Declared(name, "at risk", wanted, kind.text, todo)
    return Declared(name, "ok", wanted, kind.text)


def _left_over(connection: Connection, queue: str) -> list[Declared]:
    """What stock Dramatiq has left beside a queue."""
    shown = []
    for suffix, what in ((topology.DELAYED, "waiting for their time"), (topology.GIVEN_UP, "given up")):
        found = topology.find_queue(connection, queue + suffix)
        if found is not None and (found.message_count or found.consumer_count):
            todo = "stop the workers of stock Dramatiq, then: carrier topology migrate"
            count = f"messages of stock Dramatiq, {what}: {found.message_count}"
            if found.consumer_count:
                count += f", and what {found.consumer_count} workers hold"
            shown.append(Declared(queue + suffix, "left over", "nothing", count, todo))
    return shown


def _levels(connection: Connection) -> Declared:
    name = f"{topology.level(0)} to {topology.LEVELS - 1}"
    wanted = f"{topology.LEVELS} exchanges and quorum queues"
    states = [_level(connection, number) for number in range(topology.LEVELS)]
    different = [state for state in states if state]
    if different:
        return Declared(
            name, "differs", wanted, different[0], "delete it once it is empty, then carrier topology apply"
        )
    if missing := states.count(None):
        found = f"{topology.LEVELS - missing} of them" if missing < topology.LEVELS else None
        return Declared(name, "missing", wanted, found, _MAKE_LEVELS)
    return Declared(name, "ok", wanted, wanted)


def _level(connection: Connection, number: int) -> str | None:
    """None for a missing level, "" for a good one, otherwise what is different."""
    name = topology.level(number)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("exchange_declare", {"exchange": name, "passive": True}),
        ("queue_declare", {"queue": name, "passive": True}),
        ("queue_declare", {"queue": name, "durable": True, "arguments": topology.level_arguments(number)}),
    ]
    for call, words in calls:
        channel = connection.channel()
        try:
            getattr(channel, call)(**words)
        except ChannelClosedByBroker as error:
            if error.reply_code == NOT_FOUND:
                return None
            if error.reply_code == PRECONDITION_FAILED:
                return topology.what_differs(error)
            raise
        channel.close()
    return ""
