"""One suite, three brokers: a test that takes ``broker`` or ``backend`` runs on embedded, RabbitMQ 3.10 and 4."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq import Message, Worker

from carrier.messaging.broker import Broker
from tests.conftest import RabbitmqOf
from tests.contract.backend import Backend, Embedded, Rabbitmq
from tests.programs import Start
from tests.servers.installed import INSTALLATIONS
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqNode, RabbitmqServer

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
def environment(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Programs find the tests' modules; what their handlers did is read by :func:`notes`."""
    return {**environment, "PYTHONPATH": str(ROOT), "NOTES": str(tmp_path / "notes")}


@pytest.fixture
def start_worker(start: Start, backend: Backend) -> StartWorker:
    """Starts ``dramatiq tests.contract.application``."""

    def start_worker(*options: str, processes: int = 1, threads: int = 4, **more: str) -> Process:
        words = ("tests.contract.application", "-p", str(processes), "-t", str(threads), *options)
        return start("dramatiq", *words, **backend.environment, **more)

    return start_worker


@pytest.fixture
def own_node(version: str, rabbitmq_of: RabbitmqOf, tmp_path: Path) -> Iterator[RabbitmqNode]:
    """A node that nobody else uses, as it starts."""
    rabbitmq_of(version)  # skips where none can be had
    folder = tmp_path / "node"
    folder.mkdir()
    node = RabbitmqNode(folder, INSTALLATIONS[version])
    yield node
    node.stop()


def numbered(type_: str, n: int, seconds: float = 0, **options: Any) -> Message[None]:
    """A message for an actor of the application, from a sender that does not have it."""
    return Message("work_queue", type_, (), {"n": n, "seconds": seconds}, options)


@pytest.fixture
def notes(tmp_path: Path) -> Callable[[], list[list[str]]]:
    """The lines that the handlers of worker processes wrote, as words: pid, what, and the message's n."""

    def read() -> list[list[str]]:
        path = tmp_path / "notes"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    return read
