"""Payouts, payees' accounts, money paid in, and what a person settles about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from api.schemas.money import PositiveFen
from api.schemas.signing import TypedData
from api.schemas.values import (
    AdvanceRef,
    AmountFen,
    Given,
    HashText,
    Instant,
    Listed,
    NameText,
    PartyRef,
    PartyText,
    PayoutRef,
    Shown,
    SignatureText,
    TripRef,
    WaybillText,
)


class RedirectShown(Shown):
    """A payee's wish for another account, and what the custodian signs to agree."""

    payout: PayoutRef
    party: PartyRef
    account: HashText
    amount_fen: AmountFen
    asked_at: Instant
    to_sign: TypedData


class RedirectList(Listed):
    """Wishes that nobody has agreed to, oldest first."""

    data: list[RedirectShown]


class RedirectAgreed(Given):
    """The first custodian's signature over the very form that the payee signed."""

    signature: SignatureText


class PayoutAsked(Given):
    """Takes money from the caller's account to his bank account."""

    account: HashText
    amount_fen: PositiveFen


class ReceiptSigned(Given):
    """A receipt that both people of the custodian have signed."""

    message: dict[str, Any]
    first_signature: SignatureText
    second_signature: SignatureText

    @property
    def first(self) -> bytes:
        """The first signature."""
        return bytes.fromhex(self.first_signature[2:])

    @property
    def second(self) -> bytes:
        """The second signature."""
        return bytes.fromhex(self.second_signature[2:])


class OpenPayout(Shown):
    """An amount on its way to a bank account, as the custodian sees it.

    What the bank has paid carries the sequence and value day that the custodian signs.
    """

    payout: PayoutRef
    party: PartyRef
    account: HashText
    amount_fen: AmountFen
    state: str
    sequence: str = Field(description="payment sequence of the present leg; empty before the first")
    value_day: int | None = Field(description="Beijing day number of the bank's booking")
    reason: str
    queued_at: Instant


class OpenPayoutPage(Shown):
    """A page of payouts that the chain has not confirmed, oldest first."""

    object: Literal["list"] = "list"
    data: list[OpenPayout]
    has_more: bool
    next_cursor: PayoutRef | None = Field(
        description="give it as `starting_after` for the next page"
    )


class StageShown(Shown):
    """A stage of a payout; without a time it is still to come."""

    name: str
    zh: str
    en: str
    at: Instant | None
    note: str


class QuestionShown(Shown):
    """What a person must settle."""

    kind: str
    subject: str
    text: str
    payout: str
    raised_at: Instant | None


class QuestionList(Listed):
    """Open questions, oldest first."""

    data: list[QuestionShown]


class PayoutShown(Shown):
    """A payout with every stage, from the consignee's signature to the bank's word and the burn."""

    id: PayoutRef
    party: PartyRef
    account: HashText
    amount_fen: AmountFen
    state: str
    advance: AdvanceRef | None
    trip: TripRef | None
    leg: int = Field(description="attempts to pay; each has a sequence of its own")
    sequence: str
    bank_reference: str
    stages: list[StageShown]
    signed_at: Instant | None
    bank_seconds: float | None = Field(
        description="from the consignee's signature to the bank's acceptance, by the machine's clock"
    )
    questions: list[QuestionShown]


class PayoutPage(Shown):
    """A page of payouts, oldest first."""

    object: Literal["list"] = "list"
    data: list[PayoutShown]
    has_more: bool
    next_cursor: PayoutRef | None = Field(
        description="give it as `starting_after` for the next page"
    )


class AccountNamed(Given):
    """A bank account and whose it is."""

    holder: NameText
    number: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,34}$")]
    bank: Annotated[str, Field(pattern=r"^[0-9]{12}$", description="12 CNAPS digits")]
    relation: Annotated[str, Field(pattern="^(self|vehicle_owner)$")] = "self"
    salt: HashText = Field(description="32 random bytes, known to payee and book alone")


class AccountForm(Shown):
    """What the payee signs so that an account may be used to pay him, and the words he agrees to."""

    account: HashText
    consent: dict[str, str]
    to_sign: TypedData


class AccountEntered(AccountNamed):
    """An account with the payee's signed consent."""

    message: dict[str, Any]
    signature: SignatureText


class AccountShown(Shown):
    """An account in the book; of its number the last four digits."""

    account: HashText
    relation: str
    tail: str
    usable: bool = Field(description="false until a person vouches, and once it is forgotten")
    consent: str
    consented_at: Instant
    forgotten_at: Instant | None


class AccountList(Listed):
    """Accounts, oldest first."""

    data: list[AccountShown]


class PayInShown(Shown):
    """What a payer writes so that his money finds its place: the custodian's account and a reference."""

    reference: str
    holder: str
    number: str
    bank: str
    about: str


class SubjectNamed(Given):
    """Which question of a kind is settled."""

    subject: Annotated[str, Field(min_length=1, max_length=200)]


class CreditAssigned(Given):
    """For whom money in suspense came in: the collection account of a waybill, or a party's own account."""

    waybill: WaybillText | None = None
    party: PartyText | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.waybill is None) == (self.party is None):
            raise ValueError("name either a waybill or a party")
        return self
