"""what hangs on a thing, by kind and day

Revision: links_by_kind
Follows: board_counts
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "links_by_kind"
down_revision: str | Sequence[str] | None = "board_counts"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_index("ix_relation_link_a", "relation_link", ["a", "kind", "day"])


def downgrade() -> None:
    """Takes it back."""
    op.drop_index("ix_relation_link_a", table_name="relation_link")
