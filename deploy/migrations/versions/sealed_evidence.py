"""The evidence a trip was judged on lies sealed: it holds a drive and a terminal's phone.

Revision: sealed_evidence
Follows: kept_secrets
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from alembic import op

from chain.sealing import Keyring, KeyringMissingError

revision: str = "sealed_evidence"
down_revision: str | Sequence[str] | None = "kept_secrets"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PLACE = "track_evidence.document"
HELD = sa.table(
    "track_evidence", sa.column("trip", sa.String()), sa.column("document", sa.LargeBinary())
)


def _ring() -> Keyring:
    ring = getattr(op.get_bind().dialect, "yundan_keyring", None)
    if not isinstance(ring, Keyring):
        raise KeyringMissingError(
            "this database holds personal data: migrate with `yundan migrate`, which has the master key"
        )
    return ring


def _turn(turn: Callable[[bytes], bytes]) -> None:
    bind = op.get_bind()
    for trip in bind.execute(sa.select(HELD.c.trip)).scalars().all():  # one drive at a time
        held = bind.execute(sa.select(HELD.c.document).where(HELD.c.trip == trip)).scalar_one()
        bind.execute(sa.update(HELD).where(HELD.c.trip == trip).values(document=turn(bytes(held))))


def upgrade() -> None:
    """Makes the change."""
    _turn(lambda plain: _ring().seal(plain, PLACE))


def downgrade() -> None:
    """Takes the change back."""
    _turn(lambda sealed: _ring().open(sealed, PLACE))
