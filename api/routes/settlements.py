"""Freight paid in and shared out, and payouts."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.auth import Caller
from api.dependencies import MoneyMover, OnceIfNamed, OnceOnly, Reader, TheContainer
from api.four_eyes import TWO_PEOPLE
from api.object_ids import prefixed
from api.paging import ThePage, no_such_cursor
from api.ports import Services
from api.routes.lines import SIGNING_TIME, new_salt
from api.routes.waybills import get_visible
from api.schemas.deliveries import Accepted, FormToSign
from api.schemas.money import (
    FenAsked,
    SettleAsked,
    SettlementList,
    SettlementShown,
)
from api.schemas.payouts import (
    PayoutAsked,
)
from api.schemas.signing import SignedForm, TypedData, read_message
from api.schemas.values import WaybillText
from api.validators import IfMatch, require_match
from api.waybill_forms import show_waybill
from chain.bindings.structs import Cascade, PayoutRequest
from chain.errors import InvalidValueError
from chain.ids import Hash32, WaybillId
from chain.waybill import HeldWaybill

router = APIRouter(tags=["settlements"])


@router.post(
    "/waybills/{waybill}/settlements",
    dependencies=[TWO_PEOPLE],
    status_code=202,
    response_model=Accepted,
)
def settle(
    *,
    waybill: WaybillText,
    asked: SettleAsked,
    caller: MoneyMover,
    container: TheContainer,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Shares what lies on the waybill's collection account: loans first, the rest to its owner."""
    domain = container.reader.domain("WaybillRegistry")

    def work(services: Services) -> Accepted:
        found = _concerning(services, waybill, caller)
        require_match(if_match, show_waybill(found, domain=domain, caller=caller))
        services.finance.settle_waybill(found.id, reference=asked.reference)
        return Accepted(
            about=prefixed("waybill", waybill), status=f"/v1/waybills/{waybill}/settlements"
        )

    return once.run(caller.name, work, 202)


@router.get("/waybills/{waybill}/settlements")
def list_settlements(
    waybill: WaybillText, caller: Reader, container: TheContainer, asked: ThePage
) -> SettlementList:
    """What was paid in on a waybill and how it was shared, oldest first."""
    with container.read() as services:
        held = _concerning(services, waybill, caller)
        after = None
        if asked.starting_after is not None:
            after = services.books.find_settlement(asked.starting_after)
            if after is None or after.waybill != held.id:
                raise no_such_cursor()
        found = services.books.list_settlements(held.id, after=after, limit=asked.limit + 1)
    page = asked.page(found, lambda one: one.id)
    return SettlementList(
        data=[SettlementShown.model_validate(one) for one in page.rows], **page.ends
    )


def _concerning(services: Services, waybill: str, caller: Caller) -> HeldWaybill:
    """A waybill whose freight concerns the caller: he stands in its chain, or it is pledged to him."""
    pledged = services.books.find_receivable(WaybillId(waybill))
    if (
        pledged is not None
        and caller.party_id is not None
        and pledged.lender == str(caller.party_id)
    ):
        return services.records.get_waybill(pledged.waybill)
    return get_visible(services, waybill, caller)


@router.get("/waybills/{waybill}/cascade")
def cascade_form(
    *,
    waybill: WaybillText,
    caller: MoneyMover,
    container: TheContainer,
    child: WaybillText,
    most_fen: FenAsked,
) -> FormToSign:
    """What the performer of a waybill signs to let its freight flow on to a waybill he issued below it."""
    with container.read() as services:
        found = get_visible(services, waybill, caller)
    caller.require_party(found.form.performer, "waybill")
    form = Cascade(
        waybill=found.id,
        child=WaybillId(child),
        most=most_fen,
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=new_salt(),
    )
    return FormToSign(to_sign=TypedData.of(form, container.reader.domain("FreightSettlement")))


@router.post(
    "/waybills/{waybill}/cascade",
    dependencies=[TWO_PEOPLE],
    status_code=202,
    response_model=Accepted,
)
def sign_cascade(
    *,
    waybill: WaybillText,
    given: SignedForm,
    caller: MoneyMover,
    container: TheContainer,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Takes the performer's cascade: it spends only what remains for him, when freight is settled."""
    form = read_message(Cascade, given.message)
    if form.waybill != waybill:
        raise InvalidValueError("the form is about another waybill", field="message.waybill")
    domain = container.reader.domain("WaybillRegistry")

    def work(services: Services) -> Accepted:
        found = get_visible(services, waybill, caller)
        caller.require_party(found.form.performer, "waybill")
        require_match(if_match, show_waybill(found, domain=domain, caller=caller))
        services.finance.sign_cascade(form, found.form.performer, given.signature_bytes)
        return Accepted(
            about=prefixed("waybill", waybill), status=f"/v1/waybills/{waybill}/settlements"
        )

    return once.run(caller.name, work, 202)


@router.post("/payouts/form", response_model=FormToSign)
def prepare_payout(
    asked: PayoutAsked, caller: MoneyMover, container: TheContainer, once: OnceIfNamed
) -> Response:
    """What a party signs to have money paid to its bank account."""
    form = PayoutRequest(
        party=caller.require_self(),
        account=Hash32(asked.account),
        amount=asked.amount_fen,
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=new_salt(),
    )
    prepared = FormToSign(to_sign=TypedData.of(form, container.reader.domain("SettlementToken")))
    return once.show(caller.name, prepared)


@router.post("/payouts", dependencies=[TWO_PEOPLE], status_code=202, response_model=Accepted)
def request_payout(given: SignedForm, caller: MoneyMover, once: OnceOnly) -> Response:
    """Queues a payout; the bank's word burns it."""
    form = read_message(PayoutRequest, given.message)
    caller.require_party(form.party, "message.party")

    def work(services: Services) -> Accepted:
        services.finance.request_payout(form, given.signature_bytes)
        return Accepted(
            about=prefixed("party", str(form.party)), status=f"/v1/parties/{form.party}"
        )

    return once.run(caller.name, work, 202)
