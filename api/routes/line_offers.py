"""Offers: the terms of a line, or of its change, between the borrower's signature and the lender's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.auth import Caller
from api.dependencies import MoneyMover, OnceOnly, Reader, TheContainer
from api.four_eyes import TWO_PEOPLE
from api.line_offers import LineOffer, OfferState
from api.object_ids import pattern_of
from api.paging import ThePage, no_such_cursor
from api.ports import Services
from api.schemas.money import LineOfferAsked, LineOfferList, LineOfferShown
from api.schemas.signing import SignedForm, TypedData, read_message
from api.validators import IfMatch, require_match, tagged
from chain.bindings.structs import CreditLine, LineChange
from chain.errors import InvalidValueError, NotFoundError
from chain.ports import Domain
from chain.typed_data import typed_message

router = APIRouter(prefix="/line-offers", tags=["credit lines"])

OfferText = Annotated[str, Path(pattern=pattern_of("line_offer"), examples=["lo_" + "0c" * 12])]


@router.post("", status_code=201, response_model=LineOfferShown)
def lay(
    asked: LineOfferAsked, caller: MoneyMover, container: TheContainer, once: OnceOnly
) -> Response:
    """Lays terms before the borrower: a new line's, or a change that needs him too. By the lender."""
    domain = container.reader.domain("CreditFacility")

    def work(services: Services) -> LineOfferShown:
        form: CreditLine | LineChange
        if asked.form == "CreditLine":
            form = read_message(CreditLine, asked.message)
            lender, borrower = form.lender, form.borrower
        else:
            form = read_message(LineChange, asked.message)
            held = services.books.find_line(form.line)
            if held is None:
                raise NotFoundError("there is no such line", field="message.line")
            caller.require_sight((held.lender, held.borrower), "line")
            lender, borrower = held.lender, held.borrower
        caller.require_party(lender, "message.lender")
        if services.records.find_party(borrower) is None:
            raise NotFoundError("there is no such borrower", field="message.borrower")
        laid = services.offers.lay(
            form,
            message=typed_message(form, domain)["message"],
            lender=lender,
            borrower=borrower,
            by=caller.account_id or caller.name,
        )
        return _show(laid, caller, domain)

    return once.run(caller.name, work, 201)


@router.get("")
def list_offers(caller: Reader, container: TheContainer, asked: ThePage) -> LineOfferList:
    """The caller's offers, as lender and as borrower, newest first."""
    own, domain = caller.require_self(), container.reader.domain("CreditFacility")
    with container.read() as services:
        after = None
        if asked.starting_after is not None:
            after = services.offers.find(asked.starting_after)
            if after is None or own not in {after.lender, after.borrower}:
                raise no_such_cursor()
        found = services.offers.page_of(own, after=after, limit=asked.limit + 1)
    page = asked.page(found, lambda one: one.id)
    return LineOfferList(data=[_show(one, caller, domain) for one in page.rows], **page.ends)


@router.get("/{offer}", response_model=LineOfferShown)
def get_offer(
    offer: OfferText, request: Request, caller: Reader, container: TheContainer
) -> Response:
    """An offer, for its two sides; `to_sign` is there while the caller's signature is wanted."""
    with container.read() as services:
        found = _visible(services, offer, caller)
    return tagged(request, _show(found, caller, container.reader.domain("CreditFacility")))


@router.post(
    "/{offer}/signatures",
    dependencies=[TWO_PEOPLE],
    status_code=202,
    response_model=LineOfferShown,
)
def sign(
    *,
    offer: OfferText,
    given: SignedForm,
    caller: MoneyMover,
    container: TheContainer,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Takes a side's signature: the borrower's is kept, the lender's, last, sends the form to the chain."""
    domain = container.reader.domain("CreditFacility")

    def work(services: Services) -> LineOfferShown:
        held = _visible(services, offer, caller)
        require_match(if_match, _show(held, caller, domain))
        if read_message(type(held.form), given.message) != held.form:
            raise InvalidValueError("these are not the terms of this offer", field="message")
        own = caller.require_self()
        if own == held.borrower:
            accepted = services.offers.accept(offer, given.signature)
            services.finance.check_line_form(held.form, own, given.signature_bytes)
            return _show(accepted, caller, domain)
        sent = services.offers.end(offer, OfferState.SENT)
        theirs = bytes.fromhex(held.borrower_signature[2:])
        if isinstance(held.form, CreditLine):
            services.finance.open_line(held.form, given.signature_bytes, theirs)
        else:
            services.finance.change_line(held.form, given.signature_bytes, theirs)
        return _show(sent, caller, domain)

    return once.run(caller.name, work, 202)


@router.post("/{offer}/refusal", response_model=LineOfferShown)
def refuse(
    offer: OfferText,
    caller: MoneyMover,
    container: TheContainer,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Ends an offer: the borrower refuses it, or the lender takes it back before he has signed."""
    domain = container.reader.domain("CreditFacility")

    def work(services: Services) -> LineOfferShown:
        held = _visible(services, offer, caller)
        require_match(if_match, _show(held, caller, domain))
        own = caller.require_self()
        wanted = OfferState.REFUSED if own == held.borrower else OfferState.WITHDRAWN
        return _show(services.offers.end(offer, wanted), caller, domain)

    return once.run(caller.name, work, 200)


def _visible(services: Services, offer: str, caller: Caller) -> LineOffer:
    held = services.offers.find(offer)
    if held is None:
        raise NotFoundError("there is no such offer")
    caller.require_sight((held.lender, held.borrower), "offer")
    return held


def _show(held: LineOffer, caller: Caller, domain: Domain) -> LineOfferShown:
    typed = TypedData.of(held.form, domain)
    return LineOfferShown(
        id=held.id,
        kind=held.kind.value,
        lender=str(held.lender),
        borrower=str(held.borrower),
        line=held.line,
        state=held.state.value,
        message=typed.message,
        to_sign=typed
        if caller.party_id is not None and held.waits_for == caller.party_id
        else None,
        made_at=held.made_at,
        expires_at=held.expires_at,
        signed_at=held.signed_at,
        ended_at=held.ended_at,
    )
