"""Vehicles that parties use again and again.

Revision: vehicles
Follows: waybill_lists
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op


revision: str = "vehicles"
down_revision: str | Sequence[str] | None = "waybill_lists"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_table(
        "vehicle",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("vehicle_id", sqlmodel.sql.sqltypes.AutoString(length=28), nullable=False),
        sa.Column("party_id", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("vehicle_hash", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("plate", sa.LargeBinary(), nullable=False),
        sa.Column("terminal", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("load_kg", sa.Integer(), nullable=True),
        sa.Column("note", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("retired_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("changed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_vehicle")),
        sa.UniqueConstraint(
            "party_id", "vehicle_hash", name=op.f("uq_vehicle_party_id_vehicle_hash")
        ),
        sa.UniqueConstraint("vehicle_id", name=op.f("uq_vehicle_vehicle_id")),
    )
    with op.batch_alter_table("vehicle", schema=None) as batch_op:
        batch_op.create_index("ix_vehicle_party_number", ["party_id", "number"], unique=False)


def downgrade() -> None:
    """Takes the change back."""
    with op.batch_alter_table("vehicle", schema=None) as batch_op:
        batch_op.drop_index("ix_vehicle_party_number")

    op.drop_table("vehicle")
