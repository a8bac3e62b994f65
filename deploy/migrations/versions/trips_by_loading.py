"""trips by the time of loading

Revision: trips_by_loading
Follows: identity
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op

revision: str = "trips_by_loading"
down_revision: str | Sequence[str] | None = "identity"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change."""
    op.create_index("ix_trip_loaded", "trip", ["loaded_at", "trip_id"])


def downgrade() -> None:
    """Takes it back."""
    op.drop_index("ix_trip_loaded", table_name="trip")
