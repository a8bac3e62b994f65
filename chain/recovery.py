"""A local chain that begins anew: what was sent is sent again, on the new chain.

Only for a local development chain that is rebuilt on purpose (``make demo``). A database that meets
another first block otherwise stops: the same bytes on a foreign chain would be somebody else's money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlmodel import col, delete, select

from chain.indexer import CURSOR, owe_logs
from chain.intents import require_move
from chain.ports import TransactionState
from chain.tables import (
    BlockRow,
    ChainIdentityRow,
    CursorRow,
    EventLogRow,
    OutgoingTransactionRow,
)

if TYPE_CHECKING:
    from chain.ids import Hash32
    from chain.storage import Storage

log = structlog.get_logger(__name__)


def adopt_chain(storage: Storage, chain_id: int, genesis: Hash32) -> int:
    """Binds a database to a new first block; everything that was in blocks waits to be sent again.

    Projections stay as they are: their events must come again, equal and in order (see the indexer).

    Returns:
        How many transactions wait to be sent again.
    """
    with storage.write() as session:
        identity = session.get(ChainIdentityRow, 1)
        if identity is None:
            session.add(ChainIdentityRow(chain_id=chain_id, genesis_hash=genesis))
            return 0
        if identity.genesis_hash == genesis:
            return 0
        identity.genesis_hash = genesis
        rows = session.exec(
            select(OutgoingTransactionRow).where(
                col(OutgoingTransactionRow.block_hash).is_not(None)
            )
        ).all()
        for row in rows:
            require_move(row.key, TransactionState(row.state), TransactionState.SENT)
            row.state = TransactionState.SENT.value
            row.block_hash = None
            row.settled_at = None
        owe_logs(session, above=-1)
        session.execute(delete(EventLogRow))
        session.execute(delete(BlockRow))
        session.execute(delete(CursorRow).where(col(CursorRow.name) == CURSOR))
    log.warning("a new local chain is taken as ours", genesis=genesis, again=len(rows))
    return len(rows)
