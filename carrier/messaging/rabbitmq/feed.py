"""News of failed_queue from the exchange ``carrier.events``."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.feed import Feed, News
from carrier.messaging.rabbitmq.topology import ADDED, EVENTS, REMOVED, count_queue
from carrier.messaging.rabbitmq.walk import LOCK, lock, stored_of
from carrier.messaging.walk import Stored

if TYPE_CHECKING:
    from carrier.messaging.rabbitmq.broker import RabbitmqBroker

#: News that wait at the server for a listener that is busy, and their bytes; the oldest go, and counts tell.
_LIMITS = {"x-max-length": 200_000, "x-max-length-bytes": 200 * 2**20}
_IDENTITY = 16  # bytes
#: Seconds for which a busy queue is asked how many it has.
_COUNTING = 10.0


class RabbitmqFeed(Feed):
    """The key of a message is its identity."""

    tells_all = False

    def __init__(self, broker: RabbitmqBroker) -> None:
        self._nodes = broker.nodes
        self._received: deque[News] = deque()
        broker.ensure({FAILED_QUEUE})
        self._connection = broker.nodes.connect("feed")
        try:
            channel = self._connection.channel()
            self._queue = channel.queue_declare("", exclusive=True, arguments=_LIMITS).method.queue
            self._bind(channel)
            channel.basic_consume(self._queue, self._on_message, auto_ack=True)
        except AMQPError as error:
            self.close()
            raise self._nodes.unavailable(error) from None

    def _bind(self, channel: BlockingChannel) -> None:
        channel.exchange_declare(EVENTS, "topic", durable=True)
        for key in (ADDED, REMOVED):
            channel.queue_bind(self._queue, EVENTS, key)

    def _on_message(self, _: Any, method: Any, properties: Any, body: bytes) -> None:
        if method.routing_key == REMOVED:
            identities = (body[start : start + _IDENTITY] for start in range(0, len(body), _IDENTITY))
            self._received.extend(News(identity) for identity in identities)
            return
        stored = stored_of(body, properties.headers, None)
        self._received.append(News(stored.identity, stored))

    def news(self, timeout: float) -> list[News]:
        """See :meth:`Feed.news`."""
        until = time.monotonic() + timeout
        try:
            while True:
                left = until - time.monotonic()
                self._connection.process_data_events(time_limit=0 if self._received else max(0.0, left))
                if self._received or left <= 0:
                    break
        except AMQPError as error:
            raise self._nodes.unavailable(error) from None
        found, self._received = list(self._received), deque()
        return found

    def key(self, stored: Stored) -> bytes:
        """See :meth:`Feed.key`."""
        return stored.identity

    def count(self) -> int | None:
        """See :meth:`Feed.count`. Who goes through the queue holds its messages, and they are not counted then."""
        try:
            channel = lock(self._connection)
            if channel is None:
                return None
            self._bind(channel)  # somebody may have deleted the exchange
            found = count_queue(self._connection, FAILED_QUEUE, _COUNTING)
            channel.queue_delete(LOCK)
            channel.close()
        except AMQPError as error:
            raise self._nodes.unavailable(error) from None
        return found.message_count if found else 0

    def close(self) -> None:
        """See :meth:`Feed.close`."""
        if self._connection.is_open:
            with suppress(AMQPError):  # it was lost, and nobody has noticed
                self._connection.close()
