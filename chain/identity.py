"""Which chain a database is about: its id and its first block, bound at the first meeting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain.tables import ChainIdentityRow

if TYPE_CHECKING:
    from chain.ids import Hash32
    from chain.storage import Storage


def remember_chain(storage: Storage, chain_id: int, genesis: Hash32) -> ChainIdentityRow:
    """Binds a database to its chain at the first meeting; gives what it is bound to."""
    with storage.write() as session:
        row = session.get(ChainIdentityRow, 1)
        if row is None:
            row = ChainIdentityRow(chain_id=chain_id, genesis_hash=genesis)
            session.add(row)
        return row
