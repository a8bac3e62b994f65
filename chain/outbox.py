"""The outbox in the database: an intent is written in the use case's own transaction.

It is sent only after that transaction has committed; a commit wakes the writer.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import col, select

from chain.errors import InvalidValueError, KeyReusedError
from chain.ids import Hash32
from chain.intents import CARRIER
from chain.ports import Outgoing, TransactionState
from chain.storage import insert_new
from chain.tables import OutgoingTransactionRow

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection

    from sqlmodel import Session

    from chain.abi import ContractCall
    from chain.clock import Clock
    from chain.ids import Address

CREATION = "constructor"
"""The function name of a call that puts a new contract on chain."""


class SqlOutbox:
    """The outbox of one database transaction (it keeps ``chain.ports.Outbox``).

    Args:
        session: the transaction of the use case.
        signer: account whose key will send; calls of one signer land in the order queued.
        clock: the machine's time, for the record.
        wake: set when the transaction commits, so that the writer need not poll.
        tell: is told the key and the call of each new intent, for logs.
    """

    def __init__(
        self,
        session: Session,
        *,
        signer: Address,
        clock: Clock,
        wake: threading.Event | None = None,
        tell: Callable[[str, ContractCall], None] | None = None,
    ) -> None:
        self._session = session
        self._signer = signer
        self._clock = clock
        self._wake = wake
        self._tell = tell

    def queue(self, call: ContractCall, *, key: str, about: str = "") -> None:
        """Writes an intent down; the same key with the same call changes nothing.

        Raises:
            KeyReusedError: the key was used for another call.
            InvalidValueError: the key is empty or longer than 200 characters.
        """
        if not 0 < len(key) <= 200 or key.startswith(CARRIER):
            raise InvalidValueError(
                f"a key has 1 to 200 characters and does not begin with {CARRIER}", field="key"
            )
        body_hash = hash_of(call)
        # Two use cases may race for one key: the second waits for the first and then finds it.
        is_new = insert_new(
            self._session,
            OutgoingTransactionRow,
            {
                "key": key,
                "body_hash": body_hash,
                "signer": self._signer,
                "contract": call.contract,
                "function": call.function,
                "to": call.to,
                "data": call.data,
                "gas": call.gas,
                "about": about,
                "state": TransactionState.QUEUED.value,
                "is_alone": False,
                "error": "",
                "error_facts": {},
                "message": "",
                "queued_at": self._clock.now(),
            },
            "key",
        )
        if not is_new:
            kept = self._session.exec(
                select(col(OutgoingTransactionRow.body_hash)).where(
                    col(OutgoingTransactionRow.key) == key
                )
            ).one()
            if kept != body_hash:
                raise KeyReusedError(
                    f"the key {key} was used before for another call", field="key", key=key
                )
            return
        if self._tell is not None:
            self._tell(key, call)
        if self._wake is not None:
            sa.event.listen(self._session, "after_commit", self._on_commit, once=True)

    def find(self, key: str) -> Outgoing | None:
        """What has become of an intent."""
        row = self._session.exec(
            select(OutgoingTransactionRow).where(col(OutgoingTransactionRow.key) == key)
        ).first()
        return None if row is None else outgoing_of(row)

    def list_about(self, about: str) -> list[Outgoing]:
        """Every intent about an object, oldest first."""
        return self.list_about_each([about])[about]

    def list_about_each(self, about: Collection[str]) -> dict[str, list[Outgoing]]:
        """Every intent about each of some objects, oldest first, in one question."""
        rows = self._session.exec(
            select(OutgoingTransactionRow)
            .where(col(OutgoingTransactionRow.about).in_(about))
            .order_by(col(OutgoingTransactionRow.id))
        )
        found: dict[str, list[Outgoing]] = {one: [] for one in about}
        for row in rows:
            found[row.about].append(outgoing_of(row))
        return found

    def _on_commit(self, _session: Session) -> None:
        if self._wake is not None:
            self._wake.set()


def hash_of(call: ContractCall) -> str:
    """SHA-256 of what a call does: contract, address, function and data (not the gas limit)."""
    head = f"{call.contract}\n{call.to or ''}\n{call.function}\n".encode()
    return hashlib.sha256(head + call.data).hexdigest()


def outgoing_of(row: OutgoingTransactionRow) -> Outgoing:
    """The row as services see it."""
    return Outgoing(
        key=row.key,
        contract=row.contract,
        function=row.function,
        state=TransactionState(row.state),
        about=row.about,
        transaction_hash=Hash32(row.transaction_hash) if row.transaction_hash else None,
        block_number=row.block_number,
        block_hash=Hash32(row.block_hash) if row.block_hash else None,
        block_time=row.block_time,
        queued_at=row.queued_at,
        gas_used=row.gas_used,
        error=row.error,
        error_facts=dict(row.error_facts),
        message=row.message,
    )
