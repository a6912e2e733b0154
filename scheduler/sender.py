"""Sends what is recorded, on a thread of its own: a broker that is away must not keep the rounds from recording.

A message may be sent twice (this process dies after sending and before it says so). The embedded broker takes it once,
and behind RabbitMQ the worker finds in its row that another has it.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dramatiq.message import Message

from carrier.messaging.broker import Broker
from carrier.messaging.errors import CarrierError
from carrier.store import fires, leader
from carrier.store.database import session
from carrier.store.errors import StoreUnavailable
from carrier.store.models import FireEntry
from carrier.store.turn import MISSED
from scheduler.message import message_of
from settings import Schedule

logger = logging.getLogger(__name__)

#: At once, and seconds before another try.
_SOME, _PAUSE = 1_000, 1.0

#: Told of what is in its queue now.
Listener = Callable[[FireEntry, Schedule], None]


class Sender(threading.Thread):
    """Sends as long as this process leads.

    Parameters:
        leads: owner and fence while it does.
        schedules: by name; of the fire times of others the messages are not known.

    Attributes:
        listeners: told of each message that is in its queue now.
        is_monitored: whether Sentry waits for the end of a schedule's messages.
    """

    def __init__(
        self, broker: Broker, schedules: Mapping[str, Schedule], leads: Callable[[], tuple[str, int] | None]
    ) -> None:
        super().__init__(name="sender", daemon=True)
        self.schedules = schedules
        self.listeners: list[Listener] = []
        self.is_monitored: Callable[[Schedule], bool] = lambda schedule: False
        self._broker, self._leads = broker, leads
        self._wake, self._ending = threading.Event(), False
        self._failing: set[str] = set()  # queues

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def run(self) -> None:
        """Until it is ended."""
        left = False
        while True:
            self._wake.wait(_PAUSE if left else None)
            if self._ending:
                return
            self._wake.clear()
            left = self.send()

    def send(self) -> bool:
        """Send what is recorded; returns whether something is left."""
        try:
            by_queue, more = self._recorded()
            # What could not be sent the last time keeps nobody waiting.
            for queue in sorted(by_queue, key=self._failing.__contains__):
                more |= not self._send(queue, by_queue[queue])
        except StoreUnavailable as error:
            logger.error("%s; nothing is sent until that is mended", error)
            return True
        if more and not self._failing:
            self.wake()
        return more

    def _recorded(self) -> tuple[dict[str, list[FireEntry]], bool]:
        by_queue: dict[str, list[FireEntry]] = defaultdict(list)
        leads = self._leads()
        with session() as opened:
            if leads is None or not leader.leads(opened, *leads):
                return by_queue, False
            found = fires.recorded(opened, _SOME)
            for fire in found:
                if schedule := self.schedules.get(fire.schedule):
                    by_queue[self._broker.actors[schedule.message.type].queue_name].append(fire)
                else:
                    fire.state = MISSED  # it is not in carrier.toml any more
        return by_queue, len(found) == _SOME

    def _message(self, fire: FireEntry) -> Message[Any]:
        schedule = self.schedules[fire.schedule]
        return message_of(fire.schedule, schedule, fire.at, self._broker, monitored=self.is_monitored(schedule))

    def _send(self, queue: str, due: Sequence[FireEntry]) -> bool:
        messages = [self._message(each) for each in due]
        try:
            self._broker.enqueue_many(messages, once=True)
        except CarrierError as error:
            if queue not in self._failing:
                logger.error("%d scheduled messages for %s could not be sent: %s", len(due), queue, error)
            self._failing.add(queue)
            return False
        fires.sent(each.message_id for each in due)
        self._failing.discard(queue)
        for each in due:
            schedule = self.schedules[each.schedule]
            logger.info("schedule %s: sent %s %s", each.schedule, schedule.message.type, each.message_id)
            for listener in self.listeners:
                listener(each, schedule)
        return True

    def end(self) -> None:
        """Finish what is just being sent."""
        self._ending = True
        self._wake.set()
        self.join()
