"""keyed indexes of parties' sealed names

Revision: party_names
Follows: terminal_owners
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from chain.sealing import Keyring, KeyringMissingError

revision: str = "party_names"
down_revision: str | Sequence[str] | None = "terminal_owners"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NAMES = ("name_zh", "name_en")


def upgrade() -> None:
    """Makes the change."""
    for name in NAMES:
        op.add_column("party", sa.Column(f"{name}_index", sa.String(64), nullable=True))
        op.create_index(f"ix_party_{name}_index", "party", [f"{name}_index"])
    party = sa.table(
        "party",
        sa.column("party_id"),
        *(sa.column(name, sa.LargeBinary()) for name in NAMES),
        *(sa.column(f"{name}_index") for name in NAMES),
    )
    bind = op.get_bind()
    for row in bind.execute(sa.select(party.c.party_id, *(party.c[name] for name in NAMES))).all():
        ring = getattr(bind.dialect, "yundan_keyring", None)
        if not isinstance(ring, Keyring):
            raise KeyringMissingError(
                "this database holds personal data: migrate with `yundan migrate`, which has the master key"
            )
        plain = [
            ring.open(bytes(value), f"party.{name}").decode()
            for name, value in zip(NAMES, row[1:], strict=True)
        ]
        filled = {
            f"{name}_index": ring.blind("party.name", text)
            for name, text in zip(NAMES, plain, strict=True)
        }
        bind.execute(sa.update(party).where(party.c.party_id == row[0]).values(filled))


def downgrade() -> None:
    """Takes it back."""
    for name in NAMES:
        op.drop_index(f"ix_party_{name}_index", table_name="party")
        with op.batch_alter_table("party") as batch_op:
            batch_op.drop_column(f"{name}_index")
