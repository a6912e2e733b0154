"""The systems that take turns, and the commands that send and work for each."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from benchmarks.environment import own, peer


@dataclass(frozen=True)
class System:
    """One way to do it.

    Attributes:
        sender: a command; HOW and how many follow (benchmarks/peers/sending.py).
        worker: a command, for one process.
        two: the same for two processes; empty where it is not measured.
    """

    name: str
    sender: list[str]
    worker: list[str]
    two: list[str]
    on_rabbitmq: bool = True


def _dramatiq(program: str, module: str, processes: int) -> list[str]:
    return [program, module, "-p", str(processes), "-t", "8"]


_CARRIER = "benchmarks.peers.noop_carrier"


def carrier(*, on_rabbitmq: bool) -> System:
    """Carrier."""
    name = "Carrier" if on_rabbitmq else "Carrier, embedded"
    return System(name, [sys.executable, "-m", _CARRIER], carrier_worker(1), carrier_worker(2), on_rabbitmq)


def carrier_worker(processes: int) -> list[str]:
    """The command of Carrier's worker with so many processes."""
    return _dramatiq(own("dramatiq"), _CARRIER, processes)


def dramatiq() -> System:
    """Stock Dramatiq."""
    module = "benchmarks.peers.noop_dramatiq"
    one, two = (_dramatiq(peer("dramatiq"), module, processes) for processes in (1, 2))
    return System("Dramatiq", [peer("python"), "-m", module], one, two)


def celery() -> System:
    """Celery with its pool of threads; two processes are its prefork pool."""
    module = "benchmarks.peers.noop_celery"
    command = [peer("celery"), "-A", module, "worker", "-l", "WARNING"]
    one, two = [*command, "--pool", "threads", "--concurrency", "8"], [*command, "--concurrency", "2"]
    return System("Celery", [peer("python"), "-m", module], one, two)


def taskiq() -> System:
    """Taskiq on aio-pika."""
    module = "benchmarks.peers.noop_taskiq"
    command = [peer("taskiq"), "worker", f"{module}:broker", "--log-level", "WARNING", "--workers"]
    return System("Taskiq", [peer("python"), "-m", module], [*command, "1"], [*command, "2"])


def huey() -> System:
    """Huey on SQLite; one worker thread, with which it is fastest."""
    module = "benchmarks.peers.noop_huey"
    worker = [peer("huey_consumer"), f"{module}.huey", "-w", "1", "-q"]
    return System("Huey", [peer("python"), "-m", module], worker, [], on_rabbitmq=False)


def sqlite() -> System:
    """The limit of the embedded broker: its rows, stored by SQLite alone."""
    module = [own("python"), "-m", "benchmarks.peers.raw_sqlite"]
    return System("SQLite alone, the same rows", module, [], [], on_rabbitmq=False)


def pika_delivery() -> System:
    """The limit of one message's way: pika's sender and consumer of the messages that Carrier sends."""
    module = [peer("python"), "-m", "benchmarks.peers.noop_pika"]
    return System("pika alone, the same messages", module, [*module, "work"], [])


def pika(*, is_same: bool = False) -> System:
    """The limit of the client library; with what Carrier asks of RabbitMQ for each message, or without."""
    kind, name = ("same", "pika alone, the same messages") if is_same else ("plain", "pika alone")
    return System(name, [peer("python"), "-m", "benchmarks.peers.raw_pika", kind], [], [])
