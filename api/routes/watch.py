"""What a lender watches: early warnings, the limit that trips earn, contacts, and what two people decide."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from api.auth import Caller, Scope
from api.dependencies import OnceOnly, Reader, Requires, TheContainer
from api.ports import Services
from api.schemas.signing import read_message
from api.schemas.values import AmountFen, Given, HashText, Instant, PartyText, Shown
from chain.bindings.structs import CreditLine, LenderAct, LineChange
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import AdvanceId, LineId, PartyId
from finance.accrual import date_of
from finance.control import ActKind, Proposal
from finance.lines import act_of_change
from finance.records import ContactRecord, WarningRecord
from finance.running import TWO_PEOPLE
from finance.watch import PLAN, SIGNALS

router = APIRouter(tags=["watch"])

MoneyMover = Annotated[Caller, Depends(Requires(Scope.ADVANCES))]
_SIGNALS = {one.code: one for one in SIGNALS}
_STEPS = {one.code: one for one in PLAN}


class WarningShown(Shown):
    """An early warning: its owner acts by the due day."""

    borrower: PartyText
    code: str
    zh: str
    en: str
    value: int
    action: str
    owner: str
    since_day: str
    due_day: str


class WarningList(Shown):
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

    line: HashText
    limit_fen: AmountFen
    earned_fen: AmountFen
    policy: str
    steps: list[LimitStepShown]


class ContactShown(Shown):
    """A contact of the dunning plan."""

    advance: HashText
    day: str
    code: str
    zh: str
    en: str
    channel: str
    owner: str
    made_at: Instant | None


class ContactList(Shown):
    """Contacts planned and made for a loan, oldest first."""

    data: list[ContactShown]


class ContactMade(Given):
    """Which planned contact was made."""

    code: Annotated[str, Field(pattern=r"^[A-Z_]{1,16}$")]


class ActAsked(Given):
    """The form that is to be signed, as its ``form`` route gave it; a second person must approve it."""

    form: Annotated[str, Field(pattern="^(CreditLine|LineChange|LenderAct)$")]
    message: dict[str, Any]


class ActShown(Shown):
    """What one person proposed and another decides."""

    id: HashText
    kind: str
    subject: str
    body: dict[str, Any]
    amount_fen: AmountFen
    state: str
    maker: str
    made_at: Instant
    expires_at: Instant
    checker: str
    decided_at: Instant | None
    note: str


class ActList(Shown):
    """A lender's proposals, oldest first."""

    data: list[ActShown]


class Verdict(Given):
    """A second person's word."""

    approve: bool
    note: Annotated[str, Field(max_length=500)] = ""


# -- warnings, limits, contacts -------------------------------------------------------------------


@router.get("/warnings")
def list_warnings(caller: Reader, container: TheContainer) -> WarningList:
    """The caller's open warnings as lender."""
    with container.read() as services:
        found = services.books.list_warnings(lender=caller.require_self())
    return WarningList(data=[_warning(one) for one in found])


@router.post("/warnings", status_code=200, response_model=WarningList)
def close_warning(given: WarningClosed, caller: MoneyMover, once: OnceOnly) -> Response:
    """The warning's owner has acted; it opens again if the signal fires another day."""
    lender = caller.require_self()

    def work(services: Services) -> WarningList:
        borrower = PartyId(int(given.borrower))
        services.credit_watch.close(lender, borrower, given.code, by=_who(caller))
        left = services.books.list_warnings(lender=lender)
        return WarningList(data=[_warning(one) for one in left])

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
def earned_limit(line: HashText, caller: Reader, container: TheContainer) -> LimitShown:
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
def list_contacts(advance: HashText, caller: Reader, container: TheContainer) -> ContactList:
    """Contacts planned and made for a loan, for its lender."""
    with container.read() as services:
        _require_lender(services, advance, caller)
        found = services.books.list_contacts(AdvanceId(advance))
    return ContactList(data=[_contact(one) for one in found])


@router.post("/advances/{advance}/contacts", status_code=200, response_model=ContactShown)
def note_contact(
    advance: HashText, given: ContactMade, caller: MoneyMover, once: OnceOnly
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


# -- maker and checker ----------------------------------------------------------------------------


@router.get("/lender-acts")
def list_proposals(caller: Reader, container: TheContainer) -> ActList:
    """The caller's proposals as lender."""
    with container.read() as services:
        found = services.books.list_proposals(caller.require_self())
    return ActList(data=[_proposal(one) for one in found])


@router.post("/lender-acts", status_code=201, response_model=ActShown)
def propose(given: ActAsked, caller: MoneyMover, once: OnceOnly) -> Response:
    """Proposes what needs two people; what only takes room away needs one and is refused here."""
    lender = caller.require_self()

    def work(services: Services) -> ActShown:
        kind, subject, amount, form = _understand(services, given, caller)
        made = services.four_eyes.propose(
            kind,
            form,
            lender=lender,
            subject=subject,
            body=given.message,
            amount_fen=amount,
            maker=_who(caller),
        )
        return _proposal(made)

    return once.run(caller.name, work)


def _understand(
    services: Services, given: ActAsked, caller: Caller
) -> tuple[ActKind, str, int, CreditLine | LineChange | LenderAct]:
    if given.form == "CreditLine":
        opened = read_message(CreditLine, given.message)
        caller.require_party(opened.lender, "message.lender")
        return ActKind.OPEN_LINE, "", opened.limit, opened
    if given.form == "LineChange":
        change = read_message(LineChange, given.message)
        line = services.books.find_line(change.line)
        if line is None:
            raise NotFoundError("there is no such line", field="message.line")
        caller.require_sight((line.lender,), "line")
        kind = act_of_change(line, change)
        if kind is None:
            raise InvalidValueError("this change needs no second person", field="message")
        return kind, change.line, max(0, change.limit - line.limit_fen), change
    act = read_message(LenderAct, given.message)
    _require_lender(services, act.advance, caller)
    if act.act not in TWO_PEOPLE:
        raise InvalidValueError("this act needs no second person", field="message.act")
    record = services.books.find_advance(act.advance)
    owed = 0 if record is None else record.outstanding_fen
    return TWO_PEOPLE[act.act], act.advance, act.value or owed, act


@router.post("/lender-acts/{act}", status_code=200, response_model=ActShown)
def decide(act: HashText, given: Verdict, caller: MoneyMover, once: OnceOnly) -> Response:
    """A second person approves or refuses; nobody decides on his own proposal."""
    lender = caller.require_self()

    def work(services: Services) -> ActShown:
        return _proposal(
            services.four_eyes.decide(
                act,
                lender=lender,
                approve=given.approve,
                checker=_who(caller),
                note=given.note,
            )
        )

    return once.run(caller.name, work, 200)


def _proposal(one: Proposal) -> ActShown:
    return ActShown(
        id=one.id,
        kind=one.kind.value,
        subject=one.subject,
        body=dict(one.body),
        amount_fen=one.amount_fen,
        state=one.state.value,
        maker=one.maker,
        made_at=one.made_at,
        expires_at=one.expires_at,
        checker=one.checker,
        decided_at=one.decided_at,
        note=one.note,
    )


def _who(caller: Caller) -> str:
    """The actor: a person where the caller is one, else the key."""
    return f"person:{caller.account_id}" if caller.account_id else f"key:{caller.name}"
