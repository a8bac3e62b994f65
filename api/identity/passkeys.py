"""Passkeys (WebAuthn): made and used in the browser, only a public key lies here."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import webauthn
from sqlmodel import Session, col, select
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from api.identity.errors import PasskeyRefusedError
from api.identity.people import new_id
from api.identity.tables import AccountRow, ChallengeRow, PasskeyRow
from chain.clock import Clock
from chain.errors import NotFoundError

LIVES = dt.timedelta(minutes=5)
NAME = "Yundan"
MOST = 10
"""Passkeys of one person."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as its owner sees it."""

    id: str
    label: str
    created_at: dt.datetime
    used_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the browser is asked: options for ``@simplewebauthn/browser``, and the id of the challenge."""

    challenge: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """The site that passkeys are made for.

    Attributes:
        origin: scheme, host and port as browsers send them.
    """

    origin: str

    @property
    def host(self) -> str:
        """Name of the relying party."""
        return urlsplit(self.origin).hostname or ""


class Passkeys:
    """The passkeys in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def ask_new(self, account: str, site: Site) -> Asked:
        """What a browser is asked to make a passkey of a person.

        Raises:
            PasskeyRefusedError: he has as many as he may have.
        """
        held = self.list_of(account)
        if len(held) >= MOST:
            raise PasskeyRefusedError(f"at most {MOST} passkeys; remove one first")
        row = self._session.get_one(AccountRow, account)
        options = webauthn.generate_registration_options(
            rp_id=site.host,
            rp_name=NAME,
            user_id=account.encode(),
            user_name=row.login or account,
            user_display_name=row.name or "",
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.id)) for one in held
            ],
        )
        return self._keep(options.challenge, options, "new", account)

    def add(
        self, account: str, challenge: str, answer: dict[str, Any], label: str, site: Site
    ) -> Passkey:
        """Keeps a passkey that the browser has made.

        Raises:
            PasskeyRefusedError: the answer is not one to this challenge and site.
        """
        expected = self._take(challenge, "new", account)
        try:
            made = webauthn.verify_registration_response(
                credential=answer,
                expected_challenge=expected,
                expected_rp_id=site.host,
                expected_origin=site.origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as error:
            raise PasskeyRefusedError(field="answer") from error
        row = PasskeyRow(
            credential_id=bytes_to_base64url(made.credential_id),
            account_id=account,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            label=label,
            created_at=self._clock.now(),
        )
        if self._session.get(PasskeyRow, row.credential_id) is not None:
            raise PasskeyRefusedError("this passkey is known already", field="answer")
        self._session.add(row)
        self._session.flush()
        return _passkey(row)

    def ask_sign_in(self, site: Site) -> Asked:
        """What a browser is asked to show any passkey of this site."""
        options = webauthn.generate_authentication_options(
            rp_id=site.host, user_verification=UserVerificationRequirement.REQUIRED
        )
        return self._keep(options.challenge, options, "sign in", "")

    def check_sign_in(self, challenge: str, answer: dict[str, Any], site: Site) -> str:
        """The account whose passkey was shown.

        Raises:
            PasskeyRefusedError: unknown passkey, or not an answer to this challenge and site.
        """
        expected = self._take(challenge, "sign in", "")
        row = self._session.get(PasskeyRow, str(answer.get("id", ""))[:1400])
        if row is None:
            raise PasskeyRefusedError(field="answer")
        try:
            shown = webauthn.verify_authentication_response(
                credential=answer,
                expected_challenge=expected,
                expected_rp_id=site.host,
                expected_origin=site.origin,
                credential_public_key=row.public_key,
                credential_current_sign_count=row.sign_count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as error:
            raise PasskeyRefusedError(field="answer") from error
        row.sign_count, row.used_at = shown.new_sign_count, self._clock.now()
        self._session.add(row)
        account = self._session.get_one(AccountRow, row.account_id)
        if account.closed_at is not None:
            raise PasskeyRefusedError(field="answer")
        return row.account_id

    def list_of(self, account: str) -> list[Passkey]:
        """A person's passkeys, the first first."""
        query = (
            select(PasskeyRow)
            .where(col(PasskeyRow.account_id) == account)
            .order_by(col(PasskeyRow.created_at), col(PasskeyRow.credential_id))
        )
        return [_passkey(row) for row in self._session.exec(query)]

    def remove(self, account: str, passkey: str) -> None:
        """Takes a passkey out of use.

        Raises:
            NotFoundError: this person has none of that id.
        """
        row = self._session.get(PasskeyRow, passkey)
        if row is None or row.account_id != account:
            raise NotFoundError("there is no such passkey")
        self._session.delete(row)
        self._session.flush()

    def _keep(self, challenge: bytes, options: Any, purpose: str, account: str) -> Asked:
        row = ChallengeRow(
            challenge_id=new_id("cha"),
            purpose=purpose,
            account_id=account,
            challenge=challenge.hex(),
            expires_at=self._clock.now() + LIVES,
        )
        self._session.add(row)
        self._session.flush()
        return Asked(row.challenge_id, json.loads(webauthn.options_to_json(options)))

    def _take(self, challenge: str, purpose: str, account: str) -> bytes:
        """A challenge, which answers one request: it is deleted here."""
        row = self._session.get(ChallengeRow, challenge)
        if row is None or (row.purpose, row.account_id) != (purpose, account):
            raise PasskeyRefusedError(field="challenge")
        self._session.delete(row)
        self._session.flush()
        if self._clock.now() >= row.expires_at:
            raise PasskeyRefusedError("the challenge is too old; ask again", field="challenge")
        return bytes.fromhex(row.challenge)


def _passkey(row: PasskeyRow) -> Passkey:
    return Passkey(row.credential_id, row.label, row.created_at, row.used_at)
