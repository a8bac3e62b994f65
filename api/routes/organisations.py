"""Organisations, their members and invitations. A caller reaches his own alone."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.auth import Caller, Scope, check_key_request
from api.dependencies import OnceOnly, Reader, Requires, RequiresRole, TheContainer, require_fresh
from api.four_eyes import TWO_PEOPLE
from api.identity.people import Invitation, Member, Organisation
from api.identity.roles import Role
from api.key_request import ApiKeyRequest
from api.paging import ThePage
from api.ports import Services
from api.routes.parties import require_enroller
from api.schemas.identity import (
    InvitationAccepted,
    InvitationAsked,
    InvitationList,
    InvitationMade,
    InvitationShown,
    MemberList,
    MemberShown,
    OrganisationAsked,
    OrganisationChanged,
    OrganisationFounded,
    OrganisationShown,
    RoleGiven,
)
from api.schemas.parties import KeyAsked
from api.validators import IfMatch, require_match, tagged
from chain.errors import NotFoundError
from chain.ids import Hash32, PartyId

router = APIRouter(tags=["organisations"])

MemberKeeper = Annotated[Caller, Depends(Requires(Scope.MEMBERS))]
FreshOwner = Annotated[Caller, Depends(RequiresRole(Role.OWNER, fresh=True))]


def own_organisation(services: Services, caller: Caller) -> Organisation:
    """The organisation a caller acts for: a person's own, or that of the party of an API key.

    Raises:
        NotFoundError: there is none (yet).
    """
    if caller.org_id:
        return services.people.get(caller.org_id)
    found = None
    if caller.party_id is not None:
        found = services.people.find_of_party(caller.party_id)
    if found is None:
        raise NotFoundError("your party has no organisation yet: POST /v1/organisation founds it")
    return found


def show_organisation(organisation: Organisation) -> OrganisationShown:
    """An organisation as JSON."""
    return OrganisationShown(
        id=organisation.id,
        name=organisation.name,
        party=None if organisation.party is None else str(organisation.party),
        four_eyes=organisation.four_eyes,
        guardian=organisation.guardian,
        created_at=organisation.created_at,
    )


def show_member(member: Member) -> MemberShown:
    """A member as JSON."""
    return MemberShown(
        id=member.id,
        role=member.role.value,
        name=member.name,
        login=member.login,
        joined_at=member.joined_at,
        left_at=member.left_at,
    )


def show_invitation(invitation: Invitation) -> InvitationShown:
    """An invitation as JSON."""
    return InvitationShown(
        id=invitation.id,
        role=invitation.role.value,
        made_by=invitation.made_by,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
        accepted_at=invitation.accepted_at,
        revoked_at=invitation.revoked_at,
    )


@router.post("/organisation", status_code=201, response_model=OrganisationFounded)
def found(asked: OrganisationAsked, caller: MemberKeeper, once: OnceOnly) -> Response:
    """Founds the organisation of the caller's party; its first owner comes in by the invitation."""
    party = caller.require_self()

    def work(services: Services) -> OrganisationFounded:
        organisation = services.people.found(asked.name, party)
        members = services.people.list_members(organisation.id)
        token = None
        if not any(member.role is Role.OWNER and not member.left_at for member in members):
            _, token = services.people.invite(organisation.id, Role.OWNER, caller.name)
        return OrganisationFounded(organisation=show_organisation(organisation), invitation=token)

    return once.run(caller.name, work, secret=True)


@router.post("/organisations", status_code=201, response_model=OrganisationFounded)
def found_without_party(
    asked: OrganisationAsked, request: Request, container: TheContainer, once: OnceOnly
) -> Response:
    """An organisation that has no key yet, by the operator, once its people are identified."""
    require_enroller(request, container)

    def work(services: Services) -> OrganisationFounded:
        organisation = services.people.found(asked.name, None)
        _, token = services.people.invite(organisation.id, Role.OWNER, "operator")
        return OrganisationFounded(organisation=show_organisation(organisation), invitation=token)

    return once.run("operator", work, secret=True)


@router.post("/organisation/party", response_model=OrganisationShown)
def bind_party(
    given: KeyAsked,
    caller: FreshOwner,
    container: TheContainer,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """The caller's organisation speaks for a party from now on; the party's own key has signed (``GET /v1/keys/form``)."""
    form = ApiKeyRequest(
        party=PartyId(int(given.party)),
        scopes=given.scopes,
        label=given.label,
        issued_at=given.issued_at,
        salt=Hash32(given.salt),
    )

    def work(services: Services) -> OrganisationShown:
        if if_match is not None:
            require_match(if_match, show_organisation(own_organisation(services, caller)))
        party = services.records.find_party(form.party)
        check_key_request(
            form,
            bytes.fromhex(given.signature[2:]),
            domain=container.reader.domain("PartyRegistry"),
            key=party.key if party else None,
            now=container.clock.now(),
        )
        return show_organisation(services.people.bind_party(caller.org_id, form.party))

    return once.run(caller.name, work, 200)


@router.get("/organisation", response_model=OrganisationShown)
def get_own(request: Request, caller: Reader, container: TheContainer) -> Response:
    """The caller's organisation."""
    with container.read() as services:
        return tagged(request, show_organisation(own_organisation(services, caller)))


@router.patch("/organisation", dependencies=[TWO_PEOPLE], response_model=OrganisationShown)
def change(
    asked: OrganisationChanged,
    caller: MemberKeeper,
    container: TheContainer,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Changes how the caller's organisation works."""
    require_fresh(caller, container)

    def work(services: Services) -> OrganisationShown:
        organisation = own_organisation(services, caller)
        require_match(if_match, show_organisation(organisation))
        if asked.four_eyes is not None:
            organisation = services.people.set_four_eyes(organisation.id, wanted=asked.four_eyes)
        if asked.guardian is not None:
            organisation = services.people.set_guardian(organisation.id, asked.guardian)
        return show_organisation(organisation)

    return once.run(caller.name, work, 200)


@router.get("/members")
def list_members(caller: Reader, container: TheContainer, asked: ThePage) -> MemberList:
    """The members of the caller's organisation."""
    with container.read() as services:
        members = services.people.list_members(own_organisation(services, caller).id)
    page = asked.cut(members, lambda member: member.id)
    return MemberList(data=[show_member(member) for member in page.rows], **page.ends)


@router.patch("/members/{member}", response_model=MemberShown)
def give_role(
    member: str, given: RoleGiven, caller: MemberKeeper, container: TheContainer, once: OnceOnly
) -> Response:
    """Another role for a member; his sessions end."""
    require_fresh(caller, container)

    def work(services: Services) -> MemberShown:
        org = own_organisation(services, caller).id
        return show_member(services.people.give_role(org, member, given.role))

    return once.run(caller.name, work, 200)


@router.delete("/members/{member}", response_model=MemberShown)
def remove(member: str, caller: MemberKeeper, once: OnceOnly) -> Response:
    """A member leaves; his sessions end at once."""

    def work(services: Services) -> MemberShown:
        org = own_organisation(services, caller).id
        return show_member(services.people.remove(org, member))

    return once.run(caller.name, work, 200)


@router.get("/invitations")
def list_invitations(
    caller: MemberKeeper, container: TheContainer, asked: ThePage
) -> InvitationList:
    """The invitations of the caller's organisation, newest first."""
    with container.read() as services:
        found = services.people.list_invitations(own_organisation(services, caller).id)
    page = asked.cut(found, lambda one: one.id)
    return InvitationList(data=[show_invitation(one) for one in page.rows], **page.ends)


@router.post("/invitations", status_code=201, response_model=InvitationMade)
def invite(asked: InvitationAsked, caller: MemberKeeper, once: OnceOnly) -> Response:
    """A new invitation; hand its token to the one you mean."""

    def work(services: Services) -> InvitationMade:
        org = own_organisation(services, caller).id
        made, token = services.people.invite(org, asked.role, caller.name)
        return InvitationMade(**show_invitation(made).model_dump(), token=token)

    return once.run(caller.name, work, secret=True)


@router.delete("/invitations/{invitation}", response_model=InvitationShown)
def withdraw(invitation: str, caller: MemberKeeper, once: OnceOnly) -> Response:
    """Takes an invitation back."""

    def work(services: Services) -> InvitationShown:
        org = own_organisation(services, caller).id
        return show_invitation(services.people.withdraw(org, invitation))

    return once.run(caller.name, work, 200)


@router.post("/invitations/acceptance", status_code=201, response_model=MemberShown)
def accept(given: InvitationAccepted, once: OnceOnly) -> Response:
    """The bearer of an invitation makes himself an account and becomes a member."""

    def work(services: Services) -> MemberShown:
        return show_member(
            services.people.accept(
                given.token, login=given.login, name=given.name, password=given.password
            )
        )

    named = hashlib.sha256(given.token.encode()).hexdigest()
    return once.run(f"invited:{named[:24]}", work)
