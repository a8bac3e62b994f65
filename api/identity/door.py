"""The door: who somebody is, shown by password (and second factor), and the session he gets for it."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlmodel import Session, col, select

from api.identity.attempts import Attempts
from api.identity.errors import SecondFactorNeededError, SignInRefusedError
from api.identity.factors import Factors
from api.identity.passwords import check_new, hash_password, verify_password
from api.identity.people import Member, People, plain_login
from api.identity.sessions import OpenSession, Sessions
from api.identity.tables import AccountRow
from chain.sealing import Keyring

MOST_FROM_ONE_PLACE = 30
"""Failures from one address before it waits: a firm's people may share one."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Entered:
    """Who came in."""

    member: Member
    session: OpenSession
    token: str


class Door:
    """Signing in, in one database session that writes.

    Failures must be kept although the request fails: callers commit before they raise (see ``knock``).
    """

    def __init__(
        self,
        session: Session,
        *,
        people: People,
        sessions: Sessions,
        attempts: Attempts,
        factors: Factors,
        keyring: Keyring,
    ) -> None:
        self._session = session
        self._people = people
        self._sessions = sessions
        self._attempts = attempts
        self._factors = factors
        self._keyring = keyring

    def knock(
        self, login: str, password: str, *, place: str, agent: str, code: str = ""
    ) -> Entered | SignInRefusedError:
        """Lets somebody in, or says why not; given back, not raised, so that the count is committed.

        Args:
            login: as typed.
            password: as typed.
            place: address the request came from.
            agent: what the browser calls itself.
            code: of the second factor, where there is one.

        Raises:
            ShutDoorError: too many attempts.
            SecondFactorNeededError: the password is right, and a code is needed.
        """
        known = plain_login(login)
        self._attempts.check("login", known)
        self._attempts.check("place", place)
        account = self._find(known)
        right = verify_password(account.password_hash if account else None, password)
        if account is None or not right or account.closed_at is not None:
            return self._refuse(known, place)
        needed = self._factors.list_needed(account.account_id)
        if needed:
            if not code:
                raise SecondFactorNeededError(field="code", any_of=needed)
            if not self._factors.check(account.account_id, code):
                return self._refuse(known, place)
        self._attempts.forget("login", known)
        return self.enter(account.account_id, method="password", agent=agent)

    def enter(self, account: str, *, method: str, agent: str) -> Entered | SignInRefusedError:
        """A session for somebody who has shown who he is, in the first organisation he is a member of."""
        memberships = self._people.list_memberships(account)
        if not memberships:
            return SignInRefusedError("you are no member of an organisation any more")
        member = memberships[0]
        shown, token = self._sessions.open(account, member.id, method=method, agent=agent)
        _log.info("signed_in", member=member.id, method=method)
        return Entered(member, shown, token)

    def prove(
        self, account: str, password: str, code: str, *, place: str
    ) -> SignInRefusedError | None:
        """None where a person shows again who he is; a wrong try counts as one at the door.

        Raises:
            ShutDoorError: too many attempts.
        """
        row = self._session.get_one(AccountRow, account)
        known = plain_login(row.login or account)
        self._attempts.check("login", known)
        right = verify_password(row.password_hash, password)
        if not right or not self._factors.check(account, code):
            return self._refuse(known, place)
        return None

    def change_password(
        self, account: str, old: str, new: str, *, place: str
    ) -> SignInRefusedError | None:
        """None where the old password was right and the new one counts now.

        Raises:
            ShutDoorError: too many attempts.
            PasswordRefusedError: the new one is none.
        """
        row = self._session.get_one(AccountRow, account)
        known = plain_login(row.login or account)
        self._attempts.check("login", known)
        if not verify_password(row.password_hash, old):
            return self._refuse(known, place)
        check_new(new, about=(known, row.name or ""))
        row.password_hash = hash_password(new)
        self._session.add(row)
        self._session.flush()
        return None

    def _refuse(self, login: str, place: str) -> SignInRefusedError:
        self._attempts.fail("login", login)
        self._attempts.fail("place", place, free=MOST_FROM_ONE_PLACE)
        return SignInRefusedError()

    def _find(self, login: str) -> AccountRow | None:
        known = self._keyring.blind("login", login)
        return self._session.exec(
            select(AccountRow).where(col(AccountRow.login_hash) == known)
        ).first()
