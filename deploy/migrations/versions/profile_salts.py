"""what opens a party's profile

Revision: profile_salts
Follows: fix_days
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "profile_salts"
down_revision: str | Sequence[str] | None = "fix_days"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.add_column("party", sa.Column("profile_salt", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Takes it back."""
    with op.batch_alter_table("party") as batch_op:
        batch_op.drop_column("profile_salt")
