"""What both brokers share: the same verbs, the same middleware, and the rule that nothing is published behind the
back of a settlement.

A broker keeps messages (:meth:`Broker.store`) and hands them out (:meth:`Broker.consume`). Messages that a middleware
sends while a delivery is being ended (callbacks, pipelines) are kept on that delivery, and stored together with its
outcome: an error in between loses neither.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dramatiq
from dramatiq.errors import QueueNotFound
from dramatiq.message import Message
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    CurrentMessage,
    Middleware,
    Pipelines,
    ShutdownNotifications,
    TimeLimit,
)

from carrier.messaging.attempts import Attempts
from carrier.messaging.consumer import Consumer
from carrier.messaging.deaths import Deaths
from carrier.messaging.declared import Declared
from carrier.messaging.delivery import Delivery
from carrier.messaging.encoder import envelope_of
from carrier.messaging.ending import Ending
from carrier.messaging.envelope import Envelope, check_depth, check_size
from carrier.messaging.errors import UnknownMessageType
from carrier.messaging.failure import FAILED_QUEUE, Failure
from carrier.messaging.figures import Figures
from carrier.messaging.lane import Lane
from carrier.messaging.lease import Lease
from carrier.messaging.outgoing import Outgoing, outgoing
from carrier.messaging.walk import Walk

logger = logging.getLogger(__name__)

#: Told of each message that has just been put in failed_queue: its envelope (None for an unreadable one) and why.
FailureListener = Callable[[Envelope | None, Failure, BaseException | None], None]


#: Seconds that running handlers have when their process is told to end.
GRACE = 25.0


def default_middleware() -> list[Middleware]:
    """Dramatiq's own, with Attempts in the place of Retries; handlers may ask which message they handle."""
    limits = [AgeLimit(), TimeLimit(), ShutdownNotifications()]
    return [*limits, Callbacks(), Pipelines(), Attempts(), CurrentMessage()]


class Broker(dramatiq.Broker):
    """The base of both brokers.

    Parameters:
        middleware: in the place of :func:`default_middleware`; in front of it there are always Ending and Deaths.
        grace: seconds that running handlers have when their process is told to end.

    Attributes:
        lane: who runs beside whom in this process.
        handling: what each thread of this process has begun and not settled, by the thread's number.
    """

    def __init__(self, middleware: list[Middleware] | None = None, *, grace: float = GRACE) -> None:
        self.lane = Lane()
        self.handling: dict[int, Delivery] = {}
        self.ending = Ending(grace)
        given = default_middleware() if middleware is None else middleware
        super().__init__(middleware=[self.ending, Deaths(), *given])
        self.queues: set[str] = set()
        self.failure_listeners: list[FailureListener] = []
        self._settling = threading.local()

    # What a broker is

    @abstractmethod
    def store(self, messages: Sequence[Outgoing]) -> None:
        """Keep all of them safely, and return when that is so.

        Raises:
            PublishError: not within PUBLISH_TIMEOUT seconds; some may be stored.
        """

    @abstractmethod
    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """A consumer of a queue, with ``prefetch`` unsettled messages at most; it yields None after ``timeout`` ms.

        Raises:
            BrokerUnavailable: the broker cannot be reached.
        """

    @property
    @abstractmethod
    def lease(self) -> Lease | None:
        """Where this process notes what it handles; None when it cannot."""

    @abstractmethod
    def walk(self, queue_name: str) -> Walk:
        """Go through the messages of a queue where they lie.

        Raises:
            BrokerUnavailable: the broker cannot be reached, or somebody else goes through the queue for a minute.
        """

    @abstractmethod
    def figures(self) -> Figures:
        """What the broker says of its queues and workers now.

        Raises:
            BrokerUnavailable: the broker cannot be reached.
        """

    def inspect(self) -> list[Declared]:
        """What is declared of what Carrier wants, and what to do about it; nothing where nothing needs declaring.

        Raises:
            BrokerUnavailable: the broker cannot be reached.
        """
        return []

    def apply(self) -> None:
        """Declare what is missing, and mend what can be. Raises as :meth:`inspect`.

        Raises:
            TopologyMismatch: something is there in a way that cannot be used.
        """

    def looked_at(self) -> list[str]:
        """The queues that people look at: the declared ones, and failed_queue last."""
        return [*sorted(self.queues - {FAILED_QUEUE}), FAILED_QUEUE]

    # Declaring

    def declare_queue(self, queue_name: str) -> None:
        """Note a queue; it is made when it is first used."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def get_declared_queues(self) -> set[str]:
        """The names of the declared queues."""
        return set(self.queues)

    def get_declared_delay_queues(self) -> set[str]:
        """None: delays are kept by the broker, not by queues that a worker reads."""
        return set()

    # Sending

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message. It is stored safely when this returns.

        Parameters:
            delay: milliseconds for which the broker holds it.

        Raises:
            PublishError: it could not be stored within PUBLISH_TIMEOUT seconds.
            EnvelopeError: an argument or an option cannot travel, or it is too large; nothing was sent.
        """
        return self.enqueue_many([message], delay=delay)[0]

    def enqueue_many(self, messages: Sequence[Message[Any]], *, delay: int | None = None) -> list[Message[Any]]:
        """Send many: the broker is waited for once. Raises as :meth:`enqueue`; some may be stored then.

        Parameters:
            delay: milliseconds, for all; a message's own option ``delay`` goes before it.
        """
        ready = []
        for message in messages:
            own, message = _own_delay(message, delay)
            self.emit_before("enqueue", message, own)
            ready.append((message, own, self._outgoing(message, max(0, own or 0))))
        following = getattr(self._settling, "delivery", None)
        if following is not None:
            following.then.extend(out for _, _, out in ready)
        else:
            self.store([out for _, _, out in ready])
        for message, own, _ in ready:
            self.emit_after("enqueue", message, own)
        return [message for message, _, _ in ready]

    def _outgoing(self, message: Message[Any], delay: int) -> Outgoing:
        attempts = next((m for m in self.middleware if isinstance(m, Attempts)), None)
        limit = attempts.limit(self.actors.get(message.actor_name)) if attempts else 1
        out = outgoing(envelope_of(message, delay=delay, max_attempts=limit), message.queue_name, delay)
        check_size(out.body)
        check_depth(out.body)
        return out

    def message(self, type_: str, payload: dict[str, Any], **options: Any) -> Message[Any]:
        """A message of a type, checked; options as those of ``message_with_options``.

        Raises:
            UnknownMessageType: no actor is declared for it.
            pydantic.ValidationError: the payload does not fit the type's model.
        """
        if type_ not in self.actors:
            raise UnknownMessageType(type_, self.actors)
        return self.actors[type_].message_with_options(kwargs=payload, **options)

    def check(self, message: Message[Any]) -> None:
        """Whether a message could be sent.

        Raises:
            EnvelopeError: it could not.
        """
        self._outgoing(message, 0)

    def flush_all(self) -> None:
        """Drop all that waits in any declared queue, as ``flush`` does."""
        for queue_name in self.queues:
            self.flush(queue_name)

    def backoff(self, envelope: Envelope) -> int:
        """Milliseconds until the next attempt of a message whose worker has died."""
        attempts = next((m for m in self.middleware if isinstance(m, Attempts)), None) or Attempts()
        return attempts.backoff(self.actors.get(envelope.type), envelope)

    # Ending a delivery, and a worker

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the hooks. A worker that stops waits for its handlers after they all know of it."""
        super().emit_before(signal, *args, **kwargs)
        if signal == "worker_shutdown":
            self.ending.finish(self, args[0])

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the hooks. What they send while a delivery is being ended is kept on it."""
        if signal in ("process_message", "skip_message") and isinstance(args[0], Delivery):
            with self._following(args[0]):
                super().emit_after(signal, *args, **kwargs)
        else:
            super().emit_after(signal, *args, **kwargs)

    @contextlib.contextmanager
    def _following(self, delivery: Delivery) -> Iterator[None]:
        self._settling.delivery = delivery
        try:
            yield
        finally:
            self._settling.delivery = None

    def announce(self, envelope: Envelope | None, failure: Failure, error: BaseException | None) -> None:
        """Tell the listeners of a message that now lies safely in failed_queue; their errors harm nothing."""
        for listener in self.failure_listeners:
            try:
                listener(envelope, failure, error)
            except Exception:
                logger.exception("a failure listener failed")

    def _known(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)


def _own_delay(message: Message[Any], delay: int | None) -> tuple[int | None, Message[Any]]:
    """Dramatiq passes ``delay`` beside the message, or, in pipelines and groups, as one of its options."""
    if "delay" not in message.options:
        return delay, message
    options = dict(message.options)
    own = options.pop("delay")
    fields = {**message.asdict(), "options": options}
    return (delay if own is None else int(own)), Message(**fields)
