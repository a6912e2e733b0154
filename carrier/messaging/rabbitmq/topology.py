"""What Carrier declares on RabbitMQ: queues, and the delay levels.

A delay is a number of units of 100 ms, and each of its bits has a level: an exchange, and a queue whose messages
expire after 2^n units into the next lower level. The routing key is the delay in binary, then the queue. A message
waits in the levels of its set bits and falls through the others; below level 0 the last exchange routes it to its
queue. One publish, and no worker holds anything. Level queues are quorum queues with at-least-once dead-lettering
(https://www.rabbitmq.com/docs/quorum-queues#dead-lettering): a classic queue loses what the next level refuses.
"""

from __future__ import annotations

from typing import Any

from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Queue

from carrier.messaging.errors import TopologyMismatch
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.rabbitmq.connection import NOT_FOUND

LEVELS = 28
UNIT = 100  # ms
#: The longest delay of one pass in ms, about 310 days.
LONGEST_PASS = (2**LEVELS - 1) * UNIT
OUT = "carrier.delay.out"
MAX_PRIORITY = 9


def level(number: int) -> str:
    """The name of a level's exchange and queue."""
    return f"carrier.delay.{number:02d}"


def route(queue: str, delay: int) -> tuple[str, str]:
    """Exchange and routing key for a delay of 1 to :data:`LONGEST_PASS` ms; it is rounded up to whole units.

    The message enters at its highest set bit: the levels above have nothing to do.
    """
    units = min(-(-delay // UNIT), 2**LEVELS - 1)
    return level(units.bit_length() - 1), ".".join(f"{units:0{LEVELS}b}") + f".{_word(queue)}"


def _word(queue: str) -> str:
    """A queue's name as one word of a routing key: ``#.b`` would match what is meant for a queue ``a.b`` too."""
    return queue.replace(".", ":")


def work_queue_arguments(version: int, queue_type: str) -> dict[str, Any]:
    """A queue of work. Quorum queues have priorities without an argument from version 4 on, and none before."""
    if queue_type == "classic" or (queue_type == "auto" and version < 4):
        return {"x-max-priority": MAX_PRIORITY + 1}
    return _quorum(version)


def failed_queue_arguments(version: int, queue_type: str) -> dict[str, Any]:
    """failed_queue: nothing expires there."""
    return {} if queue_type == "classic" else _quorum(version)


def _quorum(version: int) -> dict[str, Any]:
    # From 4 on a quorum queue drops a message at its 21st delivery, and looking at one is a delivery.
    return {"x-queue-type": "quorum", **({"x-delivery-limit": -1} if version >= 4 else {})}


def declare_queues(channel: BlockingChannel, queues: set[str], version: int, queue_type: str) -> None:
    """Declare work queues and failed_queue, each bound to the end of the delay levels.

    Raises:
        TopologyMismatch: one exists with other arguments.
    """
    channel.exchange_declare(OUT, "topic", durable=True)
    for queue in sorted(queues | {FAILED_QUEUE}):
        failed = queue == FAILED_QUEUE
        arguments = (failed_queue_arguments if failed else work_queue_arguments)(version, queue_type)
        try:
            channel.queue_declare(queue, durable=True, arguments=arguments)
        except ChannelClosedByBroker as error:
            if error.reply_code != 406:
                raise
            difference = error.reply_text.removeprefix("PRECONDITION_FAILED - ")
            raise TopologyMismatch(
                f"queue {queue} exists with other arguments: {difference}; "
                "empty and delete it, or set QUEUE_TYPE to what it is"
            ) from None
        channel.queue_bind(queue, OUT, f"#.{_word(queue)}")


def find_queue(connection: BlockingConnection, name: str) -> Queue.DeclareOk | None:
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


def declare_delays(channel: BlockingChannel) -> None:
    """Declare all delay levels, the lowest first: each binds to the one below it."""
    below = OUT
    for number in range(LEVELS):
        name = level(number)
        bit = ".".join(["*"] * (LEVELS - 1 - number))
        bit = f"{bit}." if bit else ""
        channel.exchange_declare(name, "topic", durable=True)
        channel.queue_declare(
            name,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
                "x-message-ttl": 2**number * UNIT,
                "x-dead-letter-exchange": below,
            },
        )
        channel.queue_bind(name, name, f"{bit}1.#")
        channel.exchange_bind(below, name, f"{bit}0.#")
        below = name
