"""Calls that travel merged with others: who carries them, and who travels alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "merged_calls"
down_revision = "trips_by_loading"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SIGNED = "state NOT IN ('sent', 'mined', 'final') OR (nonce IS NOT NULL AND raw IS NOT NULL)"


def upgrade() -> None:
    """Two columns, and a member of a merged call needs neither nonce nor bytes of its own."""
    _put_attempts_aside()
    with op.batch_alter_table("outgoing_transaction", schema=None) as batch_op:
        batch_op.add_column(sa.Column("carrier_id", BIG, nullable=True))
        batch_op.add_column(
            sa.Column("is_alone", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_outgoing_transaction_carrier_id_outgoing_transaction"),
            "outgoing_transaction",
            ["carrier_id"],
            ["id"],
        )
        batch_op.create_index(
            batch_op.f("ix_outgoing_transaction_carrier_id"), ["carrier_id"], unique=False
        )
        batch_op.drop_constraint(batch_op.f("ck_outgoing_transaction_signed"), type_="check")
        batch_op.create_check_constraint(
            batch_op.f("ck_outgoing_transaction_signed"), f"{SIGNED} OR carrier_id IS NOT NULL"
        )
    with op.batch_alter_table("outgoing_transaction", schema=None) as batch_op:
        batch_op.alter_column("is_alone", server_default=None)
    _put_attempts_back()


def downgrade() -> None:
    """Takes both away; members of merged calls on their way must have landed before."""
    _put_attempts_aside()
    with op.batch_alter_table("outgoing_transaction", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_outgoing_transaction_signed"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_outgoing_transaction_signed"), SIGNED)
        batch_op.drop_index(batch_op.f("ix_outgoing_transaction_carrier_id"))
        batch_op.drop_constraint(
            batch_op.f("fk_outgoing_transaction_carrier_id_outgoing_transaction"),
            type_="foreignkey",
        )
        batch_op.drop_column("is_alone")
        batch_op.drop_column("carrier_id")
    _put_attempts_back()


def _put_attempts_aside() -> None:
    """SQLite alters a table by copying it, and will not drop one that others point to."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE TABLE kept_attempt AS SELECT * FROM transaction_attempt")
        op.execute("DELETE FROM transaction_attempt")


def _put_attempts_back() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("INSERT INTO transaction_attempt SELECT * FROM kept_attempt")
        op.execute("DROP TABLE kept_attempt")
