"""The second factor: time-based one-time codes (RFC 6238), each used once, and recovery codes."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import pyotp
import sqlalchemy as sa
from sqlmodel import Session, col, select

from api.identity.errors import CodeRefusedError
from api.identity.tables import AccountRow, PasskeyRow, RecoveryCodeRow
from chain.clock import Clock

STEP_S = 30
RECOVERY_CODES = 10
ISSUER = "Yundan"


@dataclass(frozen=True, slots=True)
class TotpStart:
    """A new secret for an authenticator; it counts once a code of it was shown."""

    secret: str
    uri: str


class Factors:
    """The second factors in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def has_totp(self, account: str) -> bool:
        """Whether sign-in asks for a code."""
        return self._account(account).totp_confirmed_at is not None

    def has_passkey(self, account: str) -> bool:
        """Whether the person has a passkey: a password alone then opens nothing."""
        held = select(PasskeyRow.credential_id).where(col(PasskeyRow.account_id) == account)
        return self._session.exec(held.limit(1)).first() is not None

    def list_needed(self, account: str) -> list[str]:
        """What a person shows beside his password, any of these: ``totp``, ``passkey``; nothing if empty."""
        found = {"totp": self.has_totp(account), "passkey": self.has_passkey(account)}
        return [name for name, has in found.items() if has]

    def make_first_recovery_codes(self, account: str) -> list[str]:
        """Recovery codes for a person who has none yet, shown once; none for another."""
        held = select(RecoveryCodeRow.code_hash).where(col(RecoveryCodeRow.account_id) == account)
        if self._session.exec(held.limit(1)).first() is not None:
            return []
        return self._make_codes(account)

    def start_totp(self, account: str) -> TotpStart:
        """A new secret; one that counts already is not replaced.

        Raises:
            CodeRefusedError: there is one; end it first.
        """
        row = self._account(account)
        if row.totp_confirmed_at is not None:
            raise CodeRefusedError("a second factor is set up; end it before you make a new one")
        secret = pyotp.random_base32()
        row.totp_secret, row.totp_step = secret, 0
        self._keep(row)
        uri = pyotp.TOTP(secret).provisioning_uri(name=row.login or account, issuer_name=ISSUER)
        return TotpStart(secret, uri)

    def confirm_totp(self, account: str, code: str) -> list[str]:
        """The authenticator shows the right code: it counts from now on. Gives recovery codes, shown once.

        Raises:
            CodeRefusedError: wrong code, or nothing was started.
        """
        row = self._account(account)
        if row.totp_confirmed_at is not None or not self._use(row, code):
            raise CodeRefusedError(field="code")
        row.totp_confirmed_at = self._clock.now()
        self._keep(row)
        self._session.execute(
            sa.delete(RecoveryCodeRow).where(col(RecoveryCodeRow.account_id) == account)
        )
        return self._make_codes(account)

    def _make_codes(self, account: str) -> list[str]:
        codes = [f"{secrets.token_hex(5)}-{secrets.token_hex(5)}" for _ in range(RECOVERY_CODES)]
        for one in codes:
            self._session.add(RecoveryCodeRow(account_id=account, code_hash=_hash(one)))
        self._session.flush()
        return codes

    def check(self, account: str, code: str) -> bool:
        """Whether a code opens: of the authenticator, or a recovery code; each opens once.

        Who has neither authenticator nor passkey needs none.
        """
        if not self.list_needed(account):
            return True
        row = self._account(account)
        if row.totp_confirmed_at is not None and self._use(row, code):
            return True
        used = (
            sa.delete(RecoveryCodeRow)
            .where(col(RecoveryCodeRow.account_id) == account)
            .where(col(RecoveryCodeRow.code_hash) == _hash(code.strip().lower()))
        )
        return bool(self._session.execute(used).rowcount)  # type: ignore[attr-defined]  # CursorResult of a DELETE

    def end_totp(self, account: str, code: str) -> None:
        """Takes the second factor away, for who shows a code of it.

        Raises:
            CodeRefusedError: wrong code.
        """
        if not self.check(account, code):
            raise CodeRefusedError(field="code")
        row = self._account(account)
        row.totp_secret, row.totp_confirmed_at, row.totp_step = None, None, 0
        self._keep(row)

    def _use(self, row: AccountRow, code: str) -> bool:
        """Whether a code is that of this step or one beside it, and later than any used before."""
        if row.totp_secret is None or not (len(code) == 6 and code.isascii() and code.isdigit()):
            return False
        totp, now = pyotp.TOTP(row.totp_secret), int(self._clock.now().timestamp())
        for step in (now // STEP_S + drift for drift in (0, -1, 1)):
            right = secrets.compare_digest(totp.at(step * STEP_S), code)
            if right and step > row.totp_step:
                row.totp_step = step
                self._keep(row)
                return True
        return False

    def _account(self, account: str) -> AccountRow:
        query = select(AccountRow).where(col(AccountRow.account_id) == account).with_for_update()
        return self._session.exec(query).one()

    def _keep(self, row: AccountRow) -> None:
        self._session.add(row)
        self._session.flush()


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()
