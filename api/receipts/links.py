"""Links for consignees without an account: made by the driver, opened by whoever scans, used once.

Possession of a link is not authority: the driver holds it too. The first receipt of a consignee who has
no key needs the receiving code, which the consignor tells him and the driver never sees; afterwards the
consignee's own key decides.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any

import sqlmodel
from sqlmodel import Session, col

from api.receipts.errors import (
    CodeLockedError,
    CodeWrongError,
    LinkGoneError,
    LinkUnknownError,
    LinkUsedError,
)
from api.receipts.tables import DriverStepRow, ReceiptLinkRow, ReceiptPaperRow
from chain.clock import Clock
from chain.ids import Address, Hash32, PartyId, TripId

MOST_WRONG = 5
"""Wrong receiving codes on one link; then it is locked."""

MOST_WRONG_A_TRIP = 15
"""Wrong receiving codes on all links of a trip; then nobody can sign with a code and the firms must act."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Link:
    """A link without its token.

    Attributes:
        closed_at: when a newer link took its place.
    """

    token_hash: str
    trip: TripId
    expires_at: dt.datetime
    wrong_codes: int
    closed_at: dt.datetime | None
    used_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Paper:
    """A signed receipt: its content, and the salt that opens its hash on chain."""

    document: Hash32
    trip: TripId
    content: dict[str, Any]
    salt: str
    signature: str
    signer: Address
    drawing: bytes | None
    signed_at: dt.datetime


def token_hash(token: str) -> str:
    """What is kept of a token.

    Raises:
        LinkUnknownError: it has not the form of one.
    """
    if not _TOKEN.fullmatch(token):
        raise LinkUnknownError
    return hashlib.sha256(token.encode()).hexdigest()


class ReceiptLinks:
    """The links and signed receipts in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def make(self, trip: TripId, by: PartyId, expires_at: dt.datetime) -> str:
        """A new link's token, which is not kept; the trip's earlier links close.

        Raises:
            CodeLockedError: too many wrong codes were tried on this trip.
        """
        earlier = self._links_of(trip)
        if sum(row.wrong_codes for row in earlier) >= MOST_WRONG_A_TRIP:
            raise CodeLockedError(
                "too many wrong receiving codes on this trip; the consignor must confirm it himself"
            )
        now = self._clock.now()
        for row in earlier:
            if row.closed_at is None and row.used_at is None:
                row.closed_at = now
                self._session.add(row)
        token = secrets.token_urlsafe(32)
        self._session.add(
            ReceiptLinkRow(
                token_hash=token_hash(token),
                trip=trip,
                made_by=str(by),
                created_at=now,
                expires_at=expires_at,
            )
        )
        self._session.flush()
        return token

    def get(self, token: str) -> Link:
        """A link, whatever has become of it.

        Raises:
            LinkUnknownError: there is none.
        """
        return _link(self._row(token))

    def require_open(self, token: str) -> Link:
        """A link that can still be signed through.

        Raises:
            LinkUnknownError, LinkUsedError, LinkGoneError: says why it cannot.
        """
        link = self.get(token)
        if link.used_at is not None:
            raise LinkUsedError
        if link.closed_at is not None or link.expires_at <= self._clock.now():
            raise LinkGoneError
        return link

    def check_code(self, token: str, given: str, expected: str) -> bool:
        """Whether the receiving code is right; a wrong one is counted, in this transaction.

        Raises:
            CodeLockedError: there were too many before.
        """
        row = self._row(token)
        if row.wrong_codes >= MOST_WRONG:
            raise CodeLockedError
        if hmac.compare_digest(given.encode(), expected.encode()):
            return True
        row.wrong_codes += 1
        self._session.add(row)
        self._session.flush()
        return False

    def use(self, token: str, paper: Paper) -> None:
        """Ends a link with what was signed through it."""
        row = self._row(token)
        row.used_at = self._clock.now()
        self._session.add(row)
        self._session.add(
            ReceiptPaperRow(
                document=paper.document,
                trip=paper.trip,
                token_hash=row.token_hash,
                content=paper.content,
                salt=paper.salt,
                signature=paper.signature,
                signer=paper.signer,
                drawing=paper.drawing,
                signed_at=paper.signed_at,
            )
        )
        self._session.flush()

    def find_paper(self, document: str) -> Paper | None:
        """A signed receipt by the hash of its document."""
        row = self._session.get(ReceiptPaperRow, document)
        return None if row is None else _paper(row)

    def find_paper_of(self, token: str) -> Paper | None:
        """What was signed through a link."""
        query = sqlmodel.select(ReceiptPaperRow).where(
            col(ReceiptPaperRow.token_hash) == token_hash(token)
        )
        row = self._session.exec(query).first()
        return None if row is None else _paper(row)

    def list_papers(self, trip: TripId) -> list[Paper]:
        """The receipts signed for a trip."""
        query = sqlmodel.select(ReceiptPaperRow).where(col(ReceiptPaperRow.trip) == trip)
        return [_paper(row) for row in self._session.exec(query)]

    # -- what a driver says ----------------------------------------------------------------------

    def tell_step(self, trip: TripId, driver: PartyId, step: str, at: dt.datetime) -> dt.datetime:
        """Keeps a driver's word once; the first stands. Gives its time."""
        row = self._session.get(DriverStepRow, (trip, step))
        if row is None:
            row = DriverStepRow(
                trip=trip, step=step, driver=str(driver), at=at, told_at=self._clock.now()
            )
            self._session.add(row)
            self._session.flush()
        return row.at

    def list_steps(self, trips: list[TripId]) -> dict[TripId, dict[str, dt.datetime]]:
        """What drivers have said, by trip and step."""
        found: dict[TripId, dict[str, dt.datetime]] = {trip: {} for trip in trips}
        query = sqlmodel.select(DriverStepRow).where(col(DriverStepRow.trip).in_(trips))
        for row in self._session.exec(query) if trips else ():
            found[TripId(Hash32(row.trip))][row.step] = row.at
        return found

    def _links_of(self, trip: TripId) -> list[ReceiptLinkRow]:
        query = sqlmodel.select(ReceiptLinkRow).where(col(ReceiptLinkRow.trip) == trip)
        return list(self._session.exec(query))

    def _row(self, token: str) -> ReceiptLinkRow:
        row = self._session.get(ReceiptLinkRow, token_hash(token))
        if row is None:
            raise LinkUnknownError
        return row


def require_right(is_right: bool) -> None:  # noqa: FBT001  the one question it answers
    """Passes a right receiving code; called after the count of wrong ones is committed.

    Raises:
        CodeWrongError: it was wrong.
    """
    if not is_right:
        raise CodeWrongError(field="code")


def _link(row: ReceiptLinkRow) -> Link:
    return Link(
        token_hash=row.token_hash,
        trip=TripId(Hash32(row.trip)),
        expires_at=row.expires_at,
        wrong_codes=row.wrong_codes,
        closed_at=row.closed_at,
        used_at=row.used_at,
    )


def _paper(row: ReceiptPaperRow) -> Paper:
    return Paper(
        document=Hash32(row.document),
        trip=TripId(Hash32(row.trip)),
        content=dict(row.content),
        salt=row.salt,
        signature=row.signature,
        signer=Address(row.signer),
        drawing=row.drawing,
        signed_at=row.signed_at,
    )
