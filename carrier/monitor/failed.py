"""Failed messages: looked at where they lie, sent back, or thrown away.

What lies in failed_queue is untrusted like anything that comes off a queue: whatever it is, it is shown and kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import Envelope
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.outgoing import Outgoing, outgoing
from carrier.messaging.walk import Stored, Walk

#: Of an envelope's ``meta``: what the failed attempts left there. An ``eta`` stays, it says that its delay is over.
_OF_THE_FAILURE = ("failure", "attempts", "attempt")


@dataclass(frozen=True)
class FailedMessage:
    """One message of failed_queue.

    Attributes:
        id: the message's, or ``raw-…``, made from its bytes, for one that has none.
        queue: where it came from; empty where nobody wrote that down.
        attempts: how often a handler has failed on it.
        failure: the whole record; empty where there is none.
        envelope: None when the body is not one.
    """

    id: str
    type: str
    queue: str
    error: str
    message: str
    attempts: int
    failed_at: str
    fingerprint: str
    failure: dict[str, Any] = field(repr=False)
    envelope: Envelope | None = field(repr=False)
    stored: Stored = field(repr=False)

    @property
    def reached_a_handler(self) -> bool:
        """Whether its failure stands in the message; otherwise its bytes are as they came, the failure beside them."""
        return self.stored.failure is None and self.envelope is not None and "failure" in self.envelope.meta

    def summary(self) -> dict[str, Any]:
        """What a list shows of it, as JSON has it."""
        names = ("id", "type", "queue", "error", "message", "attempts", "failed_at", "fingerprint")
        return {name: getattr(self, name) for name in names}

    def details(self) -> dict[str, Any]:
        """All of it, as JSON has it: the failure, and the message or the bytes that are none."""
        shown = {**self.summary(), "failure": self.failure}
        if self.envelope is None:
            return {**shown, "body": self.stored.body.decode("utf-8", "backslashreplace")}
        fields = json.loads(self.envelope.encode())
        fields["meta"].pop("failure", None)
        return {**shown, "envelope": fields}


@dataclass(frozen=True)
class Found:
    """Messages that were looked for; ``total`` is how many there are in failed_queue."""

    messages: list[FailedMessage]
    total: int


@dataclass
class Mended:
    """What became of the messages that were asked for.

    Attributes:
        counted: how many there were of them.
        done: how many were sent back, or thrown away.
        kept: ids of those that cannot be sent back, each with the reason.
    """

    counted: int = 0
    done: int = 0
    kept: dict[str, str] = field(default_factory=dict)


def read(stored: Stored) -> FailedMessage:
    """What lies in failed_queue, whatever it is."""
    envelope = stored.envelope()
    failure = stored.record(envelope)
    attempts = failure.get("attempts")
    return FailedMessage(
        id=envelope.id if envelope else f"raw-{hashlib.blake2b(stored.body, digest_size=8).hexdigest()}",
        type=envelope.type if envelope else "",
        queue=_text(failure, "queue"),
        error=_text(failure, "error"),
        message=_text(failure, "message"),
        attempts=len(attempts) if isinstance(attempts, list) else 0,
        failed_at=_text(failure, "last_at"),
        fingerprint=_text(failure, "fingerprint"),
        failure=failure,
        envelope=envelope,
        stored=stored,
    )


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def find(broker: Broker, ids: Collection[str] | None = None, limit: int | None = None) -> Found:
    """Failed messages, in the order of the queue; they stay where they are.

    Parameters:
        ids: which; None means all.
        limit: at most so many.

    Raises:
        BrokerUnavailable: the broker cannot be reached, or somebody else goes through the queue for a minute.
    """
    with broker.walk(FAILED_QUEUE) as walking:
        return Found(list(islice(_chosen(walking, ids), limit)), walking.total)


def retry(broker: Broker, ids: Collection[str] | None = None) -> Mended:
    """Send failed messages back to the queues that they came from, with a fresh count of attempts.

    Parameters:
        ids: which; None means all.

    Raises:
        PublishError: the broker does not take them; those that it did not take stay in failed_queue.
    """

    def mend(walking: Walk, failed: FailedMessage) -> None:
        walking.send(failed.stored, again(failed, broker))

    return _mend(broker, ids, mend)


def discard(broker: Broker, ids: Collection[str] | None = None) -> Mended:
    """Throw failed messages away, for good. Parameters and errors as those of :func:`retry`."""
    return _mend(broker, ids, lambda walking, failed: walking.discard(failed.stored))


def again(failed: FailedMessage, broker: Broker) -> Outgoing:
    """The message as it is sent back.

    Raises:
        ValueError: nobody works on the queue that it came from, or that is not known.
    """
    envelope = failed.envelope
    queue = failed.queue
    if not queue and envelope is not None and envelope.type in broker.actors:
        queue = broker.actors[envelope.type].queue_name
    if not queue:
        raise ValueError("nothing says which queue it came from")
    if queue not in broker.queues:
        raise ValueError(f"no actor here works on its queue {queue}")
    if envelope is None or not failed.reached_a_handler:
        id_, type_, priority = (envelope.id, envelope.type, envelope.priority) if envelope else ("", "", 0)
        return Outgoing(queue, id_, type_, failed.stored.body, priority)
    meta = {name: value for name, value in envelope.meta.items() if name not in _OF_THE_FAILURE}
    return outgoing(replace(envelope, meta={"attempt": 1, **meta}), queue)


def _mend(broker: Broker, ids: Collection[str] | None, mend: Callable[[Walk, FailedMessage], None]) -> Mended:
    mended = Mended()
    with broker.walk(FAILED_QUEUE) as walking:
        for failed in _chosen(walking, ids):
            mended.counted += 1
            try:
                mend(walking, failed)
            except ValueError as error:
                mended.kept[failed.id] = str(error)
    mended.done = walking.done
    return mended


def _chosen(walking: Walk, ids: Collection[str] | None) -> Iterator[FailedMessage]:
    for stored in walking:
        failed = read(stored)
        if ids is None or failed.id in ids:
            yield failed
