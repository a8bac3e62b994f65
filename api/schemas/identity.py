"""Organisations, members, invitations, sessions."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from api.identity.roles import Role
from api.schemas.values import (
    Given,
    Instant,
    Listed,
    NameText,
    PartyRef,
    Shown,
    plain_text,
)

LoginText = Annotated[
    str,
    Field(min_length=3, max_length=80, examples=["wang@shunda.example"]),
    AfterValidator(plain_text),
]
"""What a person signs in with: a mail address, a phone number or a name."""

PasswordText = Annotated[str, Field(min_length=1, max_length=400, examples=["a long sentence"])]
"""A password as typed; what is allowed is said by its own error."""

RoleText = Annotated[
    Role, BeforeValidator(lambda value: Role(value) if isinstance(value, str) else value)
]
"""A role by its word."""

TokenText = Annotated[str, Field(min_length=20, max_length=200)]
"""A token that was shown once."""


class OrganisationAsked(Given):
    """The organisation that speaks for the party of this API key."""

    name: NameText


class OrganisationShown(Shown):
    """An organisation."""

    id: str
    name: str
    party: PartyRef | None = Field(description="the party it speaks for")
    four_eyes: bool = Field(description="whether what moves money needs a second person")
    guardian: str | None = Field(
        description="the organisation that vouches for it when its phone is lost"
    )
    created_at: Instant


class OrganisationFounded(Shown):
    """An organisation and the first owner's invitation, whose token is shown this once."""

    organisation: OrganisationShown
    invitation: str | None = Field(description="null where it has an owner already")


class OrganisationChanged(Given):
    """What is to change; left out, it stays."""

    four_eyes: bool | None = None
    guardian: Annotated[str, Field(pattern=r"^org_[0-9a-f]{16}$")] | None = None


class MemberShown(Shown):
    """A member."""

    id: str
    role: str
    name: str
    login: str
    joined_at: Instant
    left_at: Instant | None


class MemberList(Listed):
    """The members of an organisation."""

    data: list[MemberShown]


class RoleGiven(Given):
    """Another role for a member."""

    role: RoleText


class InvitationAsked(Given):
    """Who is invited is settled by who is handed the token."""

    role: RoleText


class InvitationShown(Shown):
    """An invitation without its token."""

    id: str
    role: str
    made_by: str
    created_at: Instant
    expires_at: Instant
    accepted_at: Instant | None
    revoked_at: Instant | None


class InvitationMade(InvitationShown):
    """A new invitation; the token is shown this once."""

    token: str


class InvitationList(Listed):
    """The invitations of an organisation."""

    data: list[InvitationShown]


class InvitationAccepted(Given):
    """The bearer of an invitation makes himself an account."""

    token: TokenText
    login: LoginText
    name: NameText
    password: PasswordText


class SignIn(Given):
    """Who wants to come in."""

    login: Annotated[str, Field(min_length=1, max_length=80)]
    password: PasswordText
    code: Annotated[str, Field(min_length=6, max_length=30)] | None = Field(
        default=None, description="of the authenticator, or a recovery code, where there is one"
    )


class SignedIn(Shown):
    """Who came in; the session is in the cookie."""

    member: MemberShown
    organisation: str
    session: str
    csrf: str = Field(description="send it with every write, as X-CSRF-Token")


class SessionShown(Shown):
    """A browser session."""

    id: str
    method: str
    agent: str
    made_at: Instant
    seen_at: Instant
    expires_at: Instant
    is_this: bool


class SessionList(Listed):
    """The open sessions of a person, newest first."""

    data: list[SessionShown]


class Me(Shown):
    """Who calls."""

    name: str
    party: PartyRef | None
    organisation: str | None
    role: str | None
    scopes: list[str]
    csrf: str | None = Field(description="for a session: send it with every write")
