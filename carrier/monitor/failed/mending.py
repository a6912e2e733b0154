"""Mending: failed messages are sent back to their queues, or thrown away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from carrier.messaging.broker import Broker
from carrier.messaging.errors import CarrierError
from carrier.messaging.event import ARCHIVED, DISCARDED, SENT_BACK
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.walk import Walk
from carrier.monitor.failed.looking import Progress, messages
from carrier.monitor.failed.message import FailedMessage
from carrier.monitor.failed.selection import Chosen, Filter


@dataclass
class Mended:
    """What became of the messages that were asked for.

    Attributes:
        counted: how many of them were still there.
        done: how many were sent back, or thrown away.
        kept: ids of those that cannot be sent back, each with the reason.
        kept_number: how many those are; several may have one id.
        stopped: what ended it before its time; what is not done is where it was.
    """

    counted: int = 0
    done: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    kept_number: int = 0
    stopped: CarrierError | KeyboardInterrupt | None = None


def retry(broker: Broker, chosen: Chosen | None = None, *, by: str = "", progress: Progress | None = None) -> Mended:
    """Send failed messages back to the queues that they came from, with a fresh count of attempts.

    Parameters:
        chosen: which; all without it.
        by: who does it, for carrier trace.

    Raises:
        BrokerUnavailable: the queue cannot be gone through; nothing was done.
    """

    def what(walking: Walk, failed: FailedMessage) -> None:
        event = failed.event(SENT_BACK, by=by)  # before it is so: a worker may be done with it before this is told
        walking.send(failed.stored, failed.again(), lambda: broker.tell(event))

    return mend(broker, chosen, what, progress)


def discard(
    broker: Broker,
    chosen: Chosen | None = None,
    *,
    by: str = "",
    archive: str | None = None,
    progress: Progress | None = None,
) -> Mended:
    """Throw failed messages away, for good. Parameters and errors as those of :func:`retry`.

    Parameters:
        archive: the file that has them.
    """
    event = DISCARDED if archive is None else ARCHIVED

    def what(walking: Walk, failed: FailedMessage) -> None:
        walking.discard(failed.stored, lambda: broker.tell(failed.event(event, by=by, file=archive)))

    return mend(broker, chosen, what, progress)


def mend(
    broker: Broker,
    chosen: Chosen | None,
    what: Callable[[Walk, FailedMessage], None],
    progress: Progress | None = None,
) -> Mended:
    """Do something with each of them; a ValueError keeps it where it is. Raises as :func:`retry`."""
    chosen, mended = chosen or Filter(), Mended()
    if chosen.is_used_up:
        return mended
    walking = broker.walk(FAILED_QUEUE)
    try:
        with walking:
            for failed in messages(broker, walking, progress):
                if not chosen.takes(failed):
                    continue
                mended.counted += 1
                try:
                    what(walking, failed)
                except ValueError as error:
                    mended.kept[failed.id] = str(error)
                    mended.kept_number += 1
                if chosen.is_used_up:
                    break
    except (CarrierError, KeyboardInterrupt) as stopped:
        mended.stopped = stopped
    mended.done = walking.done
    return mended
