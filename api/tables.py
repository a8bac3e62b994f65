"""Rows of the doors: keys of callers and the answers kept for repeated requests."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from chain.storage import Row


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
    created_at: dt.datetime
    revoked_at: dt.datetime | None = None


class KeptAnswerRow(Row, table=True):
    """The answer to a write, stored in the same transaction as the write itself."""

    __tablename__ = "kept_answer"

    caller: str = Field(primary_key=True, max_length=40)
    idempotency_key: str = Field(primary_key=True, max_length=255)
    request_hash: str = Field(max_length=64)
    status: int
    body: str
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
