"""Use cases of early warnings and collections: looked for every day, kept until they are over or closed by a person.

An open warning that freezes or collects refuses new advances at once; any open warning takes the starter line
away and lowers what the line may still be used for. What is needed on chain (a frozen or lower line) the
lender signs; until then the rules here hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chain.clock import beijing_day
from chain.ids import PartyId
from finance.accrual import BPS
from finance.advance import OWING
from finance.errors import FinanceError
from finance.history import (
    SPAN_DAYS,
    days_full,
    debtor_facts,
    limit_of,
    new_share_bps,
    price_drift_milli,
)
from finance.records import ContactRecord, LineState, WarningRecord
from finance.relations import LinkKind, Relations, party_name
from finance.watch import Contact, next_contact, warnings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chain.clock import Clock
    from chain.ids import AdvanceId
    from finance.credit import Limit
    from finance.ports import Books
    from finance.records import AdvanceRecord, LineRecord

CONSIGNEE_DAYS: Final = 30
STRANGER_DAYS: Final = 30
FULL_DAYS: Final = 30


class UnknownWarningError(FinanceError):
    """There is no such open warning."""

    code = "warning_unknown"


class CreditWatch:
    """Warnings, limits they lower, and contacts of the dunning plan. One object serves one transaction."""

    def __init__(self, *, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock

    # -- warnings ---------------------------------------------------------------------------------

    def look(self, lender: PartyId) -> list[WarningRecord]:
        """Looks at every borrower of a lender and keeps what fires today; the open warnings."""
        today = beijing_day(self._clock.now())
        borrowers = sorted(
            {
                line.borrower
                for line in self._books.list_lines(lender=lender)
                if line.state is LineState.OPEN
            }
        )
        for borrower in borrowers:
            self._look_at(lender, borrower, today)
        return self._books.list_warnings(lender=lender)

    def _look_at(self, lender: PartyId, borrower: PartyId, today: int) -> None:
        fired = {one.signal.code: one for one in warnings_of(self._facts(lender, borrower), today)}
        for known in self._books.list_warnings(lender=lender, borrower=borrower):
            still = fired.pop(known.code, None)
            if still is None:
                self._books.save_warning(replace(known, closed_day=today, closed_by="it is over"))
            else:
                self._books.save_warning(replace(known, value=still.value, last_day=today))
        for one in fired.values():
            self._books.save_warning(
                WarningRecord(
                    lender=lender,
                    borrower=borrower,
                    code=one.signal.code,
                    value=one.value,
                    action=one.signal.action,
                    owner=one.signal.owner,
                    since_day=today,
                    due_day=one.due_day,
                    last_day=today,
                )
            )

    def _facts(self, lender: PartyId, borrower: PartyId) -> dict[str, int | None]:
        now = self._clock.now()
        today = beijing_day(now)
        known = self._books.borrower_facts(borrower, lender, borrower, now)
        usual = known.usual_week_trips
        fall = max(0, usual - known.week_trips) * BPS // usual if usual else None
        own = self._receivables(borrower)
        return {
            "overdue_days": known.overdue_days,
            "waybills_fall_bps": fall,
            "driver_delay_hours": self._longest_wait_hours(lender, borrower),
            "group_overdue_days": self._group_overdue_days(lender, borrower),
            "new_consignee_bps": self._new_consignees(borrower, today),
            "price_z_milli": price_drift_milli(own, today),
            "days_above_95_percent": self._days_full(lender, borrower, today),
            "third_party_payments": len(
                self._books.list_links_from(
                    party_name(borrower), LinkKind.PAID_BY, today - STRANGER_DAYS
                )
            ),
            **debtor_facts(own, today),
        }

    def _new_consignees(self, borrower: PartyId, today: int) -> int | None:
        """The share of the last 30 days' deliveries to consignees unknown in the 90 days before."""
        links = self._books.list_links_from(
            party_name(borrower), LinkKind.DELIVERS, today - CONSIGNEE_DAYS - SPAN_DAYS
        )
        turn = today - CONSIGNEE_DAYS
        return new_share_bps(
            [one.b for one in links if one.day >= turn], [one.b for one in links if one.day < turn]
        )

    def _days_full(self, lender: PartyId, borrower: PartyId, today: int) -> int:
        """For how many closed days in a row the fullest line was used above 95%."""
        lines = self._books.list_lines(lender=lender, borrower=borrower)
        return max(
            (
                days_full(
                    self._books.list_use_of_line(line.line, today - FULL_DAYS), line.limit_fen
                )
                for line in lines
                if line.state is LineState.OPEN
            ),
            default=0,
        )

    def _group_overdue_days(self, lender: PartyId, borrower: PartyId) -> int | None:
        """Days past due of the worst related firm; None where nobody is related."""
        now, own = self._clock.now(), party_name(borrower)
        related = Relations(self._books.list_links_around([own]), beijing_day(now))
        others = [PartyId(int(name.split(":")[1])) for name in related.group_of(own) if name != own]
        late = [self._books.borrower_facts(one, lender, one, now).overdue_days for one in others]
        return max(late, default=None)

    def _longest_wait_hours(self, lender: PartyId, borrower: PartyId) -> int:
        """How long the driver who waits longest has waited for his bank, whole hours."""
        loans = self._books.list_advances(lender=lender, borrower=borrower, states=list(OWING))
        payees = self._books.list_payees([loan.advance for loan in loans])
        now = self._clock.now()
        waits = [
            int((now - payee.paid_at).total_seconds()) // 3600
            for own in payees.values()
            for payee in own
            if payee.paid_at is not None and payee.bank_paid_at is None
        ]
        return max(waits, default=0)

    def close(self, lender: PartyId, borrower: PartyId, code: str, *, by: str) -> WarningRecord:
        """Its owner has acted; it opens again if the signal fires another day.

        Raises:
            UnknownWarningError: it is not open, or nobody says so.
        """
        for known in self._books.list_warnings(lender=lender, borrower=borrower):
            if known.code == code and by.strip():
                today = beijing_day(self._clock.now())
                closed = replace(known, closed_day=today, closed_by=by)
                self._books.save_warning(closed)
                return closed
        raise UnknownWarningError("no such warning is open", field="code", given=code)

    # -- limits -----------------------------------------------------------------------------------

    def earned_limit(self, line: LineRecord) -> Limit:
        """The limit that the borrower's verified trips earn today, warnings taken off, step by step."""
        today = beijing_day(self._clock.now())
        return limit_of(
            self._receivables(line.borrower),
            self._books.list_warnings(lender=line.lender, borrower=line.borrower),
            today,
            present_fen=line.limit_fen,
        )

    def _receivables(self, borrower: PartyId) -> Sequence:  # type: ignore[type-arg]  # of ReceivableRecord
        return self._books.list_receivables(owner=borrower)

    # -- collections ------------------------------------------------------------------------------

    def plan_contacts(self, lender: PartyId) -> list[ContactRecord]:
        """What the dunning plan asks for today, loan by loan; kept, so that a week's limit holds."""
        today = beijing_day(self._clock.now())
        due = []
        for loan in self._books.list_advances(lender=lender, states=list(OWING)):
            if not loan.due_day or not loan.outstanding_fen:
                continue
            step = self._next_step(loan, today)
            if step is not None:
                due.append(step)
                self._books.save_contact(step)
        return due

    def _next_step(self, loan: AdvanceRecord, today: int) -> ContactRecord | None:
        made = self._books.list_contacts(loan.advance)
        step = next_contact(
            today - loan.due_day, today, [Contact(one.code, one.day) for one in made]
        )
        if step is None:
            return None
        return ContactRecord(
            advance=loan.advance,
            day=today,
            code=step.code,
            channel=step.channel,
            owner=step.owner,
        )

    def note_contact(self, advance: AdvanceId, code: str, *, by: str) -> ContactRecord:
        """A planned contact was made.

        Raises:
            UnknownWarningError: none of that code waits for this loan, or nobody says so.
        """
        for one in self._books.list_contacts(advance):
            if one.code == code and one.made_at is None and by.strip():
                made = replace(one, made_at=self._clock.now(), made_by=by)
                self._books.save_contact(made)
                return made
        raise UnknownWarningError("no such contact is planned", field="code", given=code)
