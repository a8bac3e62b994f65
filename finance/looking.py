"""Use cases of looking: an advance and a portfolio on a day, books, chain against books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain.abi import address
from chain.clock import beijing_day
from chain.errors import InvalidValueError
from finance.accrual import date_of, day_number
from finance.advance import OWING, AdvanceState, replay
from finance.audit import CUSTODIAN, Discrepancy, DiscrepancyKind, LedgerFacts, audit
from finance.classification import classify, facts_of
from finance.day_end import loan_first_day, midnight_after
from finance.fund_flows import MOST_DAYS, MOST_FLOWS
from finance.ledger import (
    Account,
    TrialBalance,
    to_beancount,
)
from finance.portfolio import LoanRow, portfolio
from finance.records import (
    AdvanceRecord,
    Found,
    LineState,
    PayeeRecord,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Mapping

    from chain.ids import AdvanceId, PartyId, TripId
    from chain.ports import BlockRef
    from finance.advance import Advance
    from finance.fund_flows import FundFlow
    from finance.portfolio import Portfolio
    from finance.waterfall import Component

from finance.use_cases import MoneyUseCases


@dataclass(frozen=True, slots=True)
class AdvancePosition:
    """An advance as it stands on a day: record, payees, debt, class. Amounts in fen."""

    record: AdvanceRecord
    payees: tuple[PayeeRecord, ...]
    due: dict[Component, int]
    days_past_due: int
    tier: str
    tier_zh: str

    @property
    def payoff_fen(self) -> int:
        """What would close it on that day."""
        return sum(self.due.values())


class LookingUseCases(MoneyUseCases):
    """What is owed, where, and whether the books agree with the chain."""

    def show_advance(self, advance: AdvanceId, *, day: int | None = None) -> AdvancePosition:
        """An advance on a Beijing day (today if None), replayed from its events."""
        record = self._get_advance(advance)
        on = beijing_day(self._clock.now()) if day is None else day
        replayed = self._replay(record)
        late = replayed.days_past_due(on)
        tier = classify(late, facts=facts_of(replayed)).tier
        return AdvancePosition(
            record=record,
            payees=tuple(self._books.list_payees([advance])[advance]),
            due=replayed.due_on(on),
            days_past_due=late,
            tier=tier.word,
            tier_zh=tier.zh,
        )

    def show_portfolio(
        self,
        lender: PartyId,
        *,
        day: int | None = None,
        lanes_of: Callable[[Collection[TripId]], Mapping[TripId, str]] | None = None,
    ) -> Portfolio:
        """A lender's portfolio on a Beijing day (today if None), replayed from the loans' events.

        Args:
            lender: whose loans.
            day: the Beijing day.
            lanes_of: names the lane of trips, asked once; unnamed lanes count as one, "".
        """
        on = beijing_day(self._clock.now()) if day is None else day
        end = midnight_after(on)
        lines = {line.line: line for line in self._books.list_lines(lender=lender)}
        loans = self._books.list_advances(lender=lender, states=[*OWING, AdvanceState.REPAID])
        happened = self._books.list_events([loan.advance for loan in loans])
        lanes = {} if lanes_of is None else lanes_of([loan.trip for loan in loans])
        rows = []
        for loan in loans:
            if loan.released_at is None or loan.released_at >= end:
                continue
            played = replay(loan.advance, lines[loan.line].terms, happened[loan.advance], until=end)
            rows.append(loan_row(loan, played, on, lane=lanes.get(loan.trip, "")))
        open_lines = [line for line in lines.values() if line.state is LineState.OPEN]
        return portfolio(
            rows,
            limit_fen=sum(line.limit_fen for line in open_lines),
            used_fen=sum(line.reserved_fen + line.drawn_fen for line in open_lines),
        )

    def list_fund_flows(self, lender: PartyId, first: dt.date, last: dt.date) -> list[FundFlow]:
        """What the bank has paid of a lender's own advances on some Beijing days, oldest first.

        Args:
            lender: whose advances; no other's are among them.
            first: first day.
            last: last day, included.

        Raises:
            InvalidValueError: the days are in the wrong order, too many, or hold too many payments.
        """
        if not 0 <= (last - first).days < MOST_DAYS:
            raise InvalidValueError(
                f"name 1 to {MOST_DAYS} days, the first of them first",
                field="last",
                given=str(last),
            )
        found = self._books.list_fund_flows(
            lender,
            midnight_after(day_number(first) - 1),
            midnight_after(day_number(last)),
            MOST_FLOWS + 1,
        )
        if len(found) > MOST_FLOWS:
            raise InvalidValueError(
                f"more than {MOST_FLOWS:,} payments; name fewer days", field="last", given=str(last)
            )
        return found

    def show_trial_balance(
        self, book: str, *, until_day: int | None = None, known_by: dt.datetime | None = None
    ) -> TrialBalance:
        """A book's balances at a business date, as known at an instant."""
        found = self._books.balances(until_day=until_day, known_by=known_by, book=book)
        return TrialBalance(book, {account: fen for (_, account), fen in found.items()})

    def export_beancount(self, book: str, *, until_day: int | None = None) -> str:
        """A book as a Beancount file (yuan with 2 decimals) that bean-check accepts."""
        return to_beancount(self._books.list_entries(book, until_day=until_day))

    def reconcile(self, at: BlockRef) -> list[Discrepancy]:
        """Chain against books at one block: token supply, every account, vaults, loans, lines.

        Args:
            at: the last block whose events were handled; the chain is asked at exactly that block.

        Returns:
            Every difference; they are kept with their age, and those that are gone are closed.
        """
        balances = self._books.balances()
        advances = self._books.list_advances()
        lines = self._books.list_lines()
        accounts = [
            address(account.split(":", 1)[1])
            for book, account in balances
            if book == CUSTODIAN and account != Account.BANK
        ]
        chain = self._chain.fetch_facts(
            at,
            accounts=accounts,
            lenders={line.lender for line in lines},
            lines={line.line: line.lender for line in lines if line.state is LineState.OPEN},
            advances={
                one.advance: one.line for one in advances if one.state is not AdvanceState.NONE
            },
        )
        books = LedgerFacts(
            balances=balances,
            principal=self._books.balances_about(Account.LOAN_PRINCIPAL),
        )
        found = audit(chain, books)
        self._books.record_differences(
            [Found(one.kind.value, one.subject, one.chain_fen, one.ledger_fen) for one in found],
            of={kind.value for kind in DiscrepancyKind},
            day=beijing_day(at.at),
            now=self._clock.now(),
        )
        return found


def loan_row(record: AdvanceRecord, loan: Advance, day: int, *, lane: str = "") -> LoanRow:
    """A loan as the portfolio counts it on a day."""
    released_day = loan_first_day(loan)
    late = loan.days_past_due(day)
    return LoanRow(
        advance=record.advance,
        borrower=str(record.borrower),
        debtor=record.debtor,
        lane=lane,
        released_day=released_day,
        released_fen=loan.drawn,
        outstanding_fen=loan.in_books,
        days_past_due=late,
        tier=classify(late, facts=facts_of(loan)).tier,
        month=date_of(released_day).strftime("%Y-%m"),
        received_income_fen=loan.fee_paid + loan.penalty_paid + loan.interest_paid - loan.waived,
        principal_days=_principal_days(loan, day + 1),
        written_off_fen=loan.written_off,
    )


def _principal_days(loan: Advance, day: int) -> int:
    """Sum over its days of the principal outstanding: what the ceiling's numerator counts."""
    if loan.rates is None or not loan.rates.ceiling_ppm:
        return 0
    per_day = loan.rates.ceiling_ppm
    return loan.accrued_to(day if loan.outstanding else 0).ceiling_num // per_day
