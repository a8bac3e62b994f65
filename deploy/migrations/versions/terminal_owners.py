"""The party that has a terminal and alone is given its code.

Revision: terminal_owners
Follows: relation_links
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op


revision: str = "terminal_owners"
down_revision: str | Sequence[str] | None = "relation_links"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    with op.batch_alter_table("terminal", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("owner", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=True)
        )


def downgrade() -> None:
    """Takes the change back."""
    with op.batch_alter_table("terminal", schema=None) as batch_op:
        batch_op.drop_column("owner")
