"""Rows of receipts signed through a link, and of what a driver says on his way."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from chain.storage import Row, SealedBytes, SealedJson, SealedText


class ReceiptLinkRow(Row, table=True):
    """A link for the consignee of one trip. Its token is not here, only its SHA-256."""

    __tablename__ = "receipt_link"
    __table_args__ = (
        sa.CheckConstraint("length(token_hash) = 64", name="token_hash"),
        sa.CheckConstraint("wrong_codes >= 0", name="wrong_codes"),
    )

    token_hash: str = Field(primary_key=True, max_length=64)
    trip: str = Field(index=True, max_length=66)
    made_by: str = Field(max_length=20)
    created_at: dt.datetime
    expires_at: dt.datetime
    wrong_codes: int = 0
    closed_at: dt.datetime | None = None
    """When a newer link took its place."""
    used_at: dt.datetime | None = None


class ReceiptPaperRow(Row, table=True):
    """What was signed through a link: the document whose salted hash stands on chain."""

    __tablename__ = "receipt_paper"

    document: str = Field(primary_key=True, max_length=66)
    trip: str = Field(index=True, max_length=66)
    token_hash: str = Field(max_length=64, unique=True)
    content: dict[str, Any] = Field(sa_type=SealedJson("receipt_paper.content"))
    salt: str = Field(sa_type=SealedText("receipt_paper.salt"))
    signature: str = Field(max_length=132)
    signer: str = Field(max_length=42)
    drawing: bytes | None = Field(default=None, sa_type=SealedBytes("receipt_paper.drawing"))
    signed_at: dt.datetime


class DriverStepRow(Row, table=True):
    """What a driver says on his way: his word with his clock, no evidence and no state of a trip."""

    __tablename__ = "driver_step"
    __table_args__ = (
        sa.CheckConstraint(
            "step IN ('arrived_loading', 'departed', 'arrived_unloading')", name="step"
        ),
    )

    trip: str = Field(primary_key=True, max_length=66)
    step: str = Field(primary_key=True, max_length=20)
    driver: str = Field(max_length=20)
    at: dt.datetime
    told_at: dt.datetime
