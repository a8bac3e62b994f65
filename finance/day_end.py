"""The end of a business date: accrue, age, classify, provide, report, seal; restartable and idempotent.

A business date is a Beijing calendar day; its end is the Beijing midnight after it. The charges of a day are
one entry a loan, named ``accrual:<advance>:<day>``, and depend on nothing but the loan's events up to that
midnight: it makes no difference whether a day was closed on time, later, twice, or by a payment that came
first. The seal is a hash over the trial balance, the last block before midnight and every loan.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from chain.clock import BEIJING_OFFSET_S
from chain.ids import AdvanceId
from finance.accrual import BPS, Charges, date_of
from finance.advance import OWING, AdvanceState, replay
from finance.audit import book_of
from finance.classification import FiveTier, classify, facts_of
from finance.errors import DayEndError
from finance.ledger import Account, Booking, Entry, Line, lines_of
from finance.records import DayEndRecord, DayEndStep, LoanDay
from finance.waterfall import Component

if TYPE_CHECKING:
    from chain.clock import Clock
    from chain.ids import LineId, PartyId
    from finance.advance import Advance, AdvanceEvent
    from finance.ports import Books
    from finance.records import AdvanceRecord
    from finance.terms import Terms

BATCH: Final = 2_000
"""Loans closed in one database transaction: bounds memory and what a crash repeats."""

ALLOWANCE_BPS: Final = {
    FiveTier.NORMAL: 100,
    FiveTier.SPECIAL_MENTION: 200,
    FiveTier.SUBSTANDARD: 2_500,
    FiveTier.DOUBTFUL: 5_000,
    FiveTier.LOSS: 10_000,
}
"""银行贷款损失准备计提指引 (银发〔2002〕98号): 1% general; 2, 25, 50, 100% by class. Confidence C."""


def midnight_after(day: int) -> dt.datetime:
    """The Beijing midnight that ends a business date."""
    return dt.datetime.fromtimestamp((day + 1) * 86_400 - BEIJING_OFFSET_S, dt.UTC)


@dataclass(frozen=True, slots=True)
class AccruedDays:
    """Accrual entries of a loan and what is booked with them."""

    entries: tuple[Entry, ...]
    booked_to: int
    booked: Charges


def accrue_days(
    record: AdvanceRecord, loan: Advance, until_day: int, known: dt.datetime
) -> AccruedDays:
    """The accruals of each day before ``until_day`` that is not booked yet.

    Args:
        record: says what is booked.
        loan: replayed with its events before the first such day's end, and none after.
        until_day: first day that is left out.
        known: when it is booked.
    """
    booked, entries = record.accrued, []
    first = loan_first_day(loan) if record.accrued_day is None else record.accrued_day + 1
    last = record.accrued_day if record.accrued_day is not None else first - 1
    if loan.rates is None or loan.state not in OWING or loan.state is AdvanceState.WRITTEN_OFF:
        return AccruedDays((), last, booked)
    for day in range(first, until_day):
        charged = loan.charges_on(day + 1)
        lines = accrual_lines(record.advance, charged, booked)
        if lines:
            entries.append(
                Entry(
                    id=f"accrual:{record.advance}:{day}",
                    book=book_of(record.lender),
                    kind=Booking.ACCRUAL.value,
                    day=day,
                    at=midnight_after(day),
                    known=known,
                    lines=lines,
                )
            )
        booked, last = charged, day
    return AccruedDays(tuple(entries), last, booked)


def loan_first_day(loan: Advance) -> int:
    """The Beijing day on which a loan was released."""
    return next((step.day for step in loan.steps if step.kind == "released"), loan.start_day)


def accrual_lines(about: str, charged: Charges, booked: Charges) -> tuple[Line, ...]:
    """The lines that bring what is booked up (or back) to what is charged; empty if it is there."""
    more = {
        name: getattr(charged, name) - getattr(booked, name)
        for name in ("fee", "penalty", "interest")
    }
    lines: list[Line] = []
    for sign in (1, -1):
        part = {name: max(0, sign * fen) for name, fen in more.items()}
        if any(part.values()):
            lines.extend(
                Line(line.account, sign * line.amount, line.about)
                for line in lines_of(Booking.ACCRUAL, part, about=about)
            )
    return tuple(lines)


def close_loan(loan: Advance, lender: PartyId, day: int, before: LoanDay | None) -> LoanDay:
    """How a loan stands at the end of a day, given how it stood the day before."""
    late = loan.days_past_due(day)
    clean = 0 if late else (before.clean_days + 1 if before else 1)
    previous = FiveTier(before.tier) if before else FiveTier.NORMAL
    tier = classify(late, previous=previous, clean_days=clean, facts=facts_of(loan)).tier
    due = loan.due_on(day + 1)
    return LoanDay(
        advance=AdvanceId(loan.id),
        lender=lender,
        day=day,
        principal_fen=loan.in_books,
        interest_due_fen=due[Component.INTEREST],
        penalty_due_fen=due[Component.PENALTY],
        fee_due_fen=due[Component.FEE],
        days_past_due=late,
        tier=tier.value,
        clean_days=clean,
    )


class DayEnd:
    """Closes business dates. One object serves one database transaction: one batch, or one step."""

    def __init__(self, *, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock

    def next_day(self, lender: PartyId) -> int | None:
        """The business date to close next; None where nothing was ever booked."""
        sealed = self._books.last_sealed(lender)
        return self._books.first_day(lender) if sealed is None else sealed.day + 1

    def proceed(self, lender: PartyId, day: int, *, block: int) -> DayEndRecord:
        """Does the next batch or step of a day; call it again until ``seal`` is set.

        Args:
            lender: whose book.
            day: Beijing day.
            block: the last block before its midnight; every event up to it has been handled.

        Raises:
            DayEndError: the day before is not sealed, or another block was named before.
        """
        record = self._books.find_day_end(lender, day)
        if record is None:
            if self.next_day(lender) != day:
                raise DayEndError(
                    "days are closed in order, none left out",
                    field="day",
                    given=day,
                    expected=self.next_day(lender),
                )
            record = DayEndRecord(lender, day, DayEndStep.LOANS, block, self._clock.now())
        elif record.block != block:
            raise DayEndError(
                "this day was begun at another block",
                field="block",
                given=block,
                expected=record.block,
            )
        match record.step:
            case DayEndStep.LOANS:
                record = self._close_batch(record)
            case DayEndStep.ALLOWANCE:
                record = self._provide(record)
            case DayEndStep.REPORT:
                record = self._seal(record)
            case DayEndStep.SEALED:
                return record
        self._books.save_day_end(record)
        return record

    def _close_batch(self, record: DayEndRecord) -> DayEndRecord:
        lender, day, now = record.lender, record.day, self._clock.now()
        end = midnight_after(day)
        batch = self._books.list_loans_on(lender, end, after=record.resume_after, limit=BATCH)
        ids = [one.advance for one in batch]
        happened = self._books.list_events(ids)
        before = self._books.find_loan_days(lender, day - 1, ids)
        terms = self._terms_of({one.line for one in batch})
        entries: list[Entry] = []
        accrued = []
        rows = []
        for one in batch:
            loan = replay(one.advance, terms[one.line], _until(happened[one.advance], end))
            days = accrue_days(one, loan, day + 1, now)
            entries.extend(days.entries)
            if days.booked_to != one.accrued_day:
                accrued.append((one.advance, days.booked_to, days.booked))
            rows.append(close_loan(loan, lender, day, before.get(one.advance)))
        self._books.post(entries)
        self._books.save_accrued(accrued)
        self._books.add_loan_days(rows)
        if len(batch) < BATCH:
            return replace(record, step=DayEndStep.ALLOWANCE, resume_after="")
        return replace(record, resume_after=ids[-1])

    def _terms_of(self, lines: set[LineId]) -> dict[LineId, Terms]:
        found = {}
        for line in lines:
            record = self._books.find_line(line)
            if record is not None:
                found[line] = record.terms
        return found

    def _provide(self, record: DayEndRecord) -> DayEndRecord:
        """Brings the allowance to what the classes of the day ask for."""
        wanted = sum(
            row.principal_fen * ALLOWANCE_BPS[FiveTier(row.tier)] // BPS
            for row in self._books.list_loan_days(record.lender, record.day)
        )
        book = book_of(record.lender)
        held = -self._books.balances(until_day=record.day, book=book).get(
            (book, Account.ALLOWANCE.value), 0
        )
        if wanted != held:
            booking = Booking.IMPAIRMENT if wanted > held else Booking.IMPAIRMENT_RELEASE
            self._books.post(
                [
                    Entry(
                        id=f"allowance:{record.lender}:{record.day}",
                        book=book,
                        kind=booking.value,
                        day=record.day,
                        at=midnight_after(record.day),
                        known=self._clock.now(),
                        lines=lines_of(booking, {"allowance": abs(wanted - held)}),
                    )
                ]
            )
        return replace(record, step=DayEndStep.REPORT)

    def _seal(self, record: DayEndRecord) -> DayEndRecord:
        book = book_of(record.lender)
        balances = {
            account: fen
            for (_, account), fen in self._books.balances(until_day=record.day, book=book).items()
        }
        loans = hashlib.sha256()
        by_tier = {tier.word: [0, 0] for tier in FiveTier}
        overdue = 0
        for row in self._books.list_loan_days(record.lender, record.day):
            loans.update(_row_bytes(row))
            counted = by_tier[FiveTier(row.tier).word]
            counted[0] += 1
            counted[1] += row.principal_fen
            overdue += row.principal_fen if row.days_past_due else 0
        report = {
            "on": date_of(record.day).isoformat(),
            "outstanding_fen": sum(fen for _, fen in by_tier.values()),
            "overdue_fen": overdue,
            "loans": sum(count for count, _ in by_tier.values()),
            "by_class": {
                name: {"loans": count, "principal_fen": fen}
                for name, (count, fen) in by_tier.items()
            },
        }
        sealed: dict[str, Any] = {
            "form": 1,
            "lender": str(record.lender),
            "day": record.day,
            "block": record.block,
            "trial_balance": balances,
            "loans": loans.hexdigest(),
            "report": report,
        }
        return replace(
            record,
            step=DayEndStep.SEALED,
            report=report | {"trial_balance": balances},
            seal="0x" + hashlib.sha256(rfc8785.dumps(sealed)).hexdigest(),
            sealed_at=self._clock.now(),
        )


def _until(events: list[AdvanceEvent], end: dt.datetime) -> list[AdvanceEvent]:
    return [event for event in events if event.at < end]


def _row_bytes(row: LoanDay) -> bytes:
    numbers = (
        row.principal_fen,
        row.interest_due_fen,
        row.penalty_due_fen,
        row.fee_due_fen,
        row.days_past_due,
        row.tier,
        row.clean_days,
    )
    return f"{row.advance}:{':'.join(map(str, numbers))}\n".encode()
