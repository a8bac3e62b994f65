"""Use cases of orders to the bank: a leg and its sequence stored before anything is sent, the bank's answers taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chain.clock import beijing_day
from chain.errors import InvalidValueError
from chain.ids import Hash32
from finance.account_book import open_account
from finance.accrual import date_of
from finance.iso20022 import PaymentOrder, read_status, write_order
from finance.payout_errors import AccountRefusedError, MessageInvalidError, PayoutStateError
from finance.payout_ports import EntryState
from finance.payout_use_cases import PayoutUseCases
from finance.payouts import (
    Answer,
    Leg,
    Payout,
    PayoutState,
    QuestionKind,
    begin_leg,
    end_to_end_id,
    hand_over,
    hear,
    not_known,
    uetr_of,
)

if TYPE_CHECKING:
    import datetime as dt

    from chain.abi import Occurred
    from chain.bindings import events
    from finance.iso20022 import PaymentStatus
    from finance.payout_ports import HeldEntry
    from finance.payouts import Step


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


class OrderUseCases(PayoutUseCases):
    """From what the chain queued to what the bank says of the order."""

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


def replace_asked(step: Step, wall: dt.datetime) -> Step:
    """The step, with the bank having been asked at ``wall``."""
    return replace(step, payout=replace(step.payout, asked_wall=wall))


def _about(leg: Leg, code: str) -> str:
    """What an answer is sealed for: it opens as no other leg's and no other status."""
    return f"{leg.sequence}:{code}"
