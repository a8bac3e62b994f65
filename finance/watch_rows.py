"""Rows of early warnings and contacts; values in and out."""

from __future__ import annotations

from dataclasses import fields

from sqlmodel import col, select

from chain.ids import AdvanceId, PartyId
from finance.records import ContactRecord, WarningRecord
from finance.rows import SqlRows
from finance.tables import CollectionContactRow, EarlyWarningRow
from finance.watch import Action


class SqlWatch(SqlRows):
    """Warnings and collections."""

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
