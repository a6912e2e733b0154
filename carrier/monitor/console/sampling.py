"""One look at the broker every two seconds, whoever looks at pages, and the last minutes of what was seen."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass

from carrier.messaging.broker import Broker
from carrier.messaging.errors import CarrierError
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.figures import Figures
from carrier.monitor.status import status

logger = logging.getLogger(__name__)

#: Seconds between two looks, and how many are kept: five minutes.
_EVERY, _KEPT = 2.0, 150


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at a moment; the sums leave failed_queue out."""

    at: float
    waiting: int
    running: int
    delayed: int
    failed: int


class Sampling:
    """Looks until the process ends.

    Attributes:
        figures: the last that were seen; None before the first.
        trouble: why the broker cannot be looked at; None while it can.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.figures: Figures | None = None
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
                figures = status(self._broker)
                self._samples.append(sample(figures))
                self.figures, self.trouble = figures, None
            except CarrierError as error:
                self.trouble = str(error)
            except Exception as error:
                logger.exception("the broker cannot be looked at")
                self.trouble = f"{type(error).__name__}: {error}"
            self._looked.set()
            time.sleep(_EVERY)  # figures are asked for, not told


def sample(figures: Figures) -> Sample:
    """The sums."""
    queues = [each for each in figures.queues if each.name != FAILED_QUEUE]
    failed = sum(each.ready + (each.unacked or 0) for each in figures.queues if each.name == FAILED_QUEUE)
    delayed = sum(each.delayed or 0 for each in queues) or int(figures.broker.get("delayed") or 0)
    return Sample(
        at=time.time(),
        waiting=sum(each.ready for each in queues),
        running=sum(each.unacked or 0 for each in queues),
        delayed=delayed,
        failed=failed,
    )
