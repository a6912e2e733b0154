"""How long it takes from the call of send until the handler begins, while little is sent."""

from __future__ import annotations

import statistics
import time

from benchmarks import system
from benchmarks.cores import Cores
from benchmarks.place import Place, place
from benchmarks.row import Goal, Row
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqNode

#: Messages, a second, and those of the beginning that are not counted: workers still import what they need.
_MESSAGES, _RATE, _WARMING = 2_000, 100, 500
#: Seconds for which an idle worker is watched; messages that wake it, each after a pause, how many a second, and those
#: of the beginning that are not counted.
_IDLE, _WAKING, _PAUSES, _WAKING_UP = 10.0, 60, 4, 20


def _latencies(here: Place, how: str, messages: int, rate: int) -> tuple[list[float], Process]:
    """In ms, in the order of sending."""
    worker = here.start(*here.system.worker)
    here.send("one", "0")  # the number 0, which is sent again: the worker is ready
    here.wait(worker, 1)
    here.send(how, str(messages), str(rate))
    return [(begun - sent) / 1e6 for sent, begun, _ in here.wait(worker, messages)], worker


def run(rounds: int, server: RabbitmqNode, where: str) -> list[Row]:
    """At 100 messages a second."""
    own, stock, limit = system.carrier(on_rabbitmq=True), system.dramatiq(), system.pika_delivery()
    what = f"from send to handler at {_RATE} messages/s, "
    half = Row("latency", f"{what}p50", where, "ms", [Goal(own.name, 1, stock.name, is_most=True)])
    tail = Row(
        "latency", f"{what}p99", where, "ms",
        [Goal(own.name, 1, stock.name, is_most=True), Goal(own.name, 10, kind="absolute", is_most=True)],
    )  # fmt: skip
    for _ in range(rounds):
        for each in (own, stock, system.celery(), system.taskiq(), limit):
            with place(each, server, _MESSAGES) as here:
                times, _ = _latencies(here, "paced", _MESSAGES, _RATE)
            half.note(each.name, statistics.median(times[_WARMING:]))
            tail.note(each.name, statistics.quantiles(times[_WARMING:], n=100)[-1])
    for row in (half, tail):
        least = row.median(limit.name)
        row.remarks.append(
            f"pika alone, which does nothing but send and take the same messages through the same kind of queue, needs "
            f"{least:.2f} ms; the other {row.median(own.name) - least:.2f} are Carrier's."
        )
    return [half, tail]


def embedded(rounds: int) -> list[Row]:
    """How an idle worker of the embedded broker finds out, and what looking costs."""
    own = system.carrier(on_rabbitmq=False)
    most = Row(
        "embedded-wake", "an idle worker begins what is confirmed, the slowest of some", "embedded", "ms",
        [Goal(own.name, 20, kind="absolute", is_most=True)],
    )  # fmt: skip
    cost = Row(
        "embedded-wake", "of a core, while it is idle", "embedded", "%",
        [Goal(own.name, 2, kind="absolute", is_most=True)],
    )  # fmt: skip
    for _ in range(rounds):
        with place(own, None, _WAKING) as here:
            times, worker = _latencies(here, "waking", _WAKING, _PAUSES)
            most.note(own.name, max(times[_WAKING_UP:]))
            cores = Cores(worker.folders)
            time.sleep(_IDLE)  # the time is what is waited for
            cost.note(own.name, 100 * cores.taken())
    return [most, cost]
