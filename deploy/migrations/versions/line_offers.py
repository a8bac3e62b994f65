"""Terms of a line are kept between the two signatures.

Revision: line_offers
Follows: line_rules
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "line_offers"
down_revision: str | Sequence[str] | None = "line_rules"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_table(
        "line_offer",
        sa.Column("offer_id", sqlmodel.sql.sqltypes.AutoString(length=28), nullable=False),
        sa.Column("form_hash", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=6), nullable=False),
        sa.Column("lender", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("borrower", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("line", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("message", sa.JSON(), nullable=False),
        sa.Column("state", sqlmodel.sql.sqltypes.AutoString(length=10), nullable=False),
        sa.Column("borrower_signature", sa.Text(), nullable=False),
        sa.Column("made_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("made_by", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("signed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("ended_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("kind IN ('open', 'change')", name=op.f("ck_line_offer_kind")),
        sa.CheckConstraint(
            "state IN ('offered', 'accepted', 'sent', 'refused', 'withdrawn', 'expired')",
            name=op.f("ck_line_offer_state"),
        ),
        sa.PrimaryKeyConstraint("offer_id", name=op.f("pk_line_offer")),
        sa.UniqueConstraint("form_hash", name=op.f("uq_line_offer_form_hash")),
    )
    op.create_index("ix_line_offer_lender", "line_offer", ["lender", "made_at"])
    op.create_index("ix_line_offer_borrower", "line_offer", ["borrower", "made_at"])


def downgrade() -> None:
    """Takes the change back."""
    op.drop_table("line_offer")
