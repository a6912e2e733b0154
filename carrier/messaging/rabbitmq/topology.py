"""What Carrier declares on RabbitMQ: queues, and the delay levels.

A delay is a number of units of 100 ms, and each of its bits has a level: an exchange, and a queue whose messages
expire after 2^n units into the next lower level. The routing key is the delay in binary, then the queue. A message
waits in the levels of its set bits and falls through the others; below level 0 the last exchange routes it to its
queue. One publish, and no worker holds anything. Level queues are quorum queues with at-least-once dead-lettering
(https://www.rabbitmq.com/docs/quorum-queues#dead-lettering): a classic queue loses what the next level refuses.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Queue

from carrier.messaging.errors import BrokerUnavailable, TopologyMismatch
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.rabbitmq.connection import NOT_FOUND, PRECONDITION_FAILED, Connection

logger = logging.getLogger(__name__)

LEVELS = 28
UNIT = 100  # ms
#: Seconds that a delay level has to take back what was only looked at.
_BACK = 2.0
#: The longest delay of one pass in ms, about 310 days.
LONGEST_PASS = (2**LEVELS - 1) * UNIT
OUT = "carrier.delay.out"
#: Where changes of failed_queue are told, and their routing keys.
EVENTS, ADDED, REMOVED = "carrier.events", "failed.added", "failed.removed"
#: How a worker is, and that it has ended, go there too.
REPORT, REPORT_END = "worker.report", "worker.end"
MAX_PRIORITY = 9
#: Seconds after which the answer that a queue is empty may mean that nobody has answered.
_SILENT = 0.2
#: What stock Dramatiq appends to the names of queues where messages wait for their time, and lie once given up.
DELAYED, GIVEN_UP = ".DQ", ".XQ"


def level(number: int) -> str:
    """The name of a level's exchange and queue."""
    return f"carrier.delay.{number:02d}"


def route(queue: str, delay: int) -> tuple[str, str]:
    """Exchange and routing key for a delay of 1 to :data:`LONGEST_PASS` ms; it is rounded up to whole units.

    The message enters at its highest set bit: the levels above have nothing to do.
    """
    units = _units(delay)
    return level(units.bit_length() - 1), ".".join(f"{units:0{LEVELS}b}") + f".{_word(queue)}"


def levels_of(delay: int) -> int:
    """How many levels, from the lowest on, a delay of so many ms needs."""
    return _units(delay).bit_length()


def _units(delay: int) -> int:
    units: int = min(-(-delay // UNIT), 2**LEVELS - 1)
    return units


def _word(queue: str) -> str:
    """A queue's name as one word of a routing key: ``#.b`` would match what is meant for a queue ``a.b`` too."""
    return queue.replace(".", ":")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which a queue may be declared.

    Attributes:
        text: what it is, for people.
        drops: whether RabbitMQ drops a message there that was handed out often.
    """

    text: str
    arguments: dict[str, Any]
    drops: bool = False


#: Priorities of a quorum queue need no argument from version 4 on, and there are none before.
_CLASSIC = Kind("classic, with priorities", {"x-max-priority": MAX_PRIORITY + 1})
#: A backlog takes no memory: before 3.12 a million messages take gigabytes of it otherwise, and once that is short
#: nobody may send (https://www.rabbitmq.com/docs/3.13/lazy-queues). From 3.12 on all queues are like this.
_CLASSIC_LAZY = Kind("classic, with priorities, lazy", {**_CLASSIC.arguments, "x-queue-mode": "lazy"})
_CLASSIC_PLAIN = Kind("classic", {})
_QUORUM_3 = Kind("quorum", {"x-queue-type": "quorum"})
#: From 4 on a quorum queue drops a message at its 21st delivery, and looking at one is a delivery. A 3.10 that is told
#: "no limit" in the words of 4 drops it at the first.
_QUORUM_4 = Kind("quorum, without a delivery limit", {"x-queue-type": "quorum", "x-delivery-limit": -1})
_QUORUM_4_OF_3 = Kind("quorum, made by a RabbitMQ 3", {"x-queue-type": "quorum"}, drops=True)


def kinds(queue: str, version: int, queue_type: str) -> list[Kind]:
    """How a queue may be declared, the wanted one first. With ``auto`` one that is there is used as it is, so that a
    server can move to version 4 under its queues."""
    if queue == FAILED_QUEUE:  # which has no priorities, and is quorum everywhere
        classic = [_CLASSIC_PLAIN]
    else:
        classic = [_CLASSIC_LAZY, _CLASSIC] if version < 4 else [_CLASSIC, _CLASSIC_LAZY]
    quorum = [_QUORUM_3] if version < 4 else [_QUORUM_4, _QUORUM_4_OF_3]
    if queue_type == "classic":
        return classic
    if queue_type == "quorum":
        return quorum
    return [*classic, *quorum] if version < 4 and queue != FAILED_QUEUE else [*quorum, *classic]


def declare_queues(connection: Connection, queues: set[str], queue_type: str) -> bool:
    """Declare work queues and failed_queue, each bound to the end of the delay levels; return whether one is new.

    Raises:
        TopologyMismatch: one exists with arguments that cannot be used.
    """
    channel = connection.channel()
    channel.exchange_declare(OUT, "topic", durable=True)
    channel.exchange_declare(EVENTS, "topic", durable=True)
    new = False
    for queue in sorted(queues | {FAILED_QUEUE}):
        new = new or find_queue(connection, queue) is None
        kind = declare_queue(connection, queue, queue_type)
        if kind.drops:
            logger.warning("queue %s is %s: it drops a message that was handed out 20 times, unless a policy sets "
                           "delivery-limit; see carrier topology check", queue, kind.text)  # fmt: skip
        channel.queue_bind(queue, OUT, f"#.{_word(queue)}")
    channel.close()
    return new


def declare_queue(connection: Connection, queue: str, queue_type: str) -> Kind:
    """Declare a queue in the first way that it can be, and return that.

    Raises:
        TopologyMismatch: it exists, with other arguments.
    """
    difference = ""
    for kind in kinds(queue, connection.version, queue_type):
        channel = connection.channel()
        try:
            channel.queue_declare(queue, durable=True, arguments=kind.arguments)
        except ChannelClosedByBroker as error:
            if error.reply_code != PRECONDITION_FAILED:
                raise
            difference = difference or what_differs(error)
        else:
            channel.close()
            return kind
    if queue_type != "quorum" and (of_dramatiq := _declare_as_dramatiq(connection, queue)) is not None:
        return of_dramatiq
    raise TopologyMismatch(
        f"queue {queue} exists with other arguments: {difference}; "
        "stop what sends and works, empty it and delete it, or set QUEUE_TYPE to what it is"
    )


def _declare_as_dramatiq(connection: Connection, queue: str) -> Kind | None:
    """Declare a queue as stock Dramatiq does, which has made it; None where that is not so. What it sends to ``.XQ`` is
    what is rejected, and Carrier rejects nothing."""
    arguments: dict[str, Any] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue + GIVEN_UP}
    while True:
        channel = connection.channel()
        try:
            channel.queue_declare(queue, durable=True, arguments=arguments)
        except ChannelClosedByBroker as error:
            if error.reply_code != PRECONDITION_FAILED:
                raise
            priorities = _ITS_PRIORITIES.search(str(error.reply_text))
            if priorities is None or "x-max-priority" in arguments:
                return None
            arguments["x-max-priority"] = int(priorities[1])
        else:
            channel.close()
            return Kind("classic, made by Dramatiq" + ("" if "x-max-priority" in arguments else ", no priorities"), {})


#: Dramatiq's ``max_priority``, as RabbitMQ names it when it refuses a declaration without it.
_ITS_PRIORITIES = re.compile(r"'x-max-priority'.* current is the value '(\d+)'")


def what_differs(error: ChannelClosedByBroker) -> str:
    """How what is there differs from what was declared, in RabbitMQ's words."""
    return str(error.reply_text).removeprefix("PRECONDITION_FAILED - ")


def find_queue(connection: Connection, name: str) -> Queue.DeclareOk | None:
    """A queue's counts, or None where it is not there. Asking for what is not there costs the channel that asks."""
    channel = connection.channel()
    try:
        found: Queue.DeclareOk = channel.queue_declare(name, passive=True).method
    except ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return None
    channel.close()
    return found


def count_queue(connection: Connection, name: str, patience: float) -> Queue.DeclareOk | None:
    """As :func:`find_queue`, with counts that are true.

    The leader of a quorum queue that is busy (taking back 100,000 messages takes it seconds), or has gone, does not
    answer RabbitMQ in its 250 ms, and RabbitMQ then says 0 and 0 (rabbit_quorum_queue:stat/2): so it is asked again.

    Parameters:
        patience: seconds for which it is asked again.

    Raises:
        BrokerUnavailable: it does not say.
    """
    until = time.monotonic() + patience
    while True:
        asked = time.monotonic()
        found = find_queue(connection, name)
        now = time.monotonic()
        if found is None or found.message_count or found.consumer_count or now - asked < _SILENT:
            return found
        if now >= until:
            raise BrokerUnavailable(f"{name}: its leader does not answer; is a majority of the nodes up?")


def level_arguments(number: int) -> dict[str, Any]:
    """The queue of a delay level."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-message-ttl": 2**number * UNIT,
        "x-dead-letter-exchange": level(number - 1) if number else OUT,
    }


def declare_delays(connection: Connection, levels: int) -> bool:
    """Declare so many delay levels, the lowest first, each of which binds to the one below it; return whether one is
    new. Each is a quorum queue: those for longer delays than there are would only cost memory.

    Raises:
        TopologyMismatch: one exists with other arguments.
    """
    channel = connection.channel()
    below, new = OUT, False
    for number in range(levels):
        name = level(number)
        new = new or find_queue(connection, name) is None
        bit = ".".join(["*"] * (LEVELS - 1 - number))
        bit = f"{bit}." if bit else ""
        channel.exchange_declare(name, "topic", durable=True)
        try:
            channel.queue_declare(name, durable=True, arguments=level_arguments(number))
        except ChannelClosedByBroker as error:
            if error.reply_code != PRECONDITION_FAILED:
                raise
            raise TopologyMismatch(
                f"queue {name} exists with other arguments: {what_differs(error)}; delete it"
            ) from None
        channel.queue_bind(name, name, f"{bit}1.#")
        channel.exchange_bind(below, name, f"{bit}0.#")
        below = name
    channel.close()
    return new


def drop_delayed(connection: Connection, queues: set[str]) -> None:
    """Drop each message that waits in a delay level for one of these queues. The others are handed out for a moment: a
    quorum queue counts that, and from RabbitMQ 4 on sends them on at the 21st time. So this is for tests."""
    channel = connection.channel()
    ends = tuple(f".{_word(queue)}" for queue in queues)
    for number in range(LEVELS):
        if find_queue(connection, level(number)) is None:
            continue
        kept = 0
        while (found := channel.basic_get(level(number)))[0] is not None:
            if str(found[0].routing_key).endswith(ends):
                channel.basic_ack(found[0].delivery_tag)
            else:
                kept += 1
        if kept:
            channel.basic_nack(0, multiple=True)
            until = time.monotonic() + _BACK
            while ready(channel, level(number)) < kept and time.monotonic() < until:
                connection.sleep(0.01)  # a quorum queue has it back a moment later, and tells nobody
    channel.close()


def ready(channel: BlockingChannel, queue: str) -> int:
    """How many messages wait in a queue that is there."""
    count: int = channel.queue_declare(queue, passive=True).method.message_count
    return count
