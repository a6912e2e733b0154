"""Two workers share a backlog of handlers that take 10 ms, and something urgent comes in the middle of it."""

from __future__ import annotations

from collections import Counter

from benchmarks import system
from benchmarks.peers import slots
from benchmarks.place import place
from benchmarks.row import Goal, Row
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

_BACKLOG, _TAKES_MS = 2_000, "10"


def run(rounds: int, server: RabbitmqNode, where: str) -> list[Row]:
    """Carrier alone: it is a promise, not a race."""
    own = system.carrier(on_rabbitmq=True)
    share = Row(
        "fairness", "of a backlog, by the worker of two that does less", where, "%",
        [Goal(own.name, 45, kind="absolute")],
    )  # fmt: skip
    urgent = Row(
        "fairness", "until an urgent message in a backlog begins", where, "ms",
        [Goal(own.name, 100, kind="absolute", is_most=True)],
    )  # fmt: skip
    for _ in range(rounds):
        with place(own, server, _BACKLOG, BENCH_TAKES_MS=_TAKES_MS) as here:
            here.send("fill", str(_BACKLOG))
            workers = [here.start(*own.worker) for _ in range(2)]
            begun = here.wait(workers[0], _BACKLOG)
        # Counted from the moment when both are there: one of them starts first.
        first = max(min(at for _, at, pid in begun if pid == each) for each in {pid for _, _, pid in begun})
        done = Counter(pid for _, at, pid in begun if at >= first)
        share.note(own.name, 100 * min(done.values()) / done.total() if len(done) == 2 else 0.0)
        with place(own, server, _BACKLOG, BENCH_TAKES_MS=_TAKES_MS) as here:
            here.send("fill", str(_BACKLOG - 1))
            for _ in range(2):
                worker = here.start(*own.worker)
            here.wait(worker, _BACKLOG // 4)
            here.send("urgent", str(_BACKLOG - 1), BENCH_PRIORITY="9")
            wait_until(lambda: slots.read(here.marks)[_BACKLOG - 1][1], "the urgent one begins", timeout=60)
            sent, at, _ = slots.read(here.marks)[_BACKLOG - 1]
            urgent.note(own.name, (at - sent) / 1e6)
    return [share, urgent]
