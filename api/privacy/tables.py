"""Rows about personal data: kept papers, consents, the log of who looked, erasures."""

import datetime as dt
from typing import Any

from sqlmodel import Field

from chain.storage import Row, SealedJson, SealedText
from chain.tables import BIG


class KeptPaperRow(Row, table=True):
    """What was prepared for signing and the salt that opens its hash, until it is forgotten."""

    __tablename__ = "kept_paper"

    document: str = Field(primary_key=True, max_length=66)
    about: str = Field(index=True, max_length=66)
    party_id: str = Field(index=True, max_length=20)
    content: dict[str, Any] | None = Field(sa_type=SealedJson("kept_paper.content"))
    salt: str | None = Field(sa_type=SealedText("kept_paper.salt"))
    made_at: dt.datetime
    signed_at: dt.datetime | None = None
    erased_at: dt.datetime | None = None


class ConsentRow(Row, table=True):
    """A person's consent to one purpose, by the hash of the text that he was shown."""

    __tablename__ = "consent"

    consent_id: str = Field(primary_key=True, max_length=24)
    subject: str = Field(index=True, max_length=40)
    purpose: str = Field(max_length=40)
    text_hash: str = Field(max_length=66)
    given_at: dt.datetime
    given_by: str = Field(max_length=40)
    withdrawn_at: dt.datetime | None = None


class AccessRow(Row, table=True):
    """Somebody asked for personal data. Each row is chained to the one before by a keyed hash."""

    __tablename__ = "access_log"

    number: int = Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False})
    at: dt.datetime
    caller: str = Field(max_length=40)
    party_id: str = Field(max_length=20)
    action: str = Field(max_length=40)
    about: str = Field(index=True, max_length=200)
    request_id: str = Field(max_length=64)
    previous: str = Field(max_length=64)
    mac: str = Field(max_length=64)


class AccessHeadRow(Row, table=True):
    """The end of the access log, so that rows cut off its end are missed."""

    __tablename__ = "access_head"

    id: int = Field(default=1, primary_key=True)
    number: int = Field(sa_type=BIG)
    mac: str = Field(max_length=64)


class ErasureRow(Row, table=True):
    """That a person's data were erased, and how many rows of each kind; never what they were."""

    __tablename__ = "erasure"

    erasure_id: str = Field(primary_key=True, max_length=24)
    subject: str = Field(index=True, max_length=40)
    asked_by: str = Field(max_length=40)
    counts: dict[str, Any] = Field(sa_type=SealedJson("erasure.counts"))
    at: dt.datetime
