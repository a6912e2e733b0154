"""What stock Dramatiq keeps beside a queue, and how it is carried over.

``work.DQ`` holds messages that wait for their time, ``work.XQ`` those that it has given up, for seven days. Each is
stored in its new place first and removed after that, 500 at a time: who is killed in between leaves two of some.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from carrier.messaging.declared import CarriedOver
from carrier.messaging.envelope import Envelope, decode, now_ms, timestamp
from carrier.messaging.errors import EnvelopeError, GivenUp
from carrier.messaging.failure import FAILED_QUEUE, TRACEBACK_LIMIT, attempt_record, failure_of, refusal
from carrier.messaging.outgoing import Outgoing, outgoing, refused
from carrier.messaging.rabbitmq.topology import DELAYED, GIVEN_UP
from carrier.messaging.rabbitmq.walk import RabbitmqWalk

if TYPE_CHECKING:
    from carrier.messaging.rabbitmq.broker import RabbitmqBroker


def carry_over(broker: RabbitmqBroker, queue: str) -> list[CarriedOver]:
    """Send on what waits for its time, with what is left of it, and put into failed_queue what was given up.

    Raises:
        BrokerUnavailable: RabbitMQ cannot be reached.
        PublishError: it did not take them; what it did not take stays where it was.
    """
    done = []
    for suffix, to in ((DELAYED, queue), (GIVEN_UP, FAILED_QUEUE)):
        with RabbitmqWalk(broker, queue + suffix, ours=False) as walk:
            for stored in walk:
                walk.send(stored, _carried(stored.body, queue, broker, given_up=suffix == GIVEN_UP))
        if walk.done or walk.consumers:
            done.append(CarriedOver(queue + suffix, walk.done, to, walk.consumers))
    return done


def _carried(body: bytes, queue: str, broker: RabbitmqBroker, *, given_up: bool) -> Outgoing:
    try:
        envelope = decode(body, broker.limit_of)
    except EnvelopeError as error:
        return refused(body, refusal(error, reason="unreadable", queue=queue))
    if given_up:
        return outgoing(_failed(envelope, body, queue), FAILED_QUEUE)
    delay = round(envelope.delay * 1000)
    meta = {**envelope.meta, "eta": now_ms() + delay}
    return outgoing(replace(envelope, meta=meta), queue, delay)


def _failed(envelope: Envelope, body: bytes, queue: str) -> Envelope:
    # Of a message of Carrier's, which stock Dramatiq gives up because it cannot read it, there are none.
    options = json.loads(body).get("options")
    options = options if isinstance(options, dict) else {}
    traceback, at = options.get("traceback"), options.get("requeue_timestamp")
    text = traceback.strip() if isinstance(traceback, str) else ""
    error = GivenUp(text.rpartition("\n")[2] or "stock Dramatiq has given it up, and has not written down why")
    seconds = at / 1000 if isinstance(at, int) and 0 <= at < 1e14 else time.time()
    record = attempt_record(envelope.attempt, error, at=seconds, worker="stock Dramatiq")
    failure = failure_of(envelope, error, reason="given up by Dramatiq", queue=queue, record=record)
    failure = replace(failure, traceback=text[-TRACEBACK_LIMIT:] or None, first_at=timestamp(seconds))
    return replace(envelope, delay=0, meta={**envelope.meta, "eta": now_ms(), "failure": failure.fields()})
