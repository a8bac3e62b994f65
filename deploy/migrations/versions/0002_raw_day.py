"""Raw frames of past days, packed

Revision: 0002
Follows: 0001
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Sequence

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_table(
        "raw_day",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("terminal_number", sa.BigInteger(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("day", "terminal_number", name=op.f("pk_raw_day")),
    )
    with op.batch_alter_table("raw_day", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_raw_day_terminal_number"), ["terminal_number"], unique=False
        )


def downgrade() -> None:
    """Takes it back."""
    op.drop_table("raw_day")
