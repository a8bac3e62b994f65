"""Rows of early warnings, contacts and proposals; values in and out."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from sqlmodel import col, select

from chain.ids import AdvanceId, PartyId
from finance.control import ActKind, Proposal, ProposalState
from finance.records import ContactRecord, WarningRecord
from finance.rows import SqlRows
from finance.tables import CollectionContactRow, EarlyWarningRow, ProposalRow
from finance.watch import Action

if TYPE_CHECKING:
    from collections.abc import Collection


class SqlWatch(SqlRows):
    """Warnings and collections; what two people decide."""

    def list_warnings(
        self, *, lender: PartyId | None = None, borrower: PartyId | None = None
    ) -> list[WarningRecord]:
        """Open warnings, oldest first."""
        query = select(EarlyWarningRow).where(col(EarlyWarningRow.closed_day).is_(None))
        if lender is not None:
            query = query.where(EarlyWarningRow.lender == str(lender))
        if borrower is not None:
            query = query.where(EarlyWarningRow.borrower == str(borrower))
        query = query.order_by(
            col(EarlyWarningRow.since_day), col(EarlyWarningRow.borrower), col(EarlyWarningRow.code)
        )
        return [_warning(row) for row in self._session.exec(query)]

    def save_warning(self, warning: WarningRecord) -> None:
        """Writes a warning, new or known."""
        values = {one.name: getattr(warning, one.name) for one in fields(WarningRecord)}
        values |= {
            "lender": str(warning.lender),
            "borrower": str(warning.borrower),
            "action": warning.action.value,
        }
        self._session.merge(EarlyWarningRow(**values))
        self._session.flush()

    def list_contacts(self, advance: AdvanceId) -> list[ContactRecord]:
        """Contacts planned and made for a loan, oldest first."""
        query = select(CollectionContactRow).where(CollectionContactRow.advance == advance)
        query = query.order_by(col(CollectionContactRow.day), col(CollectionContactRow.code))
        return [
            ContactRecord(**row.model_dump() | {"advance": AdvanceId(row.advance)})
            for row in self._session.exec(query)
        ]

    def save_contact(self, contact: ContactRecord) -> None:
        """Writes a contact, new or known."""
        values = {one.name: getattr(contact, one.name) for one in fields(ContactRecord)}
        self._session.merge(CollectionContactRow(**values))
        self._session.flush()

    def find_proposal(self, proposal: str) -> Proposal | None:
        """A proposal by its id."""
        row = self._session.get(ProposalRow, proposal, populate_existing=True)
        return None if row is None else _proposal(row)

    def find_proposal_for(self, form: str) -> Proposal | None:
        """The latest proposal for a form."""
        query = select(ProposalRow).where(ProposalRow.form == form)
        row = self._session.exec(query.order_by(col(ProposalRow.made_at).desc())).first()
        return None if row is None else _proposal(row)

    def list_proposals(
        self, lender: PartyId, states: Collection[ProposalState] | None = None
    ) -> list[Proposal]:
        """A lender's proposals, oldest first."""
        query = select(ProposalRow).where(ProposalRow.lender == str(lender))
        if states is not None:
            query = query.where(col(ProposalRow.state).in_([state.value for state in states]))
        query = query.order_by(col(ProposalRow.made_at), col(ProposalRow.id))
        return [_proposal(row) for row in self._session.exec(query)]

    def save_proposal(self, proposal: Proposal) -> None:
        """Writes a proposal, new or known."""
        values = {one.name: getattr(proposal, one.name) for one in fields(Proposal)}
        values |= {
            "lender": str(proposal.lender),
            "kind": proposal.kind.value,
            "state": proposal.state.value,
            "body": dict(proposal.body),
        }
        self._session.merge(ProposalRow(**values))
        self._session.flush()


def _warning(row: EarlyWarningRow) -> WarningRecord:
    values = {one.name: getattr(row, one.name) for one in fields(WarningRecord)}
    return WarningRecord(
        **values
        | {
            "lender": PartyId(int(row.lender)),
            "borrower": PartyId(int(row.borrower)),
            "action": Action(row.action),
        }
    )


def _proposal(row: ProposalRow) -> Proposal:
    values = {one.name: getattr(row, one.name) for one in fields(Proposal)}
    return Proposal(
        **values
        | {
            "lender": PartyId(int(row.lender)),
            "kind": ActKind(row.kind),
            "state": ProposalState(row.state),
        }
    )
