"""The exchange ``carrier.events``: what comes into failed_queue, what leaves it, and how workers are.

Best effort, for whoever binds a queue to it: nobody waits for these messages, nothing depends on them, and where nobody
listens RabbitMQ drops them. ``failed.added`` is the failed message as it lies in the queue; ``failed.removed`` the
identities (16 bytes each) of messages that are gone; ``worker.report`` and ``worker.end`` what a worker tells of
itself, as JSON. No fanout feeds failed_queue and its listeners together: with the queue gone, a listener's alone would
satisfy "mandatory", and the failed message would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.figures import WorkerFigures
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.rabbitmq.publication import Publication
from carrier.messaging.rabbitmq.topology import ADDED, EVENTS, REMOVED, REPORT, REPORT_END

if TYPE_CHECKING:
    from carrier.messaging.rabbitmq.broker import RabbitmqBroker


def added(broker: RabbitmqBroker, messages: Sequence[Outgoing]) -> None:
    """These are stored; those of them that went to failed_queue are told."""
    failed = [
        Publication(EVENTS, ADDED, out.body, failure=out.failure) for out in messages if out.queue == FAILED_QUEUE
    ]
    if failed:
        broker.publisher.tell(failed)


def removed(broker: RabbitmqBroker, identities: Sequence[bytes]) -> None:
    """These are no longer in failed_queue."""
    broker.publisher.tell([Publication(EVENTS, REMOVED, b"".join(identities), content_type="application/octet-stream")])


def report(broker: RabbitmqBroker, worker: WorkerFigures, ended: bool) -> None:
    """How this process is, or that it has ended. While RabbitMQ cannot be reached nobody is told: old news are none."""
    if broker.publisher.trouble is None:
        broker.publisher.tell([Publication(EVENTS, REPORT_END if ended else REPORT, worker.write())])
