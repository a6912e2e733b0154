"""A delivery is settled once, in one place: here.

The consumer carries out the outcome that is written on a delivery. A retry or a failure is stored safely first, and
the original is acknowledged after that; while it cannot be stored, the original stays where it is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq.broker import MessageProxy
from pydantic import BaseModel, ValidationError

from carrier.messaging.actor import MessageActor
from carrier.messaging.delivery import Delivery
from carrier.messaging.encoder import message_of
from carrier.messaging.envelope import Envelope, check_size, decode, now_ms
from carrier.messaging.errors import EnvelopeError, UnknownMessageType, describe
from carrier.messaging.failure import ATTEMPTS_LIMIT, FAILED_QUEUE, Failure, refusal
from carrier.messaging.outcome import Again, Back, Done, Failed
from carrier.messaging.outgoing import Outgoing, outgoing, refused

if TYPE_CHECKING:
    from carrier.messaging.broker import Broker


class Consumer(dramatiq.Consumer):
    """The base of both brokers' consumers.

    ``done``, ``replace`` and ``back`` are called by any thread; iterating belongs to one.
    """

    def __init__(self, broker: Broker, queue_name: str) -> None:
        self.broker = broker
        self.queue_name = queue_name

    # What a broker's consumer is

    @abstractmethod
    def done(self, receipt: Any) -> None:
        """Acknowledge: the message is gone."""

    @abstractmethod
    def replace(self, receipt: Any, messages: Sequence[Outgoing], then: Callable[[], None] | None = None) -> None:
        """Store all of ``messages``, then acknowledge, then call ``then``.

        Raises:
            BrokerConnectionError: they could not be stored; the original is untouched, and Dramatiq calls again.
        """

    @abstractmethod
    def replace_later(self, receipt: Any, messages: Sequence[Outgoing], then: Callable[[], None] | None = None) -> None:
        """As :meth:`replace`, without waiting for it; when they cannot be stored the message goes back."""

    @abstractmethod
    def back(self, receipt: Any) -> None:
        """Give the message back to its queue at once."""

    @abstractmethod
    def stop(self) -> None:
        """Take no more messages, from any thread; what is taken can still be settled."""

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
        receipt = delivery.receipt
        match delivery.decide():
            case Done():
                if delivery.then:
                    self.replace(receipt, delivery.then)
                else:
                    self.done(receipt)
            case Again(delay, record):
                again = outgoing(_next_attempt(delivery.envelope, delay, record), self.queue_name, delay)
                self.replace(receipt, [again, *delivery.then])
            case Failed(failure):
                failed = outgoing(_failed(delivery.envelope, failure), FAILED_QUEUE)
                error = delivery._exception
                self.replace(
                    receipt,
                    [failed, *delivery.then],
                    then=lambda: self.broker.announce(delivery.envelope, failure, error),
                )
            case Back():
                self.back(receipt)

    # The edge

    def admit(self, body: bytes, receipt: Any) -> Delivery | None:
        """The delivery of what came off the queue; None when it was settled here, because no handler can have it."""
        envelope: Envelope | None = None
        payload: BaseModel | None = None
        try:
            envelope = decode(body)
            if envelope.attempt == 1:
                check_size(body)
            actor = self.broker.actors.get(envelope.type)
            if actor is None:
                raise UnknownMessageType(envelope.type, self.broker.actors)
            if isinstance(actor, MessageActor):
                payload = actor.payload.model_validate(envelope.payload)
        except (EnvelopeError, UnknownMessageType, ValidationError) as error:
            self._refuse(body, receipt, _refusal(error, self.queue_name), envelope)
            return None
        if envelope.meta.get("remaining") or (envelope.delay and "eta" not in envelope.meta):
            self._postpone(envelope, receipt)
            return None
        return Delivery(message_of(envelope, self.queue_name), envelope, payload, self, receipt)

    def _refuse(self, body: bytes, receipt: Any, failure: Failure, envelope: Envelope | None = None) -> None:
        """Into failed_queue, byte for byte."""
        self.replace_later(
            receipt, [refused(body, failure)], then=lambda: self.broker.announce(envelope, failure, None)
        )

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


def _next_attempt(envelope: Envelope, delay: int, record: dict[str, Any]) -> Envelope:
    attempts = [*envelope.meta.get("attempts", []), record][-ATTEMPTS_LIMIT:]
    meta = {**envelope.meta, "attempt": envelope.attempt + 1, "attempts": attempts, "eta": now_ms() + delay}
    return replace(envelope, meta=meta)


def _failed(envelope: Envelope, failure: Failure) -> Envelope:
    meta = {name: value for name, value in envelope.meta.items() if name != "attempts"}
    return replace(envelope, meta={**meta, "failure": failure.fields()})
