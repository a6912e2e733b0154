"""What mail servers have said of each recipient, and which of them cannot be used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "deliveries",
        sa.Column("message_id", sa.String(255), primary_key=True),
        sa.Column("recipient", sa.String(320), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("at", moment, nullable=False, index=True),
    )
    op.create_table(
        "faults",
        sa.Column("source", sa.String(300), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("since", moment, nullable=False),
        sa.Column("at", moment, nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    for name in ("faults", "deliveries"):
        op.drop_table(name)
