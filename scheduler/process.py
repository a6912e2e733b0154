"""The scheduler's process: it sends each schedule's message when it is due, until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from dramatiq.message import Message
from pydantic import ValidationError

from carrier.messaging.application import load
from carrier.messaging.broker import Broker
from carrier.messaging.errors import CarrierError, describe
from scheduler.trigger import trigger_of
from settings import Schedule, Settings, SettingsError, get_settings

logger = logging.getLogger(__name__)


def run() -> None:
    """Send what is scheduled, until SIGTERM or SIGINT.

    Raises:
        SettingsError: a schedule makes no sense.
    """
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    settings, broker = get_settings(), load()
    schedules = {name: each for name, each in settings.config.schedule.items() if each.enabled}
    scheduler = BackgroundScheduler(timezone="UTC")
    add_jobs(scheduler, schedules, broker, where=str(settings.carrier_config))
    scheduler.start()
    for job in scheduler.get_jobs():
        logger.info("schedule %s: next at %s", job.id, job.next_run_time.isoformat())
    if not schedules:
        logger.info("nothing is scheduled: add a [schedule.NAME] table to %s", settings.carrier_config)
    ending.wait()
    logger.info("stopping")
    scheduler.shutdown()  # a message that is just being sent is finished
    broker.close()


def add_jobs(scheduler: BackgroundScheduler, schedules: Mapping[str, Schedule], broker: Broker, *, where: str) -> None:
    """One job for each schedule; the messages are checked now, not at night.

    Raises:
        SettingsError: a trigger, a type or a payload makes no sense; the text names file and table.
    """
    for name, schedule in schedules.items():
        scheduler.add_job(
            send,
            checked(name, schedule, broker, where=where),
            args=(name, schedule, broker),
            id=name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,  # late is better than never
        )


def checked(name: str, schedule: Schedule, broker: Broker, *, where: str) -> BaseTrigger:
    """The trigger of a schedule that can be sent.

    Raises:
        SettingsError: as :func:`add_jobs`.
    """
    try:
        trigger = trigger_of(schedule)
        broker.check(message_of(name, schedule, broker))
    except (ValueError, CarrierError, TypeError) as error:
        text = describe(error, "message.payload") if isinstance(error, ValidationError) else str(error)
        raise SettingsError(f"{where}: schedule.{name}: {text}") from None
    return trigger


def problems(settings: Settings, broker: Broker) -> Iterator[str]:
    """What is wrong with the schedules, for ``carrier check``."""
    for name, schedule in settings.config.schedule.items():
        try:
            checked(name, schedule, broker, where=str(settings.carrier_config))
        except SettingsError as error:
            yield str(error)


def message_of(name: str, schedule: Schedule, broker: Broker) -> Message[Any]:
    """The message that a schedule sends."""
    return broker.message(
        schedule.message.type,
        schedule.message.payload,
        broker_priority=schedule.priority,
        meta={"schedule": name},
    )


def send(name: str, schedule: Schedule, broker: Broker) -> None:
    """Send a schedule's message now."""
    message = message_of(name, schedule, broker)
    try:
        broker.enqueue(message)
    except CarrierError as error:
        logger.error("schedule %s: its message could not be sent: %s", name, error)
    else:
        logger.info("schedule %s: sent %s %s", name, message.actor_name, message.message_id)
