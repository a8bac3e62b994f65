"""alerts: where trips under way are, and what was told of them

Revision: alerts
Follows: webhooks
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op


revision: str = "alerts"
down_revision: str | Sequence[str] | None = "webhooks"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_table(
        "trip_progress",
        sa.Column("trip", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("along_m", sa.Integer(), nullable=False),
        sa.Column("length_m", sa.Integer(), nullable=False),
        sa.Column("off_m", sa.Integer(), nullable=False),
        sa.Column("on_route", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("departed_at", sa.BigInteger(), nullable=True),
        sa.Column("arrived_at", sa.BigInteger(), nullable=True),
        sa.Column("eta", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("trip", name=op.f("pk_trip_progress")),
    )
    op.create_table(
        "trip_alert",
        sa.Column("trip", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("severity", sqlmodel.sql.sqltypes.AutoString(length=6), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raised", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("trip", "at", "code", name=op.f("pk_trip_alert")),
    )
    op.create_index("ix_trip_alert_raised", "trip_alert", ["raised"])


def downgrade() -> None:
    """Takes it back."""
    op.drop_table("trip_alert")
    op.drop_table("trip_progress")
