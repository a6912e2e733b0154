"""Workers die at random points: at their start, in handlers, between a handler's end and its acknowledgement."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.drills.drill import Drill
from tests.drills.load import Load
from tests.drills.site import Site
from tests.servers.process import Process

KILLS = 200
MESSAGES = 4_000


def run(site: Site, messages: int) -> str:
    """Kill a worker that is 0.6 to 1.8 s old, its whole group or the working process alone, until it is enough."""
    wanted = max(10, KILLS * messages // MESSAGES)
    site.send(Load(messages, pace=30, seconds=(0, 0.2)))
    crew = site.workers(2)
    until: dict[Process, float] = {}
    kills = 0
    while kills < wanted:
        for worker in crew.running:
            if worker not in until:
                until[worker] = time.monotonic() + site.chance.uniform(0.6, 1.8)
            elif time.monotonic() >= until[worker] and worker.running:
                _kill(worker, whole=site.chance.random() < 0.5)
                until[worker] = float("inf")
                kills += 1
        site.load_for(0.02)
    site.settle()
    more = max(len(times) for times in site.notes.began.values())
    return f"{kills} kills, a handler was begun {more} times at most"


def _kill(worker: Process, *, whole: bool) -> None:
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    if whole or not children:
        os.killpg(worker.pid, signal.SIGKILL)
    else:
        os.kill(int(children[-1]), signal.SIGKILL)


DRILLS = (
    Drill(
        "workers-killed",
        f"workers killed (-9) {KILLS} times at random points, the whole group or the working process alone",
        run,
        MESSAGES,
        beside=("dramatiq+confirms",),
    ),
)
