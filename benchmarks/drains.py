"""How fast a backlog is worked off by handlers that do nothing."""

from __future__ import annotations

from benchmarks import system
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
    return [row]


def embedded(rounds: int) -> list[Row]:
    """On SQLite."""
    own, huey = system.carrier(on_rabbitmq=False), system.huey()
    row = Row("embedded-drain", "a backlog is drained", "embedded", "messages/s", [Goal(own.name, 3, "Huey")])
    for _ in range(rounds):
        row.note(own.name, rate(own, None, own.worker))
        row.note("Carrier, four processes", rate(own, None, *[own.worker] * 4))
        row.note(huey.name, rate(huey, None, huey.worker))
    return [row]
