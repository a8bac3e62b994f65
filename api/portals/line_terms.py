"""Terms of a line at the lender's desk: a new line's, and another limit or end of one that stands."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.auth import Scope
from api.dependencies import TheContainer
from api.portals.lender import LenderViewer, PartyNames
from api.portals.shell import show
from api.portals.views import BEIJING
from api.schemas.values import HashText
from chain.errors import NotFoundError
from chain.ids import LineId
from finance import law
from finance.records import ApplicationState, LineState

router = APIRouter(prefix="/lender/lines", include_in_schema=False)

MOST = 200
"""Attestors and known borrowers that a page offers."""


@router.get("/new")
def new_line(
    request: Request,
    viewer: LenderViewer,
    container: TheContainer,
    application: Annotated[str, Query(max_length=70)] = "",
) -> HTMLResponse:
    """The terms of a new line; laid before the borrower, who signs first.

    Args:
        request: what is answered.
        viewer: the lender.
        container: the system.
        application: the one that is answered, whose wishes are filled in.
    """
    own, now = viewer.caller.party_id, container.clock.now()
    with container.read() as services:
        applied = services.books.list_applications(lender=own) if own is not None else []
        open_ones = [one for one in applied if one.state is ApplicationState.OFFERED]
        wish = next((one for one in open_ones if one.id == application), None)
        held = services.books.list_lines(lender=own) if own is not None else []
        sides = [one.borrower for one in (*open_ones, *applied)] + [one.borrower for one in held]
        known = dict.fromkeys(str(one) for one in sides)  # in this order, once each
        names = PartyNames(services, list(known), viewer.lang)
        attestors = services.records.list_parties_of_kind("attestor", limit=MOST)
        people = PartyNames(services, [str(one.id) for one in attestors], viewer.lang)
        cap = law.parameter("yearly_cost_cap_ppm", now.astimezone(BEIJING).date())
    last = max(held, key=lambda one: one.submitted_at, default=None)
    return show(
        request, viewer.lang, "lender/terms.html", viewer=viewer, wish=wish, last=last, cap_ppm=cap,
        borrowers=[(one, names(one)) for one in list(known)[:MOST]],
        attestors=[(str(one.id), people(str(one.id))) for one in attestors],
        until=(now.astimezone(BEIJING).date() + dt.timedelta(days=365)).isoformat(),
        may_make=Scope.ADVANCES in viewer.caller.scopes and own is not None,
    )  # fmt: skip


@router.get("/{line}/limit")
def change_limit(
    line: HashText, request: Request, viewer: LenderViewer, container: TheContainer
) -> HTMLResponse:
    """Another limit or end for a line: lower by the lender alone, higher with the borrower's signature."""
    with container.read() as services:
        held = services.books.find_line(LineId(line))
        if held is None or held.state is not LineState.OPEN:
            raise NotFoundError("there is no such line")
        viewer.caller.require_sight((held.lender,), "line")
        names = PartyNames(services, [str(held.borrower)], viewer.lang)
    return show(
        request, viewer.lang, "lender/limit.html", viewer=viewer, line=held,
        borrower=names(held.borrower), until=held.valid_until.astimezone(BEIJING).date().isoformat(),
        may_make=Scope.ADVANCES in viewer.caller.scopes and viewer.caller.party_id is not None,
    )  # fmt: skip
