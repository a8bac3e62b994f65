"""A payout on its way to a bank account, as pure moves: never twice, never lost, its amount never changed.

The chain queues an amount for a payee; each attempt to pay it is a leg with a payment sequence of its own,
``H(payout, leg)``, kept before anything is sent and used again on every retry. Only a rejection by the bank
ends a leg without money, and only a person begins the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from eth_abi.abi import encode

from chain.abi import address, bytes32, hash32
from chain.keccak import keccak
from finance.accrual import day_number
from finance.iso20022 import Outcome
from finance.payout_errors import PayoutStateError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from chain.ids import Address, Hash32, PartyId, WaybillId
    from finance.iso20022 import BankEntry, PaymentStatus


class PayoutState(StrEnum):
    """Where a payout stands; the moves allowed are ``MOVES``."""

    QUEUED = "queued"
    """The chain holds the amount for the payee; no leg has begun."""
    INSTRUCTED = "instructed"
    """A leg and its payment sequence are stored; the order has not left us, or the bank never had it."""
    UNKNOWN = "unknown"
    """The order has left us and the bank has not answered: it is asked, and blocks until it does."""
    ACCEPTED = "accepted"
    PAID = "paid"
    """The bank has booked the exact amount."""
    CONFIRMED = "confirmed"
    """The chain has burned the amount on the custodian's word."""
    REJECTED = "rejected"
    """The bank will not pay this leg: the amount stays queued for its payee and a person is asked."""


_S = PayoutState

MOVES: Final[Mapping[PayoutState, frozenset[PayoutState]]] = MappingProxyType(
    {
        # confirmed from anywhere: the chain's word counts, whoever brought it about
        _S.QUEUED: frozenset({_S.INSTRUCTED, _S.CONFIRMED}),
        # the bank's words straight from instructed: our rows were restored, its books were not
        _S.INSTRUCTED: frozenset({_S.UNKNOWN, _S.ACCEPTED, _S.PAID, _S.REJECTED, _S.CONFIRMED}),
        # back to instructed: the bank has never heard of it, the same bytes go again
        _S.UNKNOWN: frozenset({_S.INSTRUCTED, _S.ACCEPTED, _S.PAID, _S.REJECTED, _S.CONFIRMED}),
        _S.ACCEPTED: frozenset({_S.PAID, _S.REJECTED, _S.CONFIRMED}),
        # instructed: the next leg; paid: the bank booked what it had rejected
        _S.REJECTED: frozenset({_S.INSTRUCTED, _S.PAID, _S.CONFIRMED}),
        _S.PAID: frozenset({_S.CONFIRMED}),
        _S.CONFIRMED: frozenset(),
    }
)
"""The published table: every move a payout may make, and no other."""


class QuestionKind(StrEnum):
    """What only a person can settle."""

    NO_ACCOUNT = "no_account"
    """The payee's account is not in the account book, or was forgotten."""
    OWNER_ACCOUNT = "owner_account"
    """A payee named the account of his vehicle's owner: somebody must look at the papers."""
    REJECTED = "rejected"
    RETURNED = "returned"
    """A payment that was made came back; it stands on the payee's account again."""
    BANK_REFUSED = "bank_refused"
    """The bank refuses the message itself."""
    AMOUNT_DIFFERS = "amount_differs"
    """The bank speaks of another amount than was instructed."""
    CONTRADICTION = "contradiction"
    """The bank says what cannot follow from what it said before."""
    PAID_TWICE = "paid_twice"
    """The bank has booked a second payment."""
    UNKNOWN_DEBIT = "unknown_debit"
    """Money left our account without an order of ours."""
    UNMATCHED_CREDIT = "unmatched_credit"
    """Money came in and nobody knows for what: it waits in suspense."""
    REFERENCE_REUSED = "reference_reused"
    """The bank used one booking reference for two bookings."""
    BAD_MESSAGE = "bad_message"
    """A message of the bank could not be read; nothing of it was booked."""
    CHAIN_REFUSED = "chain_refused"
    """A contract refused what the custodian signed."""


BLOCKING: Final = frozenset(
    {
        QuestionKind.BANK_REFUSED,
        QuestionKind.AMOUNT_DIFFERS,
        QuestionKind.CONTRADICTION,
        QuestionKind.PAID_TWICE,
    }
)
"""While such a question is open, nothing more of its payout is sent or confirmed."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a person must settle; the same kind and subject is asked once."""

    kind: QuestionKind
    subject: str
    text: str
    payout: str = ""
    raised_at: dt.datetime | None = None
    closed_at: dt.datetime | None = None
    closed_by: str = ""


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout and its present leg. Amounts in fen; times by the chain's clock unless named otherwise.

    Attributes:
        account: salted hash of the payee's account, as the chain has it now.
        leg: number of the present leg, 0 before the first.
        sequence: the present leg's payment sequence, "" before the first.
        attempts: how often the present leg's order was handed to the bank.
        value_day: Beijing day of the bank's booking.
        queued_wall: machine time at which we learned of it; accepted_wall: of the bank's acceptance.
        asked_wall: when the bank was last asked or sent something.
    """

    payout: Hash32
    party: PartyId
    account: Hash32
    amount_fen: int
    queued_at: dt.datetime
    queued_wall: dt.datetime
    state: PayoutState = PayoutState.QUEUED
    leg: int = 0
    sequence: str = ""
    attempts: int = 0
    instructed_at: dt.datetime | None = None
    accepted_at: dt.datetime | None = None
    accepted_wall: dt.datetime | None = None
    rejected_at: dt.datetime | None = None
    paid_at: dt.datetime | None = None
    confirmed_at: dt.datetime | None = None
    asked_wall: dt.datetime | None = None
    value_day: int | None = None
    bank_reference: str = ""
    reason: str = ""
    reason_text: str = ""


@dataclass(frozen=True, slots=True)
class Leg:
    """One attempt to pay; never changed once written.

    Attributes:
        end_to_end_id: the sequence as the bank knows it.
        sealed_order: the pain.001 bytes, sealed under the account's own key.
        approved_by: the person who let this leg begin; "" for the first, which needs none.
    """

    payout: Hash32
    leg: int
    sequence: Hash32
    end_to_end_id: str
    account: Hash32
    amount_fen: int
    sealed_order: bytes
    created_at: dt.datetime
    approved_by: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The bank's answer to a leg, as it came.

    Attributes:
        sequence: of the leg.
        code: the status it gives, the first answer of each is kept.
        sealed: the pain.002 bytes, sealed under the key of the leg's account.
    """

    sequence: Hash32
    code: str
    sealed: bytes
    heard_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Step:
    """What has become of a payout, and the question that remains, if any."""

    payout: Payout
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage as the payee sees it; ``at`` is None while it is still to come."""

    name: str
    zh: str
    en: str
    at: dt.datetime | None
    note: str = ""


# -- moves ----------------------------------------------------------------------------------------


def move(payout: Payout, wanted: PayoutState, **changes: Any) -> Payout:
    """The payout in another state.

    Raises:
        PayoutStateError: ``MOVES`` has no such move.
    """
    if wanted not in MOVES[payout.state]:
        raise PayoutStateError(
            f"a payout that is {payout.state} cannot become {wanted}",
            payout=payout.payout,
            current=payout.state.value,
            wanted=wanted.value,
        )
    return replace(payout, state=wanted, **changes)


def begin_leg(payout: Payout, at: dt.datetime) -> Payout:
    """The payout with its next leg stored: the first, or one more after a rejection.

    Raises:
        PayoutStateError: the present leg has not been rejected.
    """
    if payout.state not in (PayoutState.QUEUED, PayoutState.REJECTED):
        raise PayoutStateError(
            "a new leg begins only when none has begun or the bank has rejected the last",
            payout=payout.payout,
            current=payout.state.value,
        )
    return move(
        payout,
        PayoutState.INSTRUCTED,
        leg=payout.leg + 1,
        sequence=payment_sequence(payout.payout, payout.leg + 1),
        attempts=0,
        instructed_at=at,
        asked_wall=None,
        accepted_at=None,
        accepted_wall=None,
        rejected_at=None,
        reason="",
        reason_text="",
    )


def hand_over(payout: Payout, wall: dt.datetime) -> Payout:
    """Before the wire is touched: from now on only the bank knows.

    Raises:
        PayoutStateError: nothing waits to be sent.
    """
    return move(payout, PayoutState.UNKNOWN, attempts=payout.attempts + 1, asked_wall=wall)


def not_known(payout: Payout, leg: int) -> Step:
    """The bank has no such payment: the same order may go again, under the same sequence."""
    if leg == payout.leg and payout.state is PayoutState.UNKNOWN:
        return Step(move(payout, PayoutState.INSTRUCTED))
    if leg != payout.leg or payout.state is PayoutState.INSTRUCTED:
        return Step(payout)
    return Step(
        payout,
        _contradiction(payout, f"the bank knows nothing of leg {leg}, which is {payout.state}"),
    )


def hear(
    payout: Payout, leg: int, status: PaymentStatus, *, at: dt.datetime, wall: dt.datetime
) -> Step:
    """Takes the bank's word on a leg (pain.002); the same word twice changes nothing."""
    said = status.outcome
    if said is Outcome.PENDING:
        return Step(payout)
    if leg != payout.leg:
        if said is Outcome.REJECTED:
            return Step(payout)  # an earlier leg ended like that
        return Step(payout, _contradiction(payout, f"earlier leg {leg} is now {status.code}"))
    if status.amount_fen is not None and status.amount_fen != payout.amount_fen:
        return Step(
            payout, _other_amount(payout, status.amount_fen, f"{payout.sequence}:{status.code}")
        )
    if said is Outcome.ACCEPTED:
        return _accept(payout, status, at, wall)
    if payout.state is PayoutState.REJECTED:
        return Step(payout)
    if PayoutState.REJECTED not in MOVES[payout.state]:
        return Step(payout, _contradiction(payout, f"leg {leg} is {payout.state}, then rejected"))
    rejected = move(
        payout,
        PayoutState.REJECTED,
        rejected_at=at,
        reason=status.reason,
        reason_text=status.text,
    )
    text = f"the bank rejects leg {leg}: {status.reason or status.code} {status.text}".strip()
    return Step(
        rejected, Question(QuestionKind.REJECTED, payout.sequence, text, payout=payout.payout)
    )


def _accept(payout: Payout, status: PaymentStatus, at: dt.datetime, wall: dt.datetime) -> Step:
    if payout.state is PayoutState.REJECTED:
        return Step(payout, _contradiction(payout, f"rejected, then {status.code}"))
    if PayoutState.ACCEPTED in MOVES[payout.state]:
        return Step(move(payout, PayoutState.ACCEPTED, accepted_at=at, accepted_wall=wall))
    if payout.accepted_at is None:  # the booking was faster than the answer
        return Step(replace(payout, accepted_at=at, accepted_wall=wall))
    return Step(payout)


def book(payout: Payout, leg: Leg, entry: BankEntry, *, at: dt.datetime, wall: dt.datetime) -> Step:
    """Takes a booking on our account that carries a leg's sequence (camt.054, debit, booked)."""
    if entry.amount_fen != leg.amount_fen:
        return Step(payout, _other_amount(payout, entry.amount_fen, entry.reference))
    if payout.state in (PayoutState.PAID, PayoutState.CONFIRMED):
        if entry.reference == payout.bank_reference:
            return Step(payout)
        if not payout.bank_reference and payout.sequence in ("", leg.sequence):
            return Step(  # the chain knew first: rows rebuilt from it
                replace(payout, bank_reference=entry.reference, paid_at=at, leg=leg.leg)
            )
        return Step(
            payout,
            Question(
                QuestionKind.PAID_TWICE,
                entry.reference,
                f"booking {entry.reference} pays leg {leg.leg} again; "
                f"{payout.bank_reference or 'the chain'} has paid it",
                payout=payout.payout,
            ),
        )
    if leg.leg != payout.leg and not _may_adopt(payout):
        return Step(payout, _contradiction(payout, f"earlier leg {leg.leg} was booked after all"))
    return Step(
        move(
            payout,
            PayoutState.PAID,
            leg=leg.leg,
            sequence=leg.sequence,
            accepted_at=payout.accepted_at or at,
            accepted_wall=payout.accepted_wall or wall,
            paid_at=at,
            value_day=day_number(entry.value_day),
            bank_reference=entry.reference,
        )
    )


def _may_adopt(payout: Payout) -> bool:
    """Whether an earlier leg's booking may still stand for the payout: nothing newer is under way."""
    return payout.state is PayoutState.REJECTED or (
        payout.state is PayoutState.INSTRUCTED and payout.attempts == 0
    )


def confirm(payout: Payout, sequence: str, value_day: int, at: dt.datetime) -> Payout:
    """The chain has burned the amount; a second time changes nothing."""
    if payout.state is PayoutState.CONFIRMED:
        return payout
    return move(
        payout,
        PayoutState.CONFIRMED,
        sequence=sequence,
        value_day=value_day,
        paid_at=payout.paid_at or at,
        confirmed_at=at,
    )


def _contradiction(payout: Payout, text: str) -> Question:
    return Question(
        QuestionKind.CONTRADICTION, f"{payout.sequence}:{text}"[:200], text, payout=payout.payout
    )


def _other_amount(payout: Payout, said: int, subject: str) -> Question:
    return Question(
        QuestionKind.AMOUNT_DIFFERS,
        subject,
        f"{payout.amount_fen} fen were instructed, the bank speaks of {said}",
        payout=payout.payout,
    )


# -- names ----------------------------------------------------------------------------------------


def payment_sequence(payout: Hash32, leg: int) -> Hash32:
    """The sequence of a leg: keccak of ("yundan.payment", payout, leg), ABI coded."""
    return hash32(
        keccak(encode(["string", "bytes32", "uint32"], ["yundan.payment", bytes32(payout), leg]))
    )


def end_to_end_id(sequence: Hash32) -> str:
    """The sequence as it fits into 35 characters: ``YD`` and its first 128 bits."""
    return f"YD{sequence[2:34].upper()}"


def uetr_of(sequence: Hash32) -> str:
    """The sequence in the form of a version 4 UUID, from its last 128 bits."""
    h = sequence[34:66]
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) % 4]}{h[17:20]}-{h[20:]}"


def mint_reference(reference: str) -> Hash32:
    """A booking's reference as the chain takes it: keccak of ("yundan.credit", reference), ABI coded."""
    return hash32(keccak(encode(["string", "string"], ["yundan.credit", reference])))


def account_of_party(party: PartyId) -> Address:
    """A party's account of the settlement token (``Accounts.ofParty``): an address without a key."""
    return _derived("yundan.party", "uint64", party)


def collection_account(waybill: WaybillId) -> Address:
    """The account into which the debtor of a waybill pays (``Accounts.ofCollection``)."""
    return _derived("yundan.collection", "bytes32", bytes32(waybill))


def _derived(name: str, kind: str, value: object) -> Address:
    return address("0x" + keccak(encode(["string", kind], [name, value]))[-20:].hex())


# -- what the payee sees --------------------------------------------------------------------------


def stages_of(payout: Payout) -> tuple[Stage, ...]:
    """The stages of a payout in their order, with their times."""
    stages = [
        Stage("queued", "款项已放出", "Money released for you", payout.queued_at),
        Stage("instructed", "已向银行发出付款指令", "Bank instructed", payout.instructed_at),
    ]
    if payout.state is PayoutState.REJECTED:
        note = f"{payout.reason} {payout.reason_text}".strip()
        stages.append(Stage("rejected", "银行退回", "Bank could not pay", payout.rejected_at, note))
    stages += [
        Stage("accepted", "银行已受理", "Bank has accepted", payout.accepted_at),
        Stage("paid", "已入账", "Paid into the account", payout.paid_at, payout.bank_reference),
        Stage("confirmed", "链上已确认", "Confirmed on the record", payout.confirmed_at),
    ]
    return tuple(stages)
