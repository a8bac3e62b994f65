"""The custodian's doors: bank money received, payouts carried out. Two signatures each."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.auth import Caller, Scope
from api.dependencies import OnceOnly, Requires, TheContainer
from api.errors import ForbiddenScopeError
from api.ports import Services
from api.schemas.deliveries import Accepted
from api.schemas.money import PayoutList, PayoutShown, ReceiptSigned
from api.schemas.signing import read_message
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import MintReceipt, PayoutReceipt

router = APIRouter(prefix="/custody", tags=["custody"])


def _custodian(
    container: TheContainer, caller: Annotated[Caller, Depends(Requires(Scope.ADVANCES))]
) -> Caller:
    """A caller who is one of the two people of the custodian at this moment."""
    signers = container.reader.fetch_many(
        [SettlementToken.first_custodian(), SettlementToken.second_custodian()]
    )
    if caller.require_self() not in signers:
        raise ForbiddenScopeError("only the custodian's people mint and burn")
    return caller


Custodian = Annotated[Caller, Depends(_custodian)]


@router.post("/mints", status_code=202, response_model=Accepted)
def mint(given: ReceiptSigned, caller: Custodian, once: OnceOnly) -> Response:
    """Bank money received becomes token on a party's or a waybill's account."""
    form = read_message(MintReceipt, given.message)

    def work(services: Services) -> Accepted:
        services.custody.mint(form, given.first, given.second)
        return Accepted(about=form.bank_reference, status="/v1/custody/payouts")

    return once.run(caller.name, work, 202)


@router.post("/payouts", status_code=202, response_model=Accepted)
def confirm_payout(given: ReceiptSigned, caller: Custodian, once: OnceOnly) -> Response:
    """The bank has carried out a payout; its token is burned."""
    form = read_message(PayoutReceipt, given.message)

    def work(services: Services) -> Accepted:
        services.custody.confirm_payout(form, given.first, given.second)
        return Accepted(about=form.payout, status="/v1/custody/payouts")

    return once.run(caller.name, work, 202)


@router.get("/payouts")
def list_payouts(
    _: Custodian,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> PayoutList:
    """Payouts that wait for the bank, oldest first."""
    with container.read() as services:
        waiting = services.books.list_waiting_payouts(limit=limit)
    return PayoutList(
        data=[
            PayoutShown(
                payout=payee.payout,
                party=str(payee.party),
                account=payee.account,
                amount_fen=payee.paid_fen,
                queued_at=payee.paid_at,
            )
            for payee in waiting
        ]
    )
