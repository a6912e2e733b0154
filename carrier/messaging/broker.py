"""What both brokers share: the same verbs, the same middleware, and the rule that nothing is published behind the
back of a settlement.

A broker keeps messages (:meth:`Broker.store`) and hands them out (:meth:`Broker.consume`). Messages that a middleware
sends while a delivery is being ended (callbacks, pipelines) are kept on that delivery, and stored together with its
outcome: an error in between loses neither.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from dramatiq.actor import Actor
from dramatiq.message import Message
from dramatiq.middleware import CurrentMessage, Middleware, Retries

from carrier.messaging.attempts import Attempts
from carrier.messaging.consumer import Consumer
from carrier.messaging.deaths import Deaths
from carrier.messaging.declared import CarriedOver, Declared
from carrier.messaging.delivery import Delivery
from carrier.messaging.document import check_depth
from carrier.messaging.encoder import attempts_of, envelope_of
from carrier.messaging.ending import Ending
from carrier.messaging.envelope import MAX_DELAY_MS, Envelope, check_size, timestamp
from carrier.messaging.errors import EnvelopeError, UnknownMessageType
from carrier.messaging.event import DEFERRED, DONE, FAILED, RETRYING, Event, EventListener, event_of
from carrier.messaging.failure import FAILED_QUEUE, Failure, failure_of
from carrier.messaging.feed import Feed
from carrier.messaging.fields import wrong_options
from carrier.messaging.figures import Figures, WorkerFigures
from carrier.messaging.fires import Fires
from carrier.messaging.garbage import Garbage
from carrier.messaging.joining import Joining
from carrier.messaging.lane import Lane
from carrier.messaging.lease import Lease
from carrier.messaging.middleware import FOLLOWING, attempts, default_middleware, is_plain_retries
from carrier.messaging.outcome import Back, Dropped, Failed, Later
from carrier.messaging.outgoing import Enqueued, Outgoing, outgoing
from carrier.messaging.reporting import Reporting
from carrier.messaging.roster import Roster

logger = logging.getLogger(__name__)

#: Told of each message that has just been put in failed_queue: its envelope (None for an unreadable one) and why.
FailureListener = Callable[[Envelope | None, Failure, BaseException | None], None]


#: Seconds that running handlers have when their process is told to end.
GRACE = 25.0


class Broker(Joining):
    """The base of both brokers.

    Parameters:
        middleware: in the place of the default; in front of it there are always Ending, Garbage, Deaths, Fires
            and Reporting.
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
        self.fires = Fires()
        super().__init__(middleware=[self.ending, Garbage(), Deaths(), self.fires, Reporting(), *given])
        self.failure_listeners: list[FailureListener] = []
        self.event_listeners: list[EventListener] = []
        self._settling = threading.local()

    def add_middleware(
        self,
        middleware: Middleware,
        *,
        before: type[Middleware] | None = None,
        after: type[Middleware] | None = None,
    ) -> None:
        """As Dramatiq's. Its Retries are taken over by Attempts; a subclass that decides otherwise replaces them."""
        own = attempts(self.middleware)
        if is_plain_retries(middleware):
            if own is not None:
                own.take_over(middleware)
                return
            middleware = Attempts().take_over(middleware)
        elif isinstance(middleware, Retries) and own is not None:
            self.middleware.remove(own)
        elif type(middleware) is CurrentMessage and any(type(each) is CurrentMessage for each in self.middleware):
            return  # it is there already
        super().add_middleware(middleware, before=before, after=after)

    # What a broker is

    @abstractmethod
    def store(self, messages: Sequence[Outgoing], *, once: bool = False) -> None:
        """Keep all of them safely, and return when that is so.

        Parameters:
            once: do not keep what has the id of a message that was kept in this way within a week, where the broker can
                tell; RabbitMQ cannot.

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
    def feed(self) -> Feed:
        """News of failed_queue from now on.

        Raises:
            BrokerUnavailable: the broker cannot be reached.
        """

    @abstractmethod
    def report(self, worker: WorkerFigures, *, ended: bool = False) -> None:
        """Tell whoever has opened a :meth:`roster` how this process is; returns at once, and promises nothing.

        Parameters:
            ended: it works no more, because it was told to end.
        """

    @abstractmethod
    def roster(self) -> Roster:
        """Who works.

        Raises:
            BrokerUnavailable: the broker cannot be reached.
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

    def carry_over(self) -> list[CarriedOver]:
        """Take over what stock Dramatiq has left in queues of its own. Raises as :meth:`inspect`, and PublishError."""
        return []

    def whereabouts(self, id_: str) -> tuple[str, str] | None:
        """The queue of a message, and whether it is "waiting", "delayed" or "running" there.

        None where it is in no work queue, or where the broker cannot say."""
        return None

    def looked_at(self) -> list[str]:
        """The queues that people look at: the declared ones, and failed_queue last."""
        return [*sorted(self.queues - {FAILED_QUEUE}), FAILED_QUEUE]

    # Declaring

    def declare_queue(self, queue_name: str) -> None:
        """Note a queue; it is made when it is first used.

        Raises:
            ValueError: the name is one of Carrier's own.
        """
        if queue_name == FAILED_QUEUE or queue_name.startswith("carrier."):
            raise ValueError(f"queue {queue_name} is Carrier's own; give the actor another one")
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

    def declare_actor(self, actor: Actor[Any, Any]) -> None:
        """As Dramatiq's.

        Raises:
            EnvelopeError: one of its options has a value that makes no sense.
            ValueError: its queue is one of Carrier's own.
        """
        wrong = wrong_options(actor.options)
        if wrong:
            raise EnvelopeError(f"actor {actor.actor_name}: {'; '.join(wrong)}")
        attempts_of(actor.options)
        super().declare_actor(actor)

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

    def enqueue_many(
        self, messages: Sequence[Message[Any]], *, delay: int | None = None, once: bool = False
    ) -> list[Message[Any]]:
        """Send many: the broker is waited for once. Raises as :meth:`enqueue`; some may be stored then.

        Parameters:
            delay: milliseconds, for all; a message's own option ``delay`` goes before it.
            once: see :meth:`store`.
        """
        ready, sent = [], []
        is_heard = bool(self.having("before_enqueue"))
        for message in messages:
            own, message = _own_delay(message, delay)
            if is_heard:
                self.emit_before("enqueue", message, own)
            sent.append(message)
            ready.append(Enqueued(message, own, self._outgoing(message, own or 0)))
        following = getattr(self._settling, "delivery", None)
        if following is not None:
            following.then.extend(ready)
        else:
            self.store([each.outgoing for each in ready], once=once)
            self.enqueued(ready)
        return sent

    def enqueued(self, stored: Sequence[Enqueued]) -> None:
        """Tell the middleware of messages that are stored now."""
        if self.having("after_enqueue"):
            for each in stored:
                self.emit_after("enqueue", each.message, each.delay)

    def _outgoing(self, message: Message[Any], delay: int) -> Outgoing:
        limit = self.limit_of(message.actor_name)
        out = outgoing(envelope_of(message, delay=delay, max_attempts=limit), message.queue_name, delay)
        check_size(out.body)
        check_depth(out.body)
        return out

    def limit_of(self, type_: str) -> int:
        """How many attempts a message of a type has that does not say it itself."""
        own = attempts(self.middleware)
        return own.limit(self.actors.get(type_)) if own else 1

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

    def backoff(self, envelope: Envelope) -> int:
        """Milliseconds until the next attempt of a message whose worker has died."""
        return (attempts(self.middleware) or Attempts()).backoff(self.actors.get(envelope.type), envelope)

    # Ending a delivery, and a worker

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the hooks. A worker that stops waits for its handlers after they all know of it."""
        if _goes_back(signal, args):
            return
        super().emit_before(signal, *args, **kwargs)
        if signal == "worker_shutdown":
            self.ending.finish(self, args[0])

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """Call the hooks, in reverse. What they send while a delivery is being ended is kept on it."""
        if _goes_back(signal, args):
            if signal == "skip_message" and args[0].run is not None:
                self.lane.leave(alone=args[0].run.alone)
            return
        if signal in ("process_message", "skip_message") and isinstance(args[0], Delivery):
            self._settling.delivery = args[0]
            try:
                self._end(f"after_{signal}", *args, **kwargs)
            finally:
                self._settling.delivery = None
        else:
            super().emit_after(signal, *args, **kwargs)

    def _end(self, hook: str, delivery: Delivery, **outcome: Any) -> None:
        """As Dramatiq calls hooks. But where what follows a message cannot be sent (its result is no JSON, there is no
        such actor), the message has failed, and whoever is asked next is told so: it would be lost in silence."""
        for each in reversed(self.having(hook)):
            try:
                getattr(each, hook)(self, delivery, **outcome)
            except Exception as error:
                self.logger.critical("Unexpected failure in %s of %r.", hook, each, exc_info=True)
                if isinstance(each, FOLLOWING) and outcome.get("exception") is None:
                    queue = delivery.consumer.queue_name
                    delivery.stuff_exception(error)
                    delivery.fail()
                    delivery.outcome = Failed(
                        failure_of(delivery.envelope, error, reason="what follows cannot be sent", queue=queue)
                    )
                    delivery.then.clear()
                    outcome = {"exception": error} if hook == "after_process_message" else {}

    def announce(self, envelope: Envelope | None, failure: Failure, error: BaseException | None) -> None:
        """Tell the listeners of a message that now lies safely in failed_queue; their errors harm nothing."""
        self.fires.failed(envelope, failure)
        _call(self.failure_listeners, envelope, failure, error)
        if envelope is not None and self.event_listeners:
            worker = failure.attempts[-1]["worker"] if failure.attempts else None
            detail = {"reason": failure.reason, "error": failure.error, "message": failure.message}
            self.tell(event_of(FAILED, envelope, failure.queue, worker=worker, at=failure.last_at, **detail))

    def tell_of_end(self, delivery: Delivery) -> None:
        """Tell the listeners of a message that is done."""
        if self.event_listeners:
            seconds = None if delivery.run is None else round(time.time() - delivery.run.began, 3)
            self.tell(event_of(DONE, delivery.envelope, delivery.consumer.queue_name, seconds=seconds))

    def tell_of_retry(self, envelope: Envelope, queue: str, delay: int, record: dict[str, Any]) -> None:
        """Tell the listeners of an attempt that has failed, and after which there is another one in ``delay`` ms."""
        self.fires.retried(envelope, f"{record['error']}: {record['message']}")
        if self.event_listeners:
            detail = {"error": record["error"], "message": record["message"]}
            detail["next_at"] = timestamp(time.time() + delay / 1000)
            self.tell(event_of(RETRYING, envelope, queue, worker=record["worker"], at=record["at"], **detail))

    def tell_of_deferral(self, envelope: Envelope, queue: str, at: float, delay: int, why: str) -> None:
        """Tell the listeners of a handler that has put its message off, at a Unix time in s, for ``delay`` ms."""
        self.logger.info("%s %s is deferred for %.1f s: %s", envelope.type, envelope.id, delay / 1000, why)
        if self.event_listeners:
            next_at = timestamp(at + delay / 1000)
            self.tell(event_of(DEFERRED, envelope, queue, at=timestamp(at), message=why, next_at=next_at))

    def tell(self, event: Event) -> None:
        """Tell the listeners; their errors harm nothing."""
        _call(self.event_listeners, event)


def _call(listeners: Sequence[Callable[..., None]], *news: Any) -> None:
    for listener in listeners:
        try:
            listener(*news)
        except Exception:
            logger.exception("a listener failed")


def _goes_back(signal: str, args: tuple[Any, ...]) -> bool:
    """Whether a hook is about a message that is not ended but goes back, or a copy: no middleware hears of that. What
    was not begun would be taken for a result of None, and none is acknowledged."""
    if signal not in ("skip_message", "ack", "nack") or not isinstance(args[0], Delivery):
        return False
    return isinstance(args[0].outcome, Back | Later | Dropped)


def _own_delay(message: Message[Any], delay: int | None) -> tuple[int | None, Message[Any]]:
    """Dramatiq passes ``delay`` beside the message, or, in pipelines and groups, as one of its options."""
    if "delay" in message.options:
        options = dict(message.options)
        own = options.pop("delay")
        delay = delay if own is None else own
        message = Message(**{**message.asdict(), "options": options})
    return None if delay is None else _milliseconds(delay), message


def _milliseconds(delay: float) -> int:
    """A delay as it was given, rounded up; one that is over already is none."""
    number = isinstance(delay, int | float) and not isinstance(delay, bool)
    if not number or not -MAX_DELAY_MS <= delay <= MAX_DELAY_MS:
        raise EnvelopeError(f"delay must be a number of milliseconds, {MAX_DELAY_MS} at most")
    return max(0, math.ceil(delay))
