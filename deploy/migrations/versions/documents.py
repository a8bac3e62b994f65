"""Photos and papers, their content apart.

Revision: documents
Follows: 0001
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision: str = "documents"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    text = sqlmodel.sql.sqltypes.AutoString
    op.create_table(
        "document",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("document_id", text(length=28), nullable=False),
        sa.Column("owner", text(length=20), nullable=False),
        sa.Column("about_kind", text(length=10), nullable=False),
        sa.Column("about_id", text(length=66), nullable=False),
        sa.Column("purpose", text(length=20), nullable=False),
        sa.Column("name", text(length=120), nullable=False),
        sa.Column("media_type", text(length=40), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", text(length=66), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("erased_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "about_kind IN ('waybill', 'trip', 'advance', 'line', 'party')",
            name=op.f("ck_document_about_kind"),
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_document")),
        sa.UniqueConstraint("document_id", name=op.f("uq_document_document_id")),
    )
    with op.batch_alter_table("document", schema=None) as batch_op:
        batch_op.create_index("ix_document_about", ["about_kind", "about_id", "number"])
        batch_op.create_index("ix_document_owner_number", ["owner", "number"])
    op.create_table(
        "document_content",
        sa.Column("document_id", text(length=28), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("document_id", name=op.f("pk_document_content")),
    )


def downgrade() -> None:
    """Takes it back."""
    op.drop_table("document_content")
    op.drop_table("document")
