"""How fast work is done, and how long messages wait, from what workers tell every few seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from carrier.messaging.figures import QueueFigures, WorkerFigures
from carrier.messaging.reporting import EVERY

#: Seconds for which a wait that is over is shown: until its worker tells the next one.
_SHOWN = 2 * EVERY


@dataclass(frozen=True, slots=True)
class _Told:
    """What a worker has told last, and per second since the time before; None after its first report."""

    figures: WorkerFigures
    done: float | None = None
    errors: float | None = None


class Pace:
    """Kept up to date by :meth:`note`.

    Attributes:
        done: attempts that go well, per second, of all workers; None while nobody has told twice.
        errors: those that do not.
        longest: for how many s the first message of a queue has waited at least, and which queue that is; None where
            nothing waits.
    """

    def __init__(self) -> None:
        self.done: float | None = None
        self.errors: float | None = None
        self.longest: tuple[float, str] | None = None
        self._told: dict[tuple[str, int, float | None], _Told] = {}
        #: By queues: a wait, and when it was so long, by the monotonic clock in s.
        self._waits: dict[str, tuple[float, float]] = {}

    def note(self, workers: Sequence[WorkerFigures], queues: Sequence[QueueFigures]) -> None:
        """Take in what is so now."""
        before, self._told = self._told, {}
        now, begun = time.monotonic(), dict[str, float]()
        for each in workers:
            key = (each.host, each.process, each.started)
            known = before.get(key)
            if known is not None and known.figures.at == each.at:
                self._told[key] = known
                continue
            self._told[key] = _since(known.figures, each) if known is not None else _Told(each)
            for queue, seconds in each.waits.items():
                begun[queue] = max(seconds, begun.get(queue, 0.0))
        self.done = _sum([each.done for each in self._told.values()])
        self.errors = _sum([each.errors for each in self._told.values()])
        self._note_waits(begun, {each.name for each in queues if each.ready}, now)

    def _note_waits(self, begun: dict[str, float], waiting: set[str], now: float) -> None:
        self._waits.update({queue: (seconds, now) for queue, seconds in begun.items()})
        for queue in waiting:
            self._waits.setdefault(queue, (0.0, now))
        longest = None
        for queue, (seconds, at) in list(self._waits.items()):
            if queue in waiting:
                # Whatever is first now has come before the one that was begun last, or soon after it.
                seconds += now - at
            elif now - at > _SHOWN:
                del self._waits[queue]
                continue
            if longest is None or seconds > longest[0]:
                longest = (seconds, queue)
        self.longest = longest


def _since(before: WorkerFigures, now: WorkerFigures) -> _Told:
    seconds = (now.at or 0.0) - (before.at or 0.0)
    if seconds <= 0:
        return _Told(now)
    return _Told(
        now,
        ((now.done or 0) - (before.done or 0)) / seconds,
        ((now.errors or 0) - (before.errors or 0)) / seconds,
    )


def _sum(rates: Sequence[float | None]) -> float | None:
    known = [each for each in rates if each is not None]
    return max(0.0, sum(known)) if known else None
