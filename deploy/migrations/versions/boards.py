"""boards

Revision: boards
Follows: merged_calls
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op


revision: str = "boards"
down_revision: str | Sequence[str] | None = "merged_calls"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_table(
        "board",
        sa.Column("party", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("trip", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("stage", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column("loads_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("deliver_by", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("note", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("vehicle", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("freight_fen", sa.BigInteger(), nullable=False),
        sa.Column("released_fen", sa.BigInteger(), nullable=False),
        sa.Column("waits_fen", sa.BigInteger(), nullable=False),
        sa.Column("hold", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.PrimaryKeyConstraint("party", "trip", name=op.f("pk_board")),
    )
    with op.batch_alter_table("board", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_board_trip"), ["trip"], unique=False)
        batch_op.create_index("ix_board_party_loads_at", ["party", "loads_at", "trip"])
        batch_op.create_index(
            "ix_board_party_day", ["party", "day", "stage", "freight_fen", "waits_fen"]
        )
        batch_op.create_index("ix_board_party_note", ["party", "note"])
        batch_op.create_index("ix_board_party_vehicle", ["party", "vehicle"])
        batch_op.create_index(
            "ix_board_party_stage",
            ["party", "stage", "loads_at", "trip", "freight_fen", "waits_fen"],
        )
    op.create_table(
        "saved_view",
        sa.Column("party", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("page", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("query", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("party", "page", "name", name=op.f("pk_saved_view")),
    )


def downgrade() -> None:
    """Takes the change back."""
    op.drop_table("saved_view")
    op.drop_table("board")
