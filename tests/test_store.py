"""The store's tables come from migrations, and from nothing else."""

from __future__ import annotations

import stat
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from carrier.store import database
from carrier.store.models import Base
from settings import get_settings


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [database.HEAD]


def test_migrations_make_what_the_models_say() -> None:
    with database.session() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_it_is_for_its_owner_alone() -> None:
    database.prepare()
    path = get_settings().home / "carrier.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
