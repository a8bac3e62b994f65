"""A person's data: everything in one JSON, and the erasure that leaves the trail and takes the content.

A person is an account (who signs in), a party that is a natural person (a driver, a consignee), or both.
What is erased: names, logins, phones, secrets, the plate and terminal in his waybills with the salts that
open their hashes, his receipts' words and drawings, his photos. What stands: ids, amounts, times, states,
hashes, signatures: they are the loan's and the chain's record, and tell no name any more.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from api.errors import ApiError
from api.identity.people import ERASED, new_id
from api.identity.tables import (
    AccountRow,
    InvitationRow,
    MemberRow,
    OrganisationRow,
    SessionRow,
)
from api.privacy.access import AccessLog
from api.privacy.consents import Consents
from api.privacy.papers import Papers
from api.privacy.tables import ErasureRow
from api.receipts.tables import ReceiptPaperRow
from api.tables import DocumentContentRow, DocumentRow
from chain.clock import Clock, rfc3339
from chain.document import forget
from chain.ids import PartyId
from chain.sealing import Keyring
from chain.tables import PartyRow, TripRow, WaybillRow
from chain.waybill import Stage

NATURAL = frozenset({"driver", "consignee"})
"""Kinds of parties that may be people; a firm's name is no personal datum."""

PERSONAL_PAPERS = ("plate", "terminal")
"""What of a waybill's papers goes, with the salts by which a guess could be tried: the vehicle, its terminal."""

ENDED = frozenset({Stage.PAID.value, Stage.CANCELLED.value, Stage.REFUSED.value})


class StillNeededError(ApiError):
    """A trip or a loan of this person is not ended; what it rests on is erased afterwards."""

    code = "still_needed"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose data.

    Attributes:
        account: "" for a party without an account.
        party: None for a person who is no party himself.
    """

    account: str
    party: PartyId | None


class Persons:
    """Export and erasure in one database session."""

    def __init__(
        self,
        session: Session,
        clock: Clock,
        keyring: Keyring,
        *,
        papers: Papers,
        consents: Consents,
        access: AccessLog,
    ) -> None:
        self._session = session
        self._clock = clock
        self._keyring = keyring
        self._papers = papers
        self._consents = consents
        self._access = access

    def is_natural(self, party: PartyId) -> bool:
        """Whether a party may be a person."""
        row = self._session.get(PartyRow, str(party))
        return row is not None and row.kind in NATURAL

    def export(self, subject: Subject) -> dict[str, Any]:
        """Everything that is kept of a person, as JSON values."""
        found: dict[str, Any] = {"exported_at": rfc3339(self._clock.now())}
        abouts = [subject.account] if subject.account else []
        if subject.account:
            found["account"] = self._account(subject.account)
        if subject.party is not None:
            found["party"] = self._party(subject.party)
            waybills = self._waybills(subject.party)
            trips = [row.trip_id for row in waybills if row.trip_id]
            found["waybills"] = [
                {"id": row.waybill_id, "trip": row.trip_id, "stage": row.stage} | row.papers
                for row in waybills
            ]
            found["papers"] = [
                {"document": one.document, "about": one.about, "content": one.content}
                for one in self._papers.list_of(subject.party)
            ]
            found["receipts"] = [
                {"document": row.document, "trip": row.trip, "content": row.content}
                for row in self._receipts(subject.party)
            ]
            found["documents"] = [
                {"id": row.document_id, "about": row.about_id, "name": row.name, "size": row.size}
                for row in self._documents(subject.party)
            ]
            abouts += [str(subject.party), *trips]
        found["consents"] = [
            {
                "id": one.id,
                "purpose": one.purpose.value,
                "text_hash": one.text_hash,
                "given_at": rfc3339(one.given_at),
                "withdrawn_at": rfc3339(one.withdrawn_at) if one.withdrawn_at else None,
            }
            for name in self._names(subject)
            for one in self._consents.list_of(name)
        ]
        found["asked_for"] = [
            {"at": rfc3339(row.at), "by": row.caller, "what": row.action, "about": row.about}
            for row in self._access.list_about(abouts)
        ]
        return found

    def erase(self, subject: Subject, asked_by: str) -> dict[str, int]:
        """Takes a person's data away; how many rows of each kind. Twice is once.

        Raises:
            StillNeededError: one of his trips has not ended.
        """
        counts: dict[str, int] = {}
        if subject.party is not None:
            self._require_ended(subject.party)
            counts |= self._erase_party(subject.party)
        if subject.account:
            counts |= self._erase_account(subject.account)
        for name in self._names(subject):
            self._session.add(
                ErasureRow(
                    erasure_id=new_id("era"),
                    subject=name,
                    asked_by=asked_by,
                    counts=counts,
                    at=self._clock.now(),
                )
            )
        self._session.flush()
        return counts

    def repeat_erasures(self, since: Iterable[str] = ()) -> int:
        """Erases again what was erased, after a backup from before was restored; how many people.

        Args:
            since: ids of people erased after the backup was taken.
        """
        subjects = [*self._session.exec(select(ErasureRow.subject)), *since]
        for name in sorted(set(subjects)):
            if name.startswith("acc_"):
                self._erase_account(name)
            else:
                self._erase_party(PartyId(int(name)))
        return len(set(subjects))

    def forget_stale(self, days: int) -> int:
        """Deletes sessions and invitations that ended so many days ago; how many rows."""
        before, gone = self._clock.now() - dt.timedelta(days=days), 0
        for table, over in (
            (SessionRow, col(SessionRow.expires_at) < before),
            (InvitationRow, col(InvitationRow.expires_at) < before),
        ):
            done = self._session.execute(sa.delete(table).where(over))
            gone += int(done.rowcount)  # type: ignore[attr-defined]  # CursorResult of a DELETE
        return gone

    # -- within -------------------------------------------------------------------------------

    def _names(self, subject: Subject) -> list[str]:
        names = [subject.account] if subject.account else []
        return names + ([str(subject.party)] if subject.party is not None else [])

    def _account(self, account: str) -> dict[str, Any]:
        row = self._session.get_one(AccountRow, account)
        members = self._session.exec(select(MemberRow).where(col(MemberRow.account_id) == account))
        sessions = self._session.exec(
            select(SessionRow).where(col(SessionRow.account_id) == account)
        )
        return {
            "id": account,
            "login": row.login,
            "name": row.name,
            "phone": row.phone,
            "created_at": rfc3339(row.created_at),
            "memberships": [
                {"organisation": one.org_id, "role": one.role, "joined_at": rfc3339(one.joined_at)}
                for one in members
            ],
            "sessions": [
                {"made_at": rfc3339(one.made_at), "agent": one.agent, "method": one.method}
                for one in sessions
            ],
        }

    def _party(self, party: PartyId) -> dict[str, Any]:
        row = self._session.get_one(PartyRow, str(party))
        return {
            "id": row.party_id, "name_zh": row.name_zh, "name_en": row.name_en,
            "kind": row.kind, "stage": row.stage, "key": row.key,
        }  # fmt: skip

    def _waybills(self, party: PartyId) -> list[WaybillRow]:
        query = select(WaybillRow).where(col(WaybillRow.performer) == str(party))
        return list(self._session.exec(query.order_by(col(WaybillRow.number))))

    def _receipts(self, party: PartyId) -> list[ReceiptPaperRow]:
        query = (
            select(ReceiptPaperRow)
            .where(col(ReceiptPaperRow.trip) == col(WaybillRow.trip_id))
            .where(col(WaybillRow.consignee) == str(party))
        )
        return list(self._session.exec(query))

    def _documents(self, party: PartyId) -> list[DocumentRow]:
        query = (
            select(DocumentRow)
            .where(col(DocumentRow.owner) == str(party))
            .where(col(DocumentRow.erased_at).is_(None))
        )
        return list(self._session.exec(query.order_by(col(DocumentRow.number))))

    def _require_ended(self, party: PartyId) -> None:
        open_ = (
            select(sa.func.count())
            .select_from(WaybillRow)
            .where(
                (col(WaybillRow.performer) == str(party))
                | (col(WaybillRow.consignee) == str(party))
            )
            .where(col(WaybillRow.stage).not_in(ENDED))
        )
        disputed = (
            select(sa.func.count())
            .select_from(TripRow)
            .where(col(TripRow.leaf_id) == col(WaybillRow.waybill_id))
            .where(col(WaybillRow.performer) == str(party))
            .where(col(TripRow.disputed).is_(True))
        )
        waiting = self._session.exec(open_).one(), self._session.exec(disputed).one()
        if any(waiting):
            raise StillNeededError(waybills=waiting[0], disputes=waiting[1])

    def _erase_party(self, party: PartyId) -> dict[str, int]:
        row = self._session.get(PartyRow, str(party))
        if row is None:
            return {}
        row.name_zh = row.name_en = ERASED
        row.name_zh_index = row.name_en_index = row.profile_salt = None
        self._session.add(row)
        waybills = [one for one in self._waybills(party) if one.trip_id]
        for waybill in waybills:
            waybill.papers = forget(waybill.papers, PERSONAL_PAPERS)
            self._session.add(waybill)
        receipts = self._receipts(party)
        for receipt in receipts:
            receipt.content, receipt.salt, receipt.drawing = {"erased": True}, "", None
            self._session.add(receipt)
        documents = self._documents(party)
        for document in documents:
            content = self._session.get(DocumentContentRow, document.document_id)
            if content is not None:
                self._session.delete(content)
            document.name, document.erased_at = "", self._clock.now()
            self._session.add(document)
        organisation = self._session.exec(
            select(OrganisationRow).where(col(OrganisationRow.party_id) == str(party))
        ).first()
        if organisation is not None:
            organisation.name = None
            self._session.add(organisation)
        return {
            "parties": 1,
            "waybills": len(waybills),
            "receipts": len(receipts),
            "documents": len(documents),
            "papers": self._papers.erase_of(party),
        }

    def _erase_account(self, account: str) -> dict[str, int]:
        row = self._session.get(AccountRow, account)
        if row is None:
            return {}
        # what nobody can hash to: the login is free again, and this account is found by none
        row.login_hash = secrets.token_hex(32)
        row.login = row.name = row.phone = row.phone_hash = None
        row.password_hash = row.totp_secret = None
        row.closed_at = row.closed_at or self._clock.now()
        self._session.add(row)
        now = self._clock.now()
        sessions = self._session.execute(
            sa.update(SessionRow)
            .where(col(SessionRow.account_id) == account)
            .values(agent=None, revoked_at=now)
        )
        self._session.execute(
            sa.update(MemberRow)
            .where(col(MemberRow.account_id) == account)
            .where(col(MemberRow.left_at).is_(None))
            .values(left_at=now)
        )
        return {"accounts": 1, "sessions": int(sessions.rowcount)}  # type: ignore[attr-defined]  # CursorResult of an UPDATE
