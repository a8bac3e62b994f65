"""Custody by the platform: a party's key kept here, sealed, because the party said so; and shown.

Whether the platform can sign for a party is a fact of two places: a sealed key here whose address the
registry names for the party. For any other party there is nothing to sign with.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass

from sqlmodel import Session, col, select

from api.auth import Caller
from api.errors import ApiError
from api.identity.people import new_id
from api.identity.tables import PlatformKeyRow, PlatformSignatureRow
from chain.abi import Struct
from chain.clock import Clock
from chain.ids import Address, PartyId
from chain.paging import behind
from chain.party import Party
from chain.ports import Domain
from chain.signers import LocalSigner
from chain.typed_data import struct_hash


class SelfCustodyError(ApiError):
    """This party keeps its own key: the platform holds none and cannot sign for it."""

    code = "self_custody"


@dataclass(frozen=True, slots=True)
class PlatformSignature:
    """Something the platform has signed for a party."""

    id: str
    form: str
    struct_hash: str
    asked_by: str
    at: dt.datetime


class PlatformKeys:
    """The keys held for parties, in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def make(self, party: PartyId, caller: Caller) -> LocalSigner:
        """A new key for a party that will have it, by its explicit choice."""
        secret = os.urandom(32)
        signer = LocalSigner(secret)
        self._session.add(
            PlatformKeyRow(
                party_id=str(party),
                address=signer.address,
                secret=secret,
                chosen_by=caller.account_id or caller.name,
                chosen_at=self._clock.now(),
            )
        )
        self._session.flush()
        return signer

    def holds_for(self, party: Party) -> bool:
        """Whether the platform holds the key that speaks for a party now."""
        row = self._row(party.id)
        return row is not None and row.secret is not None and row.address == party.key

    def sign(self, party: Party, form: Struct, domain: Domain, caller: Caller) -> bytes:
        """Signs for a party in custody, and writes down what and at whose word.

        Raises:
            SelfCustodyError: the party keeps its own key.
        """
        row = self._row(party.id)
        if row is None or row.secret is None or row.address != party.key:
            raise SelfCustodyError(party=str(party.id))
        signature = LocalSigner(row.secret).sign_typed_data(form, domain)
        self._session.add(
            PlatformSignatureRow(
                signature_id=new_id("sig"),
                party_id=str(party.id),
                form=type(form).__name__,
                struct_hash=struct_hash(form),
                asked_by=caller.account_id or caller.name,
                at=self._clock.now(),
            )
        )
        self._session.flush()
        return signature

    def list_signed(
        self, party: PartyId, *, after: str | None = None, limit: int
    ) -> list[PlatformSignature] | None:
        """A page of what the platform has signed for a party, newest first; None if ``after`` names none of it."""
        row, place = PlatformSignatureRow, None
        if after is not None:
            last = self._session.get(row, after)
            if last is None or last.party_id != str(party):
                return None
            place = (last.at, last.signature_id)
        query = behind(
            select(row).where(col(row.party_id) == str(party)),
            (col(row.at), col(row.signature_id)),
            place,
            newest=True,
        )
        return [
            PlatformSignature(one.signature_id, one.form, one.struct_hash, one.asked_by, one.at)
            for one in self._session.exec(query.limit(limit))
        ]

    def forget(self, party: PartyId, now_key: Address) -> None:
        """The party has another key: what was held for it is destroyed."""
        row = self._row(party)
        if row is not None and row.secret is not None and row.address != now_key:
            row.secret, row.ended_at = None, self._clock.now()
            self._session.add(row)
            self._session.flush()

    def _row(self, party: PartyId) -> PlatformKeyRow | None:
        return self._session.get(PlatformKeyRow, str(party))
