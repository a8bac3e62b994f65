"""Rows of identity. Names, logins, phones and secrets lie sealed; what is searched has a keyed hash beside it."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from api.identity.roles import Role
from chain.storage import Row, SealedBytes, SealedJson, SealedText
from chain.tables import BIG

_ROLES = "role IN (" + ", ".join(f"'{role.value}'" for role in Role) + ")"


class OrganisationRow(Row, table=True):
    """An organisation; it speaks for one party, once that party has a key."""

    __tablename__ = "organisation"

    org_id: str = Field(primary_key=True, max_length=24)
    party_id: str | None = Field(default=None, max_length=20, unique=True)
    name: str | None = Field(sa_type=SealedText("organisation.name"))
    four_eyes: bool = False
    """Whether what moves money needs a second person."""
    guardian_id: str | None = Field(default=None, max_length=24, index=True)
    """The organisation that vouches for it when its phone is lost."""
    created_at: dt.datetime


class AccountRow(Row, table=True):
    """A person who comes in at the door."""

    __tablename__ = "account"

    account_id: str = Field(primary_key=True, max_length=24)
    login_hash: str = Field(max_length=64, unique=True)
    login: str | None = Field(sa_type=SealedText("account.login"))
    name: str | None = Field(sa_type=SealedText("account.name"))
    phone_hash: str | None = Field(default=None, max_length=64, unique=True)
    phone: str | None = Field(default=None, sa_type=SealedText("account.phone"))
    password_hash: str | None = Field(default=None, max_length=200)
    totp_secret: str | None = Field(default=None, sa_type=SealedText("account.totp"))
    totp_confirmed_at: dt.datetime | None = None
    totp_step: int = Field(default=0, sa_type=BIG)
    """The last time step that was used: a code opens once."""
    created_at: dt.datetime
    closed_at: dt.datetime | None = None


class MemberRow(Row, table=True):
    """A person in an organisation, with one role."""

    __tablename__ = "member"
    __table_args__ = (
        sa.UniqueConstraint("org_id", "account_id"),
        sa.CheckConstraint(_ROLES, name="role"),
    )

    member_id: str = Field(primary_key=True, max_length=24)
    org_id: str = Field(foreign_key="organisation.org_id", max_length=24)
    account_id: str = Field(foreign_key="account.account_id", index=True, max_length=24)
    role: str = Field(max_length=12)
    joined_at: dt.datetime
    left_at: dt.datetime | None = None


class InvitationRow(Row, table=True):
    """A place in an organisation that waits for a person; the token is had by its bearer alone."""

    __tablename__ = "invitation"
    __table_args__ = (sa.CheckConstraint(_ROLES, name="role"),)

    invitation_id: str = Field(primary_key=True, max_length=24)
    org_id: str = Field(foreign_key="organisation.org_id", index=True, max_length=24)
    token_hash: str = Field(max_length=64, unique=True)
    role: str = Field(max_length=12)
    made_by: str = Field(max_length=40)
    created_at: dt.datetime
    expires_at: dt.datetime
    accepted_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None


class SessionRow(Row, table=True):
    """One browser that a member came in with."""

    __tablename__ = "browser_session"

    session_id: str = Field(primary_key=True, max_length=24)
    token_hash: str = Field(max_length=64)
    account_id: str = Field(foreign_key="account.account_id", index=True, max_length=24)
    member_id: str = Field(foreign_key="member.member_id", index=True, max_length=24)
    method: str = Field(max_length=20)
    agent: str | None = Field(default=None, sa_type=SealedText("browser_session.agent"))
    made_at: dt.datetime
    seen_at: dt.datetime
    proved_at: dt.datetime
    """When he last showed who he is; what is grave asks that it was just now."""
    expires_at: dt.datetime
    revoked_at: dt.datetime | None = None


class DoorAttemptRow(Row, table=True):
    """How often somebody failed at the door, under a keyed hash of whom or where from."""

    __tablename__ = "door_attempt"

    subject: str = Field(primary_key=True, max_length=64)
    failures: int
    last_at: dt.datetime
    shut_until: dt.datetime | None = None


class RecoveryCodeRow(Row, table=True):
    """A code that opens once in place of the authenticator; its SHA-256 (80 random bits)."""

    __tablename__ = "recovery_code"

    account_id: str = Field(foreign_key="account.account_id", primary_key=True, max_length=24)
    code_hash: str = Field(primary_key=True, max_length=64)


class PasskeyRow(Row, table=True):
    """The public half of a passkey."""

    __tablename__ = "passkey"

    credential_id: str = Field(primary_key=True, max_length=1400)
    account_id: str = Field(foreign_key="account.account_id", index=True, max_length=24)
    public_key: bytes = Field(sa_type=sa.LargeBinary)
    sign_count: int = Field(sa_type=BIG)
    label: str = Field(max_length=80)
    created_at: dt.datetime
    used_at: dt.datetime | None = None


class ChallengeRow(Row, table=True):
    """What a passkey is to sign; answered once."""

    __tablename__ = "passkey_challenge"

    challenge_id: str = Field(primary_key=True, max_length=24)
    purpose: str = Field(max_length=10)
    account_id: str = Field(max_length=24)
    challenge: str = Field(max_length=200)
    expires_at: dt.datetime


class PhoneCodeRow(Row, table=True):
    """A one-time code, under keyed hashes: whose phone and which digits are not here."""

    __tablename__ = "phone_code"

    code_id: str = Field(primary_key=True, max_length=24)
    phone_hash: str = Field(index=True, max_length=64)
    place_hash: str = Field(index=True, max_length=64)
    purpose: str = Field(max_length=10)
    about: str = Field(max_length=70)
    code_hash: str = Field(max_length=64)
    tries: int
    made_at: dt.datetime
    expires_at: dt.datetime
    used_at: dt.datetime | None = None


class RequestProposalRow(Row, table=True):
    """A request that needs a second person."""

    __tablename__ = "request_proposal"
    __table_args__ = (
        sa.CheckConstraint("state IN ('open', 'approved', 'refused', 'used')", name="state"),
        sa.CheckConstraint(
            "state NOT IN ('approved', 'used') OR decided_by <> made_by", name="two_people"
        ),
        sa.Index("ix_request_proposal_org_hash", "org_id", "request_hash"),
    )

    proposal_id: str = Field(primary_key=True, max_length=24)
    org_id: str = Field(foreign_key="organisation.org_id", max_length=24)
    method: str = Field(max_length=8)
    path: str = Field(max_length=600)
    body: Any = Field(sa_type=SealedJson("request_proposal.body"), nullable=True)
    request_hash: str = Field(max_length=64)
    made_by: str = Field(max_length=40)
    state: str = Field(max_length=10)
    decided_by: str = Field(default="", max_length=40)
    decided_at: dt.datetime | None = None
    reason: str = Field(default="", max_length=500)
    used_key: str = Field(default="", max_length=255)
    made_at: dt.datetime
    expires_at: dt.datetime


class PlatformKeyRow(Row, table=True):
    """A key that the platform holds for a party, by the party's explicit choice."""

    __tablename__ = "platform_key"

    party_id: str = Field(primary_key=True, max_length=20)
    address: str = Field(max_length=42, unique=True)
    secret: bytes | None = Field(sa_type=SealedBytes("platform_key.secret"))
    """Gone once the party keeps its own key."""
    chosen_by: str = Field(max_length=40)
    chosen_at: dt.datetime
    ended_at: dt.datetime | None = None


class PlatformSignatureRow(Row, table=True):
    """What the platform has signed for a party, at whose word."""

    __tablename__ = "platform_signature"

    signature_id: str = Field(primary_key=True, max_length=24)
    party_id: str = Field(index=True, max_length=20)
    form: str = Field(max_length=60)
    struct_hash: str = Field(max_length=66)
    asked_by: str = Field(max_length=40)
    at: dt.datetime
