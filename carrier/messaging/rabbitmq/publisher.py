"""Publishes, with confirms: one thread and one connection a process, however many threads send.

A caller hands over a batch and waits until the broker has confirmed all of it. The connection's thread never waits for
anything but its socket, so it answers heartbeats whatever the callers do.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosed, ChannelClosedByClient, UnsupportedAMQPFieldException

from carrier.messaging.rabbitmq.connection import NOT_FOUND, Nodes, explain
from carrier.messaging.rabbitmq.outage import Outage
from carrier.messaging.rabbitmq.publication import UNCONFIRMED, Publication

#: Seconds between two tries to connect: the first and the longest pause.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
#: Seconds that closing waits for the server.
_CLOSING = 2.0
#: Publications that nobody waits for.
_MOST_TOLD = 10_000
#: Messages that are written in one go, before the socket is read again.
_BURST = 200


class Batch:
    """Publications that a caller waits for together."""

    def __init__(self, publications: Sequence[Publication]) -> None:
        self.publications = publications
        self.open = len(publications)
        self.over = threading.Event()
        #: Nobody waits any more: what is not written yet must not be.
        self.abandoned = False

    def settle(self, publication: Publication, error: str | None) -> None:
        """Note what became of one; the connection's thread calls this."""
        publication.error = error
        self.open -= 1
        if not self.open:
            self.over.set()


class Publisher:
    """The publishing connection of this process. Its thread starts at the first message.

    Parameters:
        outage: told while there is no connection.
    """

    def __init__(self, nodes: Nodes, outage: Outage) -> None:
        self._nodes = nodes
        self._outage = outage
        self._waiting: deque[tuple[Batch, Publication]] = deque()
        self._telling: deque[Publication] = deque(maxlen=_MOST_TOLD)
        self._told = threading.Event()  # all of them
        self._side_channel: Channel | None = None
        self._unconfirmed: dict[int, tuple[Batch, Publication]] = {}
        self._returned: set[tuple[str | None, str, str]] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connection: pika.SelectConnection | None = None
        self._channel: Channel | None = None
        self._tag = 0
        self._blocked = False
        #: A quorum queue that has refused once may refuse a channel for ever, although it has room again (seen on
        #: 3.10): the channel is replaced before the next message.
        self._refused = False
        self._closing = threading.Event()
        self._pause = _FIRST_PAUSE
        #: Why there is no connection, for people.
        self.trouble: str | None = None

    # Any thread

    def publish(self, publications: Sequence[Publication], until: float) -> None:
        """Publish all and wait until each is confirmed, or has an error, or the time is over.

        Parameters:
            until: by the monotonic clock.
        """
        batch = Batch(publications)
        for publication in publications:
            publication.error, publication.unroutable = UNCONFIRMED, False
        self._waiting.extend((batch, publication) for publication in publications)
        self._start()
        self._wake()
        if not batch.over.wait(max(0.0, until - time.monotonic())):
            batch.abandoned = True

    def tell(self, publications: Sequence[Publication]) -> None:
        """Publish all, without confirms and on a channel of their own, and do not wait: while there is no connection
        the oldest are dropped."""
        self._told.clear()
        self._telling.extend(publications)
        self._start()
        self._wake()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="carrier-publisher", daemon=True)
                self._thread.start()

    def _wake(self) -> None:
        with self._lock:  # or its loop might be closed meanwhile
            if self._connection is not None and self._channel is not None:
                self._connection.ioloop.add_callback_threadsafe(self._write)

    def close(self) -> None:
        """Close the connection and end the thread; what is not confirmed has failed."""
        if self._telling and self.trouble is None:
            self._told.wait(_CLOSING)
        self._closing.set()
        with self._lock:
            thread, connection = self._thread, self._connection
            if connection is not None:
                connection.ioloop.add_callback_threadsafe(lambda: self._close(connection))
        if thread is not None:
            thread.join(_CLOSING)

    # The connection's thread

    def _run(self) -> None:
        turn = 0
        while not self._closing.is_set():
            nodes = self._nodes.named("publisher")
            parameters = nodes[turn % len(nodes)]
            turn += 1
            connection = pika.SelectConnection(
                parameters,
                on_open_callback=self._on_open,
                on_open_error_callback=self._on_closed,
                on_close_callback=self._on_closed,
            )
            with self._lock:
                self._connection = connection
            if not self._closing.is_set():
                connection.ioloop.start()
            with self._lock:
                self._connection = self._channel = self._side_channel = None
            connection.ioloop.close()
            self._fail_unconfirmed()
            if self._closing.wait(self._pause * random.uniform(0.5, 1)):  # noqa: S311  (not a secret)
                break
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        for batch, publication in self._waiting:
            batch.settle(publication, "the broker was closed")
        self._waiting.clear()

    @staticmethod
    def _close(connection: pika.SelectConnection) -> None:
        if connection.is_open:
            connection.close()
        elif not connection.is_closing:
            connection.ioloop.stop()

    def _on_open(self, connection: pika.SelectConnection) -> None:
        self._blocked = False
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._on_ready(channel))

    def _on_ready(self, channel: Channel) -> None:
        self._tag, self._refused, self._pause, self.trouble = 0, False, _FIRST_PAUSE, None
        self._outage.over("publisher")
        self._channel = channel
        self._write()

    def _on_channel_closed(self, channel: Channel, reason: Exception) -> None:
        if isinstance(reason, ChannelClosedByClient):
            return
        self._channel = None
        self.trouble = explain(reason)
        # An exchange that is gone closes the channel (AMQP 0-9-1, basic.publish); a queue that is gone does not.
        self._fail_unconfirmed(unroutable=isinstance(reason, ChannelClosed) and reason.reply_code == NOT_FOUND)
        if channel.connection.is_open:
            channel.connection.close()

    def _on_closed(self, connection: pika.SelectConnection, reason: Exception) -> None:
        self._channel = None
        if not self._closing.is_set():
            self.trouble = self.trouble or explain(reason)
            self._outage.note("publisher", f"RabbitMQ at {self._nodes} cannot be used: {self.trouble}")
        connection.ioloop.stop()

    def _on_blocked(self, _: Any, method: Any) -> None:
        self._blocked = True
        reason = getattr(method.method, "reason", "")
        self.trouble = f"RabbitMQ takes no messages now ({reason})"

    def _on_unblocked(self, *_: Any) -> None:
        self._blocked, self.trouble = False, None
        self._write()

    def _write(self) -> None:
        """Write what waits. While the broker says that it is blocked nothing is: it would be published afterwards."""
        channel = self._channel
        if channel is None or self._blocked or not channel.is_open:
            return
        if self._telling:
            self._write_aside(channel.connection)
        if self._refused:
            if not self._unconfirmed:
                self._replace(channel)
            return
        for _ in range(_BURST):
            try:
                batch, publication = self._waiting.popleft()
            except IndexError:
                return
            if batch.abandoned:
                continue
            try:
                channel.basic_publish(
                    publication.exchange,
                    publication.routing_key,
                    publication.body,
                    publication.properties,
                    mandatory=True,
                )
            except (ValueError, TypeError, UnsupportedAMQPFieldException) as error:
                # It cannot be written as AMQP; nothing of it has left. The others must not wait for it.
                batch.settle(publication, f"it cannot be written as AMQP: {error}")
                continue
            self._tag += 1
            self._unconfirmed[self._tag] = batch, publication
        channel.connection.ioloop.add_callback_threadsafe(self._write)

    def _write_aside(self, connection: pika.SelectConnection) -> None:
        """Write what nobody waits for. Where its exchange is gone the channel closes, and no message is harmed."""
        channel = self._side_channel
        if channel is None or channel.is_closing or channel.is_closed:
            self._side_channel = connection.channel(on_open_callback=lambda _: self._write())
        elif channel.is_open:
            while self._telling:
                publication = self._telling.popleft()
                channel.basic_publish(
                    publication.exchange, publication.routing_key, publication.body, publication.properties
                )
            self._told.set()

    def _replace(self, channel: Channel) -> None:
        self._channel = None
        channel.close()
        channel.connection.channel(on_open_callback=self._on_channel)

    def _on_return(self, _: Channel, method: Any, properties: pika.BasicProperties, __: bytes) -> None:
        # A returned message is confirmed too, right after this (https://www.rabbitmq.com/docs/confirms).
        self._returned.add((properties.message_id, method.exchange, method.routing_key))

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        last = method.delivery_tag
        # Tags are in order: those confirmed together are the first ones.
        tags = [tag for tag in self._unconfirmed if tag <= last] if method.multiple else [last]
        refused = isinstance(method, pika.spec.Basic.Nack)
        for tag in tags:
            batch, publication = self._unconfirmed.pop(tag)
            key = publication.properties.message_id, publication.exchange, publication.routing_key
            if refused:
                self._refused = True
                batch.settle(publication, "RabbitMQ refused it (a full queue, or an error there)")
            elif self._returned and key in self._returned:
                self._returned.discard(key)
                publication.unroutable = True
                batch.settle(publication, "there is no queue for it")
            else:
                batch.settle(publication, None)
        if self._refused and not self._unconfirmed and self._waiting:
            self._write()

    def _fail_unconfirmed(self, *, unroutable: bool = False) -> None:
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        self._returned.clear()
        for batch, publication in unconfirmed.values():
            publication.unroutable = unroutable
            batch.settle(publication, f"the connection was lost: {self.trouble}")
