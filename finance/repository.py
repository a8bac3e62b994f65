"""The money's books in the database: every family of rows behind ``finance.ports.Books``."""

from __future__ import annotations

import sqlalchemy as sa

from finance.advance import AdvanceState
from finance.advance_rows import SqlAdvances
from finance.day_rows import SqlDays
from finance.fund_flow_rows import SqlFundFlows
from finance.journal_rows import SqlJournal
from finance.line_rows import SqlLines
from finance.link_rows import SqlLinks
from finance.records import (
    LineState,
    PayeeState,
)
from finance.rows import table_of
from finance.rule_rows import SqlRules
from finance.tables import (
    AdvanceEventRow,
    AdvanceRow,
    CreditLineRow,
    DayEndRow,
    JournalEntryRow,
    JournalLineRow,
    LineRuleRow,
    LoanDayRow,
    PayeeRow,
    ReceivableRow,
    SettlementRow,
)
from finance.watch_rows import SqlWatch


class SqlBooks(
    SqlLines, SqlAdvances, SqlRules, SqlJournal, SqlDays, SqlWatch, SqlLinks, SqlFundFlows
):
    """``finance.ports.Books`` on SQLite and PostgreSQL; one object serves one transaction."""

    def forget_projection(self) -> None:
        """Empties everything that the chain told, so that a re-index can tell it again.

        What was submitted here (forms, decisions, policies) stays; the day ends must be run again.
        """
        for row in (
            JournalLineRow,
            JournalEntryRow,
            AdvanceEventRow,
            SettlementRow,
            ReceivableRow,
            LineRuleRow,
            LoanDayRow,
            DayEndRow,
        ):
            self._session.execute(sa.delete(table_of(row)))
        advances, lines, payees = table_of(AdvanceRow), table_of(CreditLineRow), table_of(PayeeRow)
        self._session.execute(
            sa.update(advances).values(
                state=AdvanceState.NONE.value,
                debtor="",
                released_fen=0,
                outstanding_fen=0,
                start_day=0,
                due_day=0,
                accrued_day=None,
                accrued_fee_fen=0,
                accrued_penalty_fen=0,
                accrued_interest_fen=0,
                approved_until=None,
                reason="",
                requested_at=None,
                acknowledged_at=None,
                released_at=None,
                closed_at=None,
            )
        )
        self._session.execute(
            sa.update(lines).values(
                state=LineState.SUBMITTED.value,
                reserved_fen=0,
                drawn_fen=0,
                frozen=False,
                opened_at=None,
            )
        )
        self._session.execute(
            sa.update(payees).values(
                state=PayeeState.ASKED.value,
                paid_fen=0,
                payout="",
                consented_at=None,
                paid_at=None,
                bank_paid_at=None,
            )
        )
        self._session.expire_all()
