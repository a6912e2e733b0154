"""How it goes: the broker's figures, and what in them needs somebody."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import timestamp
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.figures import Figures, QueueFigures
from carrier.store.errors import StoreUnavailable
from settings import get_settings

#: So many fire times skipped one after the other need somebody.
SKIPS = 3


def status(broker: Broker) -> Figures:
    """A moment of the broker; ``alarms`` says what is wrong, a line each.

    Raises:
        BrokerUnavailable: the broker cannot be reached.
    """
    figures = broker.figures()
    own = [alarm for each in figures.queues if (alarm := _alarm(each))]
    alarms, work = _of_the_store()
    return replace(figures, alarms=[*figures.alarms, *own, *alarms], work=work)


def _of_the_store() -> tuple[list[str], list[dict[str, Any]]]:
    """What is written down of schedulers, of what workers cannot use and of what they do, where anybody has ever
    written: what is wrong, and what is under way."""
    settings = get_settings()
    if settings.database_url is None and not settings.store_file.exists():
        return [], []
    from carrier.store import faults, locks

    enabled = [name for name, each in settings.schedules.items() if each.enabled]
    try:
        alarms = _alarms_of_schedules(enabled) if enabled else []
        for fault in faults.recent():
            alarms.append(f"{fault.source}: {fault.text} (since {timestamp(fault.since.timestamp())})")
        work = [
            {"name": each.name, "worker": each.worker, "since": timestamp(each.since.timestamp()), **each.detail}
            for each in locks.held()
        ]
        return alarms, work
    except StoreUnavailable as error:
        return [str(error)], []


def _alarms_of_schedules(enabled: list[str]) -> list[str]:
    from carrier.store import fires, leader

    row, skipping = leader.look(), fires.skipping(enabled, SKIPS)
    alarms = [f"schedule {name} is skipped again and again: carrier schedule history {name}" for name in skipping]
    if row is not None and datetime.now(UTC) - row.at > leader.SILENT:
        alarms.insert(0, f"no scheduler runs since {timestamp(row.at.timestamp())}; start one: carrier scheduler")
    return alarms


def _alarm(queue: QueueFigures) -> str | None:
    if queue.name == FAILED_QUEUE:
        failed = queue.ready + (queue.unacked or 0)
        return f"{failed} failed: carrier failed list" if failed else None
    if queue.ready and queue.consumers == 0:
        return f"{queue.name}: {queue.ready} wait and nobody works on them; start one: carrier worker"
    return None
