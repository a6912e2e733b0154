"""A console of a broker, as people start it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carrier.messaging.broker import Broker
from tests.console.browser import Client
from tests.console.chromium import chromium, page  # noqa: F401  (fixtures)
from tests.contract.backend import Backend, Embedded, Rabbitmq
from tests.programs import Start
from tests.servers.ports import answers, free_port
from tests.servers.rabbitmq import RabbitmqServer
from tests.waiting import wait_until

Serve = Callable[..., Client]


@pytest.fixture(params=["embedded", "rabbitmq"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Each broker."""
    if request.param == "embedded":
        yield Embedded(tmp_path / "home")
        return
    node: RabbitmqServer = request.getfixturevalue("rabbitmq_node")
    made = Rabbitmq(node, tmp_path / "home")
    yield made
    node.delete_vhost(made.url)


@pytest.fixture
def broker(backend: Backend) -> Iterator[Broker]:
    """That the tests use themselves; its queue is there."""
    made = backend.broker()
    yield made
    made.close()


@pytest.fixture
def serve(start: Start, backend: Backend) -> Serve:
    """``serve(CONSOLE_PASSWORD="…")``: a console that answers."""

    def serve(**more: str) -> Client:
        port = free_port()
        process = start("carrier", "web", "--port", str(port), **backend.environment, **more)
        wait_until(lambda: answers(port) or not process.running, "the console answers")
        assert process.running, process.output()
        return Client(port)

    return serve
