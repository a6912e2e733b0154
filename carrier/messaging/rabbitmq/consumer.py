"""Takes messages of one queue and settles them; every act on its channel happens in the thread that iterates.

Acknowledgements of all worker threads are gathered and written together. A delivery belongs to the consumer that took
it: one that outlives its connection is never acknowledged on the next one, where its tag means another message.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dramatiq.errors import BrokerConnectionError, ConnectionClosed
from pika.exceptions import AMQPError, ConnectionWrongStateError

from carrier.messaging import lease
from carrier.messaging.consumer import Consumer
from carrier.messaging.count import Count
from carrier.messaging.delivery import Delivery
from carrier.messaging.envelope import Envelope
from carrier.messaging.lease import Death, Ended, Running
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.prefetch import EVERY, Prefetch
from carrier.messaging.rabbitmq.connection import explain
from carrier.messaging.rabbitmq.deliveries import Arrival, consume
from carrier.messaging.rabbitmq.tags import Tags

if TYPE_CHECKING:
    from carrier.messaging.rabbitmq.broker import RabbitmqBroker

logger = logging.getLogger(__name__)

#: Seconds that a closing consumer waits for messages that are just being replaced, and then for the server's answer.
#: The messages are safe either way.
_CLOSING = 1.0
#: Seconds until a message whose handler still runs is looked at again.
_LOOK_AGAIN = 1.0
#: Seconds for which settlements are gathered while there are many.
_GATHERING = 0.005


class Receipt(NamedTuple):
    """What there is to know of a delivery beside its body.

    Attributes:
        tag: its number on its channel.
        sent: by which messages that were sent at different times and have one id are told apart.
        redelivered: whether it was handed out before.
    """

    tag: int
    sent: str | None
    redelivered: bool


class RabbitmqConsumer(Consumer):
    """Iterates over deliveries of one queue."""

    broker: RabbitmqBroker

    def __init__(self, broker: RabbitmqBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name)
        self._timeout = timeout / 1000
        self._place = f"{broker.nodes}\n{queue_name}"  # several brokers may share a folder of leases
        self._received: deque[tuple[Receipt, bytes]] = deque()
        #: Messages whose handler still runs: when to look again, by the monotonic clock, and what was received.
        self._held: deque[tuple[float, Receipt, bytes]] = deque()
        self._settled: deque[tuple[int, bool]] = deque()  # tag, and whether it is acknowledged or given back
        self._tags = Tags()
        self._prefetch = Prefetch(prefetch)
        self._handed_on, self._dealt_with = Count(), Count()
        self._flush_due = self._dozes = False
        self._stopped = self._leaving = self._cancelled = self._gone = False
        self._connection = broker.nodes.connect(f"worker {queue_name}")
        try:
            self._channel = self._connection.channel()
            self._take()
        except AMQPError as error:
            if self._connection.is_open:
                self._connection.close()
            broker.forget()
            raise broker.nodes.unavailable(error) from None
        broker.consumers.add(self)

    # The consumer thread

    def __next__(self) -> Delivery | None:
        until = time.monotonic() + self._timeout
        try:
            while True:
                while self._held and (self._stopped or time.monotonic() >= self._held[0][0]):
                    self._received.append(self._held.popleft()[1:])
                if self._stopped:
                    self._give_back_received()
                elif self._received:
                    receipt, body = self._received.popleft()
                    self._handed_on.add()
                    delivery = self.admit(body, receipt)
                    if delivery is not None:
                        return delivery
                    continue
                settled = self._flush()
                self._follow()
                left = until - time.monotonic()
                if left <= 0 or self._leaving:
                    return None
                self._wait(left, settled)
                if self._gone or self._channel.is_closed:
                    # The queue was deleted, or the broker closed the channel: pika tells only whoever uses it.
                    self.broker.forget()
                    raise ConnectionClosed(f"RabbitMQ ended the consumer of {self.queue_name}")
        except AMQPError as error:
            self.broker.forget()
            raise ConnectionClosed(explain(error)) from None

    def _wait(self, seconds: float, settled: int) -> None:
        """Let the connection do its work until there is something for us to do. While much is settled nobody wakes this
        thread: a signal between threads costs more than the rest of a settlement."""
        if self._held:
            seconds = min(seconds, _LOOK_AGAIN)
        if self._is_fast and self._out:
            seconds = min(seconds, EVERY)
        if settled:
            self._connection.process_data_events(time_limit=min(seconds, _GATHERING))
            return
        self._dozes = True
        if not self._settled:  # or what was settled just now would have woken nobody
            self._connection.process_data_events(time_limit=seconds)
        self._dozes = False

    def _take(self) -> None:
        self._channel.basic_qos(prefetch_count=self._prefetch.size)
        self._tag = consume(self._channel, self.queue_name, self._on_message, self._on_cancelled_by_broker)

    def _follow(self) -> None:
        """Have the server hand out more in advance, or fewer. It keeps to the number with which a consumer began."""
        out = self._out
        if self._cancelled or not self._prefetch.follow(self._dealt_with.read(), out):
            return
        self._channel.basic_cancel(self._tag)
        self._take()
        if out > self._prefetch.size:
            self._give_back_beyond(self._prefetch.size)

    def _on_message(self, arrival: Arrival) -> None:
        receipt = Receipt(arrival.tag, arrival.correlation_id, arrival.redelivered)
        self._received.append((receipt, arrival.body))

    def _on_cancelled_by_broker(self) -> None:
        self._gone = True

    def _give_back_received(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._channel.basic_cancel(self._tag)
        while self._received:
            receipt, _ = self._received.popleft()
            self._tags.settle(receipt.tag)
            self._channel._impl.basic_nack(receipt.tag, requeue=True)

    def _flush(self, *, keep: bool = True) -> int:
        """Write what was settled; returns how much it was. It leaves with what the connection does next.

        Parameters:
            keep: whether some may wait for the next call.
        """
        self._flush_due = False
        fresh: list[int] = []
        channel = self._channel._impl  # pika's BlockingChannel waits for the socket at each acknowledgement
        while self._settled:
            tag, done = self._settled.popleft()
            if done:
                fresh.append(tag)
            else:
                self._tags.settle(tag)
                channel.basic_nack(tag, requeue=True)
        # Where nothing is settled any more nothing waits either.
        keep = keep and self._is_fast and bool(fresh)
        self._tags.acknowledge(channel, fresh, keep=self._prefetch.size // 4 if keep else 0)
        return len(fresh)

    # The past of a message

    def key(self, envelope: Envelope, receipt: Receipt) -> str:
        return f"{self._place}\n{envelope.id}\n{receipt.sent}"

    def past(self, envelope: Envelope, receipt: Receipt) -> Death | Running | Ended | None:
        if self.broker.leases is None or not receipt.redelivered:
            return None
        return lease.look(self.broker.leases, self.key(envelope, receipt))

    def forget(self, envelope: Envelope, receipt: Receipt) -> None:
        if self.broker.leases is not None:
            lease.forget(self.broker.leases, self.key(envelope, receipt))

    def hold(self, body: bytes, receipt: Receipt) -> None:
        self._dealt_with.add()
        self._held.append((time.monotonic() + _LOOK_AGAIN, receipt, body))

    def is_lost(self) -> bool:
        return not self._connection.is_open or not self._channel.is_open

    # Any thread

    def done(self, receipt: Receipt) -> None:
        self._settle_later(receipt, done=True)

    def back(self, receipt: Receipt) -> None:
        self._settle_later(receipt, done=False)

    def replace(self, receipt: Receipt, messages: Sequence[Outgoing], then: Callable[[], None] | None = None) -> bool:
        if self.is_lost():
            # RabbitMQ hands the original out again: a copy beside it would make two of it.
            logger.info("a message of %s outlived its connection; it is handed out again", self.queue_name)
            self._settle_later(receipt, done=False)
            return False
        self.broker.store(messages)
        self._settle_later(receipt, done=True)
        if then is not None:
            then()
        return True

    def replace_later(
        self, receipt: Receipt, messages: Sequence[Outgoing], then: Callable[[], None] | None = None
    ) -> None:
        def settle() -> None:
            try:
                self.replace(receipt, messages, then)
            except BrokerConnectionError as error:
                logger.warning("a message of %s goes back: %s", self.queue_name, error)
                self._settle_later(receipt, done=False)

        self.broker.later.submit(settle)

    def stop(self) -> None:
        self._stopped = True
        self._schedule_flush()

    def leave(self) -> None:
        self._leaving = True
        self._schedule_flush()

    def _settle_later(self, receipt: Receipt, *, done: bool) -> None:
        self._dealt_with.add()
        self._settled.append((receipt.tag, done))
        if self._dozes or not done or 2 * len(self._settled) >= self._prefetch.size:
            self._schedule_flush()

    def _schedule_flush(self) -> None:
        if self._flush_due:
            return
        self._flush_due = True
        try:
            self._connection.add_callback_threadsafe(self._flush)
        except ConnectionWrongStateError:
            logger.debug("the connection of %s is closed; its messages are handed out again", self.queue_name)

    def close(self) -> None:
        """Settle what can be settled within a few seconds and close; RabbitMQ hands the rest out again."""
        self.broker.consumers.discard(self)
        until = time.monotonic() + _CLOSING
        try:
            while self._connection.is_open and self._out and time.monotonic() < until:
                self._connection.process_data_events(time_limit=0.05)
                self._flush()
            if self._connection.is_open:
                self._connection.give_up_after(_CLOSING)
                self._flush(keep=False)
                self._connection.close()
        except AMQPError as error:
            raise ConnectionClosed(explain(error)) from None

    @property
    def _is_fast(self) -> bool:
        """Whether more is taken in advance than by handlers that take a while."""
        return self._prefetch.size > self._prefetch.least

    @property
    def _out(self) -> int:
        """How many messages are handed on and not settled."""
        ended = self._dealt_with.read()  # first: what is handed on meanwhile is not settled
        return self._handed_on.read() - ended

    @property
    def version(self) -> int:
        """RabbitMQ's major version."""
        return self._connection.version

    @property
    def busy(self) -> int:
        """How many messages it has taken that are not settled."""
        return self._out + len(self._received) + len(self._held) + len(self._settled)
