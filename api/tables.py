"""Rows of the doors: keys of callers and the answers kept for repeated requests."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from chain.storage import Row, SealedBytes, SealedText
from chain.tables import BIG


class ApiKeyRow(Row, table=True):
    """One API key of one party. The secret is not here, only its SHA-256: it is 256 random bits."""

    __tablename__ = "api_key"
    __table_args__ = (
        sa.CheckConstraint("length(secret_hash) = 64", name="secret_hash"),
        sa.UniqueConstraint("proof_hash"),
    )

    key_id: str = Field(primary_key=True, max_length=24)
    party_id: str = Field(index=True, max_length=20)
    secret_hash: str = Field(max_length=64)
    scopes: str = Field(max_length=400)
    label: str = Field(max_length=80)
    proof_hash: str = Field(max_length=64)
    allowed_from: str = Field(default="", max_length=900)
    """Networks it may be used from, separated by a space; all if empty."""
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None


class KeptAnswerRow(Row, table=True):
    """The answer to a write, stored in the same transaction as the write itself."""

    __tablename__ = "kept_answer"

    caller: str = Field(primary_key=True, max_length=40)
    idempotency_key: str = Field(primary_key=True, max_length=255)
    request_hash: str = Field(max_length=64)
    status: int
    body: str = Field(sa_type=SealedText("kept_answer.body"))
    secret: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    created_at: dt.datetime


class PlannedRouteRow(Row, table=True):
    """A planned route that a party uses again and again, by a name of its own."""

    __tablename__ = "planned_route"

    party_id: str = Field(primary_key=True, max_length=20)
    name: str = Field(primary_key=True, max_length=80)
    plan: dict[str, Any] = Field(sa_type=sa.JSON)
    origin: str = Field(max_length=80)
    destination: str = Field(max_length=80)
    created_at: dt.datetime


class MomentRow(Row, table=True):
    """One event of the chain under one of the ids it is about (a trip, a waybill, an advance ...)."""

    __tablename__ = "moment"

    about: str = Field(primary_key=True, max_length=66)
    transaction_hash: str = Field(primary_key=True, max_length=66)
    log_index: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    event: str = Field(max_length=64)
    facts: dict[str, Any] = Field(sa_type=sa.JSON)
    at: dt.datetime
    block_number: int = Field(sa_type=sa.BigInteger)
    block_hash: str = Field(max_length=66)


class EventRow(Row, table=True):
    """One thing that happened, as one party is told it."""

    __tablename__ = "event"
    __table_args__ = (
        sa.UniqueConstraint("source", "party_id"),
        sa.Index("ix_event_party_number", "party_id", "number"),
        sa.Index("ix_event_party_object", "party_id", "object_id", "number"),
    )

    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    event_id: str = Field(max_length=28, unique=True)
    party_id: str = Field(max_length=20)
    type: str = Field(max_length=40)
    object_kind: str = Field(max_length=20)
    object_id: str = Field(max_length=66)
    payload: str = Field(sa_type=sa.Text)
    source: str = Field(max_length=120)
    at: dt.datetime
    told_at: dt.datetime


class WebhookEndpointRow(Row, table=True):
    """A receiver of a party's events."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (
        sa.CheckConstraint("state IN ('enabled', 'disabled', 'deleted')", name="state"),
    )

    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    endpoint_id: str = Field(max_length=28, unique=True)
    party_id: str = Field(max_length=20, index=True)
    url: str = Field(max_length=500)
    types: str = Field(max_length=2000)
    description: str = Field(max_length=200)
    state: str = Field(max_length=10)
    why: str = Field(default="", max_length=200)
    created_at: dt.datetime
    changed_at: dt.datetime


class WebhookSecretRow(Row, table=True):
    """A signing secret, sealed; its fingerprint stays for ever, so that no secret signs twice."""

    __tablename__ = "webhook_secret"

    fingerprint: str = Field(max_length=64, primary_key=True)
    endpoint_id: str = Field(max_length=28, index=True)
    sealed: bytes = Field(sa_type=sa.LargeBinary)
    created_at: dt.datetime
    retires_at: dt.datetime | None = None


class WebhookDeliveryRow(Row, table=True):
    """One event on its way to one receiver."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        sa.CheckConstraint("state IN ('pending', 'delivered', 'given_up')", name="state"),
        sa.Index("ix_webhook_delivery_due", "state", "next_at"),
        sa.Index("ix_webhook_delivery_order", "endpoint_id", "object_id", "state", "number"),
        sa.Index("ix_webhook_delivery_log", "endpoint_id", "number"),
    )

    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    delivery_id: str = Field(max_length=28, unique=True)
    endpoint_id: str = Field(max_length=28)
    event_id: str = Field(max_length=28, index=True)
    type: str = Field(max_length=40)
    object_id: str = Field(max_length=66)
    state: str = Field(max_length=10)
    attempts: int = 0
    created_at: dt.datetime
    next_at: dt.datetime
    claimed_until: dt.datetime | None = None
    settled_at: dt.datetime | None = None
    last_status: int | None = None
    last_error: str = Field(default="", max_length=200)


class WebhookAttemptRow(Row, table=True):
    """One attempt to deliver, and what came of it."""

    __tablename__ = "webhook_attempt"

    delivery_id: str = Field(max_length=28, primary_key=True)
    attempt: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: dt.datetime
    address: str = Field(max_length=45)
    status: int | None = None
    ms: int
    error: str = Field(default="", max_length=200)
    answer: str = Field(default="", max_length=1000)


class JobRow(Row, table=True):
    """Work that takes longer than a request: an import or an export of many waybills."""

    __tablename__ = "job"
    __table_args__ = (
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"
        ),
        sa.Index("ix_job_state", "state", "number"),
        sa.Index("ix_job_party", "party_id", "number"),
    )

    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    job_id: str = Field(max_length=28, unique=True)
    party_id: str = Field(max_length=20)
    caller: str = Field(max_length=40)
    kind: str = Field(max_length=20)
    state: str = Field(max_length=10)
    options: dict[str, Any] = Field(sa_type=sa.JSON)
    stage: str = Field(default="", max_length=20)
    total: int = 0
    done: int = 0
    good: int = 0
    bad: int = 0
    written: int = 0
    code: str = Field(default="", max_length=60)
    message: str = Field(default="", max_length=500)
    created_at: dt.datetime
    changed_at: dt.datetime
    finished_at: dt.datetime | None = None
    claim: str = Field(default="", max_length=24)
    claimed_until: dt.datetime | None = None


class JobFileRow(Row, table=True):
    """A file of a job: what came in, what came out, the rows to correct."""

    __tablename__ = "job_file"

    job_id: str = Field(max_length=28, primary_key=True)
    name: str = Field(max_length=20, primary_key=True)
    media_type: str = Field(max_length=80)
    content: bytes = Field(sa_type=sa.LargeBinary)


class JobFaultRow(Row, table=True):
    """Why a cell of an import was refused."""

    __tablename__ = "job_fault"

    job_id: str = Field(max_length=28, primary_key=True)
    position: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    row: int
    column: str = Field(max_length=80)
    cell: str = Field(max_length=12)
    code: str = Field(max_length=60)
    message: str = Field(sa_type=sa.Text)


class JobWaybillRow(Row, table=True):
    """What a row of an import has become."""

    __tablename__ = "job_waybill"

    job_id: str = Field(max_length=28, primary_key=True)
    row: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    ref: str = Field(max_length=200)
    waybill_id: str = Field(max_length=66)


class VehicleRow(Row, table=True):
    """A vehicle that a party uses again and again."""

    __tablename__ = "vehicle"
    __table_args__ = (
        sa.UniqueConstraint("party_id", "vehicle_hash"),
        sa.Index("ix_vehicle_party_number", "party_id", "number"),
    )

    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    vehicle_id: str = Field(max_length=28, unique=True)
    party_id: str = Field(max_length=20)
    vehicle_hash: str = Field(max_length=66)
    plate: str = Field(sa_type=SealedText("vehicle.plate"))
    terminal: str = Field(default="", sa_type=SealedText("vehicle.terminal"))
    kind: str = Field(max_length=20)
    load_kg: int | None = None
    note: str = Field(default="", max_length=200)
    retired_at: dt.datetime | None = None
    created_at: dt.datetime
    changed_at: dt.datetime


class DocumentRow(Row, table=True):
    """A photo or paper; its content lies apart, so that lists never read it."""

    __tablename__ = "document"
    __table_args__ = (
        sa.CheckConstraint(
            "about_kind IN ('waybill', 'trip', 'advance', 'line', 'party')", name="about_kind"
        ),
        sa.Index("ix_document_about", "about_kind", "about_id", "number"),
        sa.Index("ix_document_owner_number", "owner", "number"),
    )

    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    document_id: str = Field(max_length=28, unique=True)
    owner: str = Field(max_length=20)
    about_kind: str = Field(max_length=10)
    about_id: str = Field(max_length=66)
    purpose: str = Field(max_length=20)
    name: str = Field(max_length=120)
    media_type: str = Field(max_length=40)
    size: int
    sha256: str = Field(max_length=66)
    width: int | None = None
    height: int | None = None
    created_at: dt.datetime
    erased_at: dt.datetime | None = None


class DocumentContentRow(Row, table=True):
    """The bytes of a document."""

    __tablename__ = "document_content"

    document_id: str = Field(primary_key=True, max_length=28)
    content: bytes = Field(sa_type=SealedBytes("document_content.content"))


class BoardRow(Row, table=True):
    """A trip on the board of one party (``api.board``); ``*`` stands for an observer."""

    __tablename__ = "board"
    __table_args__ = (
        sa.Index("ix_board_party_loads_at", "party", "loads_at", "trip"),
        sa.Index("ix_board_party_stage", "party", "stage", "loads_at", "trip"),
        # the counters read every row of a party: a narrow index of their own is a third of the pages
        sa.Index("ix_board_party_counts", "party", "stage", "freight_fen", "waits_fen"),
        sa.Index("ix_board_party_day", "party", "day", "stage", "freight_fen", "waits_fen"),
        sa.Index("ix_board_party_note", "party", "note"),
        sa.Index("ix_board_party_vehicle", "party", "vehicle"),
    )

    party: str = Field(primary_key=True, max_length=20)
    trip: str = Field(primary_key=True, max_length=66, index=True)
    stage: str = Field(max_length=12)
    loads_at: dt.datetime
    deliver_by: dt.datetime
    day: int
    note: str = Field(max_length=66)
    vehicle: str = Field(max_length=66)
    freight_fen: int = Field(sa_type=sa.BigInteger)
    released_fen: int = Field(sa_type=sa.BigInteger)
    waits_fen: int = Field(sa_type=sa.BigInteger)
    hold: str = Field(default="", max_length=20)


class SavedViewRow(Row, table=True):
    """A filter of a list that a party uses again and again, by a name of its own."""

    __tablename__ = "saved_view"

    party: str = Field(primary_key=True, max_length=20)
    page: str = Field(primary_key=True, max_length=40)
    name: str = Field(primary_key=True, max_length=40)
    query: str = Field(max_length=500)
    created_at: dt.datetime


class LineOfferRow(Row, table=True):
    """Terms of a line that wait for both signatures (``api.line_offers``)."""

    __tablename__ = "line_offer"
    __table_args__ = (
        sa.CheckConstraint("kind IN ('open', 'change')", name="kind"),
        sa.CheckConstraint(
            "state IN ('offered', 'accepted', 'sent', 'refused', 'withdrawn', 'expired')",
            name="state",
        ),
        sa.Index("ix_line_offer_lender", "lender", "made_at"),
        sa.Index("ix_line_offer_borrower", "borrower", "made_at"),
    )

    offer_id: str = Field(primary_key=True, max_length=28)
    form_hash: str = Field(max_length=66, unique=True)
    kind: str = Field(max_length=6)
    lender: str = Field(max_length=20)
    borrower: str = Field(max_length=20)
    line: str = Field(max_length=66)
    message: dict[str, Any] = Field(sa_type=sa.JSON)
    state: str = Field(max_length=10)
    borrower_signature: str = Field(default="", sa_type=sa.Text)
    made_at: dt.datetime
    made_by: str = Field(max_length=80)
    expires_at: dt.datetime
    signed_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None


class NoteRow(Row, table=True):
    """A note of one organisation about an object (``api.notes``)."""

    __tablename__ = "note"
    __table_args__ = (sa.Index("ix_note_party_about", "party", "about", "written_at"),)

    note_id: str = Field(primary_key=True, max_length=24)
    party: str = Field(max_length=20)
    about: str = Field(max_length=66)
    author: str = Field(max_length=80)
    text: str = Field(max_length=2000)
    written_at: dt.datetime
