"""freight between two parties summed by week

Revision: freight_weeks
Follows: payout_redirects
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "freight_weeks"
down_revision: str | None = "payout_redirects"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.execute(
        "INSERT INTO relation_link (a, b, kind, about, day, amount_fen)"
        " SELECT a, b, 'week', 'week:' || (day / 7), MIN(day / 7 * 7), SUM(amount_fen)"
        " FROM relation_link WHERE kind = 'freight' GROUP BY a, b, day / 7"
    )


def downgrade() -> None:
    """Takes the change back."""
    op.execute("DELETE FROM relation_link WHERE kind = 'week'")
