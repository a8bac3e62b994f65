"""Organisations, their members and the invitations that make members, in one database session."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa
from sqlmodel import Session, col, select

from api.identity.errors import InvitationRefusedError, LastOwnerError, LoginTakenError
from api.identity.passwords import check_new, hash_password
from api.identity.roles import Role
from api.identity.tables import (
    AccountRow,
    InvitationRow,
    MemberRow,
    OrganisationRow,
    SessionRow,
)
from chain.clock import Clock
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import PartyId
from chain.sealing import Keyring
from chain.storage import Row

_R = TypeVar("_R", bound=Row)

INVITATION_LIVES = dt.timedelta(days=7)
ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation; ``party`` is None until it has a key on chain."""

    id: str
    name: str
    party: PartyId | None
    four_eyes: bool
    guardian: str | None
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an organisation."""

    id: str
    org: str
    account: str
    role: Role
    name: str
    login: str
    joined_at: dt.datetime
    left_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """A place that waits for a person, without its token."""

    id: str
    org: str
    role: Role
    made_by: str
    created_at: dt.datetime
    expires_at: dt.datetime
    accepted_at: dt.datetime | None
    revoked_at: dt.datetime | None


def plain_login(text: str) -> str:
    """A login as it is compared: case and outer spaces do not count."""
    return text.strip().casefold()


def new_id(kind: str) -> str:
    """A random id with its prefix."""
    return f"{kind}_{secrets.token_hex(8)}"


class People:
    """Organisations, accounts, members, invitations."""

    def __init__(self, session: Session, clock: Clock, keyring: Keyring) -> None:
        self._session = session
        self._clock = clock
        self._keyring = keyring

    # -- organisations ------------------------------------------------------------------------

    def found(self, name: str, party: PartyId | None) -> Organisation:
        """A new organisation, or the one that speaks for the party already."""
        row = None if party is None else self._of_party(party)
        if row is None:
            row = OrganisationRow(
                org_id=new_id("org"),
                party_id=None if party is None else str(party),
                name=name,
                created_at=self._clock.now(),
            )
            self._session.add(row)
            self._session.flush()
        return _organisation(row)

    def find_of_party(self, party: PartyId) -> Organisation | None:
        """The organisation that speaks for a party."""
        row = self._of_party(party)
        return None if row is None else _organisation(row)

    def get(self, org: str) -> Organisation:
        """An organisation.

        Raises:
            NotFoundError: there is none.
        """
        return _organisation(self._org(org))

    def set_four_eyes(self, org: str, *, wanted: bool) -> Organisation:
        """Whether what moves money needs a second person from now on."""
        row = self._org(org)
        if wanted and self._count(org, Role.APPROVER, Role.OWNER) < 2:
            raise InvalidValueError(
                "four eyes need two people who may approve; invite an approver first",
                field="four_eyes",
            )
        row.four_eyes = wanted
        return _organisation(self._keep(row))

    def set_guardian(self, org: str, guardian: str | None) -> Organisation:
        """Which organisation vouches for this one when its phone is lost.

        Raises:
            NotFoundError: there is no such organisation.
            InvalidValueError: nobody vouches for himself.
        """
        row = self._org(org)
        if guardian is not None and self._org(guardian).org_id == org:
            raise InvalidValueError("an organisation does not vouch for itself", field="guardian")
        row.guardian_id = guardian
        return _organisation(self._keep(row))

    def bind_party(self, org: str, party: PartyId) -> Organisation:
        """An organisation that had no party speaks for this one from now on.

        Raises:
            InvalidValueError: it speaks for another, or the party has an organisation.
        """
        row = self._org(org)
        other = self._of_party(party)
        if row.party_id not in {None, str(party)} or (other and other.org_id != org):
            raise InvalidValueError("an organisation speaks for one party alone", field="party")
        row.party_id = str(party)
        return _organisation(self._keep(row))

    # -- members ------------------------------------------------------------------------------

    def list_members(self, org: str) -> list[Member]:
        """The members of an organisation, those who left included, the first first."""
        query = (
            select(MemberRow, AccountRow)
            .where(col(MemberRow.org_id) == org)
            .where(col(MemberRow.account_id) == col(AccountRow.account_id))
            .order_by(col(MemberRow.joined_at), col(MemberRow.member_id))
        )
        return [_member(row, account) for row, account in self._session.exec(query)]

    def list_memberships(self, account: str) -> list[Member]:
        """Where a person is a member now, the first first."""
        query = (
            select(MemberRow, AccountRow)
            .where(col(MemberRow.account_id) == account)
            .where(col(MemberRow.account_id) == col(AccountRow.account_id))
            .where(col(MemberRow.left_at).is_(None))
            .order_by(col(MemberRow.joined_at), col(MemberRow.member_id))
        )
        return [_member(row, person) for row, person in self._session.exec(query)]

    def get_member(self, org: str, member: str) -> Member:
        """A member of this organisation.

        Raises:
            NotFoundError: there is none in it.
        """
        row = self._member(org, member)
        return _member(row, self._session.get_one(AccountRow, row.account_id))

    def give_role(self, org: str, member: str, role: Role) -> Member:
        """Another role for a member; his sessions end, so that none keeps what he had.

        Raises:
            NotFoundError: there is no such member here.
            LastOwnerError: nobody would own the organisation.
        """
        row = self._member(org, member)
        if row.role == Role.OWNER and role is not Role.OWNER:
            self._require_another_owner(org)
        row.role = role.value
        self._keep(row)
        self._end_sessions(member)
        return self.get_member(org, member)

    def remove(self, org: str, member: str) -> Member:
        """A member leaves; his sessions end at once.

        Raises:
            NotFoundError: there is no such member here.
            LastOwnerError: nobody would own the organisation.
        """
        row = self._member(org, member)
        if row.left_at is None:
            if row.role == Role.OWNER:
                self._require_another_owner(org)
            row.left_at = self._clock.now()
            self._keep(row)
            self._end_sessions(member)
        return self.get_member(org, member)

    # -- invitations --------------------------------------------------------------------------

    def invite(self, org: str, role: Role, made_by: str) -> tuple[Invitation, str]:
        """A new invitation and its token, which is never seen again."""
        token = secrets.token_urlsafe(32)
        now = self._clock.now()
        row = InvitationRow(
            invitation_id=new_id("inv"),
            org_id=self._org(org).org_id,
            token_hash=hashlib.sha256(token.encode()).hexdigest(),
            role=role.value,
            made_by=made_by,
            created_at=now,
            expires_at=now + INVITATION_LIVES,
        )
        self._keep(row)
        return _invitation(row), token

    def list_invitations(self, org: str) -> list[Invitation]:
        """The invitations of an organisation, newest first."""
        query = (
            select(InvitationRow)
            .where(col(InvitationRow.org_id) == org)
            .order_by(col(InvitationRow.created_at).desc(), col(InvitationRow.invitation_id))
            .limit(200)
        )
        return [_invitation(row) for row in self._session.exec(query)]

    def withdraw(self, org: str, invitation: str) -> Invitation:
        """An invitation is taken back; twice is once.

        Raises:
            NotFoundError: there is no such invitation here.
        """
        row = self._session.get(InvitationRow, invitation)
        if row is None or row.org_id != org:
            raise NotFoundError("there is no such invitation")
        if row.revoked_at is None and row.accepted_at is None:
            row.revoked_at = self._clock.now()
            self._keep(row)
        return _invitation(row)

    def find_invited(self, token: str) -> tuple[Invitation, Organisation] | None:
        """What a token invites to; None where it invites to nothing (any more)."""
        row = self._invited(token)
        return None if row is None else (_invitation(row), self.get(row.org_id))

    def accept(self, token: str, *, login: str, name: str, password: str) -> Member:
        """The bearer of an invitation becomes a person of ours, and a member.

        Raises:
            InvitationRefusedError: unknown, used, withdrawn or too old.
            LoginTakenError, PasswordRefusedError: take another.
        """
        row = self._invited(token)
        if row is None:
            raise InvitationRefusedError(field="token")
        check_new(password, about=(plain_login(login), name))
        known = self._keyring.blind("login", plain_login(login))
        taken = select(AccountRow).where(col(AccountRow.login_hash) == known)
        if self._session.exec(taken).first() is not None:
            raise LoginTakenError(field="login")
        account = AccountRow(
            account_id=new_id("acc"),
            login_hash=known,
            login=login.strip(),
            name=name,
            password_hash=hash_password(password),
            created_at=self._clock.now(),
        )
        self._keep(account)
        return self._join(row, account)

    def accept_as(self, token: str, account: str) -> Member:
        """A person of ours takes up an invitation.

        Raises:
            InvitationRefusedError: unknown, used, withdrawn or too old.
        """
        row = self._invited(token)
        if row is None:
            raise InvitationRefusedError(field="token")
        return self._join(row, self._session.get_one(AccountRow, account))

    # -- within -------------------------------------------------------------------------------

    def _join(self, invitation: InvitationRow, account: AccountRow) -> Member:
        now = self._clock.now()
        # Claimed by one conditional UPDATE: of two at once only one comes in.
        claim = (
            sa.update(InvitationRow)
            .where(col(InvitationRow.invitation_id) == invitation.invitation_id)
            .where(col(InvitationRow.accepted_at).is_(None))
            .values(accepted_at=now)
        )
        if self._session.execute(claim).rowcount != 1:  # type: ignore[attr-defined]  # CursorResult of an UPDATE
            raise InvitationRefusedError(field="token")
        held = select(MemberRow).where(
            col(MemberRow.org_id) == invitation.org_id,
            col(MemberRow.account_id) == account.account_id,
        )
        row = self._session.exec(held).first()
        if row is None:
            row = MemberRow(
                member_id=new_id("mem"),
                org_id=invitation.org_id,
                account_id=account.account_id,
                role=invitation.role,
                joined_at=now,
            )
        row.role, row.left_at = invitation.role, None
        self._keep(row)
        return _member(row, account)

    def _invited(self, token: str) -> InvitationRow | None:
        wanted = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        query = select(InvitationRow).where(col(InvitationRow.token_hash) == wanted)
        row = self._session.exec(query).first()
        if row is None or row.accepted_at or row.revoked_at:
            return None
        return row if self._clock.now() < row.expires_at else None

    def _org(self, org: str) -> OrganisationRow:
        row = self._session.get(OrganisationRow, org)
        if row is None:
            raise NotFoundError("there is no such organisation")
        return row

    def _of_party(self, party: PartyId) -> OrganisationRow | None:
        query = select(OrganisationRow).where(col(OrganisationRow.party_id) == str(party))
        return self._session.exec(query).first()

    def _member(self, org: str, member: str) -> MemberRow:
        row = self._session.get(MemberRow, member)
        if row is None or row.org_id != org:
            raise NotFoundError("there is no such member")
        return row

    def _count(self, org: str, *roles: Role) -> int:
        query = (
            select(sa.func.count())
            .select_from(MemberRow)
            .where(col(MemberRow.org_id) == org)
            .where(col(MemberRow.role).in_([role.value for role in roles]))
            .where(col(MemberRow.left_at).is_(None))
        )
        return int(self._session.exec(query).one())

    def _require_another_owner(self, org: str) -> None:
        if self._count(org, Role.OWNER) < 2:
            raise LastOwnerError

    def _end_sessions(self, member: str) -> None:
        self._session.execute(
            sa.update(SessionRow)
            .where(col(SessionRow.member_id) == member)
            .where(col(SessionRow.revoked_at).is_(None))
            .values(revoked_at=self._clock.now())
        )

    def _keep(self, row: _R) -> _R:
        self._session.add(row)
        self._session.flush()
        return row


def _organisation(row: OrganisationRow) -> Organisation:
    return Organisation(
        id=row.org_id,
        name=row.name or ERASED,
        party=None if row.party_id is None else PartyId(int(row.party_id)),
        four_eyes=row.four_eyes,
        guardian=row.guardian_id,
        created_at=row.created_at,
    )


def _member(row: MemberRow, account: AccountRow) -> Member:
    return Member(
        id=row.member_id,
        org=row.org_id,
        account=row.account_id,
        role=Role(row.role),
        name=account.name or ERASED,
        login=account.login or ERASED,
        joined_at=row.joined_at,
        left_at=row.left_at,
    )


def _invitation(row: InvitationRow) -> Invitation:
    return Invitation(
        id=row.invitation_id,
        org=row.org_id,
        role=Role(row.role),
        made_by=row.made_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        accepted_at=row.accepted_at,
        revoked_at=row.revoked_at,
    )
