"""lenders' rules on their lines, and which debtor has acknowledged which advance

Revision: line_rules
Follows: sealed_evidence
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op


revision: str = "line_rules"
down_revision: str | Sequence[str] | None = "sealed_evidence"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_table(
        "line_rule",
        sa.Column("line", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("debtor", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("most_fen", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("until", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column(
            "valid_for_s", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("set_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("most_fen >= 0", name=op.f("ck_line_rule_most")),
        sa.CheckConstraint("valid_for_s >= 0", name=op.f("ck_line_rule_valid_for")),
        sa.ForeignKeyConstraint(
            ["line"], ["credit_line.line"], name=op.f("fk_line_rule_line_credit_line")
        ),
        sa.PrimaryKeyConstraint("line", name=op.f("pk_line_rule")),
    )
    op.create_table(
        "rule_try",
        sa.Column("advance", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["advance"], ["advance.advance"], name=op.f("fk_rule_try_advance_advance")
        ),
        sa.PrimaryKeyConstraint("advance", name=op.f("pk_rule_try")),
    )
    with op.batch_alter_table("advance", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("acknowledged_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True)
        )
    # What was acknowledged until now is known by waybill only; a rebuild from the chain tells it by advance.
    op.execute(
        "UPDATE advance SET acknowledged_at = (SELECT r.acknowledged_at FROM receivable r"
        " WHERE r.waybill = advance.waybill)"
    )


def downgrade() -> None:
    """Takes the change back."""
    with op.batch_alter_table("advance", schema=None) as batch_op:
        batch_op.drop_column("acknowledged_at")
    op.drop_table("rule_try")
    op.drop_table("line_rule")
