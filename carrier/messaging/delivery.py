"""A message in a worker's hands, and what has been decided about it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dramatiq.broker import MessageProxy
from dramatiq.message import Message

from carrier.messaging.failure import failure_of
from carrier.messaging.outcome import Done, Failed, Outcome
from carrier.messaging.outgoing import Enqueued

if TYPE_CHECKING:
    from pydantic import BaseModel

    from carrier.messaging.consumer import Consumer
    from carrier.messaging.envelope import Envelope


@dataclass(slots=True)
class Run:
    """Its handler was begun: in which thread, whether alone in this process, under which slot of the lease, and when
    (Unix time in s)."""

    thread: int
    alone: bool
    slot: int | None
    began: float = field(default_factory=time.time)


class Delivery(MessageProxy):
    """One delivery of one message to this process. It prints as type and id: Dramatiq logs messages, and payloads are
    nobody's business.

    Attributes:
        envelope: the message as it was checked at the edge.
        payload: its payload as the type's model; None for an actor without one.
        consumer: the consumer that took it, and that alone can settle it: after a reconnect its receipt means nothing.
        receipt: what that consumer needs to settle it.
        outcome: what is to become of it; None as long as nobody has decided.
        run: set once its handler has begun.
        then: messages that were sent while it was being ended (callbacks, pipelines). They go out with its outcome.
    """

    def __init__(
        self, message: Message[Any], envelope: Envelope, payload: BaseModel | None, consumer: Consumer, receipt: Any
    ) -> None:
        super().__init__(message)
        # What middleware asks for most: the proxy looks for each attribute in vain before it asks the message.
        self.options, self.message_id = message.options, message.message_id
        self.actor_name, self.queue_name = message.actor_name, message.queue_name
        self.envelope = envelope
        self.payload = payload
        self.consumer = consumer
        self.receipt = receipt
        self.outcome: Outcome | None = None
        self.then: list[Enqueued] = []
        self.run: Run | None = None

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override]  # a plain attribute to the type checker, proxied at run time
        """What the actor is called with: the checked payload, where its type has a model."""
        return self._message.args if self.payload is None else (self.payload,)

    @property
    def kwargs(self) -> dict[str, Any]:  # type: ignore[override]  # as above
        """See :attr:`args`."""
        return self._message.kwargs if self.payload is None else {}

    def decide(self) -> Outcome:
        """What is to become of it. Without a decision, a message that raised or was marked as failed has failed."""
        if self.outcome is not None:
            return self.outcome
        if self._exception is None and not self.failed:
            return Done()
        if not self.failed and any(each.outgoing.id == self.envelope.id for each in self.then):
            return Done()  # somebody's own middleware has sent it again
        error = self._exception or RuntimeError("a middleware marked it as failed")
        return Failed(failure_of(self.envelope, error, reason="failed", queue=self.consumer.queue_name))

    def clear_exception(self) -> None:
        """Called when it is settled: the outcome goes too, or error, traceback and message would keep each other."""
        super().clear_exception()
        self.outcome = None

    def __str__(self) -> str:
        return f"{self.envelope.type} {self.envelope.id}"

    def __repr__(self) -> str:
        return f"<Delivery {self}>"
