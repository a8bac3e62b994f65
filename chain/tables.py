"""Rows of the chain package: what is to be sent, what was sent, what was seen."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from chain.ports import TransactionState
from chain.storage import Row, SealedJson, SealedText

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class ChainIdentityRow(Row, table=True):
    """The one chain this database is about; another is refused."""

    __tablename__ = "chain_identity"

    id: int = Field(default=1, primary_key=True)
    chain_id: int = Field(sa_type=BIG)
    genesis_hash: str = Field(max_length=66)


class OutgoingTransactionRow(Row, table=True):
    """One intent and what has become of it; see ``chain.ports.TransactionState``."""

    __tablename__ = "outgoing_transaction"
    __table_args__ = (
        sa.UniqueConstraint("signer", "nonce"),
        sa.CheckConstraint(
            "state IN (" + ", ".join(f"'{s.value}'" for s in TransactionState) + ")", name="state"
        ),
        sa.CheckConstraint(
            "state NOT IN ('sent', 'mined', 'final') OR (nonce IS NOT NULL AND raw IS NOT NULL) "
            "OR carrier_id IS NOT NULL",
            name="signed",
        ),
        sa.CheckConstraint(
            "state NOT IN ('mined', 'final') OR block_hash IS NOT NULL", name="in_block"
        ),
        sa.Index("ix_outgoing_transaction_signer_state", "signer", "state", "id"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    key: str = Field(max_length=200, unique=True)
    body_hash: str = Field(max_length=66)
    signer: str = Field(max_length=42)
    contract: str = Field(max_length=64)
    function: str = Field(max_length=64)
    to: str | None = Field(default=None, max_length=42)
    data: bytes = Field(sa_type=sa.LargeBinary)
    gas: int | None = Field(default=None, sa_type=BIG)
    about: str = Field(default="", max_length=100, index=True)
    state: str = Field(default=TransactionState.QUEUED.value, max_length=10)
    nonce: int | None = Field(default=None, sa_type=BIG)
    raw: bytes | None = Field(default=None, sa_type=sa.LargeBinary)
    transaction_hash: str | None = Field(default=None, max_length=66, index=True)
    gas_limit: int | None = Field(default=None, sa_type=BIG)
    gas_price: int | None = Field(default=None, sa_type=BIG)
    block_number: int | None = Field(default=None, sa_type=BIG, index=True)
    block_hash: str | None = Field(default=None, max_length=66)
    block_position: int | None = None
    block_time: dt.datetime | None = None
    gas_used: int | None = Field(default=None, sa_type=BIG)
    error: str = Field(default="", max_length=100)
    error_facts: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    message: str = Field(default="", sa_type=sa.Text)
    carrier_id: int | None = Field(
        default=None, foreign_key="outgoing_transaction.id", index=True, sa_type=BIG
    )
    """The merged call in which this one travels: it has the nonce and the bytes."""
    is_alone: bool = Field(default=False)
    """True once a merged call with this one in it came to nothing: it is not merged again."""
    queued_at: dt.datetime
    sent_at: dt.datetime | None = None
    settled_at: dt.datetime | None = None


class TransactionAttemptRow(Row, table=True):
    """Every byte string ever signed for a nonce: any of them may be the one that is mined."""

    __tablename__ = "transaction_attempt"

    hash: str = Field(max_length=66, primary_key=True)
    outgoing_id: int = Field(foreign_key="outgoing_transaction.id", index=True, sa_type=BIG)
    signer: str = Field(max_length=42)
    nonce: int = Field(sa_type=BIG)
    raw: bytes = Field(sa_type=sa.LargeBinary)
    gas_price: int = Field(sa_type=BIG)
    is_void: bool = Field(default=False)
    """True for the empty transaction that uses up the nonce of a call given up."""
    signed_at: dt.datetime


class WriterLeaseRow(Row, table=True):
    """Who alone may give out the nonces of a key; ``token`` grows with each new holder."""

    __tablename__ = "writer_lease"

    signer: str = Field(max_length=42, primary_key=True)
    holder: str = Field(max_length=200)
    token: int = Field(default=0, sa_type=BIG)
    until: dt.datetime


class BlockRow(Row, table=True):
    """A block of the chain as this database knows it; ``is_handled`` once its events were handled."""

    __tablename__ = "block"

    number: int = Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False})
    hash: str = Field(max_length=66, unique=True)
    parent: str = Field(max_length=66)
    at: dt.datetime
    is_handled: bool = Field(default=False, index=True)


class EventLogRow(Row, table=True):
    """A log of one of our contracts, as it stands in a block."""

    __tablename__ = "event_log"

    block_hash: str = Field(max_length=66, primary_key=True)
    log_index: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    block_number: int = Field(sa_type=BIG, index=True)
    transaction_hash: str = Field(max_length=66, index=True)
    address: str = Field(max_length=42)
    topics: str = Field(sa_type=sa.Text)
    """The topics, 0x hex, separated by commas."""
    data: bytes = Field(sa_type=sa.LargeBinary)
    is_handled: bool = Field(default=False)


class OwedLogRow(Row, table=True):
    """A handled log whose block a local node has lost: it must come again, equal and in order."""

    __tablename__ = "owed_log"

    position: int = Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False})
    block_number: int = Field(sa_type=BIG)
    address: str = Field(max_length=42)
    topics: str = Field(sa_type=sa.Text)
    data: bytes = Field(sa_type=sa.LargeBinary)


class CursorRow(Row, table=True):
    """The last block whose events were handled, by hash."""

    __tablename__ = "cursor"

    name: str = Field(max_length=40, primary_key=True)
    block_number: int = Field(sa_type=BIG)
    block_hash: str = Field(max_length=66)
    block_time: dt.datetime


class PartyRow(Row, table=True):
    """A party (``chain.party.Party``)."""

    __tablename__ = "party"
    __table_args__ = (
        sa.CheckConstraint("stage IN ('pending', 'registered', 'revoked')", name="stage"),
    )

    party_id: str = Field(max_length=20, primary_key=True)
    """Decimal text: an id may pass the signed 64 bits of a database."""
    name_zh: str = Field(sa_type=SealedText("party.name_zh"))
    name_en: str = Field(sa_type=SealedText("party.name_en"))
    name_zh_index: str | None = Field(default=None, max_length=64, index=True)
    name_en_index: str | None = Field(default=None, max_length=64, index=True)
    """Keyed hashes of the names (``Keyring.blind``): a sealed name cannot be searched for."""
    kind: str = Field(max_length=20)
    stage: str = Field(max_length=10)
    key: str | None = Field(default=None, max_length=42, unique=True)
    profile: str = Field(max_length=66)
    profile_salt: str | None = Field(default=None, sa_type=SealedText("party.profile_salt"))
    """Opens ``profile``; erased with the names."""
    registered_at: dt.datetime | None = None


class WaybillRow(Row, table=True):
    """A waybill (``chain.waybill.HeldWaybill``)."""

    __tablename__ = "waybill"
    __table_args__ = (
        sa.CheckConstraint("freight > 0 AND paid >= 0 AND credited >= 0", name="money"),
        sa.CheckConstraint("quantity > 0", name="quantity"),
        sa.Index("ix_waybill_stage_number", "stage", "number"),
        # each side of a party, newest first, of every stage and of one
        sa.Index("ix_waybill_issuer_number", "issuer", "number"),
        sa.Index("ix_waybill_performer_number", "performer", "number"),
        sa.Index("ix_waybill_consignee_number", "consignee", "number"),
        sa.Index("ix_waybill_issuer_stage", "issuer", "stage", "number"),
        sa.Index("ix_waybill_performer_stage", "performer", "stage", "number"),
        sa.Index("ix_waybill_consignee_stage", "consignee", "stage", "number"),
    )

    number: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    """Order of submission, for lists."""
    waybill_id: str = Field(max_length=66, unique=True)
    parent_id: str | None = Field(default=None, max_length=66, index=True)
    root_id: str = Field(max_length=66, index=True)
    trip_id: str | None = Field(default=None, max_length=66, index=True)
    tier: int
    issuer: str = Field(max_length=20)
    performer: str = Field(max_length=20)
    consignee: str = Field(max_length=20)
    form: dict[str, Any] = Field(sa_type=sa.JSON)
    """The signed form by field; numbers above 2^53 as text."""
    papers: dict[str, Any] = Field(sa_type=SealedJson("waybill.papers"))
    plan: dict[str, Any] | None = Field(default=None, sa_type=sa.JSON)
    stage: str = Field(max_length=12)
    declared: bool = False
    issuer_signature: bytes | None = Field(default=None, sa_type=sa.LargeBinary)
    performer_signature: bytes | None = Field(default=None, sa_type=sa.LargeBinary)
    version: int = 1
    freight: int = Field(sa_type=BIG)
    quantity: int = Field(sa_type=BIG)
    vehicle: str | None = Field(default=None, max_length=66)
    paid: int = Field(default=0, sa_type=BIG)
    credited: int = Field(default=0, sa_type=BIG)
    accepted: int = Field(default=0, sa_type=BIG)
    delivered_at: dt.datetime | None = None
    refusal: str = Field(default="", sa_type=sa.Text)


class TripRow(Row, table=True):
    """A trip between loading and delivery (``chain.delivery.HeldTrip``)."""

    __tablename__ = "trip"
    __table_args__ = (sa.Index("ix_trip_loaded", "loaded_at", "trip_id"),)

    trip_id: str = Field(max_length=66, primary_key=True)
    leaf_id: str = Field(max_length=66, unique=True)
    state: int
    vehicle: str | None = Field(default=None, max_length=66)
    loaded: int = Field(default=0, sa_type=BIG)
    loaded_at: dt.datetime | None = None
    accepted: int | None = Field(default=None, sa_type=BIG)
    condition: int = 0
    confirmed_by: str | None = Field(default=None, max_length=20)
    confirmed_at: dt.datetime | None = None
    receipt: str | None = Field(default=None, max_length=66)
    completed_at: dt.datetime | None = None
    completed_hash: str | None = Field(default=None, max_length=66)
    disputed: bool = False
