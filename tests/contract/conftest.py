"""One suite, three brokers: a test that takes ``broker`` or ``backend`` runs on embedded, RabbitMQ 3.10 and 4."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import dramatiq
import pytest
from dramatiq import Worker

from carrier.messaging.broker import Broker
from tests.conftest import RabbitmqOf
from tests.contract.backend import Backend, Embedded, Rabbitmq
from tests.servers.installed import INSTALLATIONS
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqServer

ROOT = Path(__file__).parents[2]

Working = Callable[..., AbstractContextManager[Worker]]
StartWorker = Callable[..., Process]


def _on(node: RabbitmqServer, home: Path) -> Iterator[Rabbitmq]:
    made = Rabbitmq(node, home)
    yield made
    node.delete_vhost(made.url)


@pytest.fixture(params=INSTALLATIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each version of RabbitMQ."""
    return str(request.param)


@pytest.fixture
def rabbitmq(version: str, rabbitmq_of: RabbitmqOf, tmp_path: Path) -> Iterator[Rabbitmq]:
    """A virtual host for a test that is about RabbitMQ alone."""
    yield from _on(rabbitmq_of(version), tmp_path / "home")


@pytest.fixture(params=["embedded", *(f"rabbitmq-{version}" for version in INSTALLATIONS)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Each broker."""
    name, _, version = request.param.partition("-")
    if name == "embedded":
        yield Embedded(tmp_path / "home")
    else:
        of: RabbitmqOf = request.getfixturevalue("rabbitmq_of")
        yield from _on(of(version), tmp_path / "home")


@pytest.fixture
def broker(backend: Backend) -> Iterator[Broker]:
    """A broker of this process, and Dramatiq's global one; actors are declared on it by the test."""
    made = backend.broker(publish_timeout=20)
    dramatiq.set_broker(made)
    yield made
    dramatiq.set_broker(None)  # as before the first test
    made.close()


@pytest.fixture
def working(request: pytest.FixtureRequest) -> Working:
    """``with working(): …``: a worker in this process, on the test's ``broker`` or another one."""

    @contextmanager
    def work(on: Broker | None = None, threads: int = 4) -> Iterator[Worker]:
        worker = Worker(on or request.getfixturevalue("broker"), worker_threads=threads, worker_timeout=100)
        worker.start()
        try:
            yield worker
        finally:
            worker.stop(timeout=20_000)

    return work


@pytest.fixture
def start(backend: Backend, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a program that uses the backend; what its handlers did is read by :func:`notes`."""
    started: list[Process] = []

    def start(command: list[str], **environment: str) -> Process:
        process = Process(
            command,
            log=tmp_path / f"program-{len(started)}.log",
            environment={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "NOTES": str(tmp_path / "notes"),
                **backend.environment,
                **environment,
            },
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def start_worker(start: Callable[..., Process]) -> StartWorker:
    """Starts ``dramatiq tests.contract.application``."""

    def start_worker(*options: str, processes: int = 1, threads: int = 4, **environment: str) -> Process:
        command = [sys.executable, "-m", "dramatiq", "tests.contract.application"]
        return start([*command, "-p", str(processes), "-t", str(threads), *options], **environment)

    return start_worker


@pytest.fixture
def notes(tmp_path: Path) -> Callable[[], list[list[str]]]:
    """The lines that the handlers of worker processes wrote, as words: pid, what, and the message's n."""

    def read() -> list[list[str]]:
        path = tmp_path / "notes"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    return read
