"""Maker and checker: propose a request, approve or refuse another's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.auth import Caller, Scope
from api.dependencies import OnceOnly, Reader, Requires, RequiresRole, TheContainer
from api.identity.proposals import Proposal
from api.identity.roles import Role
from api.paging import ThePage, no_such_cursor
from api.ports import Services
from api.routes.organisations import own_organisation
from api.schemas.custody_keys import Decision, ProposalAsked, ProposalList, ProposalShown

router = APIRouter(prefix="/proposals", tags=["proposals"])

Maker = Annotated[Caller, Depends(Requires(Scope.ADVANCES))]
Checker = Annotated[Caller, Depends(RequiresRole(Role.APPROVER, Role.OWNER, fresh=True))]


@router.post("", status_code=201, response_model=ProposalShown)
def propose(asked: ProposalAsked, caller: Maker, once: OnceOnly) -> Response:
    """Keeps a request for a second person of the caller's organisation."""

    def work(services: Services) -> ProposalShown:
        org = own_organisation(services, caller).id
        return _show(services.proposals.make(org, caller, asked.method, asked.path, asked.body))

    return once.run(caller.name, work)


@router.get("")
def list_proposals(caller: Reader, container: TheContainer, asked: ThePage) -> ProposalList:
    """The proposals of the caller's organisation, newest first."""
    with container.read() as services:
        org, after = own_organisation(services, caller).id, None
        if asked.starting_after is not None:
            after = services.proposals.find(org, asked.starting_after)
            if after is None:
                raise no_such_cursor()
        found = services.proposals.list_of(org, after=after, limit=asked.limit + 1)
    page = asked.page(found, lambda one: one.id)
    return ProposalList(data=[_show(one) for one in page.rows], **page.ends)


@router.post("/{proposal}/approval", response_model=ProposalShown)
def approve(proposal: str, caller: Checker, once: OnceOnly) -> Response:
    """A second person, who has just shown who he is, approves; the maker may now send the request."""

    def work(services: Services) -> ProposalShown:
        return _show(services.proposals.decide(caller.org_id, proposal, caller, approve=True))

    return once.run(caller.name, work, 200)


@router.post("/{proposal}/refusal", response_model=ProposalShown)
def refuse(proposal: str, given: Decision, caller: Checker, once: OnceOnly) -> Response:
    """Refuses a proposal, with the reason; also one's own, and one that was approved and not yet used."""

    def work(services: Services) -> ProposalShown:
        return _show(
            services.proposals.decide(
                caller.org_id, proposal, caller, approve=False, reason=given.reason
            )
        )

    return once.run(caller.name, work, 200)


def _show(proposal: Proposal) -> ProposalShown:
    return ProposalShown(
        id=proposal.id,
        method=proposal.method,
        path=proposal.path,
        body=proposal.body,
        made_by=proposal.made_by,
        made_at=proposal.made_at,
        expires_at=proposal.expires_at,
        state=proposal.state.value,
        decided_by=proposal.decided_by,
        decided_at=proposal.decided_at,
        reason=proposal.reason,
    )
