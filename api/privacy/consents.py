"""Consents: who agreed to what, to which words, when, and when he took it back."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import Session, col, select

from api.identity.people import new_id
from api.privacy.tables import ConsentRow
from chain.clock import Clock
from chain.errors import NotFoundError


class Purpose(StrEnum):
    """What somebody agrees to."""

    TERMS = "terms"
    """The platform's terms."""
    POSITIONS = "positions"
    """Positions of his vehicle during a trip's window."""
    CREDIT = "credit"
    """His data in a credit decision, and shown to the lender."""
    CUSTODY = "custody"
    """That the platform holds the key of his party."""
    PAYOUT = "payout"
    """His account at a bank, for payment."""


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent; ``text_hash`` is SHA-256 of the words he was shown."""

    id: str
    subject: str
    purpose: Purpose
    text_hash: str
    given_at: dt.datetime
    withdrawn_at: dt.datetime | None


class Consents:
    """The consents in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def give(self, subject: str, purpose: Purpose, text_hash: str, given_by: str) -> Consent:
        """Keeps a consent; the same words to the same purpose again is one consent."""
        for held in self.list_of(subject):
            if (held.purpose, held.text_hash, held.withdrawn_at) == (purpose, text_hash, None):
                return held
        row = ConsentRow(
            consent_id=new_id("con"),
            subject=subject,
            purpose=purpose.value,
            text_hash=text_hash,
            given_at=self._clock.now(),
            given_by=given_by,
        )
        self._session.add(row)
        self._session.flush()
        return _consent(row)

    def list_of(self, subject: str) -> list[Consent]:
        """A person's consents, the first first."""
        query = (
            select(ConsentRow)
            .where(col(ConsentRow.subject) == subject)
            .order_by(col(ConsentRow.given_at), col(ConsentRow.consent_id))
        )
        return [_consent(row) for row in self._session.exec(query)]

    def has(self, subject: str, purpose: Purpose) -> bool:
        """Whether a person agrees to a purpose now."""
        return any(
            held.purpose is purpose and held.withdrawn_at is None for held in self.list_of(subject)
        )

    def withdraw(self, subject: str, consent: str) -> Consent:
        """Takes a consent back, for the future; twice is once.

        Raises:
            NotFoundError: this person gave no such consent.
        """
        row = self._session.get(ConsentRow, consent)
        if row is None or row.subject != subject:
            raise NotFoundError("there is no such consent")
        if row.withdrawn_at is None:
            row.withdrawn_at = self._clock.now()
            self._session.add(row)
            self._session.flush()
        return _consent(row)


def _consent(row: ConsentRow) -> Consent:
    return Consent(
        id=row.consent_id,
        subject=row.subject,
        purpose=Purpose(row.purpose),
        text_hash=row.text_hash,
        given_at=row.given_at,
        withdrawn_at=row.withdrawn_at,
    )
