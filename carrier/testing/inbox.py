"""What an application sends in a test: kept in memory, asked about, and handled in the test's own thread.

Bodies, middleware and settling are the real ones: a payload that does not fit, a value that is no JSON and a retry that
comes too late show here as they would on a broker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from queue import PriorityQueue
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

from dramatiq.actor import Actor
from dramatiq.broker import MessageProxy
from dramatiq.errors import RateLimitExceeded, Retry
from dramatiq.middleware import AsyncIO
from dramatiq.worker import ConsumerThread, WorkerThread

from carrier.messaging.broker import Broker
from carrier.messaging.consumer import Consumer
from carrier.messaging.encoder import message_of
from carrier.messaging.envelope import Envelope, decode
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.outgoing import Outgoing

#: Messages that one drain handles: more of them are a handler that sends itself without end.
_ENDLESS = 1_000


@dataclass(frozen=True)
class Sent:
    """A message that was sent.

    Attributes:
        payload: its fields, or the keyword arguments of an actor without a model.
        args: the positional arguments of an actor without a model.
        delay: seconds for which it was to be held.
        options: others that it was sent with.
    """

    id: str
    type: str
    queue: str
    payload: dict[str, Any]
    args: tuple[Any, ...]
    delay: float
    priority: int
    max_attempts: int
    options: dict[str, Any]


@dataclass(frozen=True)
class _Waiting:
    """What waits: when it is due and when it was sent, by the inbox's clock in s, and its place in line."""

    outgoing: Outgoing
    due: float
    sent: float
    number: int


class Inbox:
    """``with Inbox(broker) as inbox:`` takes everything that is sent over a broker meanwhile.

    Attributes:
        failed: the failures of messages that would lie in failed_queue, as JSON has them.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._all: list[Sent] = []
        self._waiting: list[_Waiting] = []
        self._number = 0
        self._clock = 0.0  # seconds
        self.failed: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        if "store" in vars(self._broker):
            raise RuntimeError("another Inbox takes what is sent over this broker")
        self._patch = patch.object(self._broker, "store", self._store)
        self._patch.start()
        self._loops = [each for each in self._broker.middleware if isinstance(each, AsyncIO)]
        for each in self._loops:
            each.before_worker_boot(self._broker, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._loops:
            each.after_worker_shutdown(self._broker, None)
        self._patch.stop()

    # Looking

    def sent(self, actor: Actor[..., Any] | str | None = None) -> list[Sent]:
        """What was sent to an actor (or a type), or in all, in order; retries are not among it."""
        name = actor.actor_name if isinstance(actor, Actor) else actor
        return [each for each in self._all if name in (None, each.type)]

    def __len__(self) -> int:
        """How many messages wait, for their time or to be handled."""
        return len(self._waiting)

    # Handling

    def drain(self, *, raising: bool = True) -> int:
        """Handle what is due, and what that sends, until nothing is; returns how many were handled.

        Parameters:
            raising: raise what a handler has raised; its message waits for its retry, or has failed, as it would.

        Raises:
            RuntimeError: there is no end to it.
        """
        for handled in range(_ENDLESS + 1):
            due = self._next()
            if due is None:
                return handled
            error = self._handle(due)
            if raising and error is not None and not isinstance(error, Retry | RateLimitExceeded):
                raise error
        raise RuntimeError(f"more than {_ENDLESS} messages were handled: does a handler send itself?")

    def forward(self, seconds: float | timedelta) -> None:
        """Let time pass for what is delayed; what is due then is handled by the next :meth:`drain`."""
        self._clock += seconds.total_seconds() if isinstance(seconds, timedelta) else seconds

    def _next(self) -> _Waiting | None:
        due = [each for each in self._waiting if each.due <= self._clock]
        if not due:
            return None
        first = min(due, key=lambda each: (-each.outgoing.priority, each.due, each.number))
        self._waiting.remove(first)
        return first

    def _handle(self, waiting: _Waiting) -> BaseException | None:
        again = partial(self._keep, sent=waiting.sent)
        consumer = _InboxConsumer(self._broker, waiting.outgoing.queue, again, self._keep)
        delivery = consumer.admit(waiting.outgoing.body, waiting.outgoing)
        if delivery is not None:
            # It is as old as the inbox's clock says: a middleware may ask for its age.
            passed = round((self._clock - waiting.sent) * 1000)
            message = delivery._message
            delivery._message = replace(message, message_timestamp=message.message_timestamp - passed)
            work: PriorityQueue[Any] = PriorityQueue()
            work.put(delivery)  # Dramatiq's thread says of each that it is done with it
            thread = ConsumerThread(
                broker=self._broker, queue_name=consumer.queue_name, prefetch=1, work_queue=work, worker_timeout=0
            )
            thread.consumer = consumer
            WorkerThread(
                broker=self._broker, consumers={consumer.queue_name: thread}, work_queue=work, worker_timeout=0
            ).process_message(delivery)
        return consumer.error

    # Keeping

    def _store(self, messages: Sequence[Outgoing], *, once: bool = False) -> None:
        for each in messages:
            self._keep(each)

    def _keep(self, outgoing: Outgoing, *, sent: float | None = None) -> None:
        """Have a message wait for its turn; ``sent`` is when the one was that it is the next attempt of."""
        if outgoing.queue == FAILED_QUEUE:
            beside = outgoing.failure
            self.failed.append(json.loads(beside) if beside else decode(outgoing.body).meta["failure"])
            return
        if sent is None:
            self._all.append(_sent(decode(outgoing.body), outgoing.queue))
        self._number += 1
        due = self._clock + outgoing.delay / 1000
        self._waiting.append(_Waiting(outgoing, due, self._clock if sent is None else sent, self._number))


def _sent(envelope: Envelope, queue: str) -> Sent:
    message = message_of(envelope, queue)
    options = {name: value for name, value in message.options.items() if name in envelope.meta.get("options", {})}
    return Sent(
        id=envelope.id,
        type=envelope.type,
        queue=queue,
        payload=message.kwargs,
        args=message.args,
        delay=envelope.delay,
        priority=envelope.priority,
        max_attempts=envelope.max_attempts,
        options=options,
    )


class _InboxConsumer(Consumer):
    """Settles into the inbox; the receipt of a message is what was sent."""

    def __init__(
        self, broker: Broker, queue_name: str, keep: Callable[[Outgoing], None], new: Callable[[Outgoing], None]
    ) -> None:
        # Without a lease, which is a file: the test's process is the only one that knows of its messages.
        self.broker, self.queue_name, self._lease = broker, queue_name, None
        self._keep, self._new = keep, new
        self.error: BaseException | None = None

    def ack(self, message: MessageProxy) -> None:
        self.error = message._exception
        super().ack(message)

    nack = ack

    def _refuse(self, body: bytes, receipt: Outgoing, error: Any, envelope: Envelope | None) -> None:
        self.error = error
        super()._refuse(body, receipt, error, envelope)

    def done(self, receipt: Outgoing) -> None:
        """It is handled."""

    def back(self, receipt: Outgoing) -> None:
        self._keep(receipt)

    def replace(self, receipt: Outgoing, messages: Sequence[Outgoing], then: Callable[[], None] | None = None) -> bool:
        for each in messages:
            if each.id in (receipt.id, ""):  # its next attempt, or what is left of it; no id: bytes for failed_queue
                self._keep(each)
            else:
                self._new(each)
        if then is not None:
            then()
        return True

    def past(self, envelope: Envelope, receipt: Outgoing) -> None:
        return None

    def forget(self, envelope: Envelope, receipt: Outgoing) -> None:
        """There is no past."""

    def hold(self, body: bytes, receipt: Outgoing) -> None:
        raise AssertionError("nothing else handles it")

    def key(self, envelope: Envelope, receipt: Outgoing) -> str:
        return envelope.id

    def is_lost(self) -> bool:
        return False

    def stop(self) -> None:
        """There is nothing to take."""

    def leave(self) -> None:
        """There is nobody to leave."""
