"""Sentry's cron monitors: a check-in when a schedule fires, and its end by the worker that has run it.

Both have the same id, made from the fire time's message. Sentry counts in whole minutes: a schedule with a shorter
period has no monitor (https://docs.sentry.io/product/monitors-and-alerts/monitors/crons/).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sentry_sdk.crons import capture_checkin

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import Envelope
from carrier.store.turn import DONE

if TYPE_CHECKING:
    from sentry_sdk.types import MonitorConfig

    from settings import Schedule

#: Minutes after which Sentry takes a fire time for missed.
_MARGIN = 5


def monitor(schedule: Schedule) -> MonitorConfig | None:
    """What Sentry is told of a schedule; None for one that it cannot watch."""
    if schedule.cron is not None:
        timing: Any = {"type": "crontab", "value": " ".join(schedule.cron.split())}
    elif schedule.every_seconds and schedule.every_seconds % 60 == 0:
        timing = {"type": "interval", "value": schedule.every_seconds // 60, "unit": "minute"}
    else:
        return None
    return {"schedule": timing, "timezone": schedule.timezone, "checkin_margin": _MARGIN}


def fired(name: str, schedule: Schedule, message_id: str) -> None:
    """Say that a schedule has fired. Sentry's own thread does it: nobody waits."""
    config = monitor(schedule)
    if config is not None:
        capture_checkin(slug(name), _id(message_id), "in_progress", monitor_config=config)


def watch(broker: Broker) -> None:
    """Say how the messages of schedules end on ``broker``."""
    broker.fires.listeners.append(_ended)


def _ended(envelope: Envelope, state: str, seconds: float | None) -> None:
    name = envelope.meta.get("schedule")
    if isinstance(name, str) and envelope.meta.get("monitored") is True:
        capture_checkin(slug(name), _id(envelope.id), "ok" if state == DONE else "error", seconds)


def slug(name: str) -> str:
    """The name of a schedule's monitor."""
    return re.sub(r"[^a-z0-9_-]", "-", name.lower())[:50]


def _id(message_id: str) -> str:
    return message_id.replace("-", "")
