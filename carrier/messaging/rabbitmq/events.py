"""The exchange ``carrier.events``: what comes into failed_queue and what leaves it, for whoever binds a queue to it.

Best effort: nobody waits for these messages, nothing depends on them, and where nobody listens RabbitMQ drops them.
``failed.added`` is the failed message as it lies in the queue; ``failed.removed`` the identities (16 bytes each) of
messages that are gone. No fanout feeds failed_queue and its listeners together: with the queue gone, a listener's alone
would satisfy "mandatory", and the failed message would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pika

from carrier.messaging.failure import FAILED_QUEUE, FAILURE_HEADER
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.rabbitmq.publication import Publication
from carrier.messaging.rabbitmq.topology import ADDED, EVENTS, REMOVED

if TYPE_CHECKING:
    from carrier.messaging.rabbitmq.broker import RabbitmqBroker


def added(broker: RabbitmqBroker, messages: Sequence[Outgoing]) -> None:
    """These are stored; those of them that went to failed_queue are told."""
    failed = [_publication(ADDED, out.body, out.failure) for out in messages if out.queue == FAILED_QUEUE]
    if failed:
        broker.publisher.tell(failed)


def removed(broker: RabbitmqBroker, identities: Sequence[bytes]) -> None:
    """These are no longer in failed_queue."""
    broker.publisher.tell([_publication(REMOVED, b"".join(identities))])


def _publication(key: str, body: bytes, failure: str | None = None) -> Publication:
    properties = pika.BasicProperties(app_id="carrier", headers={FAILURE_HEADER: failure} if failure else None)
    return Publication(EVENTS, key, body, properties)
