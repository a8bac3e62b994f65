"""Receipts signed through a link, and what drivers say on their way.

Revision: receipts
Follows: documents
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "receipts"
down_revision: str | Sequence[str] | None = "documents"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_table(
        "driver_step",
        sa.Column("trip", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("step", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("driver", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("told_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint(
            "step IN ('arrived_loading', 'departed', 'arrived_unloading')",
            name=op.f("ck_driver_step_step"),
        ),
        sa.PrimaryKeyConstraint("trip", "step", name=op.f("pk_driver_step")),
    )
    op.create_table(
        "receipt_link",
        sa.Column("token_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("trip", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("made_by", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("wrong_codes", sa.Integer(), nullable=False),
        sa.Column("closed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("used_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("length(token_hash) = 64", name=op.f("ck_receipt_link_token_hash")),
        sa.CheckConstraint("wrong_codes >= 0", name=op.f("ck_receipt_link_wrong_codes")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_receipt_link")),
    )
    with op.batch_alter_table("receipt_link", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_receipt_link_trip"), ["trip"], unique=False)

    op.create_table(
        "receipt_paper",
        sa.Column("document", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("trip", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("token_hash", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("salt", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("signature", sqlmodel.sql.sqltypes.AutoString(length=132), nullable=False),
        sa.Column("signer", sqlmodel.sql.sqltypes.AutoString(length=42), nullable=False),
        sa.Column("drawing", sa.LargeBinary(), nullable=True),
        sa.Column("signed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("document", name=op.f("pk_receipt_paper")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_receipt_paper_token_hash")),
    )
    with op.batch_alter_table("receipt_paper", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_receipt_paper_trip"), ["trip"], unique=False)

    # ### end Alembic commands ###


def downgrade() -> None:
    """Takes the change back."""
    with op.batch_alter_table("receipt_paper", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_receipt_paper_trip"))

    op.drop_table("receipt_paper")
    with op.batch_alter_table("receipt_link", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_receipt_link_trip"))

    op.drop_table("receipt_link")
    op.drop_table("driver_step")
