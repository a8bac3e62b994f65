"""What a lender watches: early warnings, the limit that trips earn, and contacts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from api.auth import Caller
from api.dependencies import MoneyMover, OnceOnly, Reader, TheContainer
from api.paging import Asked, ThePage
from api.ports import Services
from api.schemas.values import (
    AdvanceRef,
    AdvanceText,
    AmountFen,
    Given,
    Instant,
    LineRef,
    LineText,
    Listed,
    PartyRef,
    PartyText,
    Shown,
)
from chain.errors import NotFoundError
from chain.ids import AdvanceId, LineId, PartyId
from finance.accrual import date_of
from finance.records import ContactRecord, WarningRecord
from finance.watch import PLAN, SIGNALS

router = APIRouter(tags=["watch"])

_SIGNALS = {one.code: one for one in SIGNALS}
_STEPS = {one.code: one for one in PLAN}


class WarningShown(Shown):
    """An early warning: its owner acts by the due day."""

    borrower: PartyRef
    code: str
    zh: str
    en: str
    value: int
    action: str
    owner: str
    since_day: str
    due_day: str


class WarningList(Listed):
    """Open warnings, oldest first."""

    data: list[WarningShown]


class WarningClosed(Given):
    """Which warning its owner has acted on."""

    borrower: PartyText
    code: Annotated[str, Field(pattern=r"^[A-Z_]{1,24}$")]


class LimitStepShown(Shown):
    """One line of the explanation of a limit."""

    code: str
    amount_fen: AmountFen


class LimitShown(Shown):
    """The limit that verified trips earn, less what open warnings take off, step by step."""

    line: LineRef
    limit_fen: AmountFen
    earned_fen: AmountFen
    policy: str
    steps: list[LimitStepShown]


class ContactShown(Shown):
    """A contact of the dunning plan."""

    advance: AdvanceRef
    day: str
    code: str
    zh: str
    en: str
    channel: str
    owner: str
    made_at: Instant | None


class ContactList(Listed):
    """Contacts planned and made for a loan, oldest first."""

    data: list[ContactShown]


class ContactMade(Given):
    """Which planned contact was made."""

    code: Annotated[str, Field(pattern=r"^[A-Z_]{1,16}$")]


# -- warnings, limits, contacts -------------------------------------------------------------------


@router.get("/warnings")
def list_warnings(caller: Reader, container: TheContainer, asked: ThePage) -> WarningList:
    """The caller's open warnings as lender, oldest first."""
    with container.read() as services:
        return _warnings(services, caller.require_self(), asked)


def _warnings(services: Services, lender: PartyId, asked: Asked) -> WarningList:
    found = services.books.list_warnings(lender=lender)
    page = asked.cut(found, lambda one: f"{one.since_day}~{one.borrower}~{one.code}")
    return WarningList(data=[_warning(one) for one in page.rows], **page.ends)


@router.post("/warnings", status_code=200, response_model=WarningList)
def close_warning(given: WarningClosed, caller: MoneyMover, once: OnceOnly) -> Response:
    """The warning's owner has acted; it opens again if the signal fires another day."""
    lender = caller.require_self()

    def work(services: Services) -> WarningList:
        borrower = PartyId(int(given.borrower))
        services.credit_watch.close(lender, borrower, given.code, by=_who(caller))
        return _warnings(services, lender, Asked())

    return once.run(caller.name, work, 200)


def _warning(one: WarningRecord) -> WarningShown:
    signal = _SIGNALS[one.code]
    return WarningShown(
        borrower=str(one.borrower),
        code=one.code,
        zh=signal.zh,
        en=signal.en,
        value=one.value,
        action=one.action.value,
        owner=one.owner,
        since_day=date_of(one.since_day).isoformat(),
        due_day=date_of(one.due_day).isoformat(),
    )


@router.get("/lines/{line}/limit")
def earned_limit(line: LineText, caller: Reader, container: TheContainer) -> LimitShown:
    """The limit that the borrower's verified trips earn today, for lender and borrower."""
    with container.read() as services:
        held = services.books.find_line(LineId(line))
        if held is None:
            raise NotFoundError("there is no such line")
        caller.require_sight((held.lender, held.borrower), "line")
        earned = services.credit_watch.earned_limit(held)
    return LimitShown(
        line=line,
        limit_fen=held.limit_fen,
        earned_fen=earned.amount_fen,
        policy=earned.policy,
        steps=[LimitStepShown(code=one.code, amount_fen=one.amount_fen) for one in earned.steps],
    )


@router.get("/advances/{advance}/contacts")
def list_contacts(
    advance: AdvanceText, caller: Reader, container: TheContainer, asked: ThePage
) -> ContactList:
    """Contacts planned and made for a loan, for its lender."""
    with container.read() as services:
        _require_lender(services, advance, caller)
        found = services.books.list_contacts(AdvanceId(advance))
    page = asked.cut(found, lambda one: f"{one.day}~{one.code}")
    return ContactList(data=[_contact(one) for one in page.rows], **page.ends)


@router.post("/advances/{advance}/contacts", status_code=200, response_model=ContactShown)
def note_contact(
    advance: AdvanceText, given: ContactMade, caller: MoneyMover, once: OnceOnly
) -> Response:
    """A planned contact was made."""

    def work(services: Services) -> ContactShown:
        _require_lender(services, advance, caller)
        made = services.credit_watch.note_contact(AdvanceId(advance), given.code, by=_who(caller))
        return _contact(made)

    return once.run(caller.name, work, 200)


def _contact(one: ContactRecord) -> ContactShown:
    step = _STEPS[one.code]
    return ContactShown(
        advance=one.advance,
        day=date_of(one.day).isoformat(),
        code=one.code,
        zh=step.zh,
        en=step.en,
        channel=one.channel,
        owner=one.owner,
        made_at=one.made_at,
    )


def _require_lender(services: Services, advance: str, caller: Caller) -> None:
    record = services.books.find_advance(AdvanceId(advance))
    if record is None:
        raise NotFoundError("there is no such advance")
    caller.require_sight((record.lender,), "advance")


def _who(caller: Caller) -> str:
    """The actor: a person where the caller is one, else the key."""
    return f"person:{caller.account_id}" if caller.account_id else f"key:{caller.name}"
