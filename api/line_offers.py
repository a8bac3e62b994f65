"""Terms of a credit line between two signatures: the lender lays them before his borrower, who signs first.

A form that needs both sides is kept here from the first signature to the second, so that nobody has to carry it
over by hand and no ended session loses it. The lender signs last, since what he has signed only he hands in
where he works with four eyes; his signature sends it to the chain, and from then on the line tells the rest.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
import sqlmodel
from sqlmodel import Session, col

from api.object_ids import new_id
from api.schemas.signing import read_message
from api.tables import LineOfferRow
from chain.bindings.structs import CreditLine, LineChange
from chain.clock import Clock
from chain.errors import NotFoundError, UnexpectedStateError
from chain.ids import Hash32, LineId, PartyId
from chain.paging import behind
from chain.typed_data import struct_hash

MOST: Final = 200
"""Offers of a party that are listed, the newest."""


class OfferKind(StrEnum):
    """What is signed."""

    OPEN = "open"
    CHANGE = "change"


class OfferState(StrEnum):
    """How far an offer is."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    """The borrower has signed; the lender signs last."""
    SENT = "sent"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


MOVES: Final[Mapping[OfferState, frozenset[OfferState]]] = {
    OfferState.OFFERED: frozenset(
        {OfferState.ACCEPTED, OfferState.REFUSED, OfferState.WITHDRAWN, OfferState.EXPIRED}
    ),
    OfferState.ACCEPTED: frozenset({OfferState.SENT, OfferState.WITHDRAWN, OfferState.EXPIRED}),
    OfferState.SENT: frozenset(),
    OfferState.REFUSED: frozenset(),
    OfferState.WITHDRAWN: frozenset(),
    OfferState.EXPIRED: frozenset(),
}
"""State -> states that may follow."""


@dataclass(frozen=True, slots=True)
class LineOffer:
    """An offer.

    Attributes:
        line: that is changed, or that the form would open.
        form: what both sides sign.
        borrower_signature: "" until he has signed.
        made_by: account or key that laid it before the borrower.
    """

    id: str
    kind: OfferKind
    lender: PartyId
    borrower: PartyId
    line: LineId
    form: CreditLine | LineChange
    state: OfferState
    borrower_signature: str
    made_at: dt.datetime
    made_by: str
    expires_at: dt.datetime
    signed_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None

    @property
    def waits_for(self) -> PartyId | None:
        """Whose signature it waits for; None where it is over."""
        turn = {OfferState.OFFERED: self.borrower, OfferState.ACCEPTED: self.lender}
        return turn.get(self.state)


class LineOffers:
    """The offers in one database session.

    Args:
        session: of the transaction.
        clock: the chain's time, since a form runs out by it.
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def lay(
        self,
        form: CreditLine | LineChange,
        *,
        message: Mapping[str, Any],
        lender: PartyId,
        borrower: PartyId,
        by: str,
    ) -> LineOffer:
        """Lays a form before its borrower; the same form again is the same offer.

        Args:
            form: what both sides sign.
            message: the same, as it is signed.
            lender: who lays it.
            borrower: before whom.
            by: who acts for the lender.
        """
        hashed = struct_hash(form)
        known = self._session.exec(
            sqlmodel.select(LineOfferRow).where(col(LineOfferRow.form_hash) == hashed)
        ).first()
        if known is not None:
            return self._read(known)
        opens = isinstance(form, CreditLine)
        row = LineOfferRow(
            offer_id=new_id("line_offer"),
            form_hash=hashed,
            kind=(OfferKind.OPEN if opens else OfferKind.CHANGE).value,
            lender=str(lender),
            borrower=str(borrower),
            line=hashed if isinstance(form, CreditLine) else str(form.line),
            message=dict(message),
            state=OfferState.OFFERED.value,
            made_at=self._clock.now(),
            made_by=by[:80],
            expires_at=dt.datetime.fromtimestamp(form.expires, dt.UTC),
        )
        self._session.add(row)
        self._session.flush()
        return self._read(row)

    def find(self, offer: str) -> LineOffer | None:
        """An offer."""
        row = self._session.get(LineOfferRow, offer)
        return None if row is None else self._read(row)

    def list_of(
        self, *, lender: PartyId | None = None, borrower: PartyId | None = None
    ) -> list[LineOffer]:
        """A side's offers, the newest first."""
        query = sqlmodel.select(LineOfferRow)
        if lender is not None:
            query = query.where(col(LineOfferRow.lender) == str(lender))
        if borrower is not None:
            query = query.where(col(LineOfferRow.borrower) == str(borrower))
        query = query.order_by(col(LineOfferRow.made_at).desc(), col(LineOfferRow.offer_id))
        return [self._read(row) for row in self._session.exec(query.limit(MOST))]

    def page_of(
        self, party: PartyId, *, after: LineOffer | None = None, limit: int
    ) -> list[LineOffer]:
        """A page of a party's offers, as lender and as borrower, the newest first."""
        row = LineOfferRow
        mine = sa.or_(col(row.lender) == str(party), col(row.borrower) == str(party))
        place = None if after is None else (after.made_at, after.id)
        order = (col(row.made_at), col(row.offer_id))
        query = behind(sqlmodel.select(row).where(mine), order, place, newest=True)
        return [self._read(one) for one in self._session.exec(query.limit(limit))]

    def accept(self, offer: str, signature: str) -> LineOffer:
        """Keeps the borrower's signature.

        Raises:
            NotFoundError: there is no such offer.
            UnexpectedStateError: it is over, or signed already.
        """
        return self._move(offer, OfferState.ACCEPTED, borrower_signature=signature)

    def end(self, offer: str, wanted: OfferState) -> LineOffer:
        """Sent to the chain, refused by the borrower or withdrawn by the lender.

        Raises:
            NotFoundError: there is no such offer.
            UnexpectedStateError: it is over, or not signed yet.
        """
        return self._move(offer, wanted)

    def _move(self, offer: str, wanted: OfferState, **changes: Any) -> LineOffer:
        row = self._session.get(LineOfferRow, offer, with_for_update=True)
        if row is None:
            raise NotFoundError("there is no such offer")
        current = self._read(row).state
        if wanted not in MOVES[current]:
            raise UnexpectedStateError(
                f"an offer that is {current} cannot become {wanted}",
                current=current.value,
                wanted=wanted.value,
            )
        row.state = wanted.value
        if wanted is OfferState.ACCEPTED:
            row.signed_at = self._clock.now()
        else:
            row.ended_at = self._clock.now()
        for name, value in changes.items():
            setattr(row, name, value)
        self._session.add(row)
        self._session.flush()
        return self._read(row)

    def _read(self, row: LineOfferRow) -> LineOffer:
        kind = OfferKind(row.kind)
        form: CreditLine | LineChange
        if kind is OfferKind.OPEN:
            form = read_message(CreditLine, row.message)
        else:
            form = read_message(LineChange, row.message)
        state = OfferState(row.state)
        if OfferState.EXPIRED in MOVES[state] and row.expires_at <= self._clock.now():
            state = OfferState.EXPIRED
        return LineOffer(
            id=row.offer_id,
            kind=kind,
            lender=PartyId(int(row.lender)),
            borrower=PartyId(int(row.borrower)),
            line=LineId(Hash32(row.line)),
            form=form,
            state=state,
            borrower_signature=row.borrower_signature,
            made_at=row.made_at,
            made_by=row.made_by,
            expires_at=row.expires_at,
            signed_at=row.signed_at,
            ended_at=row.ended_at,
        )
