"""Publishes, with confirms: one thread and one connection a process, however many threads send.

A caller hands over a batch and waits until the broker has confirmed all of it; one message that is alone it writes
itself. The connection's thread never waits for anything but its socket and, for as long as a write to a socket that
does not block takes, for such a caller: it answers heartbeats whatever the callers do.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from typing import Any

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosed, ChannelClosedByClient

from carrier.messaging.rabbitmq.confirms import read_ack
from carrier.messaging.rabbitmq.connection import NOT_FOUND, Nodes, explain
from carrier.messaging.rabbitmq.frames import FrameConnection
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
#: Messages, and their bytes, that are written and not confirmed.
_MOST_OPEN, _MOST_BYTES = 2_000, 16 * 2**20
#: Messages that a caller hands over at a time, and twice as many wait at most: those of other callers come in between.
_PORTION = 500


class Batch:
    """Publications that a caller waits for together; there is one at least."""

    def __init__(self, publications: Sequence[Publication]) -> None:
        self.open = len(publications)
        # A lock that is held until all are settled: an Event makes two more, and takes them all for each message.
        self._over = threading.Lock()
        self._over.acquire()
        #: Nobody waits any more: what is not written yet must not be.
        self.abandoned = False

    def settle(self, publication: Publication, error: str | None) -> None:
        """Note what became of one; the connection's thread calls this."""
        publication.error = error
        self.open -= 1
        if not self.open:
            self._over.release()

    def wait(self, until: float) -> bool:
        """Wait until all are settled, and say whether they are; ``until`` is by the monotonic clock."""
        if self._over.acquire(timeout=max(0.0, until - time.monotonic())):
            return True
        self.abandoned = True
        return False


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
        self._returned: set[tuple[str, str, str]] = set()
        #: Held by whoever gives a message its tag and writes it, or notes what became of some.
        self._turn = threading.Lock()
        #: A sender was interrupted (a time limit, a worker that ends) while it wrote: nobody knows what RabbitMQ has,
        #: and tags may count wrong.
        self._torn = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._only = threading.Lock()  # held by that thread, to its end
        self._connection: FrameConnection | None = None
        self._channel: Channel | None = None
        self._tag = 0
        self._bytes = 0  # of what is unconfirmed
        #: The connection's thread has been woken, and has not looked yet.
        self._woken = False
        self._blocked = False
        #: A quorum queue that has refused once may refuse a channel for ever, although it has room again (seen on
        #: 3.10): the channel is replaced before the next message.
        self._refused = False
        self._closing = threading.Event()
        self._pause = _FIRST_PAUSE
        #: Why this connection ends, where that is known before it is seen to.
        self._why: str | None = None
        #: Why there is no connection, for people.
        self.trouble: str | None = None

    # Any thread

    def publish(self, publications: Sequence[Publication], until: float) -> None:
        """Publish all and wait until each is confirmed, or has an error, or the time is over.

        Parameters:
            until: by the monotonic clock.
        """
        for publication in publications:
            publication.error, publication.unroutable = UNCONFIRMED, False
        if len(publications) == 1 and self._is_written_here(alone := Batch(publications), publications[0]):
            alone.wait(until)
            return
        batch = before = None
        try:
            for start in range(0, len(publications), _PORTION):
                portion = publications[start : start + _PORTION]
                batch = Batch(portion)
                self._waiting.extend([(batch, publication) for publication in portion])
                self._wake()
                if before is not None and not before.wait(until):
                    batch.abandoned = True
                    return
                before = batch
            if before is not None:
                before.wait(until)
        except BaseException:  # interrupted: its caller sends again, or does not want to any more
            for each in (before, batch):
                if each is not None:
                    each.abandoned = True
            raise

    def _is_written_here(self, batch: Batch, publication: Publication) -> bool:
        """Write one that is alone in the thread of its sender, and say whether that could be done: that saves a change
        of threads. While others are under way the connection's thread writes, for many at a time."""
        if self._waiting or self._unconfirmed:
            return False
        with self._turn:
            channel = self._channel
            if channel is None or not channel.is_open or self._blocked or self._refused or self._unconfirmed:
                return False
            try:
                frames = publication.frames(channel.channel_number, channel.connection.largest_body, mandatory=True)
            except (ValueError, TypeError):  # the other way says what is wrong with it
                return False
            if self._torn or not channel.connection.is_free:
                return False
            self._torn = True
            self._tag += 1
            self._unconfirmed[self._tag] = batch, publication
            self._bytes += len(publication.body)
            channel.connection.send_from_elsewhere(frames)
            self._torn = False
        return True

    def tell(self, publications: Sequence[Publication]) -> None:
        """Publish all, without confirms and on a channel of their own, and do not wait: while there is no connection
        the oldest are dropped."""
        self._told.clear()
        self._telling.extend(publications)
        self._wake()

    def _wake(self) -> None:
        """Have the connection's thread look at what waits. Many threads that send need only one to wake it, and none
        of them waits for a lock."""
        if self._woken:
            return
        try:
            self._woken = True
            self._wake_now()
        except BaseException:  # a sender that is interrupted: others count on it
            self._woken = False
            self._wake_now()
            raise

    def _wake_now(self) -> None:
        with self._lock:  # or its loop might be closed meanwhile
            if self._thread is None:
                threading.Thread(target=self._run, name="carrier-publisher", daemon=True).start()
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
        if not self._only.acquire(blocking=False):
            return  # whoever started the first was interrupted, or faster than it
        self._thread = threading.current_thread()
        turn = 0
        while not self._closing.is_set():
            nodes = self._nodes.named("publisher")
            parameters = nodes[turn % len(nodes)]
            turn += 1
            connection = FrameConnection(
                parameters,
                on_open_callback=self._on_open,
                on_open_error_callback=self._on_closed,
                on_close_callback=self._on_closed,
            )
            self._why = None
            with self._lock:
                self._connection = connection
            if not self._closing.is_set():
                connection.ioloop.start()
            with self._lock, self._turn:  # whoever writes now still has a loop to tell
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
        self._tag, self._refused, self._torn = 0, False, False
        self._pause, self.trouble = _FIRST_PAUSE, None
        channel.connection.after_read = self._after_read
        channel.connection.readers = {channel.channel_number: partial(read_ack, taker=self._settle)}
        self._outage.over("publisher")
        self._channel = channel
        self._write()

    def _on_channel_closed(self, channel: Channel, reason: Exception) -> None:
        if isinstance(reason, ChannelClosedByClient):
            return
        self._channel = None
        self.trouble = self._why = self._why or explain(reason)
        # An exchange that is gone closes the channel (AMQP 0-9-1, basic.publish); a queue that is gone does not.
        self._fail_unconfirmed(unroutable=isinstance(reason, ChannelClosed) and reason.reply_code == NOT_FOUND)
        if channel.connection.is_open:
            channel.connection.close()

    def _on_closed(self, connection: pika.SelectConnection, reason: Exception) -> None:
        self._channel = None
        if not self._closing.is_set():
            self.trouble = self._why or explain(reason)
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
        self._woken = False  # whoever comes from now on may not be seen here
        channel = self._channel
        if channel is None or self._blocked or not channel.is_open:
            return
        if self._telling:
            self._write_aside(channel.connection)
        if self._refused:
            if not self._unconfirmed:
                self._replace(channel)
            return
        with self._turn:
            if self._torn:
                self._give_up(channel)
                return
            written = self._frames_of_waiting(channel)
            if written:
                channel.connection.send(written)
        if written and self._waiting and self._has_room():
            channel.connection.ioloop.add_callback_threadsafe(self._write)

    def _give_up(self, channel: Channel) -> None:
        """End the connection: what is not confirmed is sent again on the next one."""
        self._channel, self._why = None, "a sender was interrupted while it wrote"
        channel.connection.cut()

    def _has_room(self) -> bool:
        return len(self._unconfirmed) < _MOST_OPEN and self._bytes < _MOST_BYTES

    def _frames_of_waiting(self, channel: Channel) -> bytes:
        number, largest = channel.channel_number, channel.connection.largest_body
        parts: list[bytes] = []
        while self._waiting and len(parts) < _BURST and self._has_room():
            batch, publication = self._waiting.popleft()
            if batch.abandoned:
                continue
            try:
                parts.append(publication.frames(number, largest, mandatory=True))
            except (ValueError, TypeError) as error:
                # Nothing of it has left. The others must not wait for it.
                batch.settle(publication, f"it cannot be written as AMQP: {error}")
                continue
            self._tag += 1
            self._bytes += len(publication.body)
            self._unconfirmed[self._tag] = batch, publication
        return b"".join(parts)

    def _write_aside(self, connection: FrameConnection) -> None:
        """Write what nobody waits for. Where its exchange is gone the channel closes, and no message is harmed."""
        channel = self._side_channel
        if channel is None or channel.is_closing or channel.is_closed:
            self._side_channel = connection.channel(on_open_callback=lambda _: self._write())
        elif channel.is_open:
            while self._telling:
                publication = self._telling.popleft()
                connection.send(publication.frames(channel.channel_number, connection.largest_body, mandatory=False))
            self._told.set()

    def _replace(self, channel: Channel) -> None:
        self._channel = None
        channel.close()
        channel.connection.channel(on_open_callback=self._on_channel)

    def _on_return(self, _: Channel, method: Any, properties: pika.BasicProperties, __: bytes) -> None:
        # A returned message is confirmed too, right after this (https://www.rabbitmq.com/docs/confirms).
        self._returned.add((properties.message_id or "", method.exchange, method.routing_key))

    def _on_confirm(self, frame: Any) -> None:
        """From pika: what the shorter way has left to it."""
        method = frame.method
        refused = isinstance(method, pika.spec.Basic.Nack)
        self._settle(method.delivery_tag, multiple=method.multiple, refused=refused)

    def _settle(self, last: int, *, multiple: bool, refused: bool = False) -> None:
        with self._turn:
            if not self._torn:
                self._settle_up_to(last, multiple=multiple, refused=refused)
            elif self._channel is not None:
                self._give_up(self._channel)

    def _settle_up_to(self, last: int, *, multiple: bool, refused: bool) -> None:
        # Tags are in order: those confirmed together are the first ones.
        tags = list(takewhile(lambda tag: tag <= last, self._unconfirmed)) if multiple else [last]
        for tag in tags:
            batch, publication = self._unconfirmed.pop(tag)
            self._bytes -= len(publication.body)
            if refused:
                self._refused = True
                batch.settle(publication, "RabbitMQ refused it (a full queue, or an error there)")
            elif self._returned and publication.key in self._returned:
                self._returned.discard(publication.key)
                publication.unroutable = True
                batch.settle(publication, "there is no queue for it")
            else:
                batch.settle(publication, None)

    def _after_read(self) -> None:
        if self._waiting:
            self._write()

    def _fail_unconfirmed(self, *, unroutable: bool = False) -> None:
        with self._turn:
            unconfirmed, self._unconfirmed, self._bytes = self._unconfirmed, {}, 0
        self._returned.clear()
        for batch, publication in unconfirmed.values():
            publication.unroutable = unroutable
            batch.settle(publication, f"the connection was lost: {self.trouble}")
