"""How Carrier's cost grows: with the backlog, with the number of worker processes, and with what has failed."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from benchmarks import system
from benchmarks.memory import proportional
from benchmarks.place import node, place
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

#: Messages that wait; worker processes, at the middle one of those; and messages in failed_queue, likewise.
_BACKLOGS, _PROCESSES, _FAILED = (1_000, 100_000, 1_000_000), (1, 2, 4), 100_000
_MIDDLE = _BACKLOGS[1]
#: The part of a backlog that is not counted, because workers still start, and the part after which memory is looked at.
_WARMING, _LOOK = 0.2, 0.9


@dataclass(frozen=True)
class _Drain:
    """How one backlog was worked off: messages a second, and bytes of the workers and of RabbitMQ."""

    rate: float
    workers: int
    server: int | None

    def __str__(self) -> str:
        beside = "" if self.server is None else f", RabbitMQ {self.server / 1e6:,.0f} MB"
        return f"{self.rate:,.0f}/s, {self.workers / 1e6:,.0f} MB{beside}"


def run(rounds: int, versions: list[str]) -> str:
    """Markdown. Each is run once: the longest takes minutes, in which the machine's moods even out."""
    columns = [f"RabbitMQ {version}" for version in versions] + ["embedded"]
    rows: dict[str, list[str]] = {}
    for version in [*versions, None]:
        with node(version) if version else nullcontext() as server:
            for what, backlog, processes, failed in _cases():
                found = _drain(server, backlog, processes, failed)
                print(f"growth           {version or 'embedded':14} {what:40} {found}", flush=True)
                rows.setdefault(what, []).append(str(found))
    lines = [
        "How fast one backlog is worked off, the memory of the workers (all processes, what they share counted once)",
        "when most of it is done, and RabbitMQ's by its own account when all of it lay there.",
        "",
        f"| | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(f"| {what} | {' | '.join(cells)} |" for what, cells in rows.items()),
    ]
    return "\n".join(lines)


def _cases() -> list[tuple[str, int, int, int]]:
    """What it is, messages that wait, worker processes, and messages that have failed."""
    return [
        *((f"{backlog:,} wait, 1 process", backlog, 1, 0) for backlog in _BACKLOGS),
        *((f"{_MIDDLE:,} wait, {each} processes", _MIDDLE, each, 0) for each in _PROCESSES[1:]),
        (f"{_MIDDLE:,} wait, 1 process, {_FAILED:,} have failed", _MIDDLE, 1, _FAILED),
    ]


def _drain(server: RabbitmqNode | None, backlog: int, processes: int, failed: int) -> _Drain:
    every = min(1.0, backlog / 20_000)
    with place(system.carrier(on_rabbitmq=server is not None), server, backlog) as here:
        if failed:
            here.send("failed", str(failed))
        here.send("fill", str(backlog))
        on_server = None if server is None else _memory_of(server)
        worker = here.start(*system.carrier_worker(processes))
        here.until(worker, round(backlog * _LOOK), every=every)
        memory = proportional(worker, without=here.marks)
        here.until(worker, backlog, every=every)
        moments = sorted(at for _, at, _ in here.begun())
    first = round(backlog * _WARMING)
    return _Drain((backlog - first - 1) / ((moments[-1] - moments[first]) / 1e9), memory, on_server)


def _memory_of(server: RabbitmqNode) -> int:
    """Bytes, by its own account, which it does not give at once."""
    wait_until(lambda: "mem_used" in server.api("/nodes")[0], "it says how much memory it takes", timeout=60)
    used: int = server.api("/nodes")[0]["mem_used"]
    return used
