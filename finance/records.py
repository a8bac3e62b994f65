"""What finance keeps, as frozen values: the repository turns them into rows and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from finance.accrual import NOTHING_CHARGED, Charges
from finance.advance import AdvanceState
from finance.credit import Line

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from chain.ids import AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
    from finance.risk import Decision
    from finance.terms import Terms
    from finance.watch import Action


class LineState(StrEnum):
    """Where a credit line stands; freezing and ending are facts beside it."""

    SUBMITTED = "submitted"
    """Signed by both sides here; the chain has not opened it yet."""
    OPEN = "open"


class PayeeState(StrEnum):
    """How far a payee's money has come."""

    ASKED = "asked"
    FROZEN = "frozen"
    """The lender has approved: nobody can change party, account or amount any more."""
    PAID = "paid"
    """On his account, queued for the bank."""
    CLAIMABLE = "claimable"
    """The transfer failed; the amount waits for him and anyone may try again."""
    BANKED = "banked"
    """The bank has paid it out."""
    CUT = "cut"
    """A shortage left nothing for him, or the advance ended without a release."""


@dataclass(frozen=True, slots=True)
class LenderPolicy:
    """What a lender decides or must report, from a Beijing day on.

    Attributes:
        net_assets_fen: audited net assets of last year end (10% and 15% rules); None if not reported.
        lpr_ppm: one-year loan prime rate, ppm; None if not entered.
        debtor_cap_bps: most of a line that may hang on one debtor.
    """

    lender: PartyId
    effective_day: int
    net_assets_fen: int | None = None
    lpr_ppm: int | None = None
    debtor_cap_bps: int = 10_000


@dataclass(frozen=True, slots=True)
class LineRecord:
    """A credit line: frozen terms and moving facts; amounts in fen."""

    line: LineId
    lender: PartyId
    borrower: PartyId
    state: LineState
    limit_fen: int
    valid_until: dt.datetime
    terms: Terms
    advance_bps: int
    tolerance_bps: int
    attestor: PartyId
    gated: bool
    terms_hash: Hash32
    form: Mapping[str, Any]
    submitted_at: dt.datetime
    reserved_fen: int = 0
    drawn_fen: int = 0
    held_fen: int = 0
    frozen: bool = False
    opened_at: dt.datetime | None = None

    @property
    def as_line(self) -> Line:
        """The line for the arithmetic of headroom; what is held counts as reserved."""
        return Line(
            limit=self.limit_fen,
            reserved=self.reserved_fen + self.held_fen,
            drawn=self.drawn_fen,
            frozen=self.frozen,
            valid_until=self.valid_until,
        )


@dataclass(frozen=True, slots=True)
class PayeeRecord:
    """One payee of an advance, in order of payment (the driver is place 0)."""

    advance: AdvanceId
    place: int
    party: PartyId
    waybill: WaybillId
    account: Hash32
    amount_fen: int
    state: PayeeState = PayeeState.ASKED
    paid_fen: int = 0
    payout: str = ""
    consented_at: dt.datetime | None = None
    paid_at: dt.datetime | None = None
    bank_paid_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class AdvanceRecord:
    """An advance as the chain last said; amounts in fen.

    Attributes:
        state: NONE until the chain has the request.
        accrued_day: last business day whose charges are booked.
        accrued: charges booked up to it, cumulative.
        held_fen: what it holds of its line's headroom until the chain reserves or refuses.
        reason: the chain's reason hash of a void or a wait.
    """

    advance: AdvanceId
    line: LineId
    lender: PartyId
    borrower: PartyId
    waybill: WaybillId
    trip: TripId
    principal_fen: int
    decision: str
    submitted_at: dt.datetime
    state: AdvanceState = AdvanceState.NONE
    debtor: str = ""
    held_fen: int = 0
    released_fen: int = 0
    outstanding_fen: int = 0
    start_day: int = 0
    due_day: int = 0
    accrued_day: int | None = None
    accrued: Charges = NOTHING_CHARGED
    fingerprint: str = ""
    approved_until: dt.datetime | None = None
    reason: str = ""
    form: Mapping[str, Any] = field(default_factory=dict)
    requested_at: dt.datetime | None = None
    acknowledged_at: dt.datetime | None = None
    released_at: dt.datetime | None = None
    closed_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class ReceivableRecord:
    """What a debtor owes on the borrower's waybill; amounts in fen."""

    waybill: WaybillId
    debtor: PartyId
    owner: PartyId
    freight_fen: int
    term_days: int = 0
    lender: str = ""
    received_fen: int = 0
    due_day: int | None = None
    notice: str = ""
    acknowledged_at: dt.datetime | None = None
    settled_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class SettlementRecord:
    """Freight paid in and how it was shared; amounts in fen."""

    id: str
    waybill: WaybillId
    received_fen: int
    to_loans_fen: int
    to_children_fen: int
    to_performer_fen: int
    refunded_fen: int
    at: dt.datetime


class ApplicationState(StrEnum):
    """Where an application stands; the moves allowed are ``applications.MOVES``."""

    OFFERED = "offered"
    """The rules do not refuse; the lender's people look."""
    REFUSED = "refused"
    """By the rules, or by the lender with his reason."""
    WITHDRAWN = "withdrawn"
    OPENED = "opened"
    """The line stands on chain."""


@dataclass(frozen=True, slots=True)
class LineApplication:
    """A firm's wish for a credit line.

    Attributes:
        id: hash of who asks whom for what, and when.
        asked_fen: the limit wanted; ``offered_fen`` what the rules and verified trips give room for.
        decision: hash of the decision record, which replays.
        earned: the earned limit and its steps, as they were shown.
        line: the line that came of it, "" before.
    """

    id: str
    lender: PartyId
    borrower: PartyId
    asked_fen: int
    offered_fen: int
    tenor_days: int
    note: str
    decision: str
    earned: Mapping[str, Any]
    made_at: dt.datetime
    made_by: str
    state: ApplicationState = ApplicationState.OFFERED
    line: str = ""
    ended_at: dt.datetime | None = None
    ended_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """A notice of assignment and the proof of its receipt.

    Attributes:
        hash: of ``content``; it stands in the debtor's acknowledgement.
        shown_at: when the debtor was first shown it; ``shown_to``: by which sign-in; ``channel``: which door.
        acknowledged_at: when the chain recorded his signature over the hash.
    """

    advance: AdvanceId
    hash: Hash32
    content: Mapping[str, Any]
    made_at: dt.datetime
    shown_at: dt.datetime | None = None
    shown_to: str = ""
    channel: str = ""
    acknowledged_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A stored decision and how long it took; ``lender`` is whose money was asked for, "" if not known."""

    decision: Decision
    subject: str
    stage: str
    forest: str
    asked_fen: int | None
    elapsed_us: int
    decided_at: dt.datetime
    lender: str = ""


@dataclass(frozen=True, slots=True)
class BorrowerFacts:
    """What the books know of a borrower with a lender, for the rules; amounts in fen.

    Attributes:
        overdue_days: of the loan that is most days past due.
        balance_fen: outstanding and reserved.
        debtor_exposure_fen: of that, what hangs on the debtor asked about.
        delivered_trips: advances that were released, ever.
        week_trips: advances asked in the last 7 days.
        usual_week_trips: mean of the 8 weeks before, rounded down.
    """

    overdue_days: int
    balance_fen: int
    debtor_exposure_fen: int
    delivered_trips: int
    week_trips: int
    usual_week_trips: int


@dataclass(frozen=True, slots=True)
class PayeeFacts:
    """What the chain says of a payee's own waybill; amounts in fen."""

    performer: PartyId
    owed_fen: int


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the chain says when an advance is asked for, all of one block; amounts in fen.

    Attributes:
        block: the block's number.
        limit_fen: and the next four: the line as it stands.
        receivable_fen: freight of the borrower's waybill less credits and payments.
        debtor: its issuer; ``debtor_signed`` is false on a declared, unsigned root.
        performer: its performer, who may borrow on it.
        trip_state: none, open, loaded, held, delivered or void.
        leaf: the trip's own waybill.
    """

    block: int
    limit_fen: int
    reserved_fen: int
    drawn_fen: int
    line_frozen: bool
    line_valid_until: dt.datetime
    receivable_fen: int
    debtor: PartyId
    debtor_signed: bool
    performer: PartyId
    term_days: int
    trip_state: str
    leaf: WaybillId
    pledged: bool
    trip_taken: bool
    payees: tuple[PayeeFacts, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference on record; ``first_day`` is the Beijing day on which it was first seen."""

    kind: str
    subject: str
    chain_fen: int
    ledger_fen: int
    first_day: int
    last_day: int
    owner: str = "finance"
    bank_fen: int | None = None
    closed_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A difference found by a comparison; amounts in fen.

    Attributes:
        kind: its named class.
        subject: what it is about.
        bank_fen: what the bank says; None where it was not asked or does not know.
        since_day: Beijing day from which it ages; None is the day it is found.
    """

    kind: str
    subject: str
    chain_fen: int
    ledger_fen: int
    bank_fen: int | None = None
    owner: str = "finance"
    since_day: int | None = None


@dataclass(frozen=True, slots=True)
class ChainMoney:
    """Money minted (positive) or burned (negative), as the chain says; amount in fen.

    Attributes:
        key: the bank reference that minted, or the payment sequence that burned.
        source: the transaction's hash, which the ledger names too.
    """

    key: str
    amount_fen: int
    day: int
    source: str


@dataclass(frozen=True, slots=True)
class WarningRecord:
    """An early warning about a borrower; open until its signal is over or its owner has acted.

    Attributes:
        value: the figure that fired.
        due_day: Beijing day by which its owner must have acted.
    """

    lender: PartyId
    borrower: PartyId
    code: str
    value: int
    action: Action
    owner: str
    since_day: int
    due_day: int
    last_day: int
    closed_day: int | None = None
    closed_by: str = ""


@dataclass(frozen=True, slots=True)
class ContactRecord:
    """A contact of the dunning plan: planned for a day, and made once somebody says so."""

    advance: AdvanceId
    day: int
    code: str
    channel: str
    owner: str
    made_at: dt.datetime | None = None
    made_by: str = ""


class DayEndStep(StrEnum):
    """The ordered steps of a business date's end."""

    LOANS = "loans"
    """Replay, accrue, overdue, classify: batch by batch."""
    ALLOWANCE = "allowance"
    REPORT = "report"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class LoanDay:
    """A loan at the end of a business day; amounts in fen.

    Attributes:
        principal_fen: in the books (0 once written off).
        tier: five-tier class, 1 (normal) to 5 (loss).
        clean_days: days since arrears were last above zero.
    """

    advance: AdvanceId
    lender: PartyId
    day: int
    principal_fen: int
    interest_due_fen: int
    penalty_due_fen: int
    fee_due_fen: int
    days_past_due: int
    tier: int
    clean_days: int


@dataclass(frozen=True, slots=True)
class DayEndRecord:
    """How far a lender's business date has been closed.

    Attributes:
        block: the last block before the Beijing midnight that ends the day.
        resume_after: the last advance done in the step of batches.
        seal: hash over trial balance, block and loans; "" until sealed.
    """

    lender: PartyId
    day: int
    step: DayEndStep
    block: int
    started_at: dt.datetime
    resume_after: str = ""
    seal: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    sealed_at: dt.datetime | None = None
