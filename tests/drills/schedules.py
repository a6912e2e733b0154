"""Schedulers are killed, frozen and reloaded while something fires every second; broker and store go away meanwhile."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from carrier.store.turn import OPEN
from tests.drills import SCHEDULES
from tests.drills.crew import Crew
from tests.drills.drill import Drill
from tests.drills.site import Site
from tests.servers.postgresql import PostgresqlNode
from tests.waiting import wait_until

#: Seconds between two harms to the leader, and for which it is frozen: longer than others wait for it.
_EVERY, _FROZEN = 7.0, (5.5, 8.0)


class Store:
    """Where the schedulers of a drill keep what they know: in a file, or behind RabbitMQ on a PostgreSQL of its own."""

    def __init__(self, site: Site) -> None:
        self.node: PostgresqlNode | None = None
        self.file = site.home / "carrier.db"
        url = f"sqlite:///{self.file}"
        if site.broker != "embedded":
            self.node = PostgresqlNode(Path(tempfile.mkdtemp(prefix="carrier-postgresql-")))
            site.ending.callback(self.node.stop)
            self.node.wait()
            site.environment["DATABASE_URL"] = self.node.url()
            url = self.node.url().replace("postgresql:", "postgresql+psycopg:")
        self._engine = create_engine(url)
        site.ending.callback(self._engine.dispose)

    def ask(self, question: str) -> list[Any]:
        """The rows of an answer."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(question)))

    def leader(self) -> int:
        """The process that leads, or led last."""
        return int(str(self.ask("SELECT process FROM leader")[0][0]).rpartition(":")[2])

    def freeze(self, seconds: float) -> None:
        """Have it answer nobody for a while."""
        if self.node is None:
            with ExitStack() as frozen:
                for path in (self.file, self.file.with_name("queue.db")):
                    connection = frozen.enter_context(closing(sqlite3.connect(path, timeout=30)))
                    connection.execute("BEGIN EXCLUSIVE")
                time.sleep(seconds)  # that is the harm
            return
        children = Path(f"/proc/{self.node.pid}/task/{self.node.pid}/children").read_text().split()
        pids = [self.node.pid, *map(int, children)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)  # that is the harm
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _begin(site: Site, schedulers: int, *, every: int = 1, number: int = 1) -> tuple[Store, Crew]:
    site.environment["CARRIER_ACTORS"] = "tests.drills.application"
    tables = [f'[schedule.s{n}]\nmessage = {{type = "tick"}}\nevery = "{every}s"\n' for n in range(number)]
    (site.folder / "carrier.toml").write_text("\n".join(tables))
    store = Store(site)
    site.workers(2)
    crew = site.crew("schedulers", schedulers, sys.executable, "-m", "tests.drills.pausing")
    wait_until(lambda: site.notes.read().done, "something has fired", timeout=60)
    return store, crew


def _end(site: Site, store: Store, crew: Crew, *, every: int = 1, number: int = 1) -> str:
    """Wait until all that is due is done, and note what had to be: all schedules from the first time to the last."""
    crew.stop()
    last = Crew(1, lambda: site.start("schedulers", sys.executable, "-m", "tests.drills.pausing"))

    def is_over() -> bool:
        return not store.ask(f"SELECT 1 FROM fires WHERE state IN {OPEN} LIMIT 1")

    try:
        wait_until(is_over, "no fire time is open", timeout=60, every=0.01)
    finally:
        last.stop()
    wait_until(is_over, "no fire time is open", timeout=60)
    done = site.notes.read().done
    first, last_one = min(done) // SCHEDULES, max(done) // SCHEDULES
    with site.notes.path.open("a") as notes:
        for at in range(first, last_one + 1, every):
            notes.writelines(f"sent {at * SCHEDULES + n} {at} {at} {at}\n" for n in range(number))
    site.settle()
    worst = max(min(times) - n // SCHEDULES for n, times in done.items())
    copies = (site.folder / "workers.log").read_text().count("is a copy")
    missed = store.ask("SELECT count(*) FROM fires WHERE state = 'missed'")[0][0]
    return f"copies in the queue {copies}, missed {missed}, largest delay {worst:.1f} s"


def kill(site: Site, seconds: int) -> str:
    """Three schedulers; whoever leads is killed or frozen every few seconds."""
    store, crew = _begin(site, 3)
    until, kills, freezes = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until:
        site.load_for(site.chance.uniform(0.7, 1.3) * _EVERY)
        leader = store.leader()
        try:
            if site.chance.random() < 0.5:
                os.kill(leader, signal.SIGKILL)
                kills += 1
            else:
                os.kill(leader, signal.SIGSTOP)
                site.load_for(site.chance.uniform(*_FROZEN))
                os.kill(leader, signal.SIGCONT)
                freezes += 1
        except ProcessLookupError:
            continue  # it was killed a moment ago, and nobody leads yet
    return f"{kills} kills, {freezes} freezes; {_end(site, store, crew)}"


def outage(site: Site, seconds: int) -> str:
    """The broker is down for most of the time, then the store is frozen for 8 s."""
    store, crew = _begin(site, 2)
    site.load_for(seconds / 10)
    if site.broker != "embedded":
        site.node.kill()
        site.load_for(seconds / 2)
        site.node.start()
        site.node.wait()
    site.load_for(seconds / 10)
    store.freeze(8)
    site.load_for(seconds / 10)
    return _end(site, store, crew)


def reload(site: Site, times: int) -> str:
    """A scheduler is told again and again to read carrier.toml anew."""
    store, crew = _begin(site, 1)
    for _ in range(times):
        for each in crew.running:
            each.signal(signal.SIGHUP)
        site.load_for(site.chance.uniform(0, 0.5))
    return _end(site, store, crew)


def at_once(site: Site, number: int) -> str:
    """So many schedules are due in the same second."""
    store, crew = _begin(site, 1, every=20, number=number)

    def sent() -> int:
        return int(store.ask("SELECT count(*) FROM fires WHERE sent IS NOT NULL")[0][0])

    wait_until(lambda: sent() == number, "all are sent once", timeout=30)
    before = _cpu(crew.running[0].pid)
    wait_until(lambda: sent() == 2 * number, "all are sent twice", timeout=60)
    seconds = _cpu(crew.running[0].pid) - before
    took = store.ask("SELECT min(recorded), max(sent) FROM fires WHERE at = (SELECT max(at) FROM fires)")[0]
    ended = _end(site, store, crew, every=20, number=number)
    return f"{seconds:.2f} s of CPU for {number} (recorded {took[0]}, all sent {took[1]}); {ended}"


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


DRILLS = (
    Drill(
        "schedulers-killed",
        "three schedulers, something every second, for 300 s: whoever leads is killed (-9) or frozen for 5.5 to 8 s,"
        " every 7 s, with pauses at random before it sends and before it says so; on SQLite, or PostgreSQL behind"
        " RabbitMQ",
        kill,
        300,
    ),
    Drill(
        "schedulers-cut-off",
        "something every second; the broker is killed and started again half a minute later (RabbitMQ), then the store"
        " answers nobody for 8 s",
        outage,
        60,
    ),
    Drill("schedulers-reloaded", "something every second; SIGHUP 100 times", reload, 100),
    Drill("schedules-at-once", "1,000 schedules are due in the same second", at_once, 1_000),
)
