"""Advances: decide, request, acknowledge, consent, approve, repay."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Annotated, TypedDict

from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth import Caller
from api.dependencies import MoneyMover, OnceOnly, Reader, TheContainer
from api.four_eyes import TWO_PEOPLE, require_own_word
from api.naming import Names
from api.object_ids import prefixed
from api.ports import Container, Services
from api.routes.expansion import expand_parties
from api.routes.lines import SIGNING_TIME, Expanded, new_salt
from api.schemas.deliveries import Accepted, FormToSign
from api.schemas.money import (
    AdvanceAsked,
    AdvancePage,
    AdvanceShown,
    AdvanceTold,
    DecisionShown,
    FenAsked,
    NoticeShown,
    PayeeShown,
    ReasonShown,
)
from api.schemas.signing import SignedForm, TypedData, read_message
from api.schemas.values import AdvanceText, Instant
from api.validators import IfMatch, require_match, tagged
from chain.abi import Struct
from chain.bindings.structs import (
    Acknowledgement,
    AdvanceRequest,
    Approval,
    Gate,
    Payee,
    PayeeConsent,
    Repayment,
)
from chain.clock import beijing_day
from chain.document import document_hash
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
from finance.accrual import date_of
from finance.advance import AdvanceState
from finance.assignment import tell_debtor
from finance.records import AdvanceRecord, NoticeRecord, PayeeRecord
from finance.relations import Carriage
from finance.service import PreparedAdvance
from finance.waterfall import Component

router = APIRouter(prefix="/advances", tags=["advances"])

APPROVAL_TIME = dt.timedelta(days=7)


# -- asking ---------------------------------------------------------------------------------------


@router.post("/decision", response_model=DecisionShown)
def decide(
    asked: AdvanceAsked, caller: MoneyMover, container: TheContainer, once: OnceOnly
) -> Response:
    """A decision with every reason, and what the borrower signs if he goes on."""
    domain = container.reader.domain("FreightAdvance")

    def work(services: Services) -> DecisionShown:
        line = services.books.find_line(LineId(asked.line))
        if line is None:
            raise NotFoundError("there is no such line", field="line")
        caller.require_sight((line.borrower,), "line")
        prepared = services.finance.prepare_advance(
            line=line.line,
            waybill=WaybillId(asked.waybill),
            trip=TripId(asked.trip),
            principal=asked.principal_fen,
            payees=[
                Payee(
                    party=PartyId(int(payee.party)),
                    waybill=WaybillId(payee.waybill),
                    account=Hash32(payee.account),
                    amount=payee.amount_fen,
                )
                for payee in asked.payees
            ],
            **_comparable(services, asked, Names(container.hash_key)),
        )
        return show_decision(prepared, TypedData.of(prepared.form, domain))

    return once.run(caller.name, work, 200)


class _Comparable(TypedDict):
    fingerprint: Hash32
    carriage: Carriage


def _comparable(services: Services, asked: AdvanceAsked, names: Names) -> _Comparable:
    """By what two financings of one freight are seen: the receivable's fingerprint, and what the trip carries.

    The fingerprint is of consignor, shipping note, serial number and tier of the borrower's waybill.
    """
    path = services.records.list_ancestors(WaybillId(asked.waybill))
    if not path:
        raise NotFoundError("there is no such waybill", field="waybill")
    leaf = services.records.find_leaf(TripId(asked.trip))
    if leaf is None:
        raise NotFoundError("no waybill names this trip", field="trip")
    consignor, goods = path[-1].form.issuer, str(leaf.papers.get("goods", ""))
    fingerprint = names.receivable(
        consignor,
        str(leaf.papers.get("shipping_note", "")),
        str(leaf.papers.get("serial", "")),
        path[0].tier,
    )
    return _Comparable(
        fingerprint=fingerprint,
        carriage=Carriage(
            trip=leaf.form.trip,
            fingerprint=fingerprint,
            vehicle=leaf.vehicle or leaf.form.vehicle,
            shipment=names.shipment(consignor, leaf.form.consignee, goods) if goods.strip() else "",
            loads=dt.datetime.fromtimestamp(leaf.form.load_from, dt.UTC),
            delivers=dt.datetime.fromtimestamp(leaf.form.deliver_by, dt.UTC),
            quantity=leaf.quantity or leaf.form.quantity,
        ),
    )


def show_decision(prepared: PreparedAdvance, to_sign: TypedData) -> DecisionShown:
    """A decision as JSON."""
    made = prepared.decision.decision
    return DecisionShown(
        verdict=made.verdict.value.lower(),
        score=made.score,
        cap_fen=made.cap_fen,
        reasons=[ReasonShown.model_validate(reason) for reason in made.reasons],
        decision=made.hash,
        elapsed_us=prepared.decision.elapsed_us,
        to_sign=to_sign if made.verdict.value != "REFUSE" else None,
    )


@router.post("", dependencies=[TWO_PEOPLE], status_code=202, response_model=AdvanceShown)
def request(given: SignedForm, caller: MoneyMover, once: OnceOnly) -> Response:
    """Sends the borrower's signed request to the chain; a fresh decision for it must stand."""
    form = read_message(AdvanceRequest, given.message)

    def work(services: Services) -> AdvanceShown:
        line = services.books.find_line(form.line)
        if line is None:
            raise NotFoundError("there is no such line", field="message.line")
        caller.require_party(line.borrower, "message.line")
        record = services.finance.request_advance(form, given.signature_bytes)
        payees = services.books.list_payees([record.advance])[record.advance]
        return show_advance(record, payees)

    return once.run(caller.name, work, 202)


# -- seeing ---------------------------------------------------------------------------------------


def concerned_by(
    services: Services, record: AdvanceRecord, payees: list[PayeeRecord]
) -> set[PartyId]:
    """Lender, borrower, debtor and payees."""
    waybill = services.records.find_waybill(record.waybill)
    debtor = {waybill.form.issuer} if waybill is not None else set[PartyId]()
    return {record.lender, record.borrower, *debtor, *(payee.party for payee in payees)}


def get_visible(
    services: Services, advance: str, caller: Caller
) -> tuple[AdvanceRecord, list[PayeeRecord]]:
    """An advance that the caller may see, with its payees.

    Raises:
        NotFoundError: there is none, or it is none of his business.
    """
    record = services.books.find_advance(AdvanceId(advance))
    if record is None:
        raise NotFoundError("there is no such advance")
    payees = services.books.list_payees([record.advance])[record.advance]
    caller.require_sight(concerned_by(services, record, payees), "advance")
    return record, payees


def show_advance(record: AdvanceRecord, payees: list[PayeeRecord]) -> AdvanceShown:
    """An advance as JSON."""
    return AdvanceShown(
        id=record.advance,
        line=record.line,
        lender=str(record.lender),
        borrower=str(record.borrower),
        debtor=record.debtor,
        waybill=record.waybill,
        trip=record.trip,
        state=record.state.value,
        principal_fen=record.principal_fen,
        released_fen=record.released_fen,
        outstanding_fen=record.outstanding_fen,
        reason=record.reason,
        payees=[
            PayeeShown(
                party=str(payee.party),
                waybill=payee.waybill,
                account=payee.account,
                amount_fen=payee.amount_fen,
                paid_fen=payee.paid_fen,
                state=payee.state.value,
                consented_at=payee.consented_at,
                paid_at=payee.paid_at,
                bank_paid_at=payee.bank_paid_at,
            )
            for payee in payees
        ],
        approved_until=record.approved_until,
        released_at=record.released_at,
        closed_at=record.closed_at,
        start_day=date_of(record.start_day) if record.start_day else None,
        due_day=date_of(record.due_day) if record.due_day else None,
    )


@router.get("")
def list_advances(
    *,
    caller: Reader,
    container: TheContainer,
    side: Annotated[str, Query(pattern="^(lender|borrower)$")] = "borrower",
    state: AdvanceState | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: Annotated[AdvanceText | None, Query()] = None,
    expand: Expanded = None,
) -> AdvancePage:
    """The caller's advances as borrower or as lender, by id."""
    own = caller.require_self()
    with container.read() as services:
        found = services.books.list_advances(
            lender=own if side == "lender" else None,
            borrower=own if side == "borrower" else None,
            states=[state] if state else None,
            after=starting_after or "",
            limit=limit + 1,
        )
        page = found[:limit]
        payees = services.books.list_payees([record.advance for record in page])
        sides = [{"lender": one.lender, "borrower": one.borrower} for one in page]
        expanded = expand_parties(services, sides, expand or ())
    more = len(found) > limit
    return AdvancePage(
        data=[
            show_advance(record, payees[record.advance]).model_copy(update={"expanded": shown})
            for record, shown in zip(page, expanded, strict=True)
        ],
        has_more=more,
        next_cursor=page[-1].advance if more else None,
    )


@router.get("/{advance}", response_model=AdvanceTold)
def get_advance(
    *,
    advance: AdvanceText,
    request: Request,
    caller: Reader,
    container: TheContainer,
    day: Annotated[dt.date | None, Query(description="Beijing day; today unless given")] = None,
    expand: Expanded = None,
) -> Response:
    """An advance and what is owed on a day."""
    with container.read() as services:
        record, payees = get_visible(services, advance, caller)
        on = beijing_day(container.clock.now()) if day is None else _day_number(day)
        told = _position(services, record, payees, on)
        sides = {"lender": record.lender, "borrower": record.borrower}
        (shown,) = expand_parties(services, [sides], expand or ())
    return tagged(request, told.model_copy(update={"expanded": shown}))


def _position(
    services: Services, record: AdvanceRecord, payees: list[PayeeRecord], on: int
) -> AdvanceTold:
    """An advance and what is owed on a Beijing day, by its number."""
    position = services.finance.show_advance(record.advance, day=on)
    return AdvanceTold(
        **show_advance(record, payees).model_dump(),
        day=date_of(on),
        fee_fen=position.due[Component.FEE],
        penalty_fen=position.due[Component.PENALTY],
        interest_fen=position.due[Component.INTEREST],
        principal_due_fen=position.due[Component.PRINCIPAL],
        payoff_fen=position.payoff_fen,
        days_past_due=position.days_past_due,
        tier=position.tier,
        tier_zh=position.tier_zh,
    )


def _day_number(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days


# -- signing --------------------------------------------------------------------------------------


def _to_sign(container: Container, form: Struct) -> FormToSign:
    return FormToSign(to_sign=TypedData.of(form, container.reader.domain("FreightAdvance")))


class Act:
    """An act on an advance: who, under which Idempotency-Key, and the state he has seen (If-Match)."""

    def __init__(
        self,
        caller: MoneyMover,
        once: OnceOnly,
        container: TheContainer,
        if_match: IfMatch = None,
    ) -> None:
        self.caller = caller
        self.once = once
        self.if_match = if_match
        self.today = beijing_day(container.clock.now())


TheAct = Annotated[Act, Depends()]


def accept(act: Act, advance: str, given: str, work: Callable[[Services], None]) -> Response:
    """Takes an act on an advance that the caller may see and, by If-Match, has seen as it is.

    Raises:
        InvalidValueError: the form is about another advance.
        PreconditionFailedError: it is no longer as the caller has read it.
    """
    if given != advance:
        raise InvalidValueError("the form is about another advance", field="message.advance")

    def take(services: Services) -> Accepted:
        record, payees = get_visible(services, advance, act.caller)
        if act.if_match is not None:
            require_match(act.if_match, _position(services, record, payees, act.today))
        work(services)
        return Accepted(about=prefixed("advance", advance), status=f"/v1/advances/{advance}")

    return act.once.run(act.caller.name, take, 202)


@router.get("/{advance}/acknowledgement")
def acknowledgement_form(
    advance: AdvanceText, caller: MoneyMover, container: TheContainer
) -> FormToSign:
    """What the debtor signs: he owes, was told of the assignment, and will pay the collection account."""
    with container.write() as services:  # that he was told is kept
        record, _ = get_visible(services, advance, caller)
        if record.debtor:
            caller.require_party(PartyId(int(record.debtor)), "debtor")
        told = _tell(services, record, caller, container)
        form = services.finance.prepare_acknowledgement(record.advance, notice=told.hash)
    return _to_sign(container, form)


@router.get("/{advance}/notice")
def get_notice(advance: AdvanceText, caller: Reader, container: TheContainer) -> NoticeShown:
    """The notice of assignment word for word, and the proof that it reached the debtor.

    Its debtor's first sight of it is kept; lender and borrower see it from then on.
    """
    with container.write() as services:
        record, _ = get_visible(services, advance, caller)
        if caller.party_id is not None and str(caller.party_id) == record.debtor:
            told = _tell(services, record, caller, container)
        else:
            caller.require_sight((record.lender, record.borrower), "advance")
            found = services.books.find_notice(record.advance)
            if found is None:
                raise NotFoundError("the debtor has not been told yet")
            told = found
    return NoticeShown(
        advance=told.advance,
        hash=told.hash,
        content=dict(told.content),
        made_at=told.made_at,
        shown_at=told.shown_at,
        channel=told.channel,
        acknowledged_at=told.acknowledged_at,
    )


def _tell(
    services: Services, record: AdvanceRecord, caller: Caller, container: Container
) -> NoticeRecord:
    return tell_debtor(
        services.books,
        record,
        now=container.clock.now(),
        to=caller.account_id or caller.name,
        channel="page" if caller.account_id else "api",
    )


@router.post("/{advance}/acknowledgement", status_code=202, response_model=Accepted)
def acknowledge(advance: AdvanceText, given: SignedForm, act: TheAct) -> Response:
    """Takes the debtor's acknowledgement; without it nothing is approved."""
    form = read_message(Acknowledgement, given.message)
    act.caller.require_party(form.debtor, "message.debtor")
    return accept(
        act,
        advance,
        form.advance,
        lambda to: to.finance.acknowledge_debt(form, given.signature_bytes),
    )


@router.get("/{advance}/consent")
def consent_form(advance: AdvanceText, caller: MoneyMover, container: TheContainer) -> FormToSign:
    """What a payee signs to be paid into his account."""
    with container.read() as services:
        record, _ = get_visible(services, advance, caller)
        form = services.finance.prepare_consent(record.advance, caller.require_self())
    return _to_sign(container, form)


@router.post("/{advance}/consent", status_code=202, response_model=Accepted)
def consent(advance: AdvanceText, given: SignedForm, act: TheAct) -> Response:
    """Takes a payee's consent; without it nothing is approved."""
    form = read_message(PayeeConsent, given.message)
    act.caller.require_party(form.party, "message.party")
    return accept(
        act,
        advance,
        form.advance,
        lambda to: to.finance.consent_payee(form, given.signature_bytes),
    )


@router.get("/{advance}/approval")
def approval_form(
    advance: AdvanceText,
    caller: MoneyMover,
    container: TheContainer,
    approved_until: Annotated[
        Instant | None, Query(description="the delivery must complete by then; 7 days from now")
    ] = None,
) -> FormToSign:
    """What the lender signs: borrower, principal, term and payees are frozen by it."""
    until = approved_until or container.clock.now() + APPROVAL_TIME
    with container.read() as services:
        record, _ = get_visible(services, advance, caller)
        caller.require_party(record.lender, "lender")
        form = services.finance.prepare_approval(record.advance, approved_until=until)
    return _to_sign(container, form)


@router.post(
    "/{advance}/approval", dependencies=[TWO_PEOPLE], status_code=202, response_model=Accepted
)
def approve(advance: AdvanceText, given: SignedForm, act: TheAct) -> Response:
    """Takes the lender's approval: the chain locks the cash and freezes the payees."""
    form = read_message(Approval, given.message)

    def work(services: Services) -> None:
        record, _ = get_visible(services, advance, act.caller)
        require_own_word(services, record.lender, act.caller)
        services.finance.approve_advance(form, given.signature_bytes)

    return accept(act, advance, form.advance, work)


@router.get("/{advance}/gate")
def gate_form(
    *,
    advance: AdvanceText,
    caller: MoneyMover,
    container: TheContainer,
    opens: Annotated[bool, Query(description="true releases, false cancels")],
    reason: Annotated[str, Query(min_length=1, max_length=200)],
) -> FormToSign:
    """What the lender signs on an advance that waits after its delivery."""
    with container.read() as services:
        record, _ = get_visible(services, advance, caller)
        caller.require_party(record.lender, "lender")
    form = Gate(
        advance=record.advance,
        open=opens,
        reason=document_hash({"reason": reason}),
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=new_salt(),
    )
    return _to_sign(container, form)


@router.post("/{advance}/gate", dependencies=[TWO_PEOPLE], status_code=202, response_model=Accepted)
def gate(advance: AdvanceText, given: SignedForm, act: TheAct) -> Response:
    """Opens or closes the gate of an advance that waits."""
    form = read_message(Gate, given.message)

    def work(services: Services) -> None:
        record, _ = get_visible(services, advance, act.caller)
        require_own_word(services, record.lender, act.caller)
        services.finance.gate_advance(form, given.signature_bytes)

    return accept(act, advance, form.advance, work)


@router.post("/{advance}/retry", status_code=202, response_model=Accepted)
def retry(advance: AdvanceText, act: TheAct) -> Response:
    """Tries a waiting release, or an unpaid payee, again; every check runs again."""
    return accept(act, advance, advance, lambda to: to.finance.retry_advance(AdvanceId(advance)))


@router.get("/{advance}/repayment")
def repayment_form(
    advance: AdvanceText,
    caller: MoneyMover,
    container: TheContainer,
    amount_fen: FenAsked,
) -> FormToSign:
    """What the borrower signs to repay from his own account."""
    with container.read() as services:
        record, _ = get_visible(services, advance, caller)
        caller.require_party(record.borrower, "borrower")
    form = Repayment(
        advance=record.advance,
        amount=amount_fen,
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=new_salt(),
    )
    return _to_sign(container, form)


@router.post(
    "/{advance}/repayment", dependencies=[TWO_PEOPLE], status_code=202, response_model=Accepted
)
def repay(advance: AdvanceText, given: SignedForm, act: TheAct) -> Response:
    """Takes a repayment: fees, penalty, interest, principal, in that order."""
    form = read_message(Repayment, given.message)
    return accept(
        act,
        advance,
        form.advance,
        lambda to: to.finance.repay_advance(form, given.signature_bytes),
    )
