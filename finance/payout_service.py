"""Use cases of payouts: what the chain queued is paid by the bank exactly once, and what comes in is minted once.

Each method works in the caller's database transaction and touches no wire. The bank is spoken to between
transactions (``payout_jobs``): the sequence is stored before, the answer is taken after.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import MintReceipt, PayoutReceipt
from chain.clock import beijing_day
from chain.errors import InvalidValueError
from chain.ids import Address, Hash32
from chain.ports import TransactionState
from finance.account_book import open_account
from finance.accrual import date_of, day_number
from finance.iso20022 import PaymentOrder, read_notice, read_status, write_order
from finance.payout_accounts import (
    PayIn,
    pay_in_reference,
    references_in,
)
from finance.payout_errors import (
    AccountRefusedError,
    EntryRefusedError,
    MessageInvalidError,
    PayoutStateError,
    UnknownPayoutError,
)
from finance.payout_ports import EntryState, HeldEntry
from finance.payouts import (
    Answer,
    Leg,
    Payout,
    PayoutState,
    Question,
    QuestionKind,
    account_of_party,
    begin_leg,
    book,
    confirm,
    end_to_end_id,
    hand_over,
    hear,
    mint_reference,
    not_known,
    stages_of,
    uetr_of,
)

if TYPE_CHECKING:
    import datetime as dt

    from chain.abi import ContractCall, Occurred
    from chain.bindings import events
    from chain.clock import Clock
    from chain.ids import PartyId
    from chain.ports import Domain, Outbox, Outgoing, Signer
    from finance.iso20022 import BankAccount, BankEntry, PaymentStatus
    from finance.payout_ports import Payers, PayoutDesk, Seal
    from finance.payouts import Stage, Step

_FAILED: Final = (TransactionState.REVERTED, TransactionState.DROPPED)
_CAP: Final = "TokenDailyCapExceeded"
_USED: Final = "TokenBankReferenceUsed"
_MOST_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class Told:
    """A payout as an auditor sees it.

    Attributes:
        legs: every attempt, in order.
        orders: the pain.001 of each leg; None where its account was forgotten.
        answers: the pain.002 heard of each leg, the first of each status; None where its account was forgotten.
        booked: the bank's booking that paid it, None while there is none.
    """

    payout: Hash32
    legs: tuple[Leg, ...]
    orders: tuple[bytes | None, ...]
    answers: tuple[tuple[bytes | None, ...], ...]
    booked: HeldEntry | None


class PayoutService:
    """Payouts and money received. One object serves one database transaction.

    Args:
        desk: the rows.
        outbox: where calls to the chain are written.
        seal: keeps account numbers unreadable at rest.
        clock: the chain's time, of the stages.
        wall: the machine's time, for patience and latency.
        house: the custodian's account at the bank, from which payouts are made; None where no bank is joined.
        payers: is told who paid what came in under a reference; None keeps nothing of it.
    """

    def __init__(
        self,
        *,
        desk: PayoutDesk,
        outbox: Outbox,
        seal: Seal,
        clock: Clock,
        wall: Clock,
        house: BankAccount | None,
        payers: Payers | None = None,
    ) -> None:
        self._payers = payers
        self._desk = desk
        self._outbox = outbox
        self._seal = seal
        self._clock = clock
        self._wall = wall
        self._house = house

    # -- what the chain says ----------------------------------------------------------------------

    def on_payout_queued(self, seen: Occurred[events.PayoutQueued]) -> None:
        """The chain has set an amount aside for a payee's account."""
        event = seen.event
        self._desk.add_payout(
            Payout(
                payout=event.payout,
                party=event.party,
                account=event.account,
                amount_fen=event.amount,
                queued_at=seen.at,
                queued_wall=self._wall.now(),
            )
        )

    def on_payout_redirected(self, seen: Occurred[events.PayoutRedirected]) -> None:
        """The payee named another account; the next leg goes there."""
        payout = self._get(seen.event.payout)
        self._save(replace(payout, account=seen.event.account), before=payout)

    def on_payout_paid(self, seen: Occurred[events.PayoutPaid]) -> None:
        """The chain has burned the amount: the payout is done."""
        event = seen.event
        payout = self._get(event.payout)
        self._save(confirm(payout, event.sequence, event.value_day, seen.at), before=payout)

    def on_minted(self, seen: Occurred[events.Minted]) -> None:
        """Money received has been minted."""
        entry = self._desk.find_minted(seen.event.bank_reference)
        if entry is not None:
            self._desk.save_entry(replace(entry, state=EntryState.MINTED))

    # -- to the bank ------------------------------------------------------------------------------

    def instruct_due(self, limit: int = 100) -> int:
        """Stores a leg, its sequence and its order for payouts that have none; how many.

        A payee whose account is not in the book is asked about once and looked for again each time.
        """
        begun = 0
        for payout in self._desk.list_payouts(states=[PayoutState.QUEUED]):
            try:
                self._begin(payout, approved_by="")
            except AccountRefusedError as error:
                self._ask(QuestionKind.NO_ACCOUNT, payout.payout, str(error), payout.payout)
                continue
            begun += 1
            if begun >= limit:
                break
        return begun

    def list_to_send(self, limit: int = 100) -> list[str]:
        """Sequences (as the bank knows them) whose order waits to be handed over."""
        due = self._desk.list_payouts(states=[PayoutState.INSTRUCTED], limit=limit)
        blocked = self._desk.blocked([payout.payout for payout in due])
        return [end_to_end_id(Hash32(p.sequence)) for p in due if p.payout not in blocked]

    def hand_over(self, sequence: str) -> bytes | None:
        """The order's bytes, to be sent once this transaction has committed; None if there is no need.

        From here on the payout is UNKNOWN until the bank speaks, whatever happens to us.
        """
        leg, payout = self._leg(sequence)
        if payout.state is not PayoutState.INSTRUCTED or payout.leg != leg.leg:
            return None
        if self._desk.blocked([payout.payout]):
            return None
        account = self._desk.find_account(leg.account)
        if account is None:
            raise AccountRefusedError("the account of the order is not in the book")
        order = self._seal.open(account.key, leg.sealed_order, leg.sequence)
        self._save(hand_over(payout, self._wall.now()), before=payout)
        return order

    def list_to_ask(self, *, before: dt.datetime, limit: int = 100) -> list[str]:
        """Sequences to ask the bank about: without answer, or accepted and not booked, since ``before``."""
        states = (PayoutState.UNKNOWN, PayoutState.ACCEPTED)
        due = self._desk.list_payouts(states=states, asked_before=before, limit=limit)
        return [end_to_end_id(Hash32(payout.sequence)) for payout in due]

    def take_answer(self, sequence: str, message: bytes) -> PayoutState:
        """Takes the bank's answer about a payment (pain.002); the same answer again changes nothing.

        Raises:
            MessageInvalidError: unreadable, or about another payment.
            UnknownPayoutError: there is no such leg.
        """
        status = read_status(message)
        if status.end_to_end_id != sequence:
            raise MessageInvalidError(
                "the answer is about another payment",
                field="OrgnlEndToEndId",
                expected=sequence,
                given=status.end_to_end_id,
            )
        leg, payout = self._leg(sequence)
        wall = self._wall.now()
        self._keep_answer(leg, status, message)
        step = hear(payout, leg.leg, status, at=self._clock.now(), wall=wall)
        return self._settle(replace_asked(step, wall), payout)

    def _keep_answer(self, leg: Leg, status: PaymentStatus, message: bytes) -> None:
        account = self._desk.find_account(leg.account)
        if account is None or not account.key:
            return  # forgotten meanwhile: there is no key to seal its answers under
        sealed = self._seal.seal(account.key, message, _about(leg, status.code))
        self._desk.add_answer(Answer(leg.sequence, status.code, sealed, self._clock.now()))

    def take_silence(self, sequence: str) -> PayoutState:
        """The bank has never heard of a payment: the same order may be sent again."""
        leg, payout = self._leg(sequence)
        return self._settle(replace_asked(not_known(payout, leg.leg), self._wall.now()), payout)

    def take_refusal(self, sequence: str, why: str) -> None:
        """The bank refuses the message itself: a person looks before it is sent again."""
        _, payout = self._leg(sequence)
        self._ask(
            QuestionKind.BANK_REFUSED, f"{sequence}:{payout.attempts}", why, payout=payout.payout
        )

    def note_asked(self, sequence: str) -> None:
        """The bank did not answer; it is asked again later, not at once."""
        _, payout = self._leg(sequence)
        self._save(replace(payout, asked_wall=self._wall.now()), before=payout)

    def approve_new_leg(self, payout: Hash32, *, by: str) -> Payout:
        """A person lets a rejected payout be tried once more, under a new leg number and sequence.

        Args:
            payout: rejected by the bank; its exact amount is still queued on chain.
            by: who approves; kept with the leg.

        Raises:
            PayoutStateError: the bank has not rejected the present leg, or a question blocks.
            AccountRefusedError: the account is not in the book.
        """
        if not by.strip():
            raise InvalidValueError("a new leg needs the name of who approves it", field="by")
        held = self._get(payout)
        if held.state is not PayoutState.REJECTED:
            raise PayoutStateError(
                "only a payout that the bank has rejected gets a new leg",
                payout=payout,
                current=held.state.value,
            )
        if self._desk.blocked([payout]):
            raise PayoutStateError("settle its open questions first", payout=payout)
        self._desk.close_question(
            QuestionKind.REJECTED.value, held.sequence, by=by, at=self._clock.now()
        )
        return self._begin(held, approved_by=by)

    # -- from the bank ----------------------------------------------------------------------------

    @property
    def house(self) -> BankAccount:
        """The custodian's account at the bank.

        Raises:
            InvalidValueError: no bank is joined to this system.
        """
        if self._house is None:
            raise InvalidValueError("no bank is joined to this system", field="bank_url")
        return self._house

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
            remittance=entry.remittance[:_MOST_TEXT],
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

    # -- to the chain -----------------------------------------------------------------------------

    def confirm_due(self, *, first: Signer, second: Signer, domain: Domain) -> int:
        """Signs the custodian's word for payouts that the bank has booked, and sends it; how many."""
        paid = self._desk.list_payouts(states=[PayoutState.PAID])
        blocked = self._desk.blocked([payout.payout for payout in paid])
        sent = 0
        for payout in paid:
            if payout.payout in blocked or payout.value_day is None:
                continue
            form = PayoutReceipt(payout.payout, Hash32(payout.sequence), payout.value_day)
            tries = self._tries(payout.payout, "confirmPayout")
            if not self._may_send(tries, payout.payout):
                continue
            call = SettlementToken.confirm_payout(
                form, first.sign_typed_data(form, domain), second.sign_typed_data(form, domain)
            )
            self._queue(call, f"confirm:{payout.sequence}:{len(tries)}", payout.payout)
            sent += 1
        return sent

    def mint_due(self, *, first: Signer, second: Signer, domain: Domain) -> int:
        """Signs receipts for money that came in, and sends them to be minted; how many."""
        today = beijing_day(self._clock.now())
        sent = 0
        for entry in self._desk.list_entries(states=[EntryState.MATCHED]):
            tries = self._tries(entry.mint_reference, "mint")
            if tries and tries[-1].error == _USED:  # minted before our rows were rebuilt
                self._desk.save_entry(replace(entry, state=EntryState.MINTED))
                continue
            over_cap = bool(tries) and tries[-1].error == _CAP
            if over_cap and entry.mint_day >= today:
                continue  # the cap is a day's; tomorrow is another
            if not over_cap and not self._may_send(tries, ""):
                continue
            form = MintReceipt(
                bank_reference=Hash32(entry.mint_reference),
                account=Address(entry.target),
                amount=entry.amount_fen,
                value_day=entry.value_day,
            )
            call = SettlementToken.mint(
                form, first.sign_typed_data(form, domain), second.sign_typed_data(form, domain)
            )
            self._queue(call, f"mint:{entry.mint_reference}:{len(tries)}", entry.mint_reference)
            attempts = entry.mint_attempts + 1
            self._desk.save_entry(replace(entry, mint_attempts=attempts, mint_day=today))
            sent += 1
        return sent

    def _tries(self, about: str, function: str) -> list[Outgoing]:
        return [one for one in self._outbox.list_about(about) if one.function == function]

    def _may_send(self, tries: list[Outgoing], payout: str) -> bool:
        """Whether nothing is under way; after a refusal only once a person has settled it."""
        if not tries:
            return True
        last = tries[-1]
        if last.state not in _FAILED:
            return False
        asked = self._desk.find_question(QuestionKind.CHAIN_REFUSED.value, last.key)
        if asked is None:
            self._ask(QuestionKind.CHAIN_REFUSED, last.key, last.message or last.error, payout)
            return False
        return asked.closed_at is not None

    def _queue(self, call: ContractCall, key: str, about: str) -> None:
        self._outbox.queue(call, key=key, about=about)

    # -- looking ----------------------------------------------------------------------------------

    def stages(self, payout: Hash32) -> tuple[Stage, ...]:
        """The stages of a payout with their times, as the payee sees them.

        Raises:
            UnknownPayoutError: there is none.
        """
        return stages_of(self._get(payout))

    def get(self, payout: Hash32) -> Payout:
        """A payout.

        Raises:
            UnknownPayoutError: there is none.
        """
        return self._get(payout)

    def told(self, payout: Hash32) -> Told | None:
        """What the bank was told of a payout and what it booked, for audit; None if there is no such payout."""
        if self._desk.find_payout(payout) is None:
            return None
        legs = tuple(self._desk.list_legs(payout))
        booked = [
            entry
            for leg in legs
            for entry in self._desk.list_entries(
                states=[EntryState.PAID], end_to_end_id=leg.end_to_end_id
            )
        ]
        heard: dict[Hash32, list[bytes | None]] = {leg.sequence: [] for leg in legs}
        by_sequence = {leg.sequence: leg for leg in legs}
        for answer in self._desk.list_answers(heard):
            leg = by_sequence[answer.sequence]
            opened = self._opened(leg, answer.sealed, _about(leg, answer.code))
            heard[answer.sequence].append(opened)
        return Told(
            payout,
            legs,
            tuple(self._opened(leg, leg.sealed_order, leg.sequence) for leg in legs),
            tuple(tuple(heard[leg.sequence]) for leg in legs),
            booked[0] if booked else None,
        )

    def _opened(self, leg: Leg, sealed: bytes, about: str) -> bytes | None:
        """A message about a leg; None where its account was forgotten."""
        account = self._desk.find_account(leg.account)
        if account is None or not account.key:
            return None
        return self._seal.open(account.key, sealed, about)

    def list_of(self, party: PartyId) -> list[Payout]:
        """A payee's payouts, oldest first."""
        return self._desk.list_payouts(party=party)

    def list_open(self, limit: int = 100) -> list[Payout]:
        """Payouts that the chain has not confirmed, oldest first."""
        states = [state for state in PayoutState if state is not PayoutState.CONFIRMED]
        return self._desk.list_payouts(states=states, limit=limit)

    def require_bank_word(self, payout: Hash32, sequence: Hash32, value_day: int) -> None:
        """Passes a receipt that says what the bank has said.

        Where no bank is joined the custodian's word is all there is.

        Raises:
            PayoutStateError: the bank has not booked it, or under another sequence or day.
            UnknownPayoutError: there is no such payout.
        """
        held = self._get(payout)
        if held.state is PayoutState.CONFIRMED or (self._house is None and not held.leg):
            return
        said = (held.sequence, held.value_day)
        if held.state is not PayoutState.PAID or said != (sequence, value_day):
            raise PayoutStateError(
                "the bank has not said that it paid this under this sequence and day",
                payout=payout,
                current=held.state.value,
                sequence=held.sequence,
            )

    def questions_of(self, payout: Hash32) -> list[Question]:
        """What waits for a person about one payout, oldest first."""
        return self._desk.list_questions(payout=payout)

    def questions(self) -> list[Question]:
        """What waits for a person, oldest first."""
        return self._desk.list_questions()

    # -- inside -----------------------------------------------------------------------------------

    def _begin(self, payout: Payout, *, approved_by: str) -> Payout:
        now = self._clock.now()
        payee, key = open_account(self._desk, self._seal, payout.account, payout.party)
        begun = begin_leg(payout, now)
        sequence = Hash32(begun.sequence)
        known_as = end_to_end_id(sequence)
        order = write_order(
            PaymentOrder(
                end_to_end_id=known_as,
                uetr=uetr_of(sequence),
                payer=self.house,
                payee=payee,
                amount_fen=payout.amount_fen,
                created_at=now,
                execution_day=date_of(beijing_day(now)),
                remittance=f"freight 运费 {payout.payout[2:18]}",
            )
        )
        self._desk.add_leg(
            Leg(
                payout=payout.payout,
                leg=begun.leg,
                sequence=sequence,
                end_to_end_id=known_as,
                account=payout.account,
                amount_fen=payout.amount_fen,
                sealed_order=self._seal.seal(key, order, sequence),
                created_at=now,
                approved_by=approved_by,
            )
        )
        self._save(begun, before=payout)
        self._desk.close_question(
            QuestionKind.NO_ACCOUNT.value, payout.payout, by="account book", at=now
        )
        return begun

    def _settle(self, step: Step, before: Payout) -> PayoutState:
        if step.payout != before:
            self._save(step.payout, before=before)
        if step.question is not None:
            question = step.question
            self._ask(question.kind, question.subject, question.text, question.payout)
        return step.payout.state

    def _save(self, payout: Payout, *, before: Payout) -> None:
        self._desk.save_payout(payout, before=before.state)

    def _ask(self, kind: QuestionKind, subject: str, text: str, payout: str = "") -> None:
        question = Question(kind, subject, text[:_MOST_TEXT], payout=payout)
        self._desk.raise_question(question, at=self._clock.now())

    def _get(self, payout: Hash32) -> Payout:
        held = self._desk.find_payout(payout)
        if held is None:
            raise UnknownPayoutError(field="payout", given=payout)
        return held

    def _leg(self, sequence: str) -> tuple[Leg, Payout]:
        leg = self._desk.find_leg(sequence)
        if leg is None:
            raise UnknownPayoutError(
                "no payment of ours has this sequence", field="sequence", given=sequence
            )
        return leg, self._get(leg.payout)


def replace_asked(step: Step, wall: dt.datetime) -> Step:
    """The step, with the bank having been asked at ``wall``."""
    return replace(step, payout=replace(step.payout, asked_wall=wall))


def _about(leg: Leg, code: str) -> str:
    """What an answer is sealed for: it opens as no other leg's and no other status."""
    return f"{leg.sequence}:{code}"


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
