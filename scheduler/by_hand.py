"""What people do to schedules: have one fire now, pause it, resume it."""

from __future__ import annotations

from datetime import UTC, datetime

from carrier.messaging.broker import Broker
from carrier.store import fires, schedules
from carrier.store.database import session
from carrier.store.turn import RECORDED, Fire
from scheduler.message import id_of, message_of
from scheduler.timing import text_of
from settings import Schedule


def run(name: str, schedule: Schedule, broker: Broker) -> str:
    """Have it fire now, whatever its timing says; returns the message's id.

    Raises:
        StoreUnavailable: the store cannot be used; nothing is sent.
        PublishError: the broker did not take the message; whoever leads sends it when it can.
    """
    now = datetime.now(UTC)
    at = now.replace(microsecond=now.microsecond // 1000 * 1000)
    id_ = id_of(name, at)
    with session() as opened:
        fires.record(opened, [Fire(name, at, id_, RECORDED)])
    at_once = schedule.model_copy(update={"jitter": None})
    broker.enqueue_many([message_of(name, at_once, at, broker)], once=True)
    fires.sent([id_])
    return id_


def pause(name: str, schedule: Schedule) -> None:
    """Have it fire no more until it is resumed. Raises StoreUnavailable; so does :func:`resume`."""
    schedules.pause(name, text_of(schedule), datetime.now(UTC))


def resume(name: str) -> bool:
    """Have it fire again, from now on: nothing is made up for. Returns whether it was paused."""
    return schedules.resume(name, datetime.now(UTC))
