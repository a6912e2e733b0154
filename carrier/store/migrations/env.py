"""Run by Alembic with the connection that :mod:`carrier.store.database` has opened."""

from __future__ import annotations

from alembic import context

from carrier.store.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
