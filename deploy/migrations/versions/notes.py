"""notes

Revision: notes
Follows: factors
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "notes"
down_revision: str | Sequence[str] | None = "factors"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_table(
        "note",
        sa.Column("note_id", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False),
        sa.Column("party", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("about", sqlmodel.sql.sqltypes.AutoString(length=66), nullable=False),
        sa.Column("author", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("text", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.Column("written_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("note_id", name=op.f("pk_note")),
    )
    op.create_index("ix_note_party_about", "note", ["party", "about", "written_at"])


def downgrade() -> None:
    """Takes the change back."""
    op.drop_table("note")
