"""A walk through a queue of RabbitMQ: its messages are taken unacknowledged, and what stays goes back when the
connection ends, however that happens.

A channel holds 2,000 of them, and there is a new channel for each 2,000 more: with a larger prefetch quorum queues
misbehave, with none they stop at 2,000. Two walkers would split the queue between them and each see half of it, so one
waits for the other; an exclusive queue is the lock, which goes with the connection of its owner
(https://www.rabbitmq.com/docs/queues#exclusive-queues).
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from carrier.messaging.errors import BrokerUnavailable
from carrier.messaging.failure import FAILED_QUEUE, FAILURE_HEADER
from carrier.messaging.rabbitmq import events
from carrier.messaging.rabbitmq.connection import RESOURCE_LOCKED, Connection
from carrier.messaging.rabbitmq.deliveries import Arrival, consume
from carrier.messaging.rabbitmq.inspection import command, is_at_risk
from carrier.messaging.rabbitmq.tags import Tags
from carrier.messaging.rabbitmq.topology import count_queue, declare_queue, find_queue
from carrier.messaging.walk import Decision, Stored, Walk

if TYPE_CHECKING:
    from carrier.messaging.rabbitmq.broker import RabbitmqBroker

logger = logging.getLogger(__name__)

LOCK = "carrier.failed.lock"
#: Seconds to wait for another walker, after which that is said, and between two tries.
_TURN, _LONG, _PAUSE = 600.0, 2.0, 0.1
#: Seconds without a message after which the queue is asked whether it is empty: a quorum queue may take one to begin.
_QUIET = 0.2
#: Seconds without another message that is back in the queue, after which the others are not waited for.
_BACK = 2.0
#: Seconds for which a queue that takes very many messages back is asked how many it has.
_COUNTING = 120.0


def lock(connection: Connection) -> BlockingChannel | None:
    """Be the one who goes through failed_queue, as long as the connection lives; None while somebody else is."""
    channel = connection.channel()
    try:
        channel.queue_declare(LOCK, exclusive=True)
    except ChannelClosedByBroker as error:
        if error.reply_code != RESOURCE_LOCKED:
            raise
        return None
    return channel


def stored_of(body: bytes, headers: dict[str, Any] | None, receipt: Any) -> Stored:
    """A message as it came."""
    failure = (headers or {}).get(FAILURE_HEADER)
    return Stored(body, failure if isinstance(failure, str) else None, receipt)


class RabbitmqWalk(Walk):
    """The receipt of a message is its channel and its tag there.

    Parameters:
        ours: whether Carrier has declared the queue.

    Attributes:
        consumers: how many programs took from the queue at its start.
    """

    consumers: int = 0
    ahead: int = 2_000

    def __init__(self, broker: RabbitmqBroker, queue_name: str, *, ours: bool = True) -> None:
        super().__init__()
        self._broker = broker
        self._queue = queue_name
        self._received: deque[Stored] = deque()
        self._room = 0  # what the newest channel still takes
        self._consumers: list[tuple[BlockingChannel, str]] = []
        self._tags: defaultdict[BlockingChannel, Tags] = defaultdict(Tags)
        self._held = 0  # handed out to us and not acknowledged
        self._connection = broker.nodes.connect(f"walk {queue_name}")
        try:
            self._lock()
            if ours:
                self._check()
            found = count_queue(self._connection, queue_name, _COUNTING)
            if found is not None:
                self.total, self.consumers = found.message_count, found.consumer_count
        except AMQPError as error:
            self._close()
            raise self._broker.nodes.unavailable(error) from None
        except BaseException:
            self._close()
            raise

    def _lock(self) -> None:
        began, said = time.monotonic(), False
        while lock(self._connection) is None:
            waited = time.monotonic() - began
            if waited >= _LONG and not said:
                said = True
                logger.warning("somebody else is going through %s; waiting for the end of that", self._queue)
            if waited >= _TURN:
                raise BrokerUnavailable(f"somebody else is going through {self._queue}; try again when that is over")
            self._connection.sleep(_PAUSE)  # a lock's end is told to nobody

    def _check(self) -> None:
        """A message that is looked at must not be lost by it."""
        if self._connection.version < 4 or find_queue(self._connection, self._queue) is None:
            return
        kind = declare_queue(self._connection, self._queue, self._broker.queue_type)
        if is_at_risk(kind, self._queue, self._broker.management):
            raise BrokerUnavailable(
                f"{self._queue} drops messages that were looked at 20 times, so it is not looked at: "
                f"set RABBITMQ_MANAGEMENT_URL and run carrier topology apply, or: {command(self._queue)}"
            )

    def _ready(self) -> int:
        """How many are in the queue and not handed out; none where there is no such queue."""
        found = count_queue(self._connection, self._queue, _COUNTING)
        return found.message_count if found else 0

    def __iter__(self) -> Iterator[Stored]:
        # What is sent on may fail and be here again before the walk is over: it sees what there was at its start.
        for _ in range(self.total):
            try:
                stored = self._next()
            except AMQPError as error:
                raise self._broker.nodes.unavailable(error) from None
            if stored is None:
                return
            yield stored

    def _next(self) -> Stored | None:
        quiet_since = time.monotonic()
        while not self._received:
            if self._room == 0:
                self._consume()
            self._connection.process_data_events(time_limit=_QUIET)
            if self._received or time.monotonic() - quiet_since < _QUIET:
                continue
            if self._ready() == 0 and not self._received:
                return None
            quiet_since = time.monotonic()
        return self._received.popleft()

    def _consume(self) -> None:
        channel = self._connection.channel()
        channel.basic_qos(prefetch_count=self.ahead)
        self._room = self.ahead  # before the first message, which may come before the answer
        tag = consume(channel, self._queue, partial(self._on_message, channel), self._on_cancelled)
        self._consumers.append((channel, tag))

    def _on_message(self, channel: BlockingChannel, arrival: Arrival) -> None:
        self._room = max(0, self._room - 1)
        self._held += 1
        self._received.append(stored_of(arrival.body, arrival.headers, (channel, arrival.tag)))

    def _on_cancelled(self) -> None:
        """Somebody has deleted the queue: nothing more comes, and none is there."""

    def _carry_out(self, decided: Sequence[Decision]) -> Sequence[Decision]:
        self._broker.store([each.outgoing for each in decided if each.outgoing is not None])
        try:
            gone: defaultdict[BlockingChannel, list[int]] = defaultdict(list)
            for each in decided:
                channel, tag = each.stored.receipt
                gone[channel].append(tag)
            for channel, tags in gone.items():
                self._tags[channel].acknowledge(channel, tags)
                self._held -= len(tags)
                # What only a socket's buffer has is lost when this process is killed, and the next window adds to it.
                channel.queue_declare(self._queue, passive=True)
        except AMQPError as error:
            raise self._broker.nodes.unavailable(error) from None
        if self._queue == FAILED_QUEUE:
            events.removed(self._broker, [each.stored.identity for each in decided])
        return decided

    def _close(self) -> None:
        if self._connection.is_open:
            # It or a channel was lost, and nobody has noticed: what that held is back.
            with suppress(AMQPError, BrokerUnavailable):
                self._give_back()
            with suppress(AMQPError):
                self._connection.close()

    def _give_back(self) -> None:
        """Put back what stays, and return when it is there: who counts the queue next would miss what is on its way."""
        for channel, tag in self._consumers:
            channel.basic_cancel(tag)
        if not self._held:
            return
        for channel, _ in self._consumers:
            channel.basic_nack(0, multiple=True)  # all that it holds
        before, since = -1, time.monotonic()
        while (ready := self._ready()) < self._held and time.monotonic() - since < _BACK:
            if ready != before:
                before, since = ready, time.monotonic()
            self._connection.sleep(_QUIET / 10)  # nobody is told
