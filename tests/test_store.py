"""The store, on SQLite and on PostgreSQL. Its tables come from migrations, and from nothing else."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, text

from carrier.store import database, history, inbox
from carrier.store.errors import StoreUnavailable
from carrier.store.models import Base, InboxEntry
from settings import get_settings
from tests.servers.postgresql import PostgresqlServer

ROOT = Path(__file__).parents[1]
AWKWARD = "half a pair \ud800, a \0, and 'größer'"


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [database.HEAD]


@pytest.mark.usefixtures("store_url")
def test_migrations_make_what_the_models_say() -> None:
    with database.session() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_file_is_for_its_owner_alone() -> None:
    database.prepare()
    path = get_settings().home / "carrier.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_processes_that_start_together_migrate_once(store_url: str) -> None:
    program = [sys.executable, "-c", "from carrier.store import database; database.prepare()"]
    started = [subprocess.Popen(program, stderr=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(3)]
    errors = [each.communicate(timeout=60)[1] for each in started]
    assert [each.returncode for each in started] == [0] * 3, errors
    with database.session() as session:
        assert session.scalars(text("SELECT version_num FROM alembic_version")).all() == [database.HEAD]


@pytest.mark.usefixtures("store_url")
def test_a_store_of_a_newer_release_is_left_alone() -> None:
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StoreUnavailable, match="newer Carrier"):
        database.prepare()


@pytest.mark.usefixtures("store_url")
def test_a_notification_is_in_the_inbox_once() -> None:
    values = {"user_id": "user", "title": AWKWARD, "message": AWKWARD, "data": {"key": [1, "\0"]}}
    began = datetime.now(UTC)
    assert inbox.add("id", **values)
    assert not inbox.add("id", **values)
    assert inbox.add("another", **values)
    newest, oldest = inbox.entries("user")
    assert (newest.message_id, oldest.message_id) == ("another", "id")
    assert oldest.title == AWKWARD.replace("\ud800", "?").replace("\0", "\ufffd") == oldest.message
    assert oldest.data == {"key": [1, "\0"]}
    assert began <= oldest.created_at <= newest.created_at <= datetime.now(UTC)
    assert oldest.created_at.utcoffset() == timedelta(0)
    assert inbox.entries("somebody else") == []


@pytest.mark.usefixtures("store_url")
def test_the_oldest_entries_of_the_history_are_forgotten() -> None:
    now = datetime.now(UTC)
    row = {"what": "done", "type": "email", "queue": AWKWARD, "attempt": 2**53, "worker": "here:1", "detail": {"a": 1}}
    history.add([{**row, "message_id": f"id-{n}", "at": now + timedelta(seconds=n)} for n in range(10)])
    history.keep(3)
    left = [len(history.of(f"id-{n}")) for n in range(10)]
    assert left == [0] * 7 + [1] * 3
    assert history.of("id-9")[0].at == now + timedelta(seconds=9)


@pytest.mark.usefixtures("store_url")
def test_a_transaction_that_fails_is_undone_and_its_values_are_not_said() -> None:
    values = {"user_id": "user", "title": "t", "message": "secret", "data": None, "created_at": datetime.now(UTC)}
    inbox.add("there", user_id="user", title="t", message="m", data=None)
    rows = [{**values, "message_id": "new"}, {**values, "message_id": "there"}]
    with pytest.raises(StoreUnavailable) as caught, database.session() as session:
        session.execute(insert(InboxEntry), rows)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert [each.message_id for each in inbox.entries("user")] == ["there"]


def test_a_server_that_is_not_there_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://carrier:secret@127.0.0.1:9/carrier")
    get_settings.cache_clear()
    with pytest.raises(StoreUnavailable, match="9") as caught:
        database.prepare()
    assert "secret" not in str(caught.value)


def test_connections_that_the_server_has_closed_are_replaced(
    postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql_server.new_database()
    monkeypatch.setenv("DATABASE_URL", url)
    get_settings.cache_clear()
    database.prepare()
    name = url.rpartition("/")[2]
    postgresql_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    database.prepare()
    postgresql_server.drop_database(url)
