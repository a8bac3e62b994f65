"""Receipts, disputes and loadings as they were worded, with the salts that open their hashes on chain.

A form is prepared by a GET, and only its hash travels to the chain; the words and the salt are kept here,
sealed, from that moment. What nobody signs is forgotten by a job; what is erased leaves its hash.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from api.privacy.tables import KeptPaperRow
from chain.clock import Clock
from chain.document import document_hash
from chain.ids import Hash32, PartyId

UNSIGNED_LIVES = dt.timedelta(days=2)
"""A form may be signed for a day; after two, what was prepared for it is of no use."""


@dataclass(frozen=True, slots=True)
class KeptPaper:
    """A paper; ``content`` and ``salt`` are None once they are erased."""

    document: Hash32
    about: str
    party: PartyId
    content: dict[str, Any] | None
    salt: bytes | None
    made_at: dt.datetime
    signed_at: dt.datetime | None


class Papers:
    """The kept papers in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def prepare(self, content: Mapping[str, Any], *, about: str, party: PartyId) -> Hash32:
        """Keeps a paper under a new salt and gives the hash that is signed."""
        salt = secrets.token_bytes(32)
        document = document_hash(content, salt)
        self._session.add(
            KeptPaperRow(
                document=document,
                about=about,
                party_id=str(party),
                content=dict(content),
                salt=salt.hex(),
                made_at=self._clock.now(),
            )
        )
        self._session.flush()
        return document

    def note_signed(self, document: Hash32) -> None:
        """The paper was signed: it stays. A paper that was worded elsewhere is nobody's business here."""
        row = self._session.get(KeptPaperRow, document)
        if row is not None and row.signed_at is None:
            row.signed_at = self._clock.now()
            self._session.add(row)
            self._session.flush()

    def find(self, document: Hash32) -> KeptPaper | None:
        """A paper by its hash."""
        row = self._session.get(KeptPaperRow, document)
        return None if row is None else _paper(row)

    def list_about(self, about: str) -> list[KeptPaper]:
        """What was signed about a trip, in order."""
        return self._list(col(KeptPaperRow.about) == about)

    def list_of(self, party: PartyId) -> list[KeptPaper]:
        """What a party has signed, in order."""
        return self._list(col(KeptPaperRow.party_id) == str(party))

    def erase_of(self, party: PartyId) -> int:
        """Takes words and salts of a party's papers away; how many. The hashes stand."""
        return self._erase(
            (col(KeptPaperRow.party_id) == str(party)) & col(KeptPaperRow.erased_at).is_(None)
        )

    def forget_unsigned(self) -> int:
        """Deletes what was prepared and never signed; how many."""
        stale = (
            sa.delete(KeptPaperRow)
            .where(col(KeptPaperRow.signed_at).is_(None))
            .where(col(KeptPaperRow.made_at) < self._clock.now() - UNSIGNED_LIVES)
        )
        return int(self._session.execute(stale).rowcount)  # type: ignore[attr-defined]  # CursorResult of a DELETE

    def _erase(self, which: sa.ColumnElement[bool]) -> int:
        change = (
            sa.update(KeptPaperRow)
            .where(which)
            .values(content=None, salt=None, erased_at=self._clock.now())
        )
        return int(self._session.execute(change).rowcount)  # type: ignore[attr-defined]  # CursorResult of an UPDATE

    def _list(self, which: sa.ColumnElement[bool]) -> list[KeptPaper]:
        query: Any = (
            select(KeptPaperRow)
            .where(which)
            .where(col(KeptPaperRow.signed_at).is_not(None))
            .order_by(col(KeptPaperRow.signed_at), col(KeptPaperRow.document))
        )
        rows: Sequence[KeptPaperRow] = self._session.exec(query).all()
        return [_paper(row) for row in rows]


def _paper(row: KeptPaperRow) -> KeptPaper:
    return KeptPaper(
        document=Hash32(row.document),
        about=row.about,
        party=PartyId(int(row.party_id)),
        content=row.content,
        salt=None if row.salt is None else bytes.fromhex(row.salt),
        made_at=row.made_at,
        signed_at=row.signed_at,
    )
