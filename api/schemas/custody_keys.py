"""Keys of parties: custody by the platform, rotation, recovery; and proposals for a second person."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.parties import Kind
from api.schemas.signing import SignedForm
from api.schemas.values import (
    AddressText,
    Given,
    HashText,
    Instant,
    Listed,
    NameText,
    NoteText,
    PartyRef,
    Shown,
    SignatureText,
)


class CustodyChosen(Given):
    """The platform is to hold the party's key. The choice is explicit, and everybody is shown it."""

    name_zh: NameText
    name_en: NameText
    kind: Kind
    i_want_the_platform_to_hold_my_key: Literal[True]
    text_hash: HashText = Field(description="SHA-256 of the words that explain what that means")


class ToSign(Given):
    """A prepared form, as a GET gave it."""

    to_sign: dict[str, Any]


class Signed(Shown):
    """A form signed by the platform: the body to post back."""

    message: dict[str, Any]
    signature: SignatureText


class PlatformSignatureShown(Shown):
    """Something the platform has signed for the party."""

    id: str
    form: str
    struct_hash: HashText
    asked_by: str
    at: Instant


class PlatformSignatures(Listed):
    """What the platform has signed for the party, newest first."""

    data: list[PlatformSignatureShown]


class KeyRotated(SignedForm):
    """A new key, signed by the present key (``signature``) and by the new one."""

    new_signature: SignatureText


class RecoveryShown(Shown):
    """A recovery that waits; the present key can stop it until then."""

    party: PartyRef
    new_key: AddressText | None
    ready_at: Instant | None


class ProposalAsked(Given):
    """A request that needs a second person, word for word."""

    method: Literal["POST", "PATCH", "DELETE"]
    path: Annotated[str, Field(pattern=r"^/v1/[\x21-\x7e]{1,500}$", examples=["/v1/payouts"])]
    body: Any = None


class Decision(Given):
    """Why it is refused."""

    reason: NoteText


class ProposalShown(Shown):
    """A request that waits for a second person, or has had its answer."""

    id: str
    method: str
    path: str
    body: Any
    made_by: str
    made_at: Instant
    expires_at: Instant
    state: str
    decided_by: str
    decided_at: Instant | None
    reason: str


class ProposalList(Listed):
    """The organisation's proposals, newest first."""

    data: list[ProposalShown]
