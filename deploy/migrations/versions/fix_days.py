"""fix_days: on PostgreSQL the fixes of a day stand in a table of their own

Revision: fix_days
Follows: four_eyes
"""

from __future__ import annotations

from collections.abc import Sequence

from alembic import op


revision: str = "fix_days"
down_revision: str | Sequence[str] | None = "four_eyes"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Makes the change: the rows move into the catch-all, and from there into their days as these are made."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("ALTER TABLE fix RENAME TO fix_whole")
    op.execute("ALTER TABLE fix_whole RENAME CONSTRAINT pk_fix TO pk_fix_whole")
    op.execute("CREATE TABLE fix (LIKE fix_whole INCLUDING DEFAULTS) PARTITION BY RANGE (time)")
    op.execute("ALTER TABLE fix ADD CONSTRAINT pk_fix PRIMARY KEY (terminal_number, time, digest)")
    op.execute("CREATE SCHEMA IF NOT EXISTS fix_day")
    op.execute("CREATE TABLE fix_day.other PARTITION OF fix DEFAULT")
    op.execute("INSERT INTO fix SELECT * FROM fix_whole")
    op.execute("DROP TABLE fix_whole")


def downgrade() -> None:
    """Takes it back."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("CREATE TABLE fix_whole (LIKE fix INCLUDING DEFAULTS)")
    op.execute("INSERT INTO fix_whole SELECT * FROM fix")
    op.execute("DROP TABLE fix")
    op.execute("DROP SCHEMA fix_day CASCADE")
    op.execute("ALTER TABLE fix_whole RENAME TO fix")
    op.execute("ALTER TABLE fix ADD CONSTRAINT pk_fix PRIMARY KEY (terminal_number, time, digest)")
