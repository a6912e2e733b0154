"""E-mails: one worker process with 8 threads empties a queue of them into a mail server that takes all."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import own, peer, smtp_sink
from tests.servers.installed import INSTALLATIONS
from tests.servers.ports import free_port
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
#: E-mails of one run.
MAILS = 1_500


@dataclass(frozen=True)
class System:
    """One way to send them: ``sender`` and ``worker`` are commands."""

    name: str
    sender: list[str]
    worker: list[str]
    broker: str


@dataclass(frozen=True)
class Result:
    """E-mails per second, run by run."""

    system: System
    rates: list[float]

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)


def systems(version: str) -> Iterator[System]:
    """Carrier on both brokers, and its peers on RabbitMQ."""
    python = peer("python")

    def worker(dramatiq: str, module: str) -> list[str]:
        return [dramatiq, module, "-p", "1", "-t", "8"]

    for broker in ("embedded", f"rabbitmq-{version}"):
        module = "benchmarks.peers.mail_carrier"
        yield System(f"carrier, {broker}", [sys.executable, "-m", module], worker(own("dramatiq"), module), broker)
    broker = f"rabbitmq-{version}"
    module = "benchmarks.peers.mail_dramatiq"
    yield System(f"dramatiq, {broker}", [python, "-m", module], worker(peer("dramatiq"), module), broker)
    module = "benchmarks.peers.mail_celery"
    celery = [peer("celery"), "-A", module, "worker", "--pool", "threads", "--concurrency", "8", "-l", "WARNING"]
    yield System(f"celery, {broker}", [python, "-m", module], celery, broker)


@contextmanager
def servers(version: str) -> Iterator[tuple[RabbitmqNode, int]]:
    """A RabbitMQ and a mail server of our own; the node, and the mail server's port."""
    folder = Path(tempfile.mkdtemp(prefix="carrier-bench-"))
    (folder / "node").mkdir()
    node, port = RabbitmqNode(folder / "node", INSTALLATIONS[version]), free_port()
    program, environment = smtp_sink()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    sink = Process(
        [program, *user, f"127.0.0.1:{port}", "1000"],
        log=folder / "sink.log",
        environment={**os.environ, **environment},
    )
    try:
        node.wait()
        yield node, port
    finally:
        sink.kill()
        node.stop()
        shutil.rmtree(folder)


def run_once(system: System, node: RabbitmqNode, port: int, mails: int) -> float:
    """E-mails per second, from the first to the last."""
    folder = Path(tempfile.mkdtemp(prefix="carrier-bench-"))
    notes = folder / "notes"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "BENCH_NOTES": str(notes),
        "BENCH_SMTP_PORT": str(port),
        "SMTP_URL": f"smtp://127.0.0.1:{port}",
        "EMAIL_FROM": "us@example.com",
        "CARRIER_HOME": str(folder / "home"),
    }
    url = node.new_vhost()
    if system.broker != "embedded":
        environment["RABBITMQ_URL"] = url
    started: list[Process] = []

    def start(*command: str) -> Process:
        started.append(Process(command, log=folder / "log", environment=environment, cwd=folder))
        return started[-1]

    def sent() -> int:
        return notes.read_bytes().count(b"\n") if notes.exists() else 0

    try:
        sender = start(*system.sender, str(mails))
        if sender.wait(300) != 0:
            raise RuntimeError(f"{system.name}: {sender.output()}")
        worker = start(*system.worker)
        wait_until(lambda: sent() > 0 or not worker.running, "the first is sent", timeout=60, every=0.05)
        wait_until(lambda: sent() >= mails or not worker.running, "all are sent", timeout=600, every=0.2)
        moments = sorted(map(float, notes.read_text().split()))
        if len(moments) < mails:
            raise RuntimeError(f"{system.name}: {worker.output()}")
        return (mails - 1) / (moments[-1] - moments[0])
    finally:
        for process in started:
            process.kill()
        node.delete_vhost(url)
        shutil.rmtree(folder)


def run(rounds: int, version: str) -> list[Result]:
    """All systems in turn, so many times."""
    with servers(version) as (node, port):
        found: dict[str, Result] = {each.name: Result(each, []) for each in systems(version)}
        for _ in range(rounds):
            for result in found.values():
                rate = run_once(result.system, node, port, MAILS)
                result.rates.append(rate)
                print(f"{result.system.name:24} {rate:8.0f}/s", flush=True)
        return list(found.values())
