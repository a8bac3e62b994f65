"""A person's own page, his organisation's, and what waits for a second person: reading here, writes go to ``/v1``."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import segno
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse

from api.auth import Scope
from api.dependencies import TheContainer
from api.identity.people import Member
from api.identity.proposals import Proposal, ProposalState
from api.identity.roles import SCOPES_OF, Role
from api.object_ids import plain_path
from api.portals.lender import PartyNames
from api.portals.shell import TheMember, Viewer, show
from api.portals.views import money_text
from api.portals.words import word
from api.ports import Services
from api.privacy.consents import Purpose
from chain.errors import NotFoundError
from chain.ids import AdvanceId, PartyId

router = APIRouter(include_in_schema=False)

AMOUNTS = ("principal", "amount", "limit", "amount_fen")
"""Members of a proposed request that say how much money it moves, in fen; the first that is there counts."""

PROPOSED = frozenset(
    [
        "act",
        "advances",
        "approval",
        "cascade",
        "change",
        "gate",
        "lines",
        "mints",
        "organisation",
        "payout-accounts",
        "payouts",
        "repayment",
        "settlements",
        "vault",
    ]
)
"""Last words of paths whose requests have a name in the catalogue; any other is shown by its path."""


def proposed_kind(path: str) -> str:
    """What a proposed request is called in the catalogue (``proposed_KIND``)."""
    last = path.partition("?")[0].rsplit("/", 1)[1]
    return last.replace("-", "_") if last in PROPOSED else "other"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal as a checker sees it.

    Attributes:
        kind: of ``proposed_KIND``. amount_fen: None where no money is named.
        about: whom or what it is about, in words; "" where it says nothing of the kind.
        href: the page about it; "" where there is none.
        state: of the vocabulary ``proposal``; one that has outlived its time is ``expired``.
    """

    proposal: Proposal
    kind: str
    amount_fen: int | None
    about: str
    href: str
    maker: str
    checker: str
    state: str
    raw: str


# -- me -----------------------------------------------------------------------------------------------


@router.get("/account")
def account(request: Request, viewer: TheMember, container: TheContainer) -> HTMLResponse:
    """How the viewer shows who he is, where he is signed in, what he agreed to, what is kept of him."""
    own = viewer.caller.account_id
    with container.read() as services:
        member = _member(services, viewer)
        facts = {
            "totp": services.factors.has_totp(own),
            "phone": services.codes.find_phone(own),
            "passkeys": services.passkeys.list_of(own),
            "sessions": services.sessions.list_of(own),
            "consents": services.consents.list_of(own),
        }
    return show(
        request, viewer.lang, "people/account.html",
        viewer=viewer, member=member, this=viewer.caller.session_id, purposes=list(Purpose), **facts,
    )  # fmt: skip


@router.post("/account/qr")
def draw_qr(
    viewer: TheMember, text: Annotated[str, Form(min_length=1, max_length=600)]
) -> Response:
    """A QR of an authenticator's secret or an invitation: in a body, so that no log has it."""
    viewer.caller.require_person()
    out = io.BytesIO()
    segno.make(text, error="m").save(out, kind="svg", scale=6, border=3, dark="#000", light="#fff")
    return Response(
        out.getvalue(), media_type="image/svg+xml", headers={"Cache-Control": "no-store"}
    )


def _member(services: Services, viewer: Viewer) -> Member:
    members = services.people.list_members(viewer.caller.org_id)
    found = next((one for one in members if one.account == viewer.caller.account_id), None)
    if found is None:
        raise NotFoundError("you are no member of an organisation any more")
    return found


# -- the organisation ---------------------------------------------------------------------------------


@router.get("/organisation")
def organisation(request: Request, viewer: TheMember, container: TheContainer) -> HTMLResponse:
    """Members with their roles, invitations, and whether two people are needed."""
    may_keep = Scope.MEMBERS in viewer.caller.scopes
    with container.read() as services:
        held = services.people.get(viewer.caller.org_id)
        members = services.people.list_members(held.id)
        invitations = services.people.list_invitations(held.id) if may_keep else []
        guardian = ""
        with contextlib.suppress(NotFoundError):
            guardian = services.people.get(held.guardian).name if held.guardian else ""
    return show(
        request, viewer.lang, "people/organisation.html",
        viewer=viewer, held=held, may_keep=may_keep, roles=list(Role), scopes_of=SCOPES_OF,
        members=sorted(members, key=lambda one: (one.left_at is not None, one.joined_at)),
        invitations=invitations, now=container.wall.now(), own=viewer.caller.account_id,
        guardian=guardian,
        base_url=str(request.base_url).rstrip("/"),
        checkers=sum(
            Scope.APPROVALS in SCOPES_OF[one.role] for one in members if one.left_at is None
        ),
    )  # fmt: skip


# -- what waits for a second person -------------------------------------------------------------------


@router.get("/approvals")
def approvals(request: Request, viewer: TheMember, container: TheContainer) -> HTMLResponse:
    """Requests that one person has prepared and another decides."""
    now = container.wall.now()
    with container.read() as services:
        held = services.people.get(viewer.caller.org_id)
        members = {one.account: one.name for one in services.people.list_members(held.id)}
        found = [
            _waiting(services, one, members, viewer.lang, late=now >= one.expires_at)
            for one in services.proposals.list_of(held.id)
        ]
    return show(
        request, viewer.lang, "people/approvals.html",
        viewer=viewer, held=held, own=viewer.caller.account_id,
        may_check=Scope.APPROVALS in viewer.caller.scopes,
        may_make=Scope.ADVANCES in viewer.caller.scopes,
        open=[one for one in found if one.state in {"open", "approved"}],
        decided=[one for one in found if one.state not in {"open", "approved"}],
    )  # fmt: skip


def _waiting(
    services: Services, one: Proposal, members: Mapping[str, str], lang: str, *, late: bool
) -> Waiting:
    body = one.body if isinstance(one.body, dict) else {}
    signed = body.get("message")
    message: Mapping[str, Any] = signed if isinstance(signed, dict) else body
    about, href = _about(services, one.path, message, lang)
    live = one.state in {ProposalState.OPEN, ProposalState.APPROVED}
    return Waiting(
        proposal=one,
        kind=proposed_kind(one.path),
        amount_fen=_amount(message),
        about=about,
        href=href,
        maker=members.get(one.made_by, one.made_by),
        checker=members.get(one.decided_by, one.decided_by),
        state="expired" if late and live else one.state.value,
        raw=json.dumps(body, ensure_ascii=False, indent=1),
    )


def _amount(message: Mapping[str, Any]) -> int | None:
    for name in AMOUNTS:
        given = message.get(name)
        if isinstance(given, int) or (isinstance(given, str) and given.isdecimal()):
            return int(given)
    return None


def _about(services: Services, path: str, message: Mapping[str, Any], lang: str) -> tuple[str, str]:
    """Whom a proposed request is about, and the page that shows it; ("", "") where it does not say."""
    advance = re.search(r"/advances/(0x[0-9a-f]{64})", plain_path(path))
    if advance:
        record = services.books.find_advance(AdvanceId(advance.group(1)))
        if record is None:
            return "", ""
        names = PartyNames(services, [str(record.borrower)], lang)
        text = f"{names(record.borrower)} · {money_text(record.principal_fen, lang)}"
        return text, f"/trips/{record.trip}"
    if path == "/v1/organisation":
        wanted = message.get("four_eyes")
        return (
            "" if wanted is None else word("four_eyes_on" if wanted else "four_eyes_off", lang)
        ), ""
    for member in ("borrower", "party", "payee"):
        given = str(message.get(member, ""))
        if given.isdecimal():
            return PartyNames(services, [str(PartyId(int(given)))], lang)(given), ""
    return "", ""
