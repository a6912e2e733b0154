"""What a worker costs that does nothing: its memory, its start and its end, beside a bare worker of Dramatiq."""

from __future__ import annotations

import signal
import time
from dataclasses import replace

from benchmarks import system
from benchmarks.environment import own as own_program
from benchmarks.memory import imported, proportional
from benchmarks.place import Place, place
from benchmarks.row import Goal, Row
from benchmarks.system import System
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

#: Seconds that a worker is left alone before it counts as idle, and what Dramatiq says before.
_RESTING, _READY = 3.0, "ready for action"
#: What is imported to write the history of messages.
_HISTORY = "carrier.store.history"


def _whole() -> System:
    """All of Carrier's actors, and the one that does nothing beside them."""
    worker = [own_program("dramatiq"), "actors", "benchmarks.peers.noop_actor", "-p", "1", "-t", "8"]
    return replace(system.carrier(on_rabbitmq=True), worker=worker)


def _started(here: Place) -> tuple[Process, float]:
    """A worker that has handled a message that lay there before, and the seconds until it began that."""
    here.send("fill", "1")
    began = time.time()
    worker = here.start(*here.system.worker)
    ((_, at, _),) = here.wait(worker, 1)
    return worker, at / 1e9 - began


def run(rounds: int, server: RabbitmqNode, where: str) -> list[Row]:
    """``dramatiq actors`` of Carrier, and stock Dramatiq with one actor."""
    own, stock = _whole(), system.dramatiq()
    goal = [Goal(own.name, 30, stock.name, kind="plus", is_most=True)]
    memory = Row("worker-memory", "an idle worker's memory", where, "MB", goal)
    later = Row("worker-memory", "an idle worker's memory, after a message", where, "MB", goal)
    start = Row(
        "worker-start", "from start to the first handler", where, "s",
        [Goal(own.name, 0.3, stock.name, kind="plus", is_most=True)],
    )  # fmt: skip
    end = Row(
        "worker-end", "an idle worker ends on SIGTERM", where, "s",
        [Goal(own.name, 1, kind="absolute", is_most=True)],
    )  # fmt: skip
    ours = replace(own, worker=[own_program("carrier"), "worker"])
    for _ in range(rounds):
        for each in (own, stock):
            with place(each, server, 1) as here:
                worker = here.start(*each.worker)
                wait_until(lambda worker=worker: _READY in worker.output(), "it is ready", timeout=60)
                time.sleep(_RESTING)  # threads still start
                memory.note(each.name, proportional(worker) / 1e6)
            with place(each, server, 1) as here:
                if each is own:  # the history of messages is there, as it is but for the first time
                    here.start(own_program("carrier"), "schedule", "list").wait()
                worker, seconds = _started(here)
                start.note(each.name, seconds)
                time.sleep(_RESTING)  # what a worker does after its first message is not what it does when idle
                later.note(each.name, proportional(worker) / 1e6)
                end.note(f"{each.name}, dramatiq …", _end(worker))
        with place(ours, server, 1, CARRIER_ACTORS="benchmarks.peers.noop_whole") as here:
            worker, _ = _started(here)
            time.sleep(_RESTING)  # as above
            end.note(ours.name, _end(worker))
    more = later.median(own.name) - memory.median(own.name)
    later.remarks.append(
        f"{more:.0f} MB come with the first message, when the history of messages is opened; to import what writes it, "
        f"SQLAlchemy above all, takes {imported(_HISTORY) / 1e6:.0f} MB of a process that has imported Carrier."
    )
    return [memory, later, start, end]


def _end(worker: Process) -> float:
    """Seconds from SIGTERM until it is gone."""
    told = time.perf_counter()
    worker.signal(signal.SIGTERM)
    worker.wait()
    return time.perf_counter() - told
