"""A round of the leader: what is due is recorded, all schedules in one transaction; sending comes after that."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from carrier.store import fires, leader, schedules
from carrier.store.database import session
from carrier.store.models import FireEntry
from carrier.store.turn import MISSED, RECORDED, RUNNING, SKIPPED, Fire
from scheduler.agenda import Agenda
from scheduler.catch_up import to_send
from scheduler.clock import Clock
from scheduler.message import id_of

logger = logging.getLogger(__name__)

#: Seconds after which a worker that was not heard of is taken for dead: its fire time holds up no other.
_UNHEARD = 60.0
#: Fire times of one schedule between two times at which old ones are forgotten.
_TRIM = 100


class NotLeading(Exception):
    """Another scheduler leads."""


class Rounds:
    """The rounds of one leader.

    Parameters:
        agendas: by name; those that are enabled.
    """

    def __init__(self, agendas: Mapping[str, Agenda], clock: Clock) -> None:
        self.agendas = agendas
        self._clock = clock
        #: Of each schedule, by message: its worker and beat, and since when they are so.
        self._heard: dict[str, dict[str, tuple[str | None, int, float]]] = {}
        self._written = dict.fromkeys(agendas, 0)

    def record(self, owner: str, fence: int) -> bool:
        """Record what is due; returns whether there is something to send.

        Raises:
            NotLeading: another one leads; nothing is recorded.
            StoreUnavailable: nothing is recorded.
        """
        before = {name: agenda.cursor for name, agenda in self.agendas.items()}
        try:
            with session() as opened:
                if not leader.leads(opened, owner, fence):
                    raise NotLeading
                found = self._record(opened)
                fires.record(opened, found)
                moved = {name: each.cursor for name, each in self.agendas.items() if each.cursor != before[name]}
                schedules.move(opened, moved)
                for name in self._to_trim(found):
                    fires.trim(opened, name)
        except BaseException:
            for name, cursor in before.items():
                if self.agendas[name].cursor != cursor:
                    self.agendas[name].go_on_from(cursor)
            raise
        return any(each.state == RECORDED for each in found)

    def _record(self, opened: Session) -> list[Fire]:
        paused = self._take_up(opened)
        due = {name: times for name, agenda in self.agendas.items() if (times := agenda.due())}
        busy = self._busy(opened, due)
        found: list[Fire] = []
        for name, times in due.items():
            if name not in paused:
                found += self._fires(self.agendas[name], times, busy=name in busy)
        return found

    def _take_up(self, opened: Session) -> set[str]:
        """What is stored of the schedules has the say. Returns the paused ones."""
        stored, now = schedules.entries(opened), self._clock.now()
        new = {}
        for name, agenda in self.agendas.items():
            entry = stored.get(name)
            if entry is None or entry.timing != agenda.timing_text:
                new[name] = agenda.timing_text
                agenda.go_on_from(now)
            elif entry.cursor != agenda.cursor:
                agenda.go_on_from(entry.cursor)
        schedules.add(opened, new, now)
        if gone := stored.keys() - self.agendas.keys():
            schedules.remove(opened, gone)
        return {name for name, entry in stored.items() if entry.paused}

    def _fires(self, agenda: Agenda, times: Sequence[datetime], *, busy: bool) -> list[Fire]:
        wanted = to_send(times, agenda.now(), agenda.schedule)
        skips = agenda.schedule.overlap == "skip"
        found = []
        for at in times:
            state = MISSED if at not in wanted else SKIPPED if busy and skips else RECORDED
            busy |= state == RECORDED
            found.append(Fire(agenda.name, at, id_of(agenda.name, at), state))
        for state, text in ((MISSED, "missed %d fire times, the last at %s"), (SKIPPED, "skipped %d, the last at %s")):
            of_it = [each for each in found if each.state == state]
            if of_it:
                logger.warning(f"schedule %s: {text}", agenda.name, len(of_it), of_it[-1].at.isoformat())
        return found

    def _busy(self, opened: Session, due: Mapping[str, object]) -> set[str]:
        """Those of the due schedules whose last fire time is not over, where that matters."""
        names = [name for name in due if self.agendas[name].schedule.overlap == "skip"]
        busy = set()
        before = {name: self._heard.pop(name, {}) for name in names}
        for fire in fires.under_way(opened, names) if names else ():
            if self._is_unheard(fire, before[fire.schedule].get(fire.message_id)):
                logger.warning("schedule %s: nothing is heard of %s, which runs it", fire.schedule, fire.worker)
                fires.lose(opened, fire)
            else:
                busy.add(fire.schedule)
        return busy

    def _is_unheard(self, fire: FireEntry, before: tuple[str | None, int, float] | None) -> bool:
        if fire.state != RUNNING:
            return False
        now = self._clock.passed()
        since = before[2] if before is not None and before[:2] == (fire.owner, fire.beat) else now
        self._heard.setdefault(fire.schedule, {})[fire.message_id] = (fire.owner, fire.beat, since)
        return now - since > _UNHEARD

    def _to_trim(self, found: Sequence[Fire]) -> list[str]:
        for each in found:
            self._written[each.schedule] += 1
        full = [name for name, number in self._written.items() if number >= _TRIM]
        self._written.update(dict.fromkeys(full, 0))
        return full
