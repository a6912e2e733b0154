"""A delivery is settled once, in one place: here.

The consumer carries out the outcome that is written on a delivery. A retry or a failure is stored safely first, and
the original is acknowledged after that; while it cannot be stored, the original stays where it is.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq.broker import MessageProxy
from pydantic import BaseModel, ValidationError

from carrier.messaging.actor import MessageActor
from carrier.messaging.deferral import DEFERRED
from carrier.messaging.delivery import Delivery
from carrier.messaging.encoder import message_of, options_of
from carrier.messaging.envelope import Envelope, check_size, decode, now_ms
from carrier.messaging.errors import EnvelopeError, OutcomeLost, UnknownMessageType, WorkerDied, describe
from carrier.messaging.failure import ATTEMPTS_LIMIT, FAILED_QUEUE, Failure, attempt_record, failure_of, refusal
from carrier.messaging.lease import Death, Ended, Running, State
from carrier.messaging.outcome import Again, Back, Done, Dropped, Failed, Later, Outcome
from carrier.messaging.outgoing import Enqueued, Outgoing, outgoing, refused
from carrier.messaging.work import WorkQueue

if TYPE_CHECKING:
    from carrier.messaging.broker import Broker

logger = logging.getLogger(__name__)

#: Deaths beside others, after the last attempt, that end no message.
MOST_BESIDE = 10


class Consumer(dramatiq.Consumer):
    """The base of both brokers' consumers.

    ``done``, ``replace`` and ``back`` are called by any thread; iterating belongs to one.
    """

    def __init__(self, broker: Broker, queue_name: str) -> None:
        self.broker = broker
        self.queue_name = queue_name
        self._lease = broker.lease

    # What a broker's consumer is

    @abstractmethod
    def done(self, receipt: Any) -> None:
        """Acknowledge: the message is gone."""

    @abstractmethod
    def replace(self, receipt: Any, messages: Sequence[Outgoing], then: Callable[[], None] | None = None) -> bool:
        """Store all of ``messages``, then acknowledge, then call ``then``.

        Returns:
            Whether they are stored by now. Otherwise they are later, in one step with the acknowledgement, or the
            original is handed out again.

        Raises:
            BrokerConnectionError: they could not be stored; the original is untouched, and Dramatiq calls again.
        """

    def replace_later(self, receipt: Any, messages: Sequence[Outgoing], then: Callable[[], None] | None = None) -> None:
        """As :meth:`replace`, without waiting for it; when they cannot be stored the message goes back.

        To be overridden where :meth:`replace` waits.
        """
        self.replace(receipt, messages, then)

    @abstractmethod
    def back(self, receipt: Any) -> None:
        """Give the message back to its queue at once."""

    @abstractmethod
    def stop(self) -> None:
        """Take no more messages, from any thread; what is taken can still be settled."""

    @abstractmethod
    def leave(self) -> None:
        """Nothing comes any more, from any thread: iterating yields None at once."""

    @abstractmethod
    def past(self, envelope: Envelope, receipt: Any) -> Death | Running | Ended | None:
        """What became of a handler of it that was begun before."""

    @abstractmethod
    def forget(self, envelope: Envelope, receipt: Any) -> None:
        """Its past has been dealt with."""

    @abstractmethod
    def hold(self, body: bytes, receipt: Any) -> None:
        """Its handler still runs: look at it again in a while."""

    @abstractmethod
    def key(self, envelope: Envelope, receipt: Any) -> str:
        """What a message is known by in leases."""

    @abstractmethod
    def is_lost(self) -> bool:
        """Whether what was taken is handed out again by the broker, whatever happens here."""

    # What becomes of handlers whose process dies

    def begin(self, delivery: Delivery) -> int | None:
        """Note in this process's lease that its handler begins."""
        return None if self._lease is None else self._lease.begin(self.key(delivery.envelope, delivery.receipt))

    def _ended(self, delivery: Delivery, outcome: Outcome, *, stored: bool) -> None:
        """Note in the lease how it ended: the broker may never hear of it, and hand the message out again. With what
        takes its place stored, that would be one too many."""
        run = delivery.run
        if run is None or run.slot is None or self._lease is None:
            return
        state = State.FREE
        if stored and isinstance(outcome, Done | Dropped | Again | Failed):
            state = State.DONE
        elif isinstance(outcome, Again | Failed) and self.is_lost():
            logger.warning("%s failed, and its connection was lost: it counts as an attempt", delivery)
            state = State.FAILED
        self._lease.finish(run.slot, state)

    def _charge(self, envelope: Envelope, receipt: Any, past: Death | Ended) -> None:
        """A handler was begun and its end is not known: that was an attempt. Where others died beside it, it is no last
        attempt: any of them can have killed the worker."""
        error, reason, beside = _unknown_end(past)
        record = attempt_record(envelope.attempt, error, at=past.began / 1000, worker=past.worker)
        over = envelope.attempt - envelope.max_attempts
        if over < 0 or (beside and over < MOST_BESIDE):
            delay = self.broker.backoff(envelope)
            again = outgoing(_next_attempt(envelope, delay, record), self.queue_name, delay)

            def charged() -> None:
                self.forget(envelope, receipt)
                self.broker.tell_of_retry(envelope, self.queue_name, delay, record)

            self.replace_later(receipt, [again], charged)
            return
        failure = failure_of(envelope, error, reason=reason, queue=self.queue_name, record=record)
        self.broker.note_failure(self.queue_name, error)

        def dealt_with() -> None:
            self.forget(envelope, receipt)
            self._rejected(envelope, receipt, error)
            self.broker.announce(envelope, failure, error)

        self.replace_later(receipt, [outgoing(_failed(envelope, failure), FAILED_QUEUE)], dealt_with)

    # Settling

    def ack(self, message: MessageProxy) -> None:
        """Carry out what was decided. The worker asks its newest consumer; a delivery belongs to its own."""
        if not isinstance(message, Delivery):
            raise TypeError(f"not a delivery: {type(message).__name__}")
        message.consumer._settle(message)

    nack = ack

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back what was not begun."""
        for message in messages:
            if isinstance(message, Delivery):
                message.outcome = Back()
                message.consumer._settle(message)

    def _settle(self, delivery: Delivery) -> None:
        handling, run = self.broker.handling, delivery.run
        if run is not None and handling.pop(run.thread, None) is not delivery:
            return  # it could not be interrupted, and went back
        outcome = delivery.decide()
        try:
            stored = self._carry_out(delivery, outcome)
        except BaseException:
            if run is not None:
                handling[run.thread] = delivery  # Dramatiq calls again
            raise
        self._ended(delivery, outcome, stored=stored)
        if isinstance(outcome, Done):
            self.broker.tell_of_end(delivery)

    def _carry_out(self, delivery: Delivery, outcome: Outcome) -> bool:
        """Returns whether all that follows is stored by now."""
        receipt, envelope, then = delivery.receipt, delivery.envelope, delivery.then
        follow = [each.outgoing for each in then]
        match outcome:
            case Done() if then and self.is_lost():
                # Its redelivery is not handled again, as the lease tells: what follows must go now.
                self.broker.store(follow)
                self.done(receipt)
                self.broker.enqueued(then)
            case Done() if then:
                return self.replace(receipt, follow, lambda: self.broker.enqueued(then))
            case Done() | Dropped():
                self.done(receipt)
            case Again(delay, record):
                again = _again(delivery, _next_attempt(envelope, delay, record), delay)

                def stored() -> None:
                    self.broker.enqueued([again, *then])
                    self.broker.tell_of_retry(envelope, self.queue_name, delay, record)

                return self.replace(receipt, [again.outgoing, *follow], stored)
            case Failed(failure):
                failed, error = outgoing(_failed(envelope, failure), FAILED_QUEUE), delivery._exception
                self.broker.note_failure(self.queue_name, error)

                def dealt_with() -> None:
                    self.broker.enqueued(then)
                    self.broker.announce(envelope, failure, error)

                return self.replace(receipt, [failed, *follow], dealt_with)
            case Later(delay, meta, why):
                later = outgoing(_put_off(envelope, delay, meta), self.queue_name, delay)
                tell = self.broker.tell_of_deferral
                told = partial(tell, envelope, self.queue_name, time.time(), delay, why) if why is not None else None
                return self.replace(receipt, [later], told)
            case Back():
                self.back(receipt)
        return True

    def _give_back_beyond(self, number: int) -> None:
        """Of what is handed on and not begun, keep the first ``number``; in the thread that iterates."""
        work: object = getattr(threading.current_thread(), "work_queue", None)
        if isinstance(work, WorkQueue):
            self.requeue(work.take_back(self, number))

    # The edge

    def admit(self, body: bytes, receipt: Any) -> Delivery | None:
        """The delivery of what came off the queue; None when it was settled here, because no handler can have it."""
        envelope: Envelope | None = None
        payload: BaseModel | None = None
        try:
            envelope = decode(body, self.broker.limit_of)
            if envelope.attempt == 1:
                check_size(body)
            actor = self.broker.actors.get(envelope.type)
            if actor is None:
                raise UnknownMessageType(envelope.type, self.broker.actors)
            if isinstance(actor, MessageActor):
                payload = actor.payload.model_validate(envelope.payload)
            message = message_of(envelope, self.queue_name)
        except (EnvelopeError, UnknownMessageType, ValidationError) as error:
            self._refuse(body, receipt, error, envelope)
            return None
        if envelope.meta.get("remaining") or (envelope.delay and "eta" not in envelope.meta):
            self._postpone(envelope, receipt)
            return None
        if self._was_begun(envelope, body, receipt):
            return None
        return Delivery(message, envelope, payload, self, receipt)

    def _was_begun(self, envelope: Envelope, body: bytes, receipt: Any) -> bool:
        """Whether a handler has begun it before, and this has been dealt with."""
        match self.past(envelope, receipt):
            case Ended(worker, well=True):
                logger.info("%s %s was done by %s, which could not say so", envelope.type, envelope.id, worker)
                self.done(receipt)
                self.forget(envelope, receipt)
            case Death() | Ended() as past:
                self._charge(envelope, receipt, past)
            case Running():
                self.hold(body, receipt)
            case None:
                return False
        return True

    def _refuse(
        self,
        body: bytes,
        receipt: Any,
        error: EnvelopeError | UnknownMessageType | ValidationError,
        envelope: Envelope | None,
    ) -> None:
        """Into failed_queue, byte for byte."""
        failure = _refusal(error, self.queue_name)
        self.broker.note_failure(self.queue_name, error)

        def kept() -> None:
            self._rejected(envelope, receipt, error)
            self.broker.announce(envelope, failure, None)

        self.replace_later(receipt, [refused(body, failure)], kept)

    def _rejected(self, envelope: Envelope | None, receipt: Any, error: Exception) -> None:
        """Call the hooks of a rejected message for one that no handler had, or whose worker died: Dramatiq does not."""
        if envelope is None:
            return
        try:
            delivery = Delivery(message_of(envelope, self.queue_name), envelope, None, self, receipt)
        except EnvelopeError:  # it is what is wrong with the message
            return
        delivery.stuff_exception(error)
        delivery.fail()
        self.broker.emit_before("nack", delivery)
        self.broker.emit_after("nack", delivery)

    def _postpone(self, envelope: Envelope, receipt: Any) -> None:
        """A delay that somebody else's program asked for, or the rest of one that is longer than one pass."""
        meta = dict(envelope.meta)
        delay = meta.pop("remaining", None) or round(envelope.delay * 1000)
        meta.setdefault("eta", now_ms() + delay)
        self.replace_later(receipt, [outgoing(replace(envelope, meta=meta), self.queue_name, delay)])


def _refusal(error: EnvelopeError | UnknownMessageType | ValidationError, queue: str) -> Failure:
    if isinstance(error, ValidationError):
        return refusal(EnvelopeError(describe(error, "payload")), reason="payload refused", queue=queue)
    return refusal(error, reason="unreadable" if isinstance(error, EnvelopeError) else "unknown type", queue=queue)


def _unknown_end(past: Death | Ended) -> tuple[Exception, str, bool]:
    """What to say of a handler whose end nobody has told: the error, the reason, and whether others ran beside it."""
    if isinstance(past, Ended):
        text = f"it failed after its connection was lost; the log of {past.worker} says why"
        return OutcomeLost(text), "attempts exhausted", False
    beside = "" if past.alone else ", and others beside it"
    return WorkerDied(f"the worker died while it ran{beside}"), "worker died", not past.alone


def _again(delivery: Delivery, envelope: Envelope, delay: int) -> Enqueued:
    """The next attempt as it is sent. What middleware has written into the message's options goes with it."""
    queue = delivery.consumer.queue_name
    try:
        options = options_of(delivery)
        if options != envelope.meta.get("options", {}):
            changed = replace(envelope, meta={**envelope.meta, "options": options})
            return Enqueued(delivery, delay, outgoing(changed, queue, delay))
    except EnvelopeError as error:
        logger.warning("%s: what was written into its options is dropped: %s", delivery, error)
    return Enqueued(delivery, delay, outgoing(envelope, queue, delay))


def _next_attempt(envelope: Envelope, delay: int, record: dict[str, Any]) -> Envelope:
    attempts = [*envelope.meta.get("attempts", []), record][-ATTEMPTS_LIMIT:]
    meta = {**envelope.meta, "attempt": envelope.attempt + 1, "attempts": attempts, "eta": now_ms() + delay}
    meta.pop(DEFERRED, None)
    return replace(envelope, meta=meta)


def _put_off(envelope: Envelope, delay: int, meta: dict[str, Any]) -> Envelope:
    return replace(envelope, meta={**envelope.meta, **meta, "eta": now_ms() + delay})


def _failed(envelope: Envelope, failure: Failure) -> Envelope:
    meta = {name: value for name, value in envelope.meta.items() if name != "attempts"}
    return replace(envelope, meta={**meta, "failure": failure.fields()})
