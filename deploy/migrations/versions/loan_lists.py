"""loan lists

Revision: loan_lists
Follows: vehicles
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "loan_lists"
down_revision: str | Sequence[str] | None = "vehicles"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_index("ix_advance_lender_due", "advance", ["lender", "due_day", "advance"])
    op.create_index(
        "ix_advance_lender_sums",
        "advance",
        ["lender", "state", "due_day", "principal_fen", "released_fen", "outstanding_fen"],
    )


def downgrade() -> None:
    """Takes the change back."""
    op.drop_index("ix_advance_lender_sums", table_name="advance")
    op.drop_index("ix_advance_lender_due", table_name="advance")
