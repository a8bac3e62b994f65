"""The counters of a board have a narrow index of their own.

Revision: board_counts
Follows: line_offers
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "board_counts"
down_revision: str | Sequence[str] | None = "line_offers"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AMOUNTS = ["freight_fen", "waits_fen"]


def upgrade() -> None:
    """Makes the change."""
    op.drop_index("ix_board_party_stage", table_name="board")
    op.create_index("ix_board_party_stage", "board", ["party", "stage", "loads_at", "trip"])
    op.create_index("ix_board_party_counts", "board", ["party", "stage", *AMOUNTS])


def downgrade() -> None:
    """Takes the change back."""
    op.drop_index("ix_board_party_counts", table_name="board")
    op.drop_index("ix_board_party_stage", table_name="board")
    op.create_index(
        "ix_board_party_stage", "board", ["party", "stage", "loads_at", "trip", *AMOUNTS]
    )
