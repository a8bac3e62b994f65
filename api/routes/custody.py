"""The custodian's doors: bank money received, payouts carried out. Two signatures each."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from api.auth import Caller, Scope
from api.dependencies import OnceOnly, Requires, TheContainer
from api.errors import ForbiddenScopeError
from api.four_eyes import TWO_PEOPLE
from api.object_ids import prefixed
from api.paging import Asked, ThePage, no_such_cursor
from api.ports import Services
from api.routes.payouts import show_account
from api.schemas.deliveries import Accepted
from api.schemas.payouts import (
    AccountShown,
    CreditAssigned,
    OpenPayout,
    OpenPayoutPage,
    QuestionList,
    QuestionShown,
    ReceiptSigned,
    RedirectAgreed,
    RedirectList,
    RedirectShown,
    SubjectNamed,
)
from api.schemas.signing import TypedData, read_message
from api.schemas.values import HashText, PayoutText
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import MintReceipt, PayoutReceipt
from chain.ids import Hash32, PartyId, WaybillId
from finance.payouts import (
    Payout,
    Question,
    QuestionKind,
    account_of_party,
    collection_account,
)

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


@router.post("/mints", dependencies=[TWO_PEOPLE], status_code=202, response_model=Accepted)
def mint(given: ReceiptSigned, caller: Custodian, once: OnceOnly) -> Response:
    """Bank money received becomes token on a party's or a waybill's account."""
    form = read_message(MintReceipt, given.message)

    def work(services: Services) -> Accepted:
        services.custody.mint(form, given.first, given.second)
        return Accepted(about=form.bank_reference, status="/v1/custody/payouts")

    return once.run(caller.name, work, 202)


@router.post("/payouts", dependencies=[TWO_PEOPLE], status_code=202, response_model=Accepted)
def confirm_payout(given: ReceiptSigned, caller: Custodian, once: OnceOnly) -> Response:
    """The bank has carried out a payout; its token is burned."""
    form = read_message(PayoutReceipt, given.message)

    def work(services: Services) -> Accepted:
        services.payouts.require_bank_word(form.payout, form.sequence, form.value_day)
        services.custody.confirm_payout(form, given.first, given.second)
        return Accepted(about=prefixed("payout", form.payout), status="/v1/custody/payouts")

    return once.run(caller.name, work, 202)


@router.get("/payouts")
def list_payouts(
    *,
    _: Custodian,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    starting_after: Annotated[PayoutText | None, Query()] = None,
) -> OpenPayoutPage:
    """Payouts that the chain has not confirmed, oldest first; what the bank has paid can be signed."""
    with container.read() as services:
        after = None
        if starting_after is not None:
            after = services.payouts.find([Hash32(starting_after)]).get(Hash32(starting_after))
            if after is None:
                raise no_such_cursor()
        found = services.payouts.list_open(limit + 1, after=after)
    page, more = found[:limit], len(found) > limit
    return OpenPayoutPage(
        data=[show_open(one) for one in page],
        has_more=more,
        next_cursor=page[-1].payout if more else None,
    )


def show_open(payout: Payout) -> OpenPayout:
    """A payout as the custodian sees it."""
    return OpenPayout(
        payout=payout.payout,
        party=str(payout.party),
        account=payout.account,
        amount_fen=payout.amount_fen,
        state=payout.state.value,
        sequence=payout.sequence,
        value_day=payout.value_day,
        reason=f"{payout.reason} {payout.reason_text}".strip(),
        queued_at=payout.queued_at,
    )


# -- what waits for a person ----------------------------------------------------------------------


@router.get("/questions")
def list_questions(_: Custodian, container: TheContainer, asked: ThePage) -> QuestionList:
    """What only a person can settle: rejected accounts, money nobody claims, the bank's contradictions."""
    with container.read() as services:
        return _questions(services, asked)


def _questions(services: Services, asked: Asked) -> QuestionList:
    after = None
    if asked.starting_after is not None:
        kind, _, subject = asked.starting_after.partition("~")
        after = services.payouts.find_question(kind, subject)
        if after is None:
            raise no_such_cursor()
    found = services.payouts.questions(after=after, limit=asked.limit + 1)
    page = asked.page(found, lambda one: f"{one.kind.value}~{one.subject}")
    return QuestionList(data=[show_question(one) for one in page.rows], **page.ends)


def show_question(question: Question) -> QuestionShown:
    """A question as callers see it."""
    return QuestionShown(
        kind=question.kind.value,
        subject=question.subject,
        text=question.text,
        payout=question.payout,
        raised_at=question.raised_at,
    )


@router.post(
    "/questions/{kind}", dependencies=[TWO_PEOPLE], status_code=200, response_model=QuestionList
)
def close_question(
    kind: QuestionKind, given: SubjectNamed, caller: Custodian, once: OnceOnly
) -> Response:
    """A person has settled a question outside the system; what it blocked goes on."""

    def work(services: Services) -> QuestionList:
        services.payouts.close_question(kind, given.subject, by=_who(caller))
        return _questions(services, Asked())

    return once.run(caller.name, work, 200)


@router.post(
    "/payouts/{payout}/leg", dependencies=[TWO_PEOPLE], status_code=201, response_model=OpenPayout
)
def begin_leg(payout: PayoutText, caller: Custodian, once: OnceOnly) -> Response:
    """Lets a payout that the bank rejected be tried once more, under a new leg and sequence."""

    def work(services: Services) -> OpenPayout:
        return show_open(services.payouts.approve_new_leg(Hash32(payout), by=_who(caller)))

    return once.run(caller.name, work)


@router.get("/redirects")
def list_redirects(_: Custodian, container: TheContainer, asked: ThePage) -> RedirectList:
    """Payees' wishes for another account, each with what the first custodian signs to agree."""
    domain = container.reader.domain("SettlementToken")
    with container.read() as services:
        page = asked.cut(services.redirects.list_open(), lambda one: one.form.payout)
        payouts = services.payouts.find([one.form.payout for one in page.rows])
    return RedirectList(
        data=[
            RedirectShown(
                payout=one.form.payout,
                party=str(one.party),
                account=one.form.account,
                amount_fen=payouts[one.form.payout].amount_fen,
                asked_at=one.asked_at,
                to_sign=TypedData.of(one.form, domain),
            )
            for one in page.rows
        ],
        **page.ends,
    )


@router.post(
    "/payouts/{payout}/redirect",
    dependencies=[TWO_PEOPLE],
    status_code=202,
    response_model=Accepted,
)
def agree_redirect(
    payout: PayoutText, given: RedirectAgreed, caller: Custodian, once: OnceOnly
) -> Response:
    """The custodian agrees that a returned payout goes to another account of its payee; then a new leg is let begin."""

    def work(services: Services) -> Accepted:
        first, _ = services.custody.fetch_signers()
        services.redirects.approve(
            Hash32(payout),
            bytes.fromhex(given.signature[2:]),
            custodian=first,
            by=_who(caller),
        )
        return Accepted(about=payout, status="/v1/custody/payouts")

    return once.run(caller.name, work, 202)


@router.post(
    "/credits/{reference}", dependencies=[TWO_PEOPLE], status_code=201, response_model=Accepted
)
def assign_credit(
    reference: Annotated[str, Path(pattern=r"^[A-Za-z0-9]{1,60}$")],
    given: CreditAssigned,
    caller: Custodian,
    once: OnceOnly,
) -> Response:
    """Says for which waybill or party money in suspense came in."""
    target = (
        collection_account(WaybillId(given.waybill))
        if given.waybill is not None
        else account_of_party(PartyId(int(given.party or 0)))
    )

    def work(services: Services) -> Accepted:
        services.payouts.assign_credit(reference, target, by=_who(caller))
        return Accepted(about=target, status="/v1/custody/questions")

    return once.run(caller.name, work)


@router.post(
    "/accounts/{account}/vouch",
    dependencies=[TWO_PEOPLE],
    status_code=200,
    response_model=AccountShown,
)
def vouch(account: HashText, caller: Custodian, once: OnceOnly) -> Response:
    """A person has seen the papers of a vehicle's owner: his account may be paid to."""

    def work(services: Services) -> AccountShown:
        return show_account(services.accounts.vouch(Hash32(account), by=_who(caller)), "")

    return once.run(caller.name, work, 200)


def _who(caller: Caller) -> str:
    """Who settles it, as the record names him."""
    return f"party {caller.require_self()} key {caller.name}"
