"""What all tests share: settings of their own, and one RabbitMQ node for the whole run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import get_settings
from tests.servers import rabbitmq

pytest_plugins = ["tests.programs"]


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the developer's settings, or writes into the checkout."""
    for name in list(os.environ):
        if name.startswith(("CARRIER_", "RABBITMQ_", "CLOUDAMQP_", "SMTP_", "SENTRY_", "DATABASE_", "BACKUP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CARRIER_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


#: The ports of the run's node (AMQP, management), for the processes that run tests side by side. Set from outside they
#: name a node that is there already, such as one of another version.
_PORTS = "TEST_RABBITMQ_PORTS"
_node = pytest.StashKey[rabbitmq.RabbitmqNode]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the node of this run, in the process that lives longest. It comes up while other tests run."""
    if _PORTS in os.environ:
        return  # somebody else's node, or a process of a run that has one
    if not config.option.collectonly and rabbitmq.is_installed():
        node = rabbitmq.RabbitmqNode(Path(tempfile.mkdtemp(prefix="carrier-rabbitmq-")))
        config.stash[_node] = node
        os.environ[_PORTS] = f"{node.amqp} {node.management}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it."""
    node = config.stash.get(_node, None)
    if node is not None:
        node.stop()
        shutil.rmtree(node.folder)


@pytest.fixture(scope="session")
def rabbitmq_node() -> rabbitmq.RabbitmqServer:
    """The node of this run. Where RabbitMQ cannot be had what needs it is skipped by name; in CI that is a failure."""
    if _PORTS not in os.environ:
        assert os.environ.get("CI") != "true", "rabbitmq-server is not installed"
        pytest.skip("rabbitmq-server is not installed")
    node = rabbitmq.RabbitmqServer(*map(int, os.environ[_PORTS].split()))
    node.wait()
    return node
