"""Parties and their API keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.signing import SignedForm, TypedData
from api.schemas.values import (
    AddressText,
    Given,
    HashText,
    Instant,
    KeyRef,
    Listed,
    NameText,
    PartyRef,
    PartyText,
    Shown,
    SignatureText,
)

Kind = Literal[
    "consignor", "contract carrier", "subcontractor", "driver", "consignee", "lender",
    "attestor", "custodian", "debtor",
]  # fmt: skip


Networks = Annotated[
    list[Annotated[str, Field(min_length=2, max_length=43, examples=["203.0.113.0/24"])]],
    Field(max_length=20),
]


class PartyFormAsked(Given):
    """Who wants to be a party; the answer is what his key is to sign."""

    name_zh: NameText
    name_en: NameText
    kind: Kind = Field(description="usual role, for the screens; rights come from contracts alone")
    key: AddressText = Field(description="the account that will speak for the party")
    party: PartyText | None = Field(
        default=None, description="an id of your choice; random if null"
    )


class PartyForm(Shown):
    """What the key is to sign."""

    party: PartyText
    to_sign: TypedData
    profile_salt: HashText = Field(
        description="keep it: it opens the hash of your profile on chain"
    )


class PartyGiven(SignedForm):
    """A signed registration with the profile whose hash it carries."""

    name_zh: NameText
    name_en: NameText
    kind: Kind
    profile_salt: HashText


class PartyShown(Shown):
    """A party."""

    id: PartyRef
    name_zh: str
    name_en: str
    kind: str
    stage: str
    key: AddressText | None
    custody: str = Field(description="self, or platform where the platform holds its key")
    registered_at: Instant | None


class KeyAsked(Given):
    """A request for an API key, signed by the party's key (`GET /v1/keys/form` prepares it)."""

    party: PartyText
    scopes: Annotated[str, Field(min_length=1, max_length=400, examples=["read waybills:write"])]
    label: Annotated[str, Field(min_length=1, max_length=80, examples=["back office"])]
    issued_at: int = Field(ge=0, lt=2**53, description="unix seconds")
    salt: HashText
    signature: SignatureText
    allowed_from: Networks = Field(
        default_factory=list, description="networks it may be used from; all if empty"
    )
    expires_at: Instant | None = Field(default=None, description="never if null")


class OwnKeyAsked(Given):
    """A key that a person who has just shown who he is opens for his party."""

    scopes: Annotated[str, Field(min_length=1, max_length=400, examples=["read waybills:write"])]
    label: Annotated[str, Field(min_length=1, max_length=80, examples=["back office"])]
    allowed_from: Networks = Field(default_factory=list)
    expires_at: Instant | None = None


class KeyChanged(Given):
    """Other networks for a key."""

    allowed_from: Networks


class KeyOpened(Shown):
    """A new API key; the token is shown this once."""

    key_id: KeyRef
    party: PartyRef
    scopes: list[str]
    label: str
    token: str


class KeyShown(Shown):
    """An API key without its secret."""

    key_id: KeyRef
    scopes: list[str]
    label: str
    created_at: Instant
    revoked_at: Instant | None
    allowed_from: list[str]
    expires_at: Instant | None


class KeyList(Listed):
    """The API keys of a party."""

    data: list[KeyShown]
