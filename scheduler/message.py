"""The message that a schedule sends at a fire time."""

from __future__ import annotations

import hashlib
import inspect
import uuid
from datetime import UTC, datetime
from typing import Any

from dramatiq.message import Message
from pydantic import ValidationError

from carrier.messaging.actor import MessageActor
from carrier.messaging.broker import Broker
from carrier.messaging.envelope import timestamp
from carrier.messaging.errors import CarrierError, describe
from scheduler.timing import Timing, timing_of
from settings import Schedule, SettingsError

_NAMESPACE = uuid.UUID("6f1d7a52-5c1e-4a52-9b1a-1d4fb8f2c0de")


def id_of(name: str, at: datetime) -> str:
    """The id of the message of a fire time: always the same one."""
    return str(uuid.uuid5(_NAMESPACE, f"{name}@{timestamp(at.timestamp())}"))


def message_of(name: str, schedule: Schedule, at: datetime, broker: Broker, *, monitored: bool = False) -> Message[Any]:
    """The message of a fire time.

    Parameters:
        monitored: whether Sentry waits for its end.
    """
    message = broker.message(
        schedule.message.type,
        schedule.message.payload,
        broker_priority=schedule.priority,
        delay=jitter(name, schedule, at) or None,
        meta={"schedule": name, "fire": timestamp(at.timestamp()), **({"monitored": True} if monitored else {})},
    )
    return message.copy(message_id=id_of(name, at))


def jitter(name: str, schedule: Schedule, at: datetime) -> int:
    """Milliseconds by which a fire time's message is delayed: always the same for it."""
    if not schedule.jitter_seconds:
        return 0
    digest = hashlib.sha256(f"{name}@{timestamp(at.timestamp())}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (schedule.jitter_seconds * 1000 + 1)


def checked(name: str, schedule: Schedule, broker: Broker, *, where: str) -> Timing:
    """The timing of a schedule that can be sent.

    Raises:
        SettingsError: its timing, type or payload makes no sense; the text names file and table.
    """
    try:
        timing = timing_of(schedule)
        message = message_of(name, schedule, datetime.now(UTC), broker)
        broker.check(message)
        actor = broker.actors[message.actor_name]
        if not isinstance(actor, MessageActor):  # which has no model that would say what it takes
            inspect.signature(actor.fn).bind(*message.args, **message.kwargs)
    except (ValueError, CarrierError, TypeError) as error:
        text = describe(error, "message.payload") if isinstance(error, ValidationError) else str(error)
        raise SettingsError(f"{where}: schedule.{name}: {text}") from None
    return timing
