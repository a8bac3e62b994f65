"""Lists of waybills by side, newest first, whatever their number.

Revision: waybill_lists
Follows: profile_salts
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "waybill_lists"
down_revision: str | Sequence[str] | None = "profile_salts"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SIDES = ("issuer", "performer", "consignee")


def upgrade() -> None:
    """Makes the change."""
    with op.batch_alter_table("waybill", schema=None) as batch_op:
        for side in SIDES:
            batch_op.create_index(f"ix_waybill_{side}_number", [side, "number"])
            batch_op.create_index(f"ix_waybill_{side}_stage", [side, "stage", "number"])
            batch_op.drop_index(f"ix_waybill_{side}")


def downgrade() -> None:
    """Takes it back."""
    with op.batch_alter_table("waybill", schema=None) as batch_op:
        for side in SIDES:
            batch_op.create_index(f"ix_waybill_{side}", [side])
            batch_op.drop_index(f"ix_waybill_{side}_stage")
            batch_op.drop_index(f"ix_waybill_{side}_number")
