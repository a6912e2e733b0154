"""How far schedules have come, their fire times, and who of the schedulers sends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "leader",
        sa.Column("name", sa.String(50), primary_key=True),
        sa.Column("owner", sa.String(40)),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("process", sa.String(300), nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    op.create_table(
        "schedules",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("timing", sa.String(300), nullable=False),
        sa.Column("cursor", moment, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
    )
    op.create_table(
        "fires",
        sa.Column("schedule", sa.String(100), primary_key=True),
        sa.Column("at", moment, primary_key=True),
        sa.Column("message_id", sa.String(36), nullable=False, unique=True),
        sa.Column("state", sa.String(10), nullable=False, index=True),
        sa.Column("owner", sa.String(40)),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("returned", sa.Integer, nullable=False),
        sa.Column("attempt", sa.BigInteger, nullable=False),
        sa.Column("recorded", moment, nullable=False),
        sa.Column("sent", moment),
        sa.Column("began", moment),
        sa.Column("ended", moment),
        sa.Column("worker", sa.String(300)),
        sa.Column("error", sa.Text),
    )


def downgrade() -> None:
    """Remove them."""
    for name in ("fires", "schedules", "leader"):
        op.drop_table(name)
