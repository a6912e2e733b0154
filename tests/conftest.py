"""What all tests share: settings of their own, and one RabbitMQ node for the whole run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import get_settings
from tests.servers import rabbitmq


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


@pytest.fixture(scope="session")
def rabbitmq_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rabbitmq.RabbitmqNode]:
    """The node of this run. Where RabbitMQ cannot be had what needs it is skipped by name; in CI that is a failure."""
    if not rabbitmq.is_installed():
        assert os.environ.get("CI") != "true", "rabbitmq-server is not installed"
        pytest.skip("rabbitmq-server is not installed")
    node = rabbitmq.RabbitmqNode(tmp_path_factory.mktemp("rabbitmq"))
    yield node
    node.stop()
