"""one mechanism of four eyes: request proposals

Revision: one_four_eyes
Follows: party_names
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "one_four_eyes"
down_revision: str | None = "payout_answers"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change; a lender whose policy asked for two people keeps that as his organisation's switch."""
    op.execute(
        "UPDATE organisation SET four_eyes = TRUE WHERE party_id IN"
        " (SELECT lender FROM lender_policy WHERE four_eyes)"
    )
    with op.batch_alter_table("lender_policy", schema=None) as batch_op:
        batch_op.drop_column("four_eyes")
    with op.batch_alter_table("proposal", schema=None) as batch_op:
        batch_op.drop_index("ix_proposal_open")
        batch_op.drop_index(batch_op.f("ix_proposal_form"))
    op.drop_table("proposal")


def downgrade() -> None:
    """Takes the change back; what was proposed is not known any more."""
    op.create_table(
        "proposal",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("lender", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("subject", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("form", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column(
            "amount_fen", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("maker", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("made_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=10), nullable=False),
        sa.Column("checker", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("decided_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("note", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
    )
    with op.batch_alter_table("proposal", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_proposal_form"), ["form"], unique=False)
        batch_op.create_index("ix_proposal_open", ["lender", "state"], unique=False)
    with op.batch_alter_table("lender_policy", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("four_eyes", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
