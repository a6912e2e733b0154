"""The scheduler's process. One of them leads: it records what is due, has it sent, and plans its next round; the others
stand by.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from carrier.messaging.application import load
from carrier.messaging.broker import Broker
from carrier.store.errors import StoreUnavailable
from scheduler.agenda import Agenda
from scheduler.clock import Clock
from scheduler.leadership import BEAT, Leadership
from scheduler.message import checked
from scheduler.round import NotLeading, Rounds
from scheduler.sender import Sender
from settings import Schedule, Settings, SettingsError, get_settings, read_settings

logger = logging.getLogger(__name__)

#: Until another try when the store could not be used.
_AGAIN = timedelta(seconds=1)
#: Seconds by which the clock must be off what has passed, to have been set.
_STEP = 1.0
#: What happens to a process.
_END, _RELOAD, _LEADER = "end", "reload", "leader"


def run() -> None:
    """Send what is scheduled, until SIGTERM or SIGINT; SIGHUP takes up a changed carrier.toml.

    Raises:
        SettingsError: a schedule makes no sense.
    """
    news: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: news.put(_RELOAD if number == signal.SIGHUP else _END))
    broker = load()
    try:
        Scheduler(broker, get_settings(), news).run()
    finally:
        broker.close()


class Scheduler:
    """One process.

    Parameters:
        news: what happens to it.
    """

    def __init__(self, broker: Broker, settings: Settings, news: queue.SimpleQueue[str]) -> None:
        self._broker, self._news, self._clock = broker, news, Clock()
        self._leadership = Leadership(lambda: news.put(_LEADER), self._clock)
        self._jobs = BackgroundScheduler(timezone="UTC", executors={"default": ThreadPoolExecutor(2)})
        self._one_round, self._is_ending = threading.RLock(), False
        self._at_end: Callable[[], None] = lambda: None
        self._rounds = self._rounds_of(settings)
        self._sender = Sender(broker, settings.schedules, self._leads)
        if settings.sentry_dsn is not None:
            from carrier.monitor import checkin, sentry

            self._sender.is_monitored = lambda schedule: checkin.monitor(schedule) is not None
            self._sender.listeners.append(lambda fire, each: checkin.fired(fire.schedule, each, fire.message_id))
            self._at_end = sentry.flush

    def _rounds_of(self, settings: Settings) -> Rounds:
        schedules, now, where = settings.schedules, self._clock.now(), str(settings.carrier_config)
        timings = {name: checked(name, each, self._broker, where=where) for name, each in schedules.items()}
        agendas = {
            name: Agenda(name, each, timings[name], self._clock, now)
            for name, each in schedules.items()
            if each.enabled
        }
        for agenda in agendas.values():
            logger.info("schedule %s: %s, next at %s", agenda.name, agenda.timing_text, agenda.next.isoformat())
        if not agendas:
            logger.info("nothing is scheduled: add a [schedule.NAME] table to %s", where)
        for problem in _unshared(schedules, settings):
            logger.warning("%s", problem)
        return Rounds(agendas, self._clock)

    def _leads(self) -> tuple[str, int] | None:
        fence = self._leadership.fence
        return None if fence is None else (self._leadership.owner, fence)

    def run(self) -> None:
        """Until it is told to end."""
        self._leadership.start()
        self._sender.start()
        self._jobs.start()
        offset = self._offset()
        try:
            while (what := self._what_happens()) != _END:
                if what == _RELOAD:
                    self._reload()
                before, offset = offset, self._offset()
                if was_set := abs(offset - before) > _STEP:
                    logger.warning("the clock was set by %+.0f s", offset - before)
                if was_set or what == _LEADER:
                    self._plan(timedelta(0))
                    self._sender.wake()
        finally:
            logger.info("stopping")
            with self._one_round:  # APScheduler waits for it, under the lock that planning the next one takes
                self._is_ending = True
            self._jobs.shutdown()
            self._sender.end()
            self._leadership.end()
            self._at_end()

    def _what_happens(self) -> str | None:
        try:
            return self._news.get(timeout=BEAT)
        except queue.Empty:
            return None

    def _offset(self) -> float:
        return self._clock.now().timestamp() - self._clock.passed()

    def _reload(self) -> None:
        try:
            settings = read_settings()
            with self._one_round:
                rounds = self._rounds_of(settings)
                self._round()  # what is due by now is so by what held until now
                self._rounds, self._sender.schedules = rounds, settings.schedules
                self._plan(timedelta(0))
        except SettingsError as error:
            logger.error("what was changed is not taken up: %s", error)

    def _round(self) -> None:
        """Record what is due, and plan the next round."""
        with self._one_round:
            leads, wait = self._leads(), _AGAIN
            try:
                if leads is not None and self._rounds.record(*leads):
                    self._sender.wake()
                wait = min((each.wait() for each in self._rounds.agendas.values()), default=timedelta(days=1))
            except NotLeading:
                logger.info("nothing is recorded: another scheduler leads")
            except StoreUnavailable as error:
                logger.error("%s; what is due is recorded once that is mended", error)
            finally:
                self._plan(wait)

    def _plan(self, wait: timedelta) -> None:
        """Have a round after ``wait``, while this process leads."""
        with self._one_round:
            if self._is_ending:
                return
            if self._leads() is None:
                if self._jobs.get_job("round") is not None:
                    self._jobs.remove_job("round")
                return
            self._jobs.add_job(
                self._round,
                # Without a zone it would ask for the machine's, which TZ may have no data for.
                DateTrigger(self._clock.now() + max(wait, timedelta(0)), timezone="UTC"),
                id="round",
                replace_existing=True,
                misfire_grace_time=None,  # late is better than never
                coalesce=True,
                max_instances=2,  # it plans the next one while it ends
            )


def problems(settings: Settings, broker: Broker) -> Iterator[str]:
    """What is wrong with the schedules, for ``carrier check``."""
    for name, schedule in settings.schedules.items():
        try:
            checked(name, schedule, broker, where=str(settings.carrier_config))
        except SettingsError as error:
            yield str(error)


def _unshared(schedules: Mapping[str, Schedule], settings: Settings) -> Iterator[str]:
    if settings.broker_urls and settings.store_url.startswith("sqlite:"):
        for name, each in schedules.items():
            if each.enabled and each.overlap == "skip":
                yield (
                    f'schedule {name}: overlap = "skip" needs a store that workers share; DATABASE_URL is a file, and'
                    " behind workers that do not see it every run but the first would be skipped"
                )
