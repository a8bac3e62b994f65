"""Rows of early warnings and contacts; values in and out."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlmodel import col, select

from chain.ids import AdvanceId, Hash32, LineId, PartyId
from chain.paging import behind
from finance.records import (
    ApplicationState,
    ContactRecord,
    LineApplication,
    NoticeRecord,
    WarningRecord,
)
from finance.rows import SqlRows, batches, table_of
from finance.tables import (
    AdvanceRow,
    AssignmentNoticeRow,
    CollectionContactRow,
    EarlyWarningRow,
    LineApplicationRow,
    LoanDayRow,
)
from finance.watch import Action

if TYPE_CHECKING:
    from sqlmodel import Session

MOST_APPLICATIONS: Final = 200


class SqlWatch(SqlRows):
    """Applications for a line, notices of assignment, warnings, collections."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._notices: dict[str, AssignmentNoticeRow] = {}
        self._asked: set[AdvanceId] = set()

    def find_notice(self, advance: AdvanceId) -> NoticeRecord | None:
        """The notice of assignment of an advance."""
        if advance in self._ahead:
            row = self._notices_ahead().get(advance)
        else:
            row = self._session.get(AssignmentNoticeRow, advance, populate_existing=True)
        if row is None:
            return None
        values = {one.name: getattr(row, one.name) for one in fields(NoticeRecord)}
        return NoticeRecord(
            **values | {"advance": AdvanceId(row.advance), "hash": Hash32(row.hash)}
        )

    def _notices_ahead(self) -> dict[str, AssignmentNoticeRow]:
        """The notices of the advances that were read ahead, in one question."""
        for some in batches(self._ahead - self._asked):
            query = select(AssignmentNoticeRow).where(col(AssignmentNoticeRow.advance).in_(some))
            self._notices |= {row.advance: row for row in self._session.exec(query)}
        self._asked |= self._ahead
        return self._notices

    def save_notice(self, notice: NoticeRecord) -> None:
        """Writes a notice, new or known."""
        values = {one.name: getattr(notice, one.name) for one in fields(NoticeRecord)}
        self._notices[notice.advance] = self._session.merge(
            AssignmentNoticeRow(**values | {"content": dict(notice.content)})
        )
        self._session.flush()

    def save_application(self, application: LineApplication) -> None:
        """Writes an application, new or known."""
        values = {one.name: getattr(application, one.name) for one in fields(LineApplication)}
        values |= {
            "lender": str(application.lender),
            "borrower": str(application.borrower),
            "state": application.state.value,
            "earned": dict(application.earned),
        }
        self._session.merge(LineApplicationRow(**values))
        self._session.flush()

    def find_application(self, application: str) -> LineApplication | None:
        """An application by its id."""
        row = self._session.get(LineApplicationRow, application, populate_existing=True)
        return None if row is None else _application(row)

    def list_applications(
        self, *, lender: PartyId | None = None, borrower: PartyId | None = None
    ) -> list[LineApplication]:
        """Applications to a lender or of a borrower, newest first."""
        query = select(LineApplicationRow).order_by(
            col(LineApplicationRow.made_at).desc(), col(LineApplicationRow.id)
        )
        if lender is not None:
            query = query.where(LineApplicationRow.lender == str(lender))
        if borrower is not None:
            query = query.where(LineApplicationRow.borrower == str(borrower))
        return [_application(row) for row in self._session.exec(query.limit(MOST_APPLICATIONS))]

    def page_applications(
        self, party: PartyId, *, after: LineApplication | None = None, limit: int
    ) -> list[LineApplication]:
        """A page of a party's applications, as lender and as borrower, newest first."""
        row = LineApplicationRow
        mine = sa.or_(col(row.lender) == str(party), col(row.borrower) == str(party))
        place = None if after is None else (after.made_at, after.id)
        order = (col(row.made_at), col(row.id))
        query = behind(select(row).where(mine), order, place, newest=True)
        return [_application(one) for one in self._session.exec(query.limit(limit))]

    def list_use_of_line(self, line: LineId, since_day: int) -> list[tuple[int, int]]:
        """Principal outstanding on a line at the end of each closed day: (Beijing day, fen), oldest first."""
        loan, day = table_of(AdvanceRow), table_of(LoanDayRow)
        query = (
            sa.select(day.c.day, sa.func.sum(day.c.principal_fen))
            .join(loan, loan.c.advance == day.c.advance)
            .where(loan.c.line == line, day.c.day >= since_day)
            .group_by(day.c.day)
            .order_by(day.c.day)
        )
        return [(int(at), int(fen)) for at, fen in self._session.execute(query)]

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


def _application(row: LineApplicationRow) -> LineApplication:
    values = {one.name: getattr(row, one.name) for one in fields(LineApplication)}
    return LineApplication(
        **values
        | {
            "lender": PartyId(int(row.lender)),
            "borrower": PartyId(int(row.borrower)),
            "state": ApplicationState(row.state),
        }
    )


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
