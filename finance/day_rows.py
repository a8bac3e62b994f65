"""Rows of business dates: loans at a day's end, how far a day was closed; values in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from chain.ids import AdvanceId, PartyId
from finance.advance import AdvanceState
from finance.advance_rows import advance_of
from finance.audit import book_of
from finance.records import (
    AdvanceRecord,
    DayEndRecord,
    DayEndStep,
    LoanDay,
)
from finance.tables import (
    AdvanceRow,
    CreditLineRow,
    DayEndRow,
    JournalEntryRow,
    LoanDayRow,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterator, Sequence

    from finance.accrual import Charges


from finance.rows import PAGE, SqlRows, batches, table_of

_LOCKED: Final = (AdvanceState.APPROVED, AdvanceState.RELEASABLE)


class SqlDays(SqlRows):
    """Business dates and their ends."""

    def list_lenders(self) -> list[PartyId]:
        """Every lender with a line."""
        found = self._session.exec(select(CreditLineRow.lender).distinct())
        return sorted(PartyId(int(lender)) for lender in found)

    def first_day(self, lender: PartyId) -> int | None:
        """The business day of a lender's first entry."""
        table = table_of(JournalEntryRow)
        query = sa.select(sa.func.min(table.c.day)).where(table.c.book == book_of(lender))
        first = self._session.execute(query).scalar_one()
        return None if first is None else int(first)

    def list_loans_on(
        self, lender: PartyId, before: dt.datetime, *, after: str, limit: int
    ) -> list[AdvanceRecord]:
        """Loans released before an instant and not closed before it, by id."""
        query = (
            select(AdvanceRow)
            .where(
                AdvanceRow.lender == str(lender),
                AdvanceRow.advance > after,
                col(AdvanceRow.released_at) < before,
                col(AdvanceRow.closed_at).is_(None) | (col(AdvanceRow.closed_at) >= before),
            )
            .order_by(col(AdvanceRow.advance))
            .limit(limit)
        )
        return [advance_of(row) for row in self._session.exec(query)]

    def save_accrued(self, accrued: Sequence[tuple[AdvanceId, int, Charges]]) -> None:
        """Writes what is booked of many advances in one statement."""
        if not accrued:
            return
        table = table_of(AdvanceRow)
        self._session.execute(
            sa.update(table)
            .where(table.c.advance == sa.bindparam("b_advance"))
            .values(
                accrued_day=sa.bindparam("b_day"),
                accrued_fee_fen=sa.bindparam("b_fee"),
                accrued_penalty_fen=sa.bindparam("b_penalty"),
                accrued_interest_fen=sa.bindparam("b_interest"),
            ),
            [
                {
                    "b_advance": advance,
                    "b_day": day,
                    "b_fee": booked.fee,
                    "b_penalty": booked.penalty,
                    "b_interest": booked.interest,
                }
                for advance, day, booked in accrued
            ],
        )
        for advance, _, _ in accrued:
            self._forget(AdvanceRow, advance)

    def find_loan_days(
        self, lender: PartyId, day: int, advances: Collection[AdvanceId]
    ) -> dict[AdvanceId, LoanDay]:
        """How these loans stood at the end of a day."""
        table = table_of(LoanDayRow)
        found: dict[AdvanceId, LoanDay] = {}
        for some in batches(advances):
            query = sa.select(table).where(
                table.c.lender == str(lender), table.c.day == day, table.c.advance.in_(some)
            )
            for row in self._session.execute(query):
                found[AdvanceId(row.advance)] = _loan_day(row)
        return found

    def add_loan_days(self, rows: Sequence[LoanDay]) -> None:
        """Keeps how loans stood; a row kept before stays."""
        if not rows:
            return
        dialect = self._session.get_bind().dialect.name
        insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._session.execute(
            insert(table_of(LoanDayRow)).on_conflict_do_nothing(),
            [
                {
                    "lender": str(row.lender),
                    "day": row.day,
                    "advance": row.advance,
                    "principal_fen": row.principal_fen,
                    "interest_due_fen": row.interest_due_fen,
                    "penalty_due_fen": row.penalty_due_fen,
                    "fee_due_fen": row.fee_due_fen,
                    "days_past_due": row.days_past_due,
                    "tier": row.tier,
                    "clean_days": row.clean_days,
                }
                for row in rows
            ],
        )

    def list_loan_days(self, lender: PartyId, day: int) -> Iterator[LoanDay]:
        """Every loan of a lender at the end of a day, by id."""
        table = table_of(LoanDayRow)
        query = (
            sa.select(table)
            .where(table.c.lender == str(lender), table.c.day == day)
            .order_by(table.c.advance)
            .execution_options(yield_per=PAGE)
        )
        for row in self._session.execute(query):
            yield _loan_day(row)

    def find_day_end(self, lender: PartyId, day: int) -> DayEndRecord | None:
        """How far a day has been closed."""
        row = self._session.get(DayEndRow, (str(lender), day))
        return None if row is None else _day_end(row)

    def last_sealed(self, lender: PartyId) -> DayEndRecord | None:
        """The latest day that is sealed."""
        row = self._session.exec(
            select(DayEndRow)
            .where(DayEndRow.lender == str(lender), DayEndRow.seal != "")
            .order_by(col(DayEndRow.day).desc())
        ).first()
        return None if row is None else _day_end(row)

    def save_day_end(self, record: DayEndRecord) -> None:
        """Writes how far a day has been closed."""
        self._session.merge(
            DayEndRow(
                lender=str(record.lender),
                day=record.day,
                step=record.step.value,
                resume_after=record.resume_after,
                block_number=record.block,
                seal=record.seal,
                report=dict(record.report),
                started_at=record.started_at,
                sealed_at=record.sealed_at,
            )
        )
        self._session.flush()


def _loan_day(row: Any) -> LoanDay:
    return LoanDay(
        advance=AdvanceId(row.advance),
        lender=PartyId(int(row.lender)),
        day=row.day,
        principal_fen=row.principal_fen,
        interest_due_fen=row.interest_due_fen,
        penalty_due_fen=row.penalty_due_fen,
        fee_due_fen=row.fee_due_fen,
        days_past_due=row.days_past_due,
        tier=row.tier,
        clean_days=row.clean_days,
    )


def _day_end(row: DayEndRow) -> DayEndRecord:
    return DayEndRecord(
        lender=PartyId(int(row.lender)),
        day=row.day,
        step=DayEndStep(row.step),
        block=row.block_number,
        started_at=row.started_at,
        resume_after=row.resume_after,
        seal=row.seal,
        report=row.report,
        sealed_at=row.sealed_at,
    )
