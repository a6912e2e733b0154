"""How fast a backlog is worked off by handlers that do nothing."""

from __future__ import annotations

import os
import statistics

from benchmarks import system
from benchmarks.cores import Cores
from benchmarks.place import place
from benchmarks.row import Goal, Row
from benchmarks.system import System
from tests.servers.rabbitmq import RabbitmqNode

#: Messages that lie there when the worker starts, and those of the beginning that are not counted.
_BACKLOG, _WARMING = 30_000, 6_000


def rate(
    each: System, server: RabbitmqNode | None, *workers: list[str], backlog: int = _BACKLOG, **environment: str
) -> float:
    """Messages a second, from the moment when all are at work."""
    with place(each, server, backlog, **environment) as here:
        here.send("fill", str(backlog))
        started = [here.start(*worker) for worker in workers]
        moments = sorted(begun for _, begun, _ in here.wait(started[0], backlog))
    return (backlog - _WARMING - 1) / ((moments[-1] - moments[_WARMING]) / 1e9)


def _taken(each: System, server: RabbitmqNode, worker: list[str]) -> tuple[float, float]:
    """Cores that worker and RabbitMQ take once all are at work, and seconds of a core for each message."""
    with place(each, server, _BACKLOG) as here:
        here.send("fill", str(_BACKLOG))
        program = here.start(*worker)
        here.until(program, _WARMING, every=0.05)
        cores, before = [Cores(program.folders), Cores(server.folders)], len(here.begun())
        here.until(program, _BACKLOG, every=0.05)
        taken = sum(core.taken() for core in cores), sum(core.seconds() for core in cores)
        return taken[0], taken[1] / (_BACKLOG - before)


def one(rounds: int, server: RabbitmqNode, where: str) -> list[Row]:
    """By one process with 8 threads."""
    goals = [Goal("Carrier", 2.5, "Dramatiq"), Goal("Carrier", 3, "Celery"), Goal("Carrier", 2.5, "Taskiq")]
    row = Row("drain", "a backlog is drained, one process", where, "messages/s", goals)
    for _ in range(rounds):
        for each in (system.carrier(on_rabbitmq=True), system.dramatiq(), system.celery(), system.taskiq()):
            row.note(each.name, rate(each, server, each.worker))
    return [row]


def two(rounds: int, server: RabbitmqNode, where: str) -> list[Row]:
    """By two processes; Celery's are its prefork pool."""
    row = Row(
        "drain-two", "a backlog is drained, two processes", where, "messages/s",
        [Goal("Carrier", 1.8, "Carrier, one process")],
    )  # fmt: skip
    for _ in range(rounds):
        own = system.carrier(on_rabbitmq=True)
        row.note("Carrier, one process", rate(own, server, own.worker))
        for each in (own, system.dramatiq(), system.celery(), system.taskiq()):
            row.note(each.name, rate(each, server, each.two))
    (one_takes, one_works), (two_take, two_work) = (
        map(statistics.median, zip(*(_taken(own, server, worker) for _ in range(rounds)), strict=True))
        for worker in (own.worker, own.two)
    )
    cores = os.cpu_count() or 1
    row.remarks.append(
        f"one process and RabbitMQ take {one_takes:.2f} of the {cores} cores of this machine already "
        f"({1e6 * one_works:.0f} µs for each message), which leaves room for {cores / one_takes:.2f} times that; "
        f"two took {two_take:.2f} ({1e6 * two_work:.0f} µs)."
    )
    return [row]


def embedded(rounds: int) -> list[Row]:
    """On SQLite."""
    own, huey = system.carrier(on_rabbitmq=False), system.huey()
    rows = {
        number: Row(
            "embedded-drain", f"a backlog is drained, {processes}", "embedded", "messages/s",
            [Goal(own.name, 3, huey.name)],
        )
        for number, processes in ((1, "one process"), (4, "four processes"))
    }  # fmt: skip
    for _ in range(rounds):
        for number, row in rows.items():
            for each in (own, huey):
                row.note(each.name, rate(each, None, *[each.worker] * number))
    return list(rows.values())
