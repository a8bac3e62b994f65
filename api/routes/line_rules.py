"""The lender's approval rule of a line: prepared, signed, set, ended; shown on the line.

What the rule covers is approved without another word of his: by this platform's worker where its own decision was
to approve, and on chain by anybody. The form is signed with the lender's own key, or, for a lender in custody, by
``POST /v1/party-keys/platform/signatures``.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.dependencies import MoneyMover, OnceOnly, TheContainer
from api.four_eyes import SecondPerson
from api.object_ids import prefixed
from api.ports import Container, Services
from api.routes.lender_acts import get_own_line
from api.routes.lines import show_lines
from api.schemas.deliveries import Accepted, FormToSign
from api.schemas.signing import SignedForm, TypedData, read_message
from api.schemas.values import Instant, LineText, PartyText
from api.validators import IfMatch, require_match
from chain.bindings.structs import ApprovalRule
from chain.document import document_hash
from chain.errors import InvalidValueError
from chain.ids import PartyId
from chain.money import JSON_MAX_FEN
from finance.approval_rule import widens

router = APIRouter(prefix="/lines/{line}/rule", tags=["credit lines"])

Reason = Annotated[
    str,
    Query(min_length=1, max_length=200, description="what the lender writes of it; signed by hash"),
]
APPROVAL_DAYS = 7
RULE_TIME = dt.timedelta(days=90)


@router.get("")
def rule_form(
    *,
    line: LineText,
    caller: MoneyMover,
    container: TheContainer,
    most_fen: Annotated[
        int, Query(gt=0, le=JSON_MAX_FEN, description="most of one advance, whole fen")
    ],
    reason: Reason,
    until: Annotated[
        Instant | None, Query(description="last second at which it approves; 90 days from now")
    ] = None,
    valid_for_days: Annotated[
        int,
        Query(ge=1, le=365, description="days in which a delivery completes after an approval"),
    ] = APPROVAL_DAYS,
    debtor: Annotated[
        PartyText | None,
        Query(description="the only debtor whose debts it covers; any unless given"),
    ] = None,
) -> FormToSign:
    """What the lender signs to have advances of a line approved by rule, in place of the rule before."""
    with container.read() as services:
        held = get_own_line(services, line, caller)
        form = services.finance.prepare_rule(
            held.line,
            most_fen=most_fen,
            until=until or container.clock.now() + RULE_TIME,
            valid_for_s=valid_for_days * 86_400,
            debtor=PartyId(int(debtor)) if debtor else None,
            document=document_hash({"reason": reason}),
        )
    return _to_sign(container, form)


@router.post("", status_code=202, response_model=Accepted)
def set_rule(
    *,
    line: LineText,
    given: SignedForm,
    caller: MoneyMover,
    container: TheContainer,
    second_person: SecondPerson,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Takes a signed rule: one that lets more through by two people (where he wants four eyes), a narrower by one."""
    form = _read(line, given)
    with container.read() as services:
        held = services.books.list_rules([get_own_line(services, line, caller).line])
    if widens(held.get(form.line), form, container.clock.now()):
        second_person()

    def work(services: Services) -> Accepted:
        if if_match is not None:
            seen = get_own_line(services, line, caller)
            require_match(if_match, show_lines(services, [seen], container.clock.now())[0])
        return _set(services, form, given)

    return once.run(caller.name, work, 202)


@router.get("/end")
def end_form(
    line: LineText, caller: MoneyMover, container: TheContainer, reason: Reason
) -> FormToSign:
    """What the lender signs to end the rule of a line; what it approved stays approved."""
    with container.read() as services:
        held = get_own_line(services, line, caller)
        form = services.finance.prepare_rule_end(
            held.line, document=document_hash({"reason": reason})
        )
    return _to_sign(container, form)


@router.post("/end", status_code=202, response_model=Accepted)
def end_rule(
    line: LineText, given: SignedForm, caller: MoneyMover, container: TheContainer, once: OnceOnly
) -> Response:
    """Takes the signed end of a rule; one person is enough."""
    form = _read(line, given)
    if form.most != 0:
        raise InvalidValueError("the end of a rule is a rule of zero", field="message.most")
    with container.read() as services:
        get_own_line(services, line, caller)
    return once.run(caller.name, lambda services: _set(services, form, given), 202)


def _read(line: str, given: SignedForm) -> ApprovalRule:
    form = read_message(ApprovalRule, given.message)
    if form.line != line:
        raise InvalidValueError("the form is about another line", field="message.line")
    return form


def _set(services: Services, form: ApprovalRule, given: SignedForm) -> Accepted:
    services.finance.set_rule(form, given.signature_bytes)
    return Accepted(about=prefixed("line", form.line), status=f"/v1/lines/{form.line}")


def _to_sign(container: Container, form: ApprovalRule) -> FormToSign:
    return FormToSign(to_sign=TypedData.of(form, container.reader.domain("CreditFacility")))
