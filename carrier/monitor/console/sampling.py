"""One look at the broker every two seconds, whoever looks at pages, and the last minutes of what was seen."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass

from carrier.messaging.broker import Broker
from carrier.messaging.errors import CarrierError
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.figures import Figures
from carrier.messaging.roster import Roster, Workers
from carrier.monitor.console.pace import Pace
from carrier.monitor.status import status

logger = logging.getLogger(__name__)

#: Seconds between two looks, and how many are kept: five minutes.
_EVERY, _KEPT = 2.0, 150


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at a moment; the sums leave failed_queue out.

    Attributes:
        done, errors: attempts per second.
    """

    at: float
    waiting: int
    running: int
    delayed: int
    failed: int
    done: float | None = None
    errors: float | None = None


class Sampling:
    """Looks until the process ends.

    Attributes:
        figures: the last that were seen; None before the first.
        workers: who works, and who is lost.
        pace: how fast.
        trouble: why the broker cannot be looked at; None while it can.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.figures: Figures | None = None
        self.workers = Workers()
        self.pace = Pace()
        self.trouble: str | None = None
        self._samples: deque[Sample] = deque(maxlen=_KEPT)
        self._looked = threading.Event()
        threading.Thread(target=self._run, name="carrier-sampling", daemon=True).start()

    def samples(self) -> list[Sample]:
        """The oldest first."""
        return list(self._samples)

    def latest(self) -> Sample | None:
        """The newest; the first one is waited for, for a moment."""
        self._looked.wait(_EVERY)
        return self._samples[-1] if self._samples else None

    def _run(self) -> None:
        while True:
            try:
                with closing(self._broker.roster()) as roster:
                    self._look(roster)
            except CarrierError as error:
                self.trouble = str(error)
            except Exception as error:
                logger.exception("the broker cannot be looked at")
                self.trouble = f"{type(error).__name__}: {error}"
            self._looked.set()
            time.sleep(_EVERY)  # nobody tells when it can be looked at again

    def _look(self, roster: Roster) -> None:
        self.workers = roster.look(0)
        while True:
            figures = status(self._broker)
            self.pace.note(self.workers.living, [each for each in figures.queues if each.name != FAILED_QUEUE])
            self._samples.append(sample(figures, self.workers, self.pace))
            self.figures, self.trouble = figures, None
            self._looked.set()
            self.workers = roster.look(_EVERY)


def sample(figures: Figures, workers: Workers, pace: Pace) -> Sample:
    """The sums."""
    queues = [each for each in figures.queues if each.name != FAILED_QUEUE]
    failed = sum(each.ready + (each.unacked or 0) for each in figures.queues if each.name == FAILED_QUEUE)
    delayed = sum(each.delayed or 0 for each in queues) or int(figures.broker.get("delayed") or 0)
    return Sample(
        at=time.time(),
        waiting=sum(each.ready for each in queues),
        # What a worker has fetched and not begun is neither: only it knows.
        running=sum(each.running for each in workers.living),
        delayed=delayed,
        failed=failed,
        done=pace.done,
        errors=pace.errors,
    )
