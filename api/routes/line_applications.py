"""Asking for a credit line: the borrower applies, the rules answer at once, the lender's two people decide.

An offer becomes a line by the lender's form (``POST /v1/lines/form``), both signatures, and, where he works with
four eyes, a second person's approval of ``POST /v1/lines``; when the chain has opened it the application is over.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from api.auth import Caller
from api.dependencies import MoneyMover, OnceOnly, Reader, TheContainer
from api.paging import ThePage, no_such_cursor
from api.ports import Services
from api.schemas.money import (
    ApplicationAsked,
    ApplicationDecided,
    ApplicationList,
    ApplicationRefused,
    ApplicationShown,
    ReasonShown,
    StepShown,
)
from api.schemas.values import ApplicationText
from api.validators import IfMatch, require_match, tagged
from chain.errors import NotFoundError
from chain.ids import Hash32, PartyId
from finance.records import DecisionRecord, LineApplication

router = APIRouter(prefix="/line-applications", tags=["credit lines"])


@router.post("", status_code=201, response_model=ApplicationDecided)
def apply(asked: ApplicationAsked, caller: MoneyMover, once: OnceOnly) -> Response:
    """Applies for a line; the answer holds every rule's outcome, the earned limit and what may be offered."""
    borrower = caller.require_self()

    def work(services: Services) -> ApplicationDecided:
        made, decided = services.finance.apply_for_line(
            lender=PartyId(int(asked.lender)),
            borrower=borrower,
            asked_fen=asked.limit_fen,
            tenor_days=asked.tenor_days,
            note=asked.note,
            by=caller.account_id or caller.name,
        )
        return _decided(made, decided)

    return once.run(caller.name, work)


@router.get("")
def list_applications(caller: Reader, container: TheContainer, asked: ThePage) -> ApplicationList:
    """The caller's applications, as lender and as borrower, newest first."""
    own = caller.require_self()
    with container.read() as services:
        after = None
        if asked.starting_after is not None:
            after = services.books.find_application(asked.starting_after)
            if after is None or own not in (after.lender, after.borrower):
                raise no_such_cursor()
        found = services.books.page_applications(own, after=after, limit=asked.limit + 1)
    page = asked.page(found, lambda one: one.id)
    return ApplicationList(data=[ApplicationShown(**_shown(one)) for one in page.rows], **page.ends)


@router.get("/{application}", response_model=ApplicationDecided)
def get_application(
    application: ApplicationText, request: Request, caller: Reader, container: TheContainer
) -> Response:
    """An application with its decision, for lender and borrower."""
    with container.read() as services:
        return tagged(request, _told(services, _visible(services, application, caller)))


@router.post("/{application}/refusal", status_code=200, response_model=ApplicationShown)
def refuse(
    application: ApplicationText,
    given: ApplicationRefused,
    caller: MoneyMover,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """The lender says no, with his reason; the borrower reads it."""

    def work(services: Services) -> ApplicationShown:
        held = _visible(services, application, caller)
        caller.require_party(held.lender, "lender")
        require_match(if_match, _told(services, held))
        ended = services.finance.refuse_application(
            application, by=caller.account_id or caller.name, reason=given.reason
        )
        return ApplicationShown(**_shown(ended))

    return once.run(caller.name, work, 200)


@router.post("/{application}/withdrawal", status_code=200, response_model=ApplicationShown)
def withdraw(
    application: ApplicationText, caller: MoneyMover, once: OnceOnly, if_match: IfMatch = None
) -> Response:
    """The borrower takes it back."""

    def work(services: Services) -> ApplicationShown:
        held = _visible(services, application, caller)
        caller.require_party(held.borrower, "borrower")
        require_match(if_match, _told(services, held))
        ended = services.finance.withdraw_application(
            application, by=caller.account_id or caller.name
        )
        return ApplicationShown(**_shown(ended))

    return once.run(caller.name, work, 200)


def _visible(services: Services, application: str, caller: Caller) -> LineApplication:
    held = services.books.find_application(application)
    if held is None:
        raise NotFoundError("there is no such application")
    caller.require_sight((held.lender, held.borrower), "application")
    return held


def _told(services: Services, held: LineApplication) -> ApplicationDecided:
    """An application with its decision, as its ``GET`` shows it."""
    decided = services.books.find_decision(Hash32(held.decision))
    if decided is None:
        raise NotFoundError("the decision is not on record")
    return _decided(held, decided)


def _shown(held: LineApplication) -> dict[str, Any]:
    return {
        "id": held.id,
        "lender": str(held.lender),
        "borrower": str(held.borrower),
        "state": held.state.value,
        "asked_fen": held.asked_fen,
        "offered_fen": held.offered_fen,
        "tenor_days": held.tenor_days,
        "note": held.note,
        "earned_fen": held.earned["limit_fen"],
        "steps": [StepShown.model_validate(step) for step in held.earned["steps"]],
        "decision": held.decision,
        "made_at": held.made_at,
        "line": held.line,
        "ended_at": held.ended_at,
        "ended_by": "rules" if held.ended_by == "rules" else "person" if held.ended_by else "",
        "reason": held.reason,
    }


def _decided(held: LineApplication, decided: DecisionRecord) -> ApplicationDecided:
    made = decided.decision
    record = json.loads(made.record)
    return ApplicationDecided(
        **_shown(held),
        verdict=made.verdict.value.lower(),
        score=made.score,
        cap_fen=made.cap_fen,
        reasons=[ReasonShown.model_validate(reason) for reason in made.reasons],
        elapsed_us=decided.elapsed_us,
        answers={one["rule"]: one["answer"] for one in record["answers"]},
    )
