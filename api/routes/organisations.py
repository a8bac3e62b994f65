"""Organisations, their members and invitations. A caller reaches his own alone."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from api.auth import Caller, Scope, check_key_request
from api.dependencies import Reader, Requires, RequiresRole, TheContainer, require_fresh
from api.four_eyes import TWO_PEOPLE
from api.identity.people import Invitation, Member, Organisation
from api.identity.roles import Role
from api.key_request import ApiKeyRequest
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


@router.post("/organisation", status_code=201)
def found(
    asked: OrganisationAsked, caller: MemberKeeper, container: TheContainer
) -> OrganisationFounded:
    """Founds the organisation of the caller's party; its first owner comes in by the invitation."""
    party = caller.require_self()
    with container.write() as services:
        organisation = services.people.found(asked.name, party)
        members = services.people.list_members(organisation.id)
        token = None
        if not any(member.role is Role.OWNER and not member.left_at for member in members):
            _, token = services.people.invite(organisation.id, Role.OWNER, caller.name)
    return OrganisationFounded(organisation=show_organisation(organisation), invitation=token)


@router.post("/organisations", status_code=201)
def found_without_party(
    asked: OrganisationAsked, request: Request, container: TheContainer
) -> OrganisationFounded:
    """An organisation that has no key yet, by the operator, once its people are identified."""
    require_enroller(request, container)
    with container.write() as services:
        organisation = services.people.found(asked.name, None)
        _, token = services.people.invite(organisation.id, Role.OWNER, "operator")
    return OrganisationFounded(organisation=show_organisation(organisation), invitation=token)


@router.post("/organisation/party")
def bind_party(given: KeyAsked, caller: FreshOwner, container: TheContainer) -> OrganisationShown:
    """The caller's organisation speaks for a party from now on; the party's own key has signed (``GET /v1/keys/form``)."""
    form = ApiKeyRequest(
        party=PartyId(int(given.party)),
        scopes=given.scopes,
        label=given.label,
        issued_at=given.issued_at,
        salt=Hash32(given.salt),
    )
    with container.write() as services:
        party = services.records.find_party(form.party)
        check_key_request(
            form,
            bytes.fromhex(given.signature[2:]),
            domain=container.reader.domain("PartyRegistry"),
            key=party.key if party else None,
            now=container.clock.now(),
        )
        return show_organisation(services.people.bind_party(caller.org_id, form.party))


@router.get("/organisation")
def get_own(caller: Reader, container: TheContainer) -> OrganisationShown:
    """The caller's organisation."""
    with container.read() as services:
        return show_organisation(own_organisation(services, caller))


@router.patch("/organisation", dependencies=[TWO_PEOPLE])
def change(
    asked: OrganisationChanged, caller: MemberKeeper, container: TheContainer
) -> OrganisationShown:
    """Changes how the caller's organisation works."""
    require_fresh(caller, container)
    with container.write() as services:
        organisation = own_organisation(services, caller)
        if asked.four_eyes is not None:
            organisation = services.people.set_four_eyes(organisation.id, wanted=asked.four_eyes)
        if asked.guardian is not None:
            organisation = services.people.set_guardian(organisation.id, asked.guardian)
    return show_organisation(organisation)


@router.get("/members")
def list_members(caller: Reader, container: TheContainer) -> MemberList:
    """The members of the caller's organisation."""
    with container.read() as services:
        members = services.people.list_members(own_organisation(services, caller).id)
    return MemberList(data=[show_member(member) for member in members])


@router.patch("/members/{member}")
def give_role(
    member: str, given: RoleGiven, caller: MemberKeeper, container: TheContainer
) -> MemberShown:
    """Another role for a member; his sessions end."""
    require_fresh(caller, container)
    with container.write() as services:
        org = own_organisation(services, caller).id
        return show_member(services.people.give_role(org, member, given.role))


@router.delete("/members/{member}")
def remove(member: str, caller: MemberKeeper, container: TheContainer) -> MemberShown:
    """A member leaves; his sessions end at once."""
    with container.write() as services:
        org = own_organisation(services, caller).id
        return show_member(services.people.remove(org, member))


@router.get("/invitations")
def list_invitations(caller: MemberKeeper, container: TheContainer) -> InvitationList:
    """The invitations of the caller's organisation, newest first."""
    with container.read() as services:
        found = services.people.list_invitations(own_organisation(services, caller).id)
    return InvitationList(data=[show_invitation(one) for one in found])


@router.post("/invitations", status_code=201)
def invite(asked: InvitationAsked, caller: MemberKeeper, container: TheContainer) -> InvitationMade:
    """A new invitation; hand its token to the one you mean."""
    with container.write() as services:
        org = own_organisation(services, caller).id
        made, token = services.people.invite(org, asked.role, caller.name)
    return InvitationMade(**show_invitation(made).model_dump(), token=token)


@router.delete("/invitations/{invitation}")
def withdraw(invitation: str, caller: MemberKeeper, container: TheContainer) -> InvitationShown:
    """Takes an invitation back."""
    with container.write() as services:
        org = own_organisation(services, caller).id
        return show_invitation(services.people.withdraw(org, invitation))


@router.post("/invitations/acceptance", status_code=201)
def accept(given: InvitationAccepted, container: TheContainer) -> MemberShown:
    """The bearer of an invitation makes himself an account and becomes a member."""
    with container.write() as services:
        return show_member(
            services.people.accept(
                given.token, login=given.login, name=given.name, password=given.password
            )
        )
