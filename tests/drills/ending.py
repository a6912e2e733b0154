"""Deploys: the whole group of a worker gets SIGTERM under load, once or twice, again and again."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter

from tests.drills.crew import Crew
from tests.drills.drill import Drill
from tests.drills.load import Load
from tests.drills.site import Site
from tests.servers.process import Process
from tests.waiting import wait_until

SIGNALS = 30
_PROCESSES = 2


def run(site: Site, messages: int) -> str:
    """Signal one of two workers when it is at work, every second time twice, and wait until it has ended."""
    sender = site.send(Load(messages, pace=messages / 60, seconds=(0, 0.5)))
    crew = site.workers(2, processes=_PROCESSES)
    statuses, longest = Counter[int](), 0.0
    wait_until(lambda: site.notes.read().began, "the first has begun")
    for turn in range(SIGNALS):
        worker = wait_until(lambda: _at_work(site, crew), "a worker is at work", timeout=60)
        began = time.monotonic()
        os.killpg(worker.pid, signal.SIGTERM)
        if turn % 2:
            site.load_for(0.1)
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.killpg(worker.pid, signal.SIGTERM)
        statuses[worker.wait(60)] += 1
        longest = max(longest, time.monotonic() - began)
    sender.wait(120)
    site.settle()
    twice = sum(len(times) > 1 for times in site.notes.began.values())
    ends = ", ".join(f"status {status}: {times} times" for status, times in sorted(statuses.items()))
    return f"{SIGNALS} signals, {ends}; the slowest took {longest:.1f} s; {twice} handlers begun twice"


def _at_work(site: Site, crew: Crew) -> Process | None:
    """A worker of which each process has begun something. Before that its signals are Dramatiq's: two end it with
    status 1, and it has nothing that could be lost."""
    workers = site.notes.read().workers
    working = (each for each in crew.running if each.running and len(workers.get(each.pid, ())) == _PROCESSES)
    return next(working, None)


DRILLS = (
    Drill(
        "group-signal",
        f"SIGTERM to the whole process group of a worker under load, {SIGNALS} times, every second time twice",
        run,
        1_800,
    ),
)
