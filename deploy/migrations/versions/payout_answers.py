"""What the bank answered to each leg of a payout."""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "payout_answers"
down_revision = "party_names"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table."""
    op.create_table(
        "payout_answer",
        sa.Column("sequence", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(length=4), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("heard_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sequence"],
            ["payout_leg.sequence"],
            name=op.f("fk_payout_answer_sequence_payout_leg"),
        ),
        sa.PrimaryKeyConstraint("sequence", "code", name=op.f("pk_payout_answer")),
    )


def downgrade() -> None:
    """Without it."""
    op.drop_table("payout_answer")
