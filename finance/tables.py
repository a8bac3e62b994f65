"""Rows of the money: lines, decisions, advances and their events, payees, receivables, the journal.

Amounts are fen in BIGINT; parties are decimal text (an id may pass 2^63); exact numerators are text. What
the journal holds is never changed or deleted. Pydantic does not validate tables: CHECK does.
"""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from chain.storage import Row

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
HASH = 66
PARTY = 20


class LenderPolicyRow(Row, table=True):
    """What a lender decides or must report, in force from a day on."""

    __tablename__ = "lender_policy"
    __table_args__ = (
        sa.CheckConstraint("net_assets_fen IS NULL OR net_assets_fen >= 0", name="net_assets"),
        sa.CheckConstraint("debtor_cap_bps BETWEEN 0 AND 10000", name="debtor_cap"),
    )

    lender: str = Field(max_length=PARTY, primary_key=True)
    effective_day: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    net_assets_fen: int | None = Field(default=None, sa_type=BIG)
    lpr_ppm: int | None = None
    debtor_cap_bps: int = Field(default=10_000)
    recorded_at: dt.datetime


class CreditLineRow(Row, table=True):
    """A credit line; ``limit_fen``, ``reserved_fen``, ``drawn_fen``, ``frozen`` follow the chain alone.

    ``held_fen`` is what requests made here have claimed and the chain has not yet reserved.
    """

    __tablename__ = "credit_line"
    __table_args__ = (
        sa.CheckConstraint("limit_fen >= 0", name="limit"),
        sa.CheckConstraint("reserved_fen >= 0", name="reserved"),
        sa.CheckConstraint("drawn_fen >= 0", name="drawn"),
        sa.CheckConstraint("held_fen >= 0", name="held"),
    )

    line: str = Field(max_length=HASH, primary_key=True)
    lender: str = Field(max_length=PARTY, index=True)
    borrower: str = Field(max_length=PARTY, index=True)
    state: str = Field(max_length=12)
    limit_fen: int = Field(sa_type=BIG)
    reserved_fen: int = Field(default=0, sa_type=BIG)
    drawn_fen: int = Field(default=0, sa_type=BIG)
    held_fen: int = Field(default=0, sa_type=BIG)
    frozen: bool = Field(default=False)
    valid_until: dt.datetime
    rate_ppm: int
    penalty_ppm: int
    ceiling_ppm: int
    fee_bps: int
    advance_bps: int
    tolerance_bps: int
    tenor_days: int
    grace_days: int
    attestor: str = Field(max_length=PARTY)
    gated: bool
    terms_hash: str = Field(max_length=HASH)
    form: dict[str, Any] = Field(sa_type=sa.JSON)
    submitted_at: dt.datetime
    opened_at: dt.datetime | None = None


class LineRuleRow(Row, table=True):
    """The lender's rule on a line as the chain last said: what is approved without another word of his."""

    __tablename__ = "line_rule"
    __table_args__ = (
        sa.CheckConstraint("most_fen >= 0", name="most"),
        sa.CheckConstraint("valid_for_s >= 0", name="valid_for"),
    )

    line: str = Field(max_length=HASH, foreign_key="credit_line.line", primary_key=True)
    debtor: str = Field(default="", max_length=PARTY)
    """Empty for any."""
    most_fen: int = Field(sa_type=BIG)
    until: dt.datetime
    valid_for_s: int = Field(sa_type=BIG)
    set_at: dt.datetime


class RuleTryRow(Row, table=True):
    """How often an approval by rule was sent for an advance, and when it is looked at again."""

    __tablename__ = "rule_try"

    advance: str = Field(max_length=HASH, foreign_key="advance.advance", primary_key=True)
    tries: int
    next_at: dt.datetime


class RiskDecisionRow(Row, table=True):
    """A decision and the bytes that replay it; never changed."""

    __tablename__ = "risk_decision"
    __table_args__ = (sa.Index("ix_risk_decision_lender", "lender", "decided_at"),)

    hash: str = Field(max_length=HASH, primary_key=True)
    subject: str = Field(max_length=200, index=True)
    stage: str = Field(max_length=10)
    forest: str = Field(max_length=HASH)
    verdict: str = Field(max_length=10)
    score: int
    asked_fen: int | None = Field(default=None, sa_type=BIG)
    cap_fen: int | None = Field(default=None, sa_type=BIG)
    record: bytes = Field(sa_type=sa.LargeBinary)
    reasons: list[dict[str, Any]] = Field(sa_type=sa.JSON)
    elapsed_us: int = Field(sa_type=BIG)
    decided_at: dt.datetime = Field(index=True)
    lender: str = Field(default="", max_length=PARTY, sa_column_kwargs={"server_default": ""})
    """Whose money was asked for; empty on decisions older than this column."""


class AdvanceRow(Row, table=True):
    """An advance as the chain last said; what was asked here and is not yet on chain has state ``none``."""

    __tablename__ = "advance"
    __table_args__ = (
        sa.CheckConstraint("principal_fen > 0", name="principal"),
        sa.CheckConstraint("released_fen BETWEEN 0 AND principal_fen", name="released"),
        sa.CheckConstraint("outstanding_fen BETWEEN 0 AND released_fen", name="outstanding"),
        sa.CheckConstraint("held_fen BETWEEN 0 AND principal_fen", name="held"),
        sa.Index("ix_advance_owing", "state", "due_day"),
        sa.Index("ix_advance_lender_due", "lender", "due_day", "advance"),
        sa.Index(
            "ix_advance_lender_sums",
            "lender",
            "state",
            "due_day",
            "principal_fen",
            "released_fen",
            "outstanding_fen",
        ),
        sa.Index("ix_advance_party_state", "borrower", "lender", "state"),
        sa.Index("ix_advance_party_submitted", "borrower", "lender", "submitted_at"),
    )

    advance: str = Field(max_length=HASH, primary_key=True)
    line: str = Field(max_length=HASH, foreign_key="credit_line.line", index=True)
    lender: str = Field(max_length=PARTY, index=True)
    borrower: str = Field(max_length=PARTY)
    debtor: str = Field(default="", max_length=PARTY, index=True)
    waybill: str = Field(max_length=HASH, index=True)
    trip: str = Field(max_length=HASH, index=True)
    state: str = Field(max_length=12)
    principal_fen: int = Field(sa_type=BIG)
    held_fen: int = Field(default=0, sa_type=BIG)
    released_fen: int = Field(default=0, sa_type=BIG)
    outstanding_fen: int = Field(default=0, sa_type=BIG)
    start_day: int = Field(default=0)
    due_day: int = Field(default=0)
    accrued_day: int | None = None
    accrued_fee_fen: int = Field(default=0, sa_type=BIG)
    accrued_penalty_fen: int = Field(default=0, sa_type=BIG)
    accrued_interest_fen: int = Field(default=0, sa_type=BIG)
    decision: str = Field(max_length=HASH)
    fingerprint: str = Field(default="", max_length=HASH, index=True)
    approved_until: dt.datetime | None = None
    reason: str = Field(default="", max_length=HASH)
    form: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    submitted_at: dt.datetime = Field(index=True)
    requested_at: dt.datetime | None = None
    acknowledged_at: dt.datetime | None = None
    released_at: dt.datetime | None = None
    closed_at: dt.datetime | None = None


class AdvanceEventRow(Row, table=True):
    """What happened to an advance; the advance is a replay of these. Append only."""

    __tablename__ = "advance_event"
    __table_args__ = (sa.CheckConstraint("amount_fen >= 0", name="amount"),)

    id: str = Field(max_length=90, primary_key=True)
    advance: str = Field(max_length=HASH, foreign_key="advance.advance", index=True)
    kind: str = Field(max_length=14)
    at: dt.datetime
    known: dt.datetime
    amount_fen: int = Field(default=0, sa_type=BIG)
    day: int = Field(default=0)
    block_number: int = Field(default=0, sa_type=BIG)
    log_index: int = Field(default=0)
    target: str = Field(default="", max_length=90)
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)


class PayeeRow(Row, table=True):
    """One payee of an advance, in order of payment; frozen when the advance is approved."""

    __tablename__ = "payee"
    __table_args__ = (
        sa.CheckConstraint("amount_fen > 0", name="amount"),
        sa.CheckConstraint("paid_fen BETWEEN 0 AND amount_fen", name="paid"),
    )

    advance: str = Field(max_length=HASH, foreign_key="advance.advance", primary_key=True)
    place: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    party: str = Field(max_length=PARTY, index=True)
    waybill: str = Field(max_length=HASH)
    account: str = Field(max_length=HASH, index=True)
    amount_fen: int = Field(sa_type=BIG)
    paid_fen: int = Field(default=0, sa_type=BIG)
    state: str = Field(max_length=10)
    payout: str = Field(default="", max_length=HASH, index=True)
    consented_at: dt.datetime | None = None
    paid_at: dt.datetime | None = None
    bank_paid_at: dt.datetime | None = None


class ReceivableRow(Row, table=True):
    """What a debtor owes on the borrower's waybill, and that he was told to whom."""

    __tablename__ = "receivable"
    __table_args__ = (
        sa.CheckConstraint("freight_fen >= 0", name="freight"),
        sa.CheckConstraint("received_fen >= 0", name="received"),
    )

    waybill: str = Field(max_length=HASH, primary_key=True)
    debtor: str = Field(max_length=PARTY, index=True)
    owner: str = Field(max_length=PARTY, index=True)
    lender: str = Field(default="", max_length=PARTY, index=True)
    freight_fen: int = Field(sa_type=BIG)
    received_fen: int = Field(default=0, sa_type=BIG)
    term_days: int = Field(default=0)
    due_day: int | None = None
    notice: str = Field(default="", max_length=HASH)
    acknowledged_at: dt.datetime | None = None
    settled_at: dt.datetime | None = None


class AssignmentNoticeRow(Row, table=True):
    """What a debtor was told of the assignment, word for word, and the proof that it reached him."""

    __tablename__ = "assignment_notice"

    advance: str = Field(max_length=HASH, foreign_key="advance.advance", primary_key=True)
    hash: str = Field(max_length=HASH)
    content: dict[str, Any] = Field(sa_type=sa.JSON)
    made_at: dt.datetime
    shown_at: dt.datetime | None = None
    shown_to: str = Field(default="", max_length=80)
    channel: str = Field(default="", max_length=20)
    acknowledged_at: dt.datetime | None = None


class SettlementRow(Row, table=True):
    """Freight that was paid in and how it was shared; what comes in goes out."""

    __tablename__ = "settlement"
    __table_args__ = (
        sa.CheckConstraint(
            "received_fen = to_loans_fen + to_children_fen + to_performer_fen + refunded_fen",
            name="conserved",
        ),
    )

    id: str = Field(max_length=90, primary_key=True)
    waybill: str = Field(max_length=HASH, index=True)
    received_fen: int = Field(sa_type=BIG)
    to_loans_fen: int = Field(sa_type=BIG)
    to_children_fen: int = Field(sa_type=BIG)
    to_performer_fen: int = Field(sa_type=BIG)
    refunded_fen: int = Field(sa_type=BIG)
    at: dt.datetime


class JournalEntryRow(Row, table=True):
    """A journal entry; append only, its lines sum to zero."""

    __tablename__ = "journal_entry"
    __table_args__ = (sa.Index("ix_journal_entry_book_day", "book", "day"),)

    id: str = Field(max_length=120, primary_key=True)
    book: str = Field(max_length=40)
    kind: str = Field(max_length=32)
    day: int
    at: dt.datetime
    known: dt.datetime = Field(index=True)
    source: str = Field(default="", max_length=HASH)
    reverses: str = Field(default="", max_length=120)


class JournalLineRow(Row, table=True):
    """One side of an entry: a debit is positive, a credit negative."""

    __tablename__ = "journal_line"
    __table_args__ = (
        sa.CheckConstraint("amount_fen <> 0", name="amount"),
        sa.Index("ix_journal_line_book_account", "book", "account"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    entry: str = Field(max_length=120, foreign_key="journal_entry.id", index=True)
    book: str = Field(max_length=40)
    account: str = Field(max_length=60)
    amount_fen: int = Field(sa_type=BIG)
    about: str = Field(default="", max_length=HASH, index=True)


class LoanDayRow(Row, table=True):
    """A loan at the end of a business day, as the day end wrote it."""

    __tablename__ = "loan_day"

    lender: str = Field(max_length=PARTY, primary_key=True)
    day: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    advance: str = Field(max_length=HASH, foreign_key="advance.advance", primary_key=True)
    principal_fen: int = Field(sa_type=BIG)
    interest_due_fen: int = Field(sa_type=BIG)
    penalty_due_fen: int = Field(sa_type=BIG)
    fee_due_fen: int = Field(sa_type=BIG)
    days_past_due: int
    tier: int
    clean_days: int = Field(default=0)


class DayEndRow(Row, table=True):
    """A business date's end, lender by lender; ``seal`` is set when every step is done."""

    __tablename__ = "day_end"

    lender: str = Field(max_length=PARTY, primary_key=True)
    day: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    step: str = Field(max_length=16)
    resume_after: str = Field(default="", max_length=HASH)
    block_number: int = Field(sa_type=BIG)
    seal: str = Field(default="", max_length=HASH)
    report: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    started_at: dt.datetime
    sealed_at: dt.datetime | None = None


class DifferenceRow(Row, table=True):
    """A difference between chain, books and bank: its class, owner and age."""

    __tablename__ = "difference"

    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    kind: str = Field(max_length=20)
    subject: str = Field(max_length=120, index=True)
    chain_fen: int = Field(sa_type=BIG)
    ledger_fen: int = Field(sa_type=BIG)
    bank_fen: int | None = Field(default=None, sa_type=BIG)
    owner: str = Field(default="finance", max_length=40)
    first_day: int
    last_day: int
    closed_at: dt.datetime | None = Field(default=None, index=True)


class PayoutRow(Row, table=True):
    """A payout that the chain queued, and its present leg."""

    __tablename__ = "payout"
    __table_args__ = (
        sa.CheckConstraint("amount_fen > 0", name="amount"),
        sa.CheckConstraint("leg >= 0 AND attempts >= 0", name="counts"),
        sa.Index("ix_payout_due", "state", "queued_at"),
    )

    payout: str = Field(max_length=HASH, primary_key=True)
    party: str = Field(max_length=PARTY, index=True)
    account: str = Field(max_length=HASH)
    amount_fen: int = Field(sa_type=BIG)
    state: str = Field(max_length=12)
    leg: int = Field(default=0)
    sequence: str = Field(default="", max_length=HASH)
    attempts: int = Field(default=0)
    queued_at: dt.datetime
    queued_wall: dt.datetime
    instructed_at: dt.datetime | None = None
    accepted_at: dt.datetime | None = None
    accepted_wall: dt.datetime | None = None
    rejected_at: dt.datetime | None = None
    paid_at: dt.datetime | None = None
    confirmed_at: dt.datetime | None = None
    asked_wall: dt.datetime | None = None
    value_day: int | None = None
    bank_reference: str = Field(default="", max_length=60)
    reason: str = Field(default="", max_length=35)
    reason_text: str = Field(default="", max_length=500)


class PayoutLegRow(Row, table=True):
    """One attempt to pay, written before anything is sent; never changed."""

    __tablename__ = "payout_leg"
    __table_args__ = (
        sa.UniqueConstraint("sequence"),
        sa.UniqueConstraint("end_to_end_id"),
        sa.CheckConstraint("amount_fen > 0", name="amount"),
        sa.CheckConstraint("leg >= 1", name="leg"),
    )

    payout: str = Field(max_length=HASH, foreign_key="payout.payout", primary_key=True)
    leg: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    sequence: str = Field(max_length=HASH)
    end_to_end_id: str = Field(max_length=35)
    account: str = Field(max_length=HASH)
    amount_fen: int = Field(sa_type=BIG)
    sealed_order: bytes = Field(sa_type=sa.LargeBinary)
    created_at: dt.datetime
    approved_by: str = Field(default="", max_length=120)


class PayoutAnswerRow(Row, table=True):
    """The bank's answer to a leg, the first of each status, as it came; never changed."""

    __tablename__ = "payout_answer"

    sequence: str = Field(max_length=HASH, foreign_key="payout_leg.sequence", primary_key=True)
    code: str = Field(max_length=4, primary_key=True)
    sealed: bytes = Field(sa_type=sa.LargeBinary)
    heard_at: dt.datetime


class PayoutAccountRow(Row, table=True):
    """A payee's account: the hash is public, the rest sealed under a key of its own."""

    __tablename__ = "payout_account"

    account: str = Field(max_length=HASH, primary_key=True)
    party: str = Field(max_length=PARTY, index=True)
    relation: str = Field(max_length=16)
    consent: str = Field(max_length=200)
    vouched_by: str = Field(default="", max_length=120)
    record_key: bytes = Field(sa_type=sa.LargeBinary)
    sealed: bytes = Field(sa_type=sa.LargeBinary)
    consented_at: dt.datetime
    recorded_at: dt.datetime
    forgotten_at: dt.datetime | None = None


class PayoutRedirectRow(Row, table=True):
    """Another account that a payee wants a returned payout sent to; his signature waits for the custodian's."""

    __tablename__ = "payout_redirect"

    payout: str = Field(max_length=HASH, foreign_key="payout.payout", primary_key=True)
    party: str = Field(max_length=PARTY, index=True)
    account: str = Field(max_length=HASH)
    expires: int = Field(sa_type=BIG)
    salt: str = Field(max_length=HASH)
    payee_signature: str = Field(max_length=2_000)
    asked_at: dt.datetime
    approved_at: dt.datetime | None = None
    approved_by: str = Field(default="", max_length=120)


class BankEntryRow(Row, table=True):
    """A booking on our account at the bank, by the bank's reference."""

    __tablename__ = "bank_entry"
    __table_args__ = (
        sa.CheckConstraint("amount_fen >= 0", name="amount"),
        sa.Index("ix_bank_entry_state", "state", "booked_at"),
    )

    reference: str = Field(max_length=60, primary_key=True)
    amount_fen: int = Field(sa_type=BIG)
    is_credit: bool
    is_reversal: bool
    value_day: int
    booked_at: dt.datetime
    taken_at: dt.datetime
    end_to_end_id: str = Field(default="", max_length=35, index=True)
    remittance: str = Field(default="", max_length=500)
    content: str = Field(max_length=64)
    state: str = Field(max_length=10)
    about: str = Field(default="", max_length=HASH, index=True)
    target: str = Field(default="", max_length=42)
    mint_reference: str = Field(default="", max_length=HASH, index=True)
    mint_attempts: int = Field(default=0)
    mint_day: int = Field(default=0)


class BankStatementRow(Row, table=True):
    """The bank's statement of a day on our account: where it opened and closed."""

    __tablename__ = "bank_statement"
    __table_args__ = (sa.UniqueConstraint("message_id"),)

    account: str = Field(max_length=34, primary_key=True)
    day: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    message_id: str = Field(max_length=35)
    content: str = Field(max_length=64)
    opening_fen: int = Field(sa_type=BIG)
    closing_fen: int = Field(sa_type=BIG)
    entries: int
    taken_at: dt.datetime
    fault: str = Field(default="", max_length=500)


class BankCursorRow(Row, table=True):
    """How far the bank's notices were taken, an account a row."""

    __tablename__ = "bank_cursor"

    account: str = Field(max_length=34, primary_key=True)
    cursor: int = Field(default=0, sa_type=BIG)


class PayInRow(Row, table=True):
    """A payment reference and the token account that money under it belongs to."""

    __tablename__ = "pay_in"

    reference: str = Field(max_length=35, primary_key=True)
    target: str = Field(max_length=42)
    about: str = Field(max_length=HASH, index=True)


class QuestionRow(Row, table=True):
    """What a person must settle about payouts and bank entries."""

    __tablename__ = "question"
    __table_args__ = (sa.Index("ix_question_open", "closed_at", "payout"),)

    kind: str = Field(max_length=20, primary_key=True)
    subject: str = Field(max_length=200, primary_key=True)
    text: str = Field(max_length=500)
    payout: str = Field(default="", max_length=HASH)
    raised_at: dt.datetime
    closed_at: dt.datetime | None = None
    closed_by: str = Field(default="", max_length=120)


class CarriageRow(Row, table=True):
    """What a trip carries, as far as two trips can be compared: keyed hashes, a window, a quantity."""

    __tablename__ = "carriage"

    trip: str = Field(max_length=HASH, primary_key=True)
    vehicle: str = Field(max_length=HASH, index=True)
    shipment: str = Field(max_length=HASH, index=True)
    loads: dt.datetime
    delivers: dt.datetime
    quantity: int = Field(sa_type=BIG)


class LineApplicationRow(Row, table=True):
    """A firm's wish for a credit line, what was decided on it by itself, and what became of it."""

    __tablename__ = "line_application"
    __table_args__ = (sa.Index("ix_line_application_lender", "lender", "state"),)

    id: str = Field(max_length=HASH, primary_key=True)
    lender: str = Field(max_length=PARTY)
    borrower: str = Field(max_length=PARTY, index=True)
    state: str = Field(max_length=10)
    asked_fen: int = Field(sa_type=BIG)
    offered_fen: int = Field(sa_type=BIG)
    tenor_days: int
    note: str = Field(default="", max_length=500)
    decision: str = Field(max_length=HASH)
    earned: dict[str, Any] = Field(sa_type=sa.JSON)
    made_at: dt.datetime
    made_by: str = Field(max_length=80)
    line: str = Field(default="", max_length=HASH, index=True)
    ended_at: dt.datetime | None = None
    ended_by: str = Field(default="", max_length=80)
    reason: str = Field(default="", max_length=500)


class EarlyWarningRow(Row, table=True):
    """A signal that fired for a borrower of a lender; one row until it is closed."""

    __tablename__ = "early_warning"
    __table_args__ = (sa.Index("ix_early_warning_open", "lender", "closed_day"),)

    lender: str = Field(max_length=PARTY, primary_key=True)
    borrower: str = Field(max_length=PARTY, primary_key=True)
    code: str = Field(max_length=24, primary_key=True)
    since_day: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    value: int = Field(sa_type=BIG)
    action: str = Field(max_length=8)
    owner: str = Field(max_length=20)
    due_day: int
    last_day: int
    closed_day: int | None = None
    closed_by: str = Field(default="", max_length=80)


class CollectionContactRow(Row, table=True):
    """A contact of the dunning plan that fell due and was made."""

    __tablename__ = "collection_contact"

    advance: str = Field(max_length=HASH, foreign_key="advance.advance", primary_key=True)
    day: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    code: str = Field(max_length=16, primary_key=True)
    channel: str = Field(max_length=10)
    owner: str = Field(max_length=20)
    made_at: dt.datetime | None = None
    made_by: str = Field(default="", max_length=80)


class RelationLinkRow(Row, table=True):
    """Two things that hang together: a party and an account, a party that owes another freight."""

    __tablename__ = "relation_link"
    __table_args__ = (
        sa.Index("ix_relation_link_a", "a", "kind", "day"),
        sa.Index("ix_relation_link_b", "b", "kind"),
    )

    a: str = Field(max_length=80, primary_key=True)
    b: str = Field(max_length=80, primary_key=True)
    kind: str = Field(max_length=10, primary_key=True)
    about: str = Field(default="", max_length=HASH, primary_key=True)
    day: int
    amount_fen: int = Field(default=0, sa_type=BIG)
