"""E-mails: one worker process with 8 threads empties a queue of them into a mail server that takes all."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environment import own, peer, smtp_sink
from benchmarks.memory import proportional
from benchmarks.place import ROOT, node
from benchmarks.profile import Profile
from tests.servers.ports import free_port
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

#: E-mails of one run; of one that is long enough to see a profile in; and after how many the memory is looked at.
MAILS, MORE, LOOKS = 1_500, 6_000, (1_000, 5_000, 10_000, 15_000, 20_000)


@dataclass(frozen=True)
class System:
    """One way to send them: ``sender`` and ``worker`` are commands."""

    name: str
    sender: list[str]
    worker: list[str]
    on_rabbitmq: bool = True


@dataclass(frozen=True)
class Servers:
    """What all systems use."""

    node: RabbitmqNode
    smtp_port: int


@dataclass(frozen=True)
class Work:
    """A worker that has sent its first e-mail."""

    worker: Process
    notes: Path

    def moments(self) -> list[float]:
        """When e-mails were sent, in s since 1970."""
        return sorted(map(float, self.notes.read_text().split()))

    def _sent(self) -> int:
        """How many; it is asked beside the measured work, so it only counts."""
        return self.notes.read_bytes().count(b"\n") if self.notes.exists() else 0

    def wait(self, sent: int) -> None:
        """Wait until so many are sent.

        Raises:
            RuntimeError: the worker ended before.
        """
        wait_until(lambda: self._sent() >= sent or not self.worker.running, "they are sent", timeout=600, every=0.2)
        if self._sent() < sent:
            raise RuntimeError(self.worker.output())


@dataclass(frozen=True)
class Result:
    """E-mails per second, run by run; where the worker's time went; its bytes after so many e-mails."""

    system: System
    rates: list[float] = field(default_factory=list)
    shares: list[tuple[str, float]] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)


def _systems() -> list[System]:
    """Carrier on both brokers, and its peers on RabbitMQ."""

    def worker(dramatiq: str, module: str) -> list[str]:
        return [dramatiq, module, "-p", "1", "-t", "8"]

    python, module = peer("python"), "benchmarks.peers.mail_{}"
    carrier, dramatiq, celery = (module.format(name) for name in ("carrier", "dramatiq", "celery"))
    sender, ours = [sys.executable, "-m", carrier], worker(own("dramatiq"), carrier)
    threads = ["worker", "--pool", "threads", "--concurrency", "8", "-l", "WARNING"]
    return [
        System("carrier, embedded", sender, ours, on_rabbitmq=False),
        System("carrier, RabbitMQ", sender, ours),
        System("dramatiq, RabbitMQ", [python, "-m", dramatiq], worker(peer("dramatiq"), dramatiq)),
        System("celery, RabbitMQ", [python, "-m", celery], [peer("celery"), "-A", celery, *threads]),
    ]


@contextmanager
def _servers(version: str) -> Iterator[Servers]:
    folder, port = Path(tempfile.mkdtemp(prefix="carrier-bench-")), free_port()
    program, environment = smtp_sink()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    sink = Process(
        [program, *user, f"127.0.0.1:{port}", "1000"],
        log=folder / "sink.log",
        environment={**os.environ, **environment},
    )
    try:
        with node(version) as server:
            yield Servers(server, port)
    finally:
        sink.kill()
        shutil.rmtree(folder)


@contextmanager
def _working(system: System, servers: Servers, mails: int) -> Iterator[Work]:
    """With ``mails`` in the queue before the worker starts."""
    folder = Path(tempfile.mkdtemp(prefix="carrier-bench-"))
    notes = folder / "notes"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "BENCH_NOTES": str(notes),
        "BENCH_SMTP_PORT": str(servers.smtp_port),
        "SMTP_URL": f"smtp://127.0.0.1:{servers.smtp_port}",
        "EMAIL_FROM": "us@example.com",
        "CARRIER_HOME": str(folder / "home"),
    }
    url = servers.node.new_vhost()
    if system.on_rabbitmq:
        environment["RABBITMQ_URL"] = url
    started: list[Process] = []

    def start(*command: str) -> Process:
        started.append(Process(command, log=folder / "log", environment=environment, cwd=folder))
        return started[-1]

    try:
        sender = start(*system.sender, str(mails))
        if sender.wait(300) != 0:
            raise RuntimeError(f"{system.name}: {sender.output()}")
        work = Work(start(*system.worker), notes)
        work.wait(1)
        yield work
    finally:
        for process in started:
            process.kill()
        servers.node.delete_vhost(url)
        shutil.rmtree(folder)


def _rate(system: System, servers: Servers) -> float:
    with _working(system, servers, MAILS) as work:
        work.wait(MAILS)
        moments = work.moments()
    return (len(moments) - 1) / (moments[-1] - moments[0])


def _shares(system: System, servers: Servers, rate: float) -> list[tuple[str, float]]:
    with _working(system, servers, MORE) as work:
        return Profile(work.worker.pid, seconds=max(1, int(MORE / rate * 0.7))).shares()


def _memory(system: System, servers: Servers) -> Iterator[int]:
    with _working(system, servers, LOOKS[-1]) as work:
        for sent in LOOKS:
            work.wait(sent)
            yield proportional(work.worker)


def run(rounds: int, versions: list[str]) -> str:
    """All systems in turn, so many times; then Carrier's profile and memory. The report, in Markdown."""
    version = versions[0]
    with _servers(version) as servers:
        results = [Result(system) for system in _systems()]
        for _ in range(rounds):
            for result in results:
                result.rates.append(_rate(result.system, servers))
                print(f"{result.system.name:24} {result.rates[-1]:8.0f}/s", flush=True)
        for result in results:
            result.shares.extend(_shares(result.system, servers, result.rate))
            if "carrier" in result.system.name:
                result.memory.extend(_memory(result.system, servers))
    return "\n".join([f"RabbitMQ {version}, one worker process, 8 threads, Postfix's smtp-sink.\n", *_lines(results)])


def _lines(results: list[Result]) -> Iterator[str]:
    peers = [each for each in results if "carrier" not in each.system.name]
    names = [each.system.name.partition(",")[0] for each in peers]
    yield f"| | e-mails a second | rounds | {' | '.join(f'to {name}' for name in names)} |"
    yield "|---" * (3 + len(peers)) + "|"
    for each in results:
        rounds = ", ".join(f"{rate:.0f}" for rate in each.rates)
        ratios = " | ".join(f"{each.rate / peer.rate:.2f}" for peer in peers)
        yield f"| {each.system.name} | {each.rate:.0f} | {rounds} | {ratios} |"
    yield "\nWhere the worker holds the interpreter:\n"
    for each in results:
        yield f"- {each.system.name}: " + ", ".join(f"{share:.0%} {room}" for room, share in each.shares[:8])
    yield f"\nMegabytes of the worker and its processes after {', '.join(f'{sent:,}' for sent in LOOKS)} e-mails:\n"
    for each in results:
        if each.memory:
            yield f"- {each.system.name}: " + ", ".join(f"{size / 1e6:.1f}" for size in each.memory)
