"""Lines, applications, advances, settlements and the books."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from api.object_ids import pattern_of
from api.schemas.line_rules import RuleShown
from api.schemas.signing import TypedData
from api.schemas.values import (
    AdvanceRef,
    AmountFen,
    ApplicationRef,
    Given,
    HashText,
    Instant,
    LineRef,
    LineRefOrNone,
    LineText,
    Listed,
    PartyRef,
    PartyRefOrNone,
    PartyText,
    Shown,
    SignatureText,
    TripRef,
    TripText,
    WaybillRef,
    WaybillText,
    plain_text,
)
from chain.money import JSON_MAX_FEN

PositiveFen = Annotated[AmountFen, Field(gt=0)]
FenAsked = Annotated[int, Field(gt=0, le=JSON_MAX_FEN, description="whole fen")]
"""An amount in a query, where everything is text."""

Bps = Annotated[int, Field(ge=0, le=10_000)]
Ppm = Annotated[int, Field(ge=0, le=1_000_000, description="millionths a year")]


class LineAsked(Given):
    """Terms of a credit line; both sides sign what comes back."""

    lender: PartyText
    borrower: PartyText
    limit_fen: PositiveFen
    rate_ppm: Ppm
    penalty_ppm: Ppm
    ceiling_ppm: Annotated[Ppm, Field(description="most that all charges may cost a year")]
    fee_bps: Bps = 0
    advance_bps: Bps = Field(description="most that may be advanced of a receivable")
    tolerance_bps: Bps = Field(description="shortage that still releases by itself")
    tenor_days: int = Field(ge=1, le=3650)
    grace_days: int = Field(ge=0, le=365)
    attestor: PartyText = Field(description="one of the attestations must be this party's")
    gated: bool = False
    valid_until: Instant
    terms: HashText = Field(description="hash of the contract text")


class TwiceSigned(Given):
    """A form that lender and borrower have signed."""

    message: dict[str, Any]
    lender_signature: SignatureText
    borrower_signature: SignatureText


class LineChangeSigned(Given):
    """A change of a line that its lender has signed; a raise carries the borrower's signature too."""

    message: dict[str, Any]
    lender_signature: SignatureText
    borrower_signature: SignatureText | None = None


class LineOfferAsked(Given):
    """A form for both sides, as ``POST /v1/lines/form`` or ``GET /v1/lines/{line}/change`` prepared it."""

    form: Literal["CreditLine", "LineChange"]
    message: dict[str, Any] = Field(description="the `message` of the typed data")


class LineOfferShown(Shown):
    """Terms that wait for both signatures; the borrower signs first."""

    id: Annotated[str, Field(pattern=pattern_of("line_offer"), examples=["lo_" + "0c" * 12])]
    kind: str = Field(description="open: a new line; change: of one that stands")
    lender: PartyRef
    borrower: PartyRef
    line: LineRef = Field(description="the line that is changed, or would be opened")
    state: str = Field(
        description="offered, accepted (the borrower has signed), sent, refused, withdrawn, expired"
    )
    message: dict[str, Any]
    to_sign: TypedData | None = Field(description="what the caller is asked to sign, if anything")
    made_at: Instant
    expires_at: Instant
    signed_at: Instant | None
    ended_at: Instant | None


class LineOfferList(Listed):
    """Offers, newest first."""

    data: list[LineOfferShown]


class PolicyChanged(Given):
    """What a lender reports and decides; left out, it stays."""

    net_assets_fen: Annotated[
        AmountFen | None, Field(description="audited net assets of last year end")
    ] = None
    lpr_ppm: Annotated[Ppm | None, Field(description="one-year loan prime rate")] = None
    debtor_cap_bps: Annotated[
        Bps | None, Field(description="most of a line that may hang on one debtor")
    ] = None
    four_eyes: Annotated[
        bool | None, Field(description="whether what moves money needs a second person")
    ] = None


class PolicyShown(Shown):
    """A lender's policy in force."""

    effective_on: dt.date
    net_assets_fen: AmountFen | None
    lpr_ppm: int | None
    debtor_cap_bps: int
    four_eyes: bool


class LineShown(Shown):
    """A credit line as it stands."""

    id: LineRef
    lender: PartyRef
    borrower: PartyRef
    state: str
    frozen: bool
    limit_fen: AmountFen
    reserved_fen: AmountFen
    drawn_fen: AmountFen
    held_fen: AmountFen = Field(description="claimed by requests on their way to the chain")
    headroom_fen: AmountFen
    rate_ppm: int
    penalty_ppm: int
    ceiling_ppm: int
    fee_bps: int
    advance_bps: int
    tolerance_bps: int
    tenor_days: int
    grace_days: int
    valid_until: Instant
    rule: RuleShown | None = Field(
        default=None,
        description="by which advances are approved without another word; null if never set",
    )
    expanded: dict[str, Any] | None = Field(
        default=None, description="what `expand` asked for, by name; null where nothing was"
    )


class LinePage(Shown):
    """A page of lines, newest first."""

    object: Literal["list"] = "list"
    data: list[LineShown]
    has_more: bool
    next_cursor: LineRef | None = Field(description="give it as `starting_after` for the next page")


class VaultAsked(Given):
    """Moves the lender's own money between his account and his vault."""

    deposit: bool
    amount_fen: PositiveFen


class PayeeAsked(Given):
    """Who is to be paid; the driver stands first."""

    party: PartyText
    waybill: WaybillText = Field(description="his own waybill, at or below the borrower's")
    account: HashText = Field(description="salted hash of his payout account")
    amount_fen: PositiveFen


class AdvanceAsked(Given):
    """A request for the freight of a trip, on the borrower's own waybill."""

    line: LineText
    waybill: WaybillText
    trip: TripText
    principal_fen: PositiveFen
    payees: Annotated[list[PayeeAsked], Field(min_length=1, max_length=8)]


class ReasonShown(Shown):
    """One reason of a decision."""

    rule: str
    code: str
    effect: str
    zh: str
    en: str
    law: str


class DecisionShown(Shown):
    """A risk decision with every reason, and the form to sign unless it refuses."""

    verdict: str
    score: int
    cap_fen: AmountFen | None
    reasons: list[ReasonShown]
    decision: HashText
    elapsed_us: int
    to_sign: TypedData | None


class ApplicationAsked(Given):
    """A firm's wish for a credit line."""

    lender: PartyText
    limit_fen: PositiveFen
    tenor_days: Annotated[int, Field(ge=1, le=3650, description="longest term of a loan")]
    note: Annotated[str, Field(max_length=500), AfterValidator(plain_text)] = ""


class ApplicationRefused(Given):
    """Why the lender says no."""

    reason: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(plain_text)]


class StepShown(Shown):
    """One line of the explanation of a limit."""

    code: str
    amount_fen: AmountFen


class ApplicationShown(Shown):
    """An application: what was asked, what the rules said at once, what became of it."""

    id: ApplicationRef
    lender: PartyRef
    borrower: PartyRef
    state: str
    asked_fen: AmountFen
    offered_fen: AmountFen = Field(description="what rules and verified trips give room for")
    tenor_days: int
    note: str
    earned_fen: AmountFen
    steps: list[StepShown] = Field(description="how verified trips earn the limit")
    decision: HashText
    made_at: Instant
    line: LineRefOrNone = Field(description="the line that came of it; empty before")
    ended_at: Instant | None
    ended_by: str
    reason: str


class ApplicationDecided(ApplicationShown):
    """An application with the outcome of every rule, and the reason of each that spoke."""

    answers: dict[str, str] = Field(description="hit, miss, missing or error, by rule")
    verdict: str
    score: int
    cap_fen: AmountFen | None
    reasons: list[ReasonShown]
    elapsed_us: int


class ApplicationList(Listed):
    """Applications, newest first."""

    data: list[ApplicationShown]


class NoticeShown(Shown):
    """A notice of assignment and the proof of its receipt."""

    advance: AdvanceRef
    hash: HashText = Field(description="of the content; it stands in the debtor's acknowledgement")
    content: dict[str, Any]
    made_at: Instant
    shown_at: Instant | None = Field(description="when the debtor was first shown it")
    channel: str = Field(description="the door it was shown through: page or api")
    acknowledged_at: Instant | None = Field(
        description="when the chain recorded the debtor's signature over the hash"
    )


class PayeeShown(Shown):
    """A payee of an advance."""

    party: PartyRef
    waybill: WaybillRef
    account: HashText
    amount_fen: AmountFen
    paid_fen: AmountFen
    state: str
    consented_at: Instant | None
    paid_at: Instant | None
    bank_paid_at: Instant | None


class AdvanceShown(Shown):
    """An advance as the chain last said."""

    id: AdvanceRef
    line: LineRef
    lender: PartyRef
    borrower: PartyRef
    debtor: PartyRefOrNone = Field(description="empty until the request is on chain")
    waybill: WaybillRef
    trip: TripRef
    state: str
    principal_fen: AmountFen
    released_fen: AmountFen
    outstanding_fen: AmountFen
    reason: str
    payees: list[PayeeShown]
    approved_until: Instant | None
    released_at: Instant | None
    closed_at: Instant | None
    start_day: dt.date | None = Field(description="Beijing day on which interest starts")
    due_day: dt.date | None = Field(description="Beijing day by which it is due")
    expanded: dict[str, Any] | None = Field(
        default=None, description="what `expand` asked for, by name; null where nothing was"
    )


class AdvanceTold(AdvanceShown):
    """An advance with what is owed on a Beijing day."""

    day: dt.date
    fee_fen: AmountFen
    penalty_fen: AmountFen
    interest_fen: AmountFen
    principal_due_fen: AmountFen
    payoff_fen: AmountFen
    days_past_due: int
    tier: str = Field(description="five-tier class")
    tier_zh: str


class AdvancePage(Shown):
    """A page of advances, by id."""

    data: list[AdvanceShown]
    has_more: bool
    next_cursor: AdvanceRef | None


class SettleAsked(Given):
    """Shares what a debtor has paid into the waybill's collection account."""

    reference: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,60}$")] = Field(
        description="what came in, e.g. the bank reference; makes the call once-only"
    )


class SettlementShown(Shown):
    """Freight paid in and how it was shared."""

    id: str
    waybill: WaybillRef
    received_fen: AmountFen
    to_loans_fen: AmountFen
    to_children_fen: AmountFen
    to_performer_fen: AmountFen
    refunded_fen: AmountFen
    at: Instant


class SettlementList(Listed):
    """Settlements of a waybill, oldest first."""

    data: list[SettlementShown]


class BalanceShown(Shown):
    """One account of a book; debit positive."""

    book: str
    account: str
    debit_fen: int
    credit_fen: int


class TrialBalance(Shown):
    """Every account of the caller's book; the sums of both sides are equal or the book is broken."""

    data: list[BalanceShown]
    debit_fen: int
    credit_fen: int
    balanced: bool


class DifferenceShown(Shown):
    """A difference between chain and books."""

    kind: str
    subject: str
    chain_fen: int
    ledger_fen: int
    bank_fen: int | None = None
    owner: str = "finance"
    first_day: dt.date
    last_day: dt.date


class AuditShown(Shown):
    """Whether chain and books agree, as last checked, for what concerns the caller."""

    handled_block: int | None
    handled_block_hash: str
    balanced: bool
    differences: list[DifferenceShown]
