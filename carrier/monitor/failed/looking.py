"""Looking: failed messages one by one, counted, or in groups of one cause. They stay where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from carrier.messaging.broker import Broker
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.walk import Walk
from carrier.monitor.failed.message import FailedMessage
from carrier.monitor.failed.selection import Counted, Filter
from carrier.monitor.masking import masking

#: Told now and then how many messages were gone through, and of how many.
Progress = Callable[[int, int], None]
#: Messages between two calls of it.
_STEP = 100


@dataclass(frozen=True)
class Found:
    """Messages that were looked for; ``total`` is how many there are of them in failed_queue."""

    messages: list[FailedMessage]
    total: int


@dataclass
class Group:
    """Failures of one cause.

    Attributes:
        message: of the newest.
        place: where in the application's code.
    """

    fingerprint: str
    type: str
    error: str
    message: str
    place: str
    count: int
    first_at: str
    last_at: str

    def fields(self) -> dict[str, Any]:
        """The group as JSON has it."""
        return asdict(self)


def messages(broker: Broker, walking: Walk, progress: Progress | None = None) -> Iterator[FailedMessage]:
    """The messages of a walk."""
    for number, stored in enumerate(walking, 1):
        if progress is not None and number % _STEP == 0:
            progress(number, walking.total)
        yield FailedMessage(stored, broker)


def look(
    broker: Broker,
    wanted: Filter,
    visit: Callable[[FailedMessage], None],
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Call ``visit`` with those that are wanted, ``limit`` at most, and return how many there are of them.

    Raises:
        BrokerUnavailable: the broker cannot be reached, or somebody else goes through the queue for ten minutes.
    """
    with broker.walk(FAILED_QUEUE) as walking:
        if wanted.is_everything:
            walking.ahead = min(walking.ahead, limit or walking.ahead)
            for failed in islice(messages(broker, walking, progress), limit):
                visit(failed)
            return walking.total
        number = 0
        for failed in messages(broker, walking, progress):
            if wanted.takes(failed):
                number += 1
                if limit is None or number <= limit:
                    visit(failed)
        return number


def find(
    broker: Broker, wanted: Filter | None = None, *, limit: int | None = None, progress: Progress | None = None
) -> Found:
    """Those that are wanted, all without it, in the order of the queue. Raises as :func:`look`."""
    found: list[FailedMessage] = []
    total = look(broker, wanted or Filter(), found.append, limit=limit, progress=progress)
    return Found(found, total)


def count(broker: Broker, wanted: Filter, *, progress: Progress | None = None) -> Counted:
    """Those that are there now. Raises as :func:`look`."""
    counted = Counted()
    look(broker, wanted, counted.add, progress=progress)
    return counted


def groups(broker: Broker, wanted: Filter | None = None, *, progress: Progress | None = None) -> list[Group]:
    """What has failed for one cause each, the most frequent first. Raises as :func:`look`."""
    found: dict[str, Group] = {}

    def add(failed: FailedMessage) -> None:
        group = found.get(failed.fingerprint)
        if group is None:
            found[failed.fingerprint] = group = Group(
                failed.fingerprint, failed.type, failed.error, failed.message, failed.place, 0,
                failed.first_at, failed.failed_at,
            )  # fmt: skip
        group.count += 1
        group.first_at = min(group.first_at, failed.first_at)
        if failed.failed_at > group.last_at:
            group.last_at, group.message = failed.failed_at, failed.message

    look(broker, wanted or Filter(), add, progress=progress)
    for group in found.values():
        group.message = masking().mask_error(group.message)
    return sorted(found.values(), key=lambda group: (-group.count, group.fingerprint))
