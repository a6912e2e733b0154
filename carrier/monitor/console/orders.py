"""What somebody has ordered for many failed messages: done in the background, one after the other, each for exactly
the messages that were counted when it was given."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from carrier.messaging.broker import Broker
from carrier.messaging.errors import CarrierError
from carrier.monitor.console.rendering import number
from carrier.monitor.failed import Counted, FailedMessage, Mended, discard, retry
from carrier.store import audit
from carrier.store.errors import StoreUnavailable
from carrier.store.models import AuditEntry

logger = logging.getLogger(__name__)

Verb = Literal["retry", "discard"]
VERBS: tuple[Verb, ...] = ("retry", "discard")
#: What has been done to them, as people read it.
DONE: dict[Verb, str] = {"retry": "sent back", "discard": "thrown away"}
#: Seconds for which an order that is over is shown, and how many orders are.
_SHOWN, _MOST = 60.0, 100
#: For how long a new console says what an earlier one was killed in the middle of.
_CUT_OFF = timedelta(minutes=10)


class Stopped(CarrierError):
    """Somebody has stopped it."""


@dataclass
class Order:
    """One of them.

    Attributes:
        what: the messages, as people read it.
        counted: how many there are.
        seen: how many of them were gone through.
        outcome: what came of it; empty while it is not over.
    """

    number: int
    verb: Verb
    what: str
    by: str
    counted: int
    chosen: Counted = field(repr=False)
    audited: int = 0
    seen: int = 0
    outcome: str = ""
    ended: float | None = None
    stopping: threading.Event = field(default_factory=threading.Event, repr=False)

    # As what chooses messages

    def takes(self, failed: FailedMessage) -> bool:
        """Whether it is one of them; between two, it may end."""
        if self.stopping.is_set():
            raise Stopped("stopped")
        if not self.chosen.takes(failed):
            return False
        self.seen += 1
        return True

    @property
    def is_used_up(self) -> bool:
        """Whether all of them were gone through."""
        return self.chosen.is_used_up

    @property
    def percent(self) -> int:
        """How far it has come."""
        return 100 if self.outcome else int(100 * self.seen / max(1, self.counted))


class Orders:
    """All of this console; a thread carries them out."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._all: deque[Order] = deque(maxlen=_MOST)
        self._number = 0
        self._waiting = threading.Condition()
        self._began, self._cut_off = datetime.now(UTC), list[AuditEntry]()
        threading.Thread(target=self._run, name="carrier-orders", daemon=True).start()

    def give(self, verb: Verb, chosen: Counted, what: str, by: str) -> Order:
        """Have it done.

        Raises:
            StoreUnavailable: it cannot be written down who has done it, so it is not done.
        """
        audited = audit.record(by, verb, f"{number(chosen.number)} messages: {what}")
        with self._waiting:
            self._number += 1
            order = Order(self._number, verb, what, by, chosen.number, chosen, audited)
            self._all.append(order)
            self._waiting.notify()
        return order

    def stop(self, which: int) -> bool:
        """Have one end between two messages; what is done stays done."""
        for order in self._all:
            if order.number == which and not order.outcome:
                order.stopping.set()
                return True
        return False

    def shown(self) -> list[Order]:
        """Those that are not over, and those that have been for less than a minute; the newest first."""
        now = time.monotonic()
        with self._waiting:
            return [each for each in reversed(self._all) if each.ended is None or now - each.ended < _SHOWN]

    def _next(self) -> Order:
        with self._waiting:
            while True:
                for order in self._all:
                    if not order.outcome:
                        return order
                self._waiting.wait()

    def cut_off(self) -> list[AuditEntry]:
        """What an earlier console was killed in the middle of, for some minutes after this one has begun."""
        return self._cut_off if datetime.now(UTC) - self._began < _CUT_OFF else []

    def _note_cut_off(self) -> None:
        try:
            self._cut_off = audit.cut_off(self._began)
        except StoreUnavailable as error:
            logger.warning("what an earlier console was in the middle of is not known: %s", error)

    def _run(self) -> None:
        self._note_cut_off()
        while True:
            order = self._next()
            try:
                outcome = _outcome(order, self._do(order))
            except Exception as error:
                if not isinstance(error, CarrierError):
                    logger.exception("an order has failed")
                outcome = f"nothing was done: {error}"
            try:
                audit.complete(order.audited, outcome)
            except StoreUnavailable as error:
                logger.warning("what came of an order is not written down: %s", error)
            order.chosen = Counted()  # it is shown for a while, and they are many
            order.ended, order.outcome = time.monotonic(), outcome

    def _do(self, order: Order) -> Mended:
        if order.stopping.is_set():
            return Mended(stopped=Stopped("stopped"))
        return {"retry": retry, "discard": discard}[order.verb](self._broker, order, by=order.by)


def _outcome(order: Order, mended: Mended) -> str:
    parts = [f"{number(mended.done)} of {number(order.counted)} {DONE[order.verb]}"]
    if mended.kept:
        reasons = sorted(set(mended.kept.values()))
        parts.append(f"{number(mended.kept_number)} kept: {'; '.join(reasons[:3])}")
    gone = order.counted - mended.done - mended.kept_number
    if mended.stopped is not None:
        parts.append(f"ended before its time ({mended.stopped}); the rest is where it was")
    elif gone > 0:
        parts.append(f"{number(gone)} were gone already")
    return "; ".join(parts)
