"""What the chain says of the money: rows and books move here and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chain.clock import beijing_day, instant_of
from finance.advance import AdvanceState, EventKind
from finance.audit import CUSTODIAN, book_of, token_account
from finance.day_end import accrue_days
from finance.ledger import (
    Account,
    Booking,
    Entry,
    Line,
    lines_of,
)
from finance.records import (
    AdvanceRecord,
    LineState,
    PayeeState,
    ReceivableRecord,
    SettlementRecord,
)

if TYPE_CHECKING:
    from chain.abi import Event, Occurred
    from chain.bindings import events
    from chain.ids import Address, Hash32, PartyId

from finance.applications import end_by_line
from finance.use_cases import MoneyUseCases, event_id, payees_of_form

_NOBODY: Final = "0x0000000000000000000000000000000000000000"


class HearingUseCases(MoneyUseCases):
    """One method an event; ``api.flow`` says which."""

    # -- what the chain says: lines and vaults ----------------------------------------------------

    def on_line_opened(self, seen: Occurred[events.LineOpened]) -> None:
        """A line stands on chain."""
        known = self._books.find_line(seen.event.line)
        if known is None:
            form = self._foreign.terms_of(seen.event.line)
            known = self._line_record(seen.event.line, form, LineState.OPEN)
        opened = replace(known, state=LineState.OPEN, opened_at=seen.at, limit_fen=seen.event.limit)
        self._books.save_line(opened)
        end_by_line(self._books, opened, seen.at)

    def on_line_changed(self, seen: Occurred[events.LineChanged]) -> None:
        """Limit, freeze or end of a line moved."""
        event = seen.event
        self._books.save_line(
            replace(
                self._get_line(event.line),
                limit_fen=event.limit,
                frozen=event.frozen,
                valid_until=instant_of(event.valid_until),
            )
        )

    def on_vault_moved(self, seen: Occurred[events.VaultMoved]) -> None:
        """A lender's cash went into or out of his vault."""
        booking = Booking.VAULT_DEPOSIT if seen.event.deposit else Booking.VAULT_WITHDRAWAL
        self._book(seen, seen.event.lender, booking, {"cash": seen.event.amount})

    def on_line_reserved(self, seen: Occurred[events.LineReserved]) -> None:
        """An approval has locked cash."""
        event = seen.event
        line = self._get_line(event.line)
        self._books.save_line(replace(line, reserved_fen=event.reserved, drawn_fen=event.drawn))
        self._book(seen, line.lender, Booking.RESERVE, {"principal": event.amount}, event.line)

    def on_line_reserve_voided(self, seen: Occurred[events.LineReserveVoided]) -> None:
        """A reserve, or what a shortage cut of it, is free again."""
        event = seen.event
        line = self._get_line(event.line)
        self._books.save_line(replace(line, reserved_fen=event.reserved))
        self._book(seen, line.lender, Booking.RESERVE_VOID, {"principal": event.amount}, event.line)

    def on_line_drawn(self, seen: Occurred[events.LineDrawn]) -> None:
        """Cash has left the vault for a payee; ``PayeePaid`` books it."""
        event = seen.event
        line = self._get_line(event.line)
        self._books.save_line(replace(line, reserved_fen=event.reserved, drawn_fen=event.drawn))

    def on_line_repaid(self, seen: Occurred[events.LineRepaid]) -> None:
        """Principal came back; ``AdvanceRepaid`` books it."""
        line = self._get_line(seen.event.line)
        self._books.save_line(replace(line, drawn_fen=seen.event.drawn))

    def on_line_written_off(self, seen: Occurred[events.LineWrittenOff]) -> None:
        """Principal was given up; ``AdvanceWrittenOff`` books it."""
        line = self._get_line(seen.event.line)
        self._books.save_line(replace(line, drawn_fen=seen.event.drawn))

    # -- what the chain says: advances ------------------------------------------------------------

    def on_advance_requested(
        self, seen: Occurred[events.AdvanceRequested], owed: ReceivableRecord | None = None
    ) -> None:
        """A request stands on chain; the debtor, its waybill's issuer, is known from now on.

        Args:
            seen: the event.
            owed: what the waybill makes its issuer owe; None if its terms are not held here.
        """
        event = seen.event
        known = self._books.find_advance(event.advance)
        if known is None:
            known = AdvanceRecord(
                advance=event.advance,
                line=event.line,
                lender=self._find_or_learn_line(event.line).lender,
                borrower=event.borrower,
                waybill=event.waybill,
                trip=event.trip,
                principal_fen=event.principal,
                decision=event.decision,
                submitted_at=seen.at,
            )
            self._books.save_advance(known)
            payees = self._foreign.payees[event.advance]
            self._books.save_payees(payees_of_form(event.advance, payees))
        receivable = self._books.find_receivable(event.waybill)
        if receivable is None:
            receivable = owed or self._foreign.receivables[event.advance]
            self._books.save_receivable(receivable)
        moved = replace(known, debtor=str(receivable.debtor), requested_at=seen.at)
        self._move(moved, AdvanceState.REQUESTED)
        self._note(seen, event.advance, EventKind.REQUESTED, amount=event.principal)

    def on_debt_acknowledged(self, seen: Occurred[events.DebtAcknowledged]) -> None:
        """The debtor was notified and will pay the collection account only."""
        record = self._get_advance(seen.event.advance)
        self._books.save_advance(replace(record, acknowledged_at=seen.at))
        receivable = self._books.find_receivable(record.waybill)
        if receivable is not None:
            self._books.save_receivable(
                replace(receivable, notice=seen.event.notice, acknowledged_at=seen.at)
            )
        told = self._books.find_notice(record.advance)
        if told is not None and told.hash == seen.event.notice:
            self._books.save_notice(replace(told, acknowledged_at=seen.at))

    def on_payee_consented(self, seen: Occurred[events.PayeeConsented]) -> None:
        """A payee agrees to his account."""
        payee = self._get_payee(seen.event.advance, seen.event.payee)
        self._books.save_payees([replace(payee, consented_at=seen.at)])

    def on_advance_approved(self, seen: Occurred[events.AdvanceApproved]) -> None:
        """The lender has approved: cash locked, receivable pledged, payees frozen."""
        event = seen.event
        record = self._get_advance(event.advance)
        until = instant_of(event.approved_until)
        self._release_hold(record)
        freed = replace(record, held_fen=0, approved_until=until)
        self._move(freed, AdvanceState.APPROVED)
        self._note(seen, event.advance, EventKind.APPROVED, amount=event.principal)
        self._set_payees(event.advance, PayeeState.FROZEN)
        receivable = self._books.find_receivable(record.waybill)
        if receivable is not None:
            self._books.save_receivable(replace(receivable, lender=str(event.lender)))

    def on_advance_declined(self, seen: Occurred[events.AdvanceDeclined]) -> None:
        """The lender has declined."""
        record = self._get_advance(seen.event.advance)
        self._release_hold(record)
        closed = replace(record, held_fen=0, closed_at=seen.at)
        self._move(closed, AdvanceState.DECLINED)
        self._note(seen, seen.event.advance, EventKind.DECLINED)
        self._set_payees(seen.event.advance, PayeeState.CUT)

    def on_advance_releasable(self, seen: Occurred[events.AdvanceReleasable]) -> None:
        """Delivered, but the release waits; the reason is the chain's short word."""
        record = self._get_advance(seen.event.advance)
        waiting = replace(record, reason=_word(seen.event.reason))
        self._move(waiting, AdvanceState.RELEASABLE)
        self._note(seen, seen.event.advance, EventKind.RELEASABLE)

    def on_advance_released(self, seen: Occurred[events.AdvanceReleased]) -> None:
        """Granted, in the transaction that completed the delivery; each payee has his own event."""
        event = seen.event
        record = replace(
            self._get_advance(event.advance),
            released_fen=event.amount,
            start_day=event.start_day,
            due_day=event.due_day,
            released_at=seen.at,
            reason="",
        )
        self._move(record, AdvanceState.RELEASED)
        self._note(seen, event.advance, EventKind.RELEASED, amount=event.amount)

    def on_payee_paid(self, seen: Occurred[events.PayeePaid]) -> None:
        """A payee has his money on his account, queued for his bank."""
        event = seen.event
        record = self._accrue(seen, self._get_advance(event.advance))
        payee = next(
            one
            for one in self._books.list_payees([event.advance])[event.advance]
            if one.party == event.payee and one.waybill == event.waybill
        )
        self._books.save_payees(
            [
                replace(
                    payee,
                    state=PayeeState.PAID,
                    paid_fen=event.amount,
                    payout=event.payout,
                    paid_at=seen.at,
                )
            ]
        )
        grown = replace(record, outstanding_fen=record.outstanding_fen + event.amount)
        self._books.save_advance(grown)
        self._note(seen, event.advance, EventKind.DRAWN, amount=event.amount)
        self._book(
            seen,
            record.lender,
            Booking.DISBURSEMENT,
            {"principal": event.amount},
            event.advance,
        )

    def on_payee_failed(self, seen: Occurred[events.PayeeFailed]) -> None:
        """A payee could not be paid; his part stays reserved and anyone may try again."""
        payee = self._get_payee(seen.event.advance, seen.event.payee)
        self._books.save_payees([replace(payee, state=PayeeState.CLAIMABLE)])

    def on_advance_voided(self, seen: Occurred[events.AdvanceVoided]) -> None:
        """An approval has ended without a release."""
        record = replace(
            self._get_advance(seen.event.advance),
            reason=_word(seen.event.reason),
            closed_at=seen.at,
        )
        self._move(record, AdvanceState.VOIDED)
        self._note(seen, seen.event.advance, EventKind.VOIDED)
        self._set_payees(seen.event.advance, PayeeState.CUT)

    def on_interest_deferred(self, seen: Occurred[events.InterestDeferred]) -> None:
        """Interest starts on a later day."""
        record = self._accrue(seen, self._get_advance(seen.event.advance))
        self._books.save_advance(replace(record, start_day=seen.event.start_day))
        self._note(seen, seen.event.advance, EventKind.DEFERRED, day=seen.event.start_day)

    def on_advance_extended(self, seen: Occurred[events.AdvanceExtended]) -> None:
        """The lender gave time: the loan is due on a later day, and counts as restructured."""
        record = self._accrue(seen, self._get_advance(seen.event.advance))
        self._books.save_advance(replace(record, due_day=seen.event.due_day))
        self._note(seen, seen.event.advance, EventKind.EXTENDED, day=seen.event.due_day)

    def on_advance_repaid(self, seen: Occurred[events.AdvanceRepaid]) -> None:
        """Money for a loan, shared by the chain; or charges that the lender waived."""
        event = seen.event
        record = self._accrue(seen, self._get_advance(event.advance))
        paid = event.fee + event.penalty + event.interest + event.principal
        if paid == 0:
            self._on_waived(seen, record)
            return
        self._note(seen, event.advance, EventKind.PAID, amount=paid)
        self._books.save_advance(replace(record, outstanding_fen=event.outstanding))
        booking = (
            Booking.RECOVERY_AFTER_CHARGE_OFF
            if record.state is AdvanceState.WRITTEN_OFF
            else Booking.REPAYMENT
        )
        self._book(
            seen,
            record.lender,
            booking,
            {
                "fee": event.fee,
                "penalty": event.penalty,
                "interest": event.interest,
                "principal": event.principal,
            },
            event.advance,
        )

    def on_advance_closed(self, seen: Occurred[events.AdvanceClosed]) -> None:
        """Nothing is owed any more."""
        record = self._get_advance(seen.event.advance)
        self._move(replace(record, closed_at=seen.at), AdvanceState.REPAID)

    def on_advance_defaulted(self, seen: Occurred[events.AdvanceDefaulted]) -> None:
        """The lender has declared default; payees not paid by now are not paid any more."""
        record = self._get_advance(seen.event.advance)
        payees = self._books.list_payees([record.advance])[record.advance]
        drawn = sum(payee.paid_fen for payee in payees)
        self._move(replace(record, released_fen=drawn), AdvanceState.DEFAULTED)
        self._note(seen, seen.event.advance, EventKind.DEFAULTED)
        self._books.save_payees(
            replace(payee, state=PayeeState.CUT)
            for payee in payees
            if payee.state is PayeeState.CLAIMABLE
        )

    def on_advance_written_off(self, seen: Occurred[events.AdvanceWrittenOff]) -> None:
        """Principal and accrued charges leave the books; the claim stands."""
        event = seen.event
        record = self._accrue(seen, self._get_advance(event.advance))
        receivable = {
            name: fen
            for name in ("interest", "fee", "penalty")
            if (fen := self._books.balances_about(f"{name}_receivable").get(event.advance, 0)) > 0
        }
        self._book(
            seen,
            record.lender,
            Booking.CHARGE_OFF,
            {"principal": event.principal, **receivable},
            event.advance,
        )
        self._move(record, AdvanceState.WRITTEN_OFF)
        self._note(seen, event.advance, EventKind.WRITTEN_OFF)

    # -- what the chain says: deliveries, settlements, the token ----------------------------------

    def on_delivery_completed(self, seen: Occurred[events.DeliveryCompleted]) -> None:
        """The debtor's term begins."""
        record = self._books.find_advance_of_trip(seen.event.trip)
        receivable = None if record is None else self._books.find_receivable(record.waybill)
        if receivable is not None and receivable.due_day is None:
            due_day = beijing_day(seen.at) + receivable.term_days
            self._books.save_receivable(replace(receivable, due_day=due_day))

    def on_freight_settled(self, seen: Occurred[events.FreightSettled]) -> None:
        """Freight was paid in and shared, to the last fen."""
        event = seen.event
        new = self._books.add_settlement(
            SettlementRecord(
                id=event_id(seen),
                waybill=event.waybill,
                received_fen=event.received,
                to_loans_fen=event.to_loans,
                to_children_fen=event.to_children,
                to_performer_fen=event.to_performer,
                refunded_fen=event.refunded,
                at=seen.at,
            )
        )
        receivable = self._books.find_receivable(event.waybill)
        if new and receivable is not None:
            received = receivable.received_fen + event.received - event.refunded
            self._books.save_receivable(
                replace(receivable, received_fen=received, settled_at=seen.at)
            )

    def on_payout_paid(self, seen: Occurred[events.PayoutPaid]) -> None:
        """The bank has paid a payee out."""
        payee = self._books.find_payee_of_payout(seen.event.payout)
        if payee is not None:
            banked = replace(payee, state=PayeeState.BANKED, bank_paid_at=seen.at)
            self._books.save_payees([banked])

    def on_token_moved(self, seen: Occurred[events.Transfer]) -> None:
        """Every movement of the token, booked in the custodian's book account by account."""
        event = seen.event
        if event.value == 0 or event.from_ == event.to:
            return
        self._books.post_later(
            [
                self._entry(
                    seen,
                    CUSTODIAN,
                    "TOKEN",
                    (
                        Line(_custody_account(event.from_), event.value),
                        Line(_custody_account(event.to), -event.value),
                    ),
                )
            ]
        )

    # -- booking ----------------------------------------------------------------------------------

    def _book(
        self,
        seen: Occurred[Event],
        lender: PartyId,
        booking: Booking,
        components: dict[str, int],
        about: str = "",
    ) -> None:
        if any(components.values()):
            lines = lines_of(booking, components, about=about)
            self._books.post_later([self._entry(seen, book_of(lender), booking.value, lines)])

    def _accrue(self, seen: Occurred[Event], record: AdvanceRecord) -> AdvanceRecord:
        """Books the charges of every day before this event's that no day end has booked yet."""
        days = accrue_days(record, self._replay(record), beijing_day(seen.at), self._clock.now())
        if not days.entries:
            return record
        self._books.post_later(days.entries)
        self._books.save_accrued([(record.advance, days.booked_to, days.booked)])
        return replace(record, accrued_day=days.booked_to, accrued=days.booked)

    def _on_waived(self, seen: Occurred[events.AdvanceRepaid], record: AdvanceRecord) -> None:
        event = seen.event
        if not event.waived:
            return
        self._note(seen, event.advance, EventKind.WAIVED, amount=event.waived)
        step = self._replay(record).steps[-1]
        self._book(
            seen,
            record.lender,
            Booking.WAIVER,
            {
                "fee": step.shares.fee,
                "penalty": step.shares.penalty,
                "interest": step.shares.interest,
            },
            event.advance,
        )

    def _entry(
        self,
        seen: Occurred[Event],
        book: str,
        kind: str,
        lines: tuple[Line, ...],
        suffix: str = "",
    ) -> Entry:
        return Entry(
            id=event_id(seen) + suffix,
            book=book,
            kind=kind,
            day=beijing_day(seen.at),
            at=seen.at,
            known=self._clock.now(),
            lines=lines,
            source=seen.transaction_hash,
        )


def _custody_account(holder: Address) -> str:
    return Account.BANK.value if holder == _NOBODY else token_account(holder)


def _word(reason: Hash32) -> str:
    """A short word as contracts write it into bytes32, or the hash itself."""
    raw = bytes.fromhex(reason[2:]).rstrip(b"\0")
    return raw.decode() if raw.isascii() and raw.decode().isprintable() else reason
