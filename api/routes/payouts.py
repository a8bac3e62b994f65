"""What a payee sees of his money, and where he wants it; how a debtor pays in."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.dependencies import MoneyMover, OnceIfNamed, OnceOnly, Reader, TheContainer
from api.four_eyes import TWO_PEOPLE
from api.paging import ThePage, no_such_cursor
from api.payout_stories import PayoutStory, tell_payout, tell_payouts
from api.ports import Services
from api.schemas.deliveries import Accepted, FormToSign
from api.schemas.payouts import (
    AccountEntered,
    AccountForm,
    AccountList,
    AccountNamed,
    AccountShown,
    PayInShown,
    PayoutPage,
    PayoutShown,
    QuestionShown,
    StageShown,
)
from api.schemas.signing import SignedForm, TypedData, read_message
from api.schemas.values import HashText, PayoutText, WaybillText
from api.validators import IfMatch, require_match, tagged
from api.waybill_forms import parties_of
from chain.bindings.structs import PayoutRedirect
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import Address, Hash32, WaybillId
from finance.account_book import CONTRACT
from finance.iso20022 import BankAccount
from finance.payout_accounts import (
    CONSENT,
    CONSENT_HASH,
    AccountConsent,
    PayoutAccount,
    account_hash,
    pay_in_reference,
)
from finance.payouts import account_of_party, collection_account

router = APIRouter(tags=["payouts"])

SIGNING_TIME = dt.timedelta(days=7)


# -- payouts --------------------------------------------------------------------------------------


@router.get("/payouts")
def list_payouts(
    *,
    caller: Reader,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: Annotated[PayoutText | None, Query()] = None,
) -> PayoutPage:
    """The caller's payouts as payee, oldest first, each with its stages and their times."""
    own = caller.require_self()
    with container.read() as services:
        after = None
        if starting_after is not None:
            after = services.payouts.find([Hash32(starting_after)]).get(Hash32(starting_after))
            if after is None or after.party != own:
                raise no_such_cursor()
        found = services.payouts.list_of(own, after=after, limit=limit + 1)
        told = tell_payouts(services, found[:limit])
    more = len(found) > limit
    return PayoutPage(
        data=[show_payout(one) for one in told],
        has_more=more,
        next_cursor=told[-1].payout.payout if more else None,
    )


@router.get("/payouts/{payout}", response_model=PayoutShown)
def get_payout(
    payout: PayoutText, request: Request, caller: Reader, container: TheContainer
) -> Response:
    """One payout, for its payee and for lender and borrower of its advance."""
    with container.read() as services:
        told = tell_payout(services, Hash32(payout))
    caller.require_sight(told.concerned, "payout")
    return tagged(request, show_payout(told))


@router.get("/payouts/{payout}/redirect")
def redirect_form(
    *, payout: PayoutText, caller: MoneyMover, container: TheContainer, account: HashText
) -> FormToSign:
    """What a payee signs so that a payout which the bank sent back goes to another account of his."""
    expires = int((container.clock.now() + SIGNING_TIME).timestamp())
    with container.read() as services:
        form = services.redirects.prepare(
            Hash32(payout), caller.require_self(), Hash32(account), expires
        )
    return FormToSign(to_sign=TypedData.of(form, container.reader.domain(CONTRACT)))


@router.post(
    "/payouts/{payout}/redirect",
    dependencies=[TWO_PEOPLE],
    status_code=202,
    response_model=Accepted,
)
def ask_redirect(
    payout: PayoutText,
    given: SignedForm,
    caller: MoneyMover,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Keeps the payee's signed wish until the custodian agrees (``/v1/custody/redirects``)."""
    form = read_message(PayoutRedirect, given.message)
    if form.payout != payout:
        raise InvalidValueError("the form is about another payout", field="message.payout")
    payee = caller.require_self()

    def work(services: Services) -> Accepted:
        if if_match is not None:
            told = tell_payout(services, Hash32(payout))
            caller.require_sight(told.concerned, "payout")
            require_match(if_match, show_payout(told))
        services.redirects.ask(form, given.signature_bytes, payee)
        return Accepted(about=payout, status=f"/v1/payouts/{payout}")

    return once.run(caller.name, work, 202)


def show_payout(told: PayoutStory) -> PayoutShown:
    """A payout as JSON."""
    held = told.payout
    return PayoutShown(
        id=held.payout,
        party=str(held.party),
        account=held.account,
        amount_fen=held.amount_fen,
        state=held.state.value,
        advance=told.advance,
        trip=told.trip,
        leg=held.leg,
        sequence=held.sequence,
        bank_reference=held.bank_reference,
        stages=[StageShown.model_validate(stage) for stage in told.stages],
        signed_at=told.signed_at,
        bank_seconds=told.bank_seconds,
        questions=[
            QuestionShown(
                kind=one.kind.value,
                subject=one.subject,
                text=one.text,
                payout=one.payout,
                raised_at=one.raised_at,
            )
            for one in told.questions
        ],
    )


# -- accounts -------------------------------------------------------------------------------------


@router.post("/payout-accounts/form", response_model=AccountForm)
def prepare_account(
    asked: AccountNamed, caller: MoneyMover, container: TheContainer, once: OnceIfNamed
) -> Response:
    """What a payee signs so that an account is used to pay him; nothing is kept."""
    hashed = account_hash(_account(asked), Hash32(asked.salt))
    form = AccountConsent(
        party=caller.require_self(),
        account=hashed,
        relation=asked.relation,
        terms=CONSENT_HASH,
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=Hash32("0x" + secrets.token_hex(32)),
    )
    to_sign = TypedData.of(form, container.reader.domain(CONTRACT))
    prepared = AccountForm(account=hashed, consent=CONSENT, to_sign=to_sign)
    return once.show(caller.name, prepared)


@router.post(
    "/payout-accounts", dependencies=[TWO_PEOPLE], status_code=201, response_model=AccountShown
)
def enter_account(given: AccountEntered, caller: MoneyMover, once: OnceOnly) -> Response:
    """Enters an account under the payee's signed consent; the hash is what advances name."""
    form = read_message(AccountConsent, given.message)
    caller.require_party(form.party, "message.party")

    def work(services: Services) -> AccountShown:
        entered = services.accounts.enter(
            form,
            bytes.fromhex(given.signature[2:]),
            _account(given),
            salt=Hash32(given.salt),
        )
        return show_account(entered, given.number[-4:])

    return once.run(caller.name, work)


@router.get("/payout-accounts")
def list_accounts(caller: Reader, container: TheContainer, asked: ThePage) -> AccountList:
    """The caller's accounts."""
    with container.read() as services:
        found = services.accounts.list_of(caller.require_self())
    page = asked.cut(found, lambda one: one[0].account)
    return AccountList(data=[show_account(held, tail) for held, tail in page.rows], **page.ends)


@router.delete("/payout-accounts/{account}", response_model=AccountShown)
def forget_account(account: HashText, caller: MoneyMover, once: OnceOnly) -> Response:
    """Makes the caller's account unreadable for ever; refused while a payout to it is on its way."""

    def work(services: Services) -> AccountShown:
        held = services.accounts.get(Hash32(account))
        caller.require_sight((held.party,), "account")
        services.accounts.forget_account(held.account)
        return show_account(services.accounts.get(held.account), "")

    return once.run(caller.name, work, 200)


def show_account(held: PayoutAccount, tail: str) -> AccountShown:
    """An account as its payee sees it."""
    return AccountShown(
        account=held.account,
        relation=held.relation.value,
        tail=tail,
        usable=held.is_usable,
        consent=held.consent,
        consented_at=held.consented_at,
        forgotten_at=held.forgotten_at,
    )


def _account(named: AccountNamed) -> BankAccount:
    return BankAccount(named.holder, named.number, named.bank)


# -- paying in ------------------------------------------------------------------------------------


@router.get("/pay-in")
def own_pay_in(caller: Reader, container: TheContainer) -> PayInShown:
    """How the caller pays money onto its own account here: to whom, and what to write."""
    party = caller.require_self()
    with container.read() as services:
        house = services.payouts.house
    return _pay_in(account_of_party(party), house, f"party:{party}")


@router.get("/waybills/{waybill}/pay-in")
def waybill_pay_in(waybill: WaybillText, caller: Reader, container: TheContainer) -> PayInShown:
    """How the debtor of a waybill pays its freight: to whom, and what to write."""
    with container.read() as services:
        held = services.records.find_waybill(WaybillId(waybill))
        if held is None:
            raise NotFoundError("there is no such waybill")
        caller.require_sight(parties_of(held), "waybill")
        house = services.payouts.house
    return _pay_in(collection_account(held.id), house, waybill)


def _pay_in(target: Address, house: BankAccount, about: str) -> PayInShown:
    return PayInShown(
        reference=pay_in_reference(target),
        holder=house.holder,
        number=house.number,
        bank=house.bank,
        about=about,
    )
