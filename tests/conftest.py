"""What all tests share: settings of their own, and one RabbitMQ node of each version for the whole run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from zlib import crc32

import pytest

from carrier.store import database
from settings import get_settings
from tests.servers import mariadb, postgresql, rabbitmq
from tests.servers.installed import INSTALLATIONS

pytest_plugins = ["tests.programs"]


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the developer's settings, or writes into the checkout."""
    for name in list(os.environ):
        if name.startswith(
            (
                "CARRIER_",
                "RABBITMQ_",
                "CLOUDAMQP_",
                "SMTP_",
                "EMAIL_",
                "ATTACHMENT_",
                "SENTRY_",
                "DATABASE_",
                "BACKUP_",
                "MASK_",
                "CONSOLE_",
            )
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CARRIER_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    yield
    database.close()
    get_settings.cache_clear()


#: The ports of the run's nodes (AMQP, management), for the processes that run tests side by side. Set from outside they
#: name a node that is there already.
_PORTS = {version: f"TEST_RABBITMQ_{version.partition('.')[0]}_PORTS" for version in INSTALLATIONS}
_nodes = pytest.StashKey[list[rabbitmq.RabbitmqNode]]()
#: The same for the run's PostgreSQL.
_POSTGRESQL_PORT = "TEST_POSTGRESQL_PORT"
_postgresql = pytest.StashKey[postgresql.PostgresqlNode]()
_MARIADB_PORT = "TEST_MARIADB_PORT"
_mariadb = pytest.StashKey[mariadb.MariadbNode]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the nodes of this run, in the process that lives longest. They come up while other tests run."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    config.stash[_nodes] = []
    for version, installation in INSTALLATIONS.items():
        if installation.is_there and _PORTS[version] not in os.environ:
            node = rabbitmq.RabbitmqNode(Path(tempfile.mkdtemp(prefix="carrier-rabbitmq-")), installation)
            config.stash[_nodes].append(node)
            os.environ[_PORTS[version]] = f"{node.amqp} {node.management}"
    if postgresql.is_installed() and _POSTGRESQL_PORT not in os.environ:
        config.stash[_postgresql] = postgresql.PostgresqlNode(Path(tempfile.mkdtemp(prefix="carrier-postgresql-")))
        os.environ[_POSTGRESQL_PORT] = str(config.stash[_postgresql].port)
    if mariadb.is_installed() and _MARIADB_PORT not in os.environ:
        config.stash[_mariadb] = mariadb.MariadbNode(Path(tempfile.mkdtemp(prefix="carrier-mariadb-")))
        os.environ[_MARIADB_PORT] = str(config.stash[_mariadb].port)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End them."""
    for node in config.stash.get(_nodes, []):
        node.stop()
        shutil.rmtree(node.folder)
    if _postgresql in config.stash:
        config.stash[_postgresql].stop()
    if _mariadb in config.stash:
        config.stash[_mariadb].stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--by-turns",
        action="store_true",
        help="Run a test that would run on each version of RabbitMQ on one of them, unless it is marked each_version.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Two nodes take half as long with a test each; which of them gets one never changes."""
    if not config.option.by_turns:
        return
    versions: dict[str, set[str]] = {}
    for item in items:
        versions.setdefault(_function(item), set()).add(_version(item))
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        version, choice = _version(item), sorted(versions[_function(item)] - {""})
        is_other = version and version != choice[crc32(_function(item).encode()) % len(choice)]
        (left_out if is_other and item.get_closest_marker("each_version") is None else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def _function(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def _version(item: pytest.Item) -> str:
    """The version of RabbitMQ that a test runs on, or nothing."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    version = str(parameters.get("version") or parameters.get("backend", "").removeprefix("rabbitmq-"))
    return version if version in INSTALLATIONS else ""


RabbitmqOf = Callable[[str], rabbitmq.RabbitmqServer]


@pytest.fixture(scope="session")
def rabbitmq_of() -> RabbitmqOf:
    """The run's node of a version. Where it cannot be had what needs it is skipped by name."""

    @cache
    def get(version: str) -> rabbitmq.RabbitmqServer:
        if _PORTS[version] not in os.environ:
            # The one that Debian has is there in CI.
            assert version != "3.10" or os.environ.get("CI") != "true", "rabbitmq-server is not installed"
            pytest.skip(f"there is no RabbitMQ {version}")  # it needs root on Debian
        node = rabbitmq.RabbitmqServer(*map(int, os.environ[_PORTS[version]].split()))
        node.wait()
        return node

    return get


@pytest.fixture(scope="session")
def rabbitmq_node(rabbitmq_of: RabbitmqOf) -> rabbitmq.RabbitmqServer:
    """The run's node of the oldest version, for what does not depend on it."""
    return rabbitmq_of("3.10")


@pytest.fixture(scope="session")
def postgresql_server() -> postgresql.PostgresqlServer:
    """The run's PostgreSQL."""
    if _POSTGRESQL_PORT not in os.environ:
        assert os.environ.get("CI") != "true", "postgresql is not installed"
        pytest.skip("there is no PostgreSQL")
    server = postgresql.PostgresqlServer(int(os.environ[_POSTGRESQL_PORT]))
    server.wait()
    return server


@pytest.fixture(scope="session")
def mariadb_server() -> mariadb.MariadbServer:
    """The run's MariaDB."""
    if _MARIADB_PORT not in os.environ:
        assert os.environ.get("CI") != "true", "mariadb-server is not installed"
        pytest.skip("there is no MariaDB")
    server = mariadb.MariadbServer(int(os.environ[_MARIADB_PORT]))
    server.wait()
    return server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each kind of store, empty, as the setting DATABASE_URL has it."""
    if request.param == "sqlite":
        yield get_settings().store_url
        return
    server: postgresql.PostgresqlServer = request.getfixturevalue("postgresql_server")
    url = server.new_database()
    monkeypatch.setenv("DATABASE_URL", url)
    get_settings.cache_clear()
    yield url
    server.drop_database(url)
