"""Answers that show a secret are kept for a day only.

Revision: kept_secrets
Follows: assignment_notices
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "kept_secrets"
down_revision: str | Sequence[str] | None = "assignment_notices"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    with op.batch_alter_table("kept_answer", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("secret", sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    """Takes the change back."""
    with op.batch_alter_table("kept_answer", schema=None) as batch_op:
        batch_op.drop_column("secret")
