"""Browser sessions: opened at the door, listed, expiring, revocable, each with a token for its pages' forms."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session, col, select

from api.auth import Caller
from api.errors import UnauthenticatedError
from api.identity.people import new_id
from api.identity.roles import SCOPES_OF, Role
from api.identity.tables import AccountRow, MemberRow, OrganisationRow, SessionRow
from chain.clock import Clock
from chain.errors import NotFoundError
from chain.ids import PartyId

LIVES = dt.timedelta(hours=12)
IDLE = dt.timedelta(hours=2)
NOTED_EVERY = dt.timedelta(minutes=1)
"""A page view writes no row but once a minute."""

TOKEN = re.compile(r"(ses_[0-9a-f]{16})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session without its token."""

    id: str
    method: str
    agent: str
    made_at: dt.datetime
    seen_at: dt.datetime
    expires_at: dt.datetime
    revoked_at: dt.datetime | None


def csrf_token(token: str) -> str:
    """What a page's forms carry: only who has the session's cookie can tell it."""
    return (
        base64.urlsafe_b64encode(hmac.digest(token.encode(), b"yundan csrf", hashlib.sha256))
        .rstrip(b"=")
        .decode()
    )


class Sessions:
    """The browser sessions in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def open(
        self, account: str, member: str, *, method: str, agent: str
    ) -> tuple[OpenSession, str]:
        """A new session of a member, and its token for the cookie."""
        now, secret = self._clock.now(), secrets.token_urlsafe(32)
        row = SessionRow(
            session_id=new_id("ses"),
            token_hash=hashlib.sha256(secret.encode()).hexdigest(),
            account_id=account,
            member_id=member,
            method=method,
            agent=agent[:200],
            made_at=now,
            seen_at=now,
            proved_at=now,
            expires_at=now + LIVES,
        )
        self._session.add(row)
        self._session.flush()
        return _shown(row), f"{row.session_id}.{secret}"

    def authenticate(self, token: str) -> tuple[Caller, bool]:
        """The caller whose cookie this is, and whether ``note_seen`` is due.

        Raises:
            UnauthenticatedError: malformed, unknown, expired, idle too long or revoked.
        """
        match = TOKEN.fullmatch(token)
        found = self._find(match[1]) if match else None
        given = hashlib.sha256(match[2].encode()).hexdigest() if match else "0" * 64
        same = hmac.compare_digest(given, found[0].token_hash if found else "1" * 64)
        if found is None or not same:
            raise UnauthenticatedError("the session is unknown or over; sign in again")
        row, member, organisation, account = found
        now = self._clock.now()
        over = row.revoked_at or member.left_at or account.closed_at
        if over or now >= row.expires_at or now - row.seen_at > IDLE:
            raise UnauthenticatedError("the session is unknown or over; sign in again")
        role = Role(member.role)
        caller = Caller(
            name=member.member_id,
            party_id=PartyId(int(organisation.party_id)) if organisation.party_id else None,
            scopes=SCOPES_OF[role],
            org_id=organisation.org_id,
            account_id=account.account_id,
            session_id=row.session_id,
            role=role.value,
            proved_at=row.proved_at,
        )
        return caller, now - row.seen_at >= NOTED_EVERY

    def note_seen(self, session_id: str) -> None:
        """The session is in use."""
        self._set(col(SessionRow.session_id) == session_id, seen_at=self._clock.now())

    def note_proved(self, session_id: str) -> None:
        """Its person has just shown again who he is."""
        self._set(col(SessionRow.session_id) == session_id, proved_at=self._clock.now())

    def list_of(self, account: str) -> list[OpenSession]:
        """A person's sessions that still open something, newest first."""
        now = self._clock.now()
        query = (
            select(SessionRow)
            .where(col(SessionRow.account_id) == account)
            .where(col(SessionRow.revoked_at).is_(None))
            .where(col(SessionRow.expires_at) > now)
            .where(col(SessionRow.seen_at) > now - IDLE)
            .order_by(col(SessionRow.made_at).desc(), col(SessionRow.session_id))
            .limit(200)
        )
        return [_shown(row) for row in self._session.exec(query)]

    def revoke(self, account: str, session_id: str) -> OpenSession:
        """Ends a session of this person; twice is once.

        Raises:
            NotFoundError: he has no such session.
        """
        row = self._session.get(SessionRow, session_id)
        if row is None or row.account_id != account:
            raise NotFoundError("there is no such session")
        if row.revoked_at is None:
            row.revoked_at = self._clock.now()
            self._session.add(row)
            self._session.flush()
        return _shown(row)

    def revoke_all(self, account: str, *, but: str = "") -> None:
        """Ends every session of a person, but perhaps one."""
        self._set(
            (col(SessionRow.account_id) == account)
            & (col(SessionRow.session_id) != but)
            & col(SessionRow.revoked_at).is_(None),
            revoked_at=self._clock.now(),
        )

    def _find(
        self, session_id: str
    ) -> tuple[SessionRow, MemberRow, OrganisationRow, AccountRow] | None:
        query = (
            select(SessionRow, MemberRow, OrganisationRow, AccountRow)
            .where(col(SessionRow.session_id) == session_id)
            .where(col(SessionRow.member_id) == col(MemberRow.member_id))
            .where(col(MemberRow.org_id) == col(OrganisationRow.org_id))
            .where(col(SessionRow.account_id) == col(AccountRow.account_id))
        )
        return self._session.exec(query).first()

    def _set(self, which: sa.ColumnElement[bool], **values: dt.datetime) -> None:
        self._session.execute(sa.update(SessionRow).where(which).values(**values))


def _shown(row: SessionRow) -> OpenSession:
    return OpenSession(
        id=row.session_id,
        method=row.method,
        agent=row.agent or "",
        made_at=row.made_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
