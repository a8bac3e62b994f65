"""Use cases of the bank's bookings: what left and what came in, each taken once, and matched or asked about."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from chain.errors import InvalidValueError
from finance.accrual import day_number
from finance.iso20022 import read_notice
from finance.payout_accounts import PayIn, pay_in_reference, references_in
from finance.payout_errors import EntryRefusedError, MessageInvalidError
from finance.payout_ports import EntryState, HeldEntry
from finance.payout_use_cases import MOST_TEXT, PayoutUseCases
from finance.payouts import PayoutState, QuestionKind, account_of_party, book, mint_reference

if TYPE_CHECKING:
    from chain.ids import Address
    from finance.iso20022 import BankEntry
    from finance.payouts import Leg


class BookingUseCases(PayoutUseCases):
    """Notices and bookings; money in suspense; what a person settles about them."""

    def cursor(self) -> int:
        """The place of the last notice taken."""
        return self._desk.find_cursor(self.house.number)

    def take_notice(self, message: bytes, cursor: int) -> None:
        """Takes a notice of bookings (camt.054); each booking counts once, however often it is told.

        Raises:
            MessageInvalidError: unreadable, or about another account; nothing of it is taken.
        """
        notice = read_notice(message)
        for entry in notice.entries:
            if entry.account != self.house.number:
                raise MessageInvalidError(
                    "a booking on an account that is not ours", field="Acct", at=entry.reference
                )
        for entry in notice.entries:
            if entry.booked:
                self.take_booking(entry)
        self._pass(cursor)

    def refuse_message(self, message: bytes, why: str, *, cursor: int | None = None) -> None:
        """Records a message that could not be read, and goes on behind it."""
        self._ask(QuestionKind.BAD_MESSAGE, hashlib.sha256(message).hexdigest(), why)
        if cursor is not None:
            self._pass(cursor)

    def open_pay_in(self, target: Address, about: str) -> str:
        """The payment reference under which money for a token account is paid in; always the same.

        Args:
            target: ``account_of_party`` or ``collection_account``.
            about: the party or waybill, for people.
        """
        reference = pay_in_reference(target)
        self._desk.add_pay_in(PayIn(reference, target, about))
        return reference

    def assign_credit(self, reference: str, target: Address, *, by: str) -> None:
        """A person says for whom money in suspense came in.

        Raises:
            EntryRefusedError: no such booking, or it is not in suspense.
        """
        if not by.strip():
            raise InvalidValueError("an assignment needs the name of who makes it", field="by")
        entry = self._desk.find_entry(reference)
        if entry is None or entry.state is not EntryState.SUSPENSE or entry.amount_fen == 0:
            raise EntryRefusedError("no such money in suspense", field="reference", given=reference)
        self._desk.save_entry(_matched(entry, target, entry.about))
        kind = QuestionKind.UNMATCHED_CREDIT.value
        self._desk.close_question(kind, reference, by=by, at=self._clock.now())

    def close_question(self, kind: QuestionKind, subject: str, *, by: str) -> None:
        """A person has settled a question outside the system; what it blocked goes on.

        Raises:
            EntryRefusedError: it is settled by its own use case, or was never asked.
        """
        if kind in (QuestionKind.REJECTED, QuestionKind.UNMATCHED_CREDIT):
            raise EntryRefusedError("approve a new leg, or assign the credit", field="kind")
        if not by.strip() or self._desk.find_question(kind.value, subject) is None:
            raise EntryRefusedError("no such question, or nobody who settles it", field="subject")
        self._desk.close_question(kind.value, subject, by=by, at=self._clock.now())

    def take_booking(self, entry: BankEntry) -> None:
        """Takes one booking; told again it changes nothing, told otherwise it asks a person."""
        content = _content(entry)
        known = self._desk.find_entry(entry.reference)
        if known is not None:
            if known.content != content:
                text = f"booking {entry.reference} came again with other content"
                self._ask(QuestionKind.REFERENCE_REUSED, entry.reference, text)
            return
        leg = self._desk.find_leg(entry.end_to_end_id) if entry.end_to_end_id else None
        held = HeldEntry(
            reference=entry.reference,
            amount_fen=entry.amount_fen,
            is_credit=entry.is_credit,
            is_reversal=entry.is_reversal,
            value_day=day_number(entry.value_day),
            booked_at=entry.booked_at,
            taken_at=self._clock.now(),
            end_to_end_id=entry.end_to_end_id,
            remittance=entry.remittance[:MOST_TEXT],
            content=content,
            state=EntryState.SUSPENSE if entry.is_credit else EntryState.DISPUTED,
            about="" if leg is None else leg.sequence,
        )
        if not entry.is_credit:
            held = self._take_debit(entry, held, leg)
        elif leg is not None:
            held = self._take_back(held, leg)
        else:
            held = self._take_credit(held)
            if held.state is EntryState.MATCHED and self._payers is not None:
                pay_in = self._desk.find_pay_in(held.about)
                if pay_in is not None:
                    self._payers.note(pay_in.about, entry.other_name, entry.reference)
        self._desk.add_entry(held)

    def _take_debit(self, entry: BankEntry, held: HeldEntry, leg: Leg | None) -> HeldEntry:
        if leg is None or entry.is_reversal:
            text = f"{entry.amount_fen} fen left our account without an order of ours"
            self._ask(QuestionKind.UNKNOWN_DEBIT, entry.reference, text)
            return held
        payout = self._get(leg.payout)
        step = book(payout, leg, entry, at=self._clock.now(), wall=self._wall.now())
        self._settle(step, payout)
        paid = step.payout.bank_reference == entry.reference
        return replace(held, state=EntryState.PAID) if paid else held

    def _take_back(self, held: HeldEntry, leg: Leg) -> HeldEntry:
        """Money of a payment of ours that comes back."""
        for other in self._desk.list_entries(
            states=[EntryState.DISPUTED], end_to_end_id=held.end_to_end_id
        ):
            if held.is_reversal and other.amount_fen == held.amount_fen and not other.is_credit:
                self._desk.save_entry(replace(other, state=EntryState.REVERSED))
                for kind in (QuestionKind.AMOUNT_DIFFERS, QuestionKind.PAID_TWICE):
                    self._desk.close_question(
                        kind.value, other.reference, by=held.reference, at=self._clock.now()
                    )
                return replace(held, state=EntryState.REVERSED)
        payout = self._get(leg.payout)
        if payout.state not in (PayoutState.PAID, PayoutState.CONFIRMED) or not held.amount_fen:
            text = f"{held.amount_fen} fen came back of a payment that was not made"
            self._ask(QuestionKind.CONTRADICTION, held.reference, text, payout.payout)
            return held
        text = f"the bank sent {held.amount_fen} fen back; they stand on the payee's account"
        self._ask(QuestionKind.RETURNED, held.reference, text, payout.payout)
        return _matched(held, account_of_party(payout.party), leg.sequence)

    def _take_credit(self, held: HeldEntry) -> HeldEntry:
        said = references_in(f"{held.remittance} {held.end_to_end_id}")
        found = {
            pay_in.target: pay_in
            for pay_in in map(self._desk.find_pay_in, said)
            if pay_in is not None
        }
        if len(found) == 1 and held.amount_fen:
            pay_in = next(iter(found.values()))
            return _matched(held, pay_in.target, pay_in.reference)
        text = f"{held.amount_fen} fen came in under {len(found)} references we know"
        self._ask(QuestionKind.UNMATCHED_CREDIT, held.reference, text)
        return held

    def _pass(self, cursor: int) -> None:
        if cursor > self.cursor():
            self._desk.save_cursor(self.house.number, cursor)


def _matched(entry: HeldEntry, target: Address, about: str) -> HeldEntry:
    return replace(
        entry,
        state=EntryState.MATCHED,
        target=target,
        about=about,
        mint_reference=mint_reference(entry.reference),
    )


def _content(entry: BankEntry) -> str:
    said = (
        entry.account,
        entry.amount_fen,
        entry.is_credit,
        entry.is_reversal,
        entry.value_day.isoformat(),
        entry.end_to_end_id,
        entry.remittance,
    )
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()
