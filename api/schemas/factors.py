"""Second factors, passkeys, phone codes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.schemas.identity import PasswordText
from api.schemas.values import Given, Instant, Listed, NameText, Shown

CodeText = Annotated[str, Field(min_length=6, max_length=30, examples=["123456"])]
PhoneText = Annotated[str, Field(min_length=5, max_length=30, examples=["13800014733"])]
PasskeyText = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,1400}$")]
ChallengeText = Annotated[str, Field(pattern=r"^cha_[0-9a-f]{16}$")]


class CodeGiven(Given):
    """A code of the authenticator, or a recovery code."""

    code: CodeText


class TotpShown(Shown):
    """A new secret; it counts once a code of it was shown."""

    secret: str
    uri: str = Field(description="for the QR that an authenticator scans")


class RecoveryCodes(Shown):
    """Codes that open once each in place of the authenticator; shown this once."""

    codes: list[str]


class Proof(Given):
    """Who has signed in shows again who he is."""

    password: PasswordText
    code: CodeText | None = None


class Proved(Shown):
    """When he showed it."""

    at: Instant


class PasskeyAsked(Shown):
    """What the browser is asked (``@simplewebauthn/browser`` takes ``options``)."""

    challenge: str
    options: dict[str, Any]


class PasskeyMade(Given):
    """What the browser has made."""

    challenge: ChallengeText
    answer: dict[str, Any]
    label: NameText


class PasskeyUsed(Given):
    """What the browser has shown."""

    challenge: ChallengeText
    answer: dict[str, Any]


class PasskeyShown(Shown):
    """A passkey."""

    id: str
    label: str
    created_at: Instant
    used_at: Instant | None


class PasskeyAdded(PasskeyShown):
    """A new passkey."""

    recovery_codes: list[str] = Field(
        description="each signs in once beside the password where the passkey is lost; shown this once, "
        "and only where there were none"
    )


class PasskeyList(Listed):
    """A person's passkeys."""

    data: list[PasskeyShown]


class PhoneAsked(Given):
    """A code is to be sent to a phone."""

    phone: PhoneText


class CodeSent(Shown):
    """A code is on its way, if the phone is known here."""

    sent: bool = True


class PhoneProved(Given):
    """A code that came to a phone."""

    phone: PhoneText
    code: CodeText


class PasswordChanged(Given):
    """A new password, by the old one."""

    old: PasswordText
    new: PasswordText
