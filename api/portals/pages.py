"""The pages: trips with stage and money, one trip with everything, the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.dependencies import TheContainer
from api.portals.shell import TheViewer, show
from api.portals.trip_page import TripPages
from api.portals.views import AccountLine, Book, Stage, TripCard
from api.portals.words import word
from api.ports import Services
from api.routes.audit import trial_balance
from api.schemas.money import BalanceShown
from api.trip_stories import list_visible, party_name, tell_briefly
from api.waybill_forms import parties_of
from chain.ids import PartyId, TripId
from finance.audit import CUSTODIAN, book_of
from finance.payouts import account_of_party, collection_account
from finance.service import AdvancePosition

router = APIRouter(include_in_schema=False)

MOST_TRIPS = 500
"""Trips on the home page; the API pages through more."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures on top of the home page."""

    released_fen: int
    outstanding_fen: int
    trips: int
    paid: int
    held: int


def _position(services: Services, trip: TripId) -> AdvancePosition | None:
    advance = services.books.find_advance_of_trip(trip)
    return None if advance is None else services.finance.show_advance(advance.advance)


_SHOWN = {
    "all": frozenset(Stage),
    "open": frozenset(
        {Stage.DRAFTED, Stage.SIGNED, Stage.APPROVED, Stage.LOADED, Stage.ARRIVED, Stage.DELIVERED}
    ),
    "paid": frozenset({Stage.PAID, Stage.REPAID}),
    "held": frozenset({Stage.HELD, Stage.VOID}),
}


@router.get("/")
def home(
    request: Request,
    viewer: TheViewer,
    container: TheContainer,
    show_only: Annotated[str, Query(alias="show", pattern="^(all|open|paid|held)$")] = "all",
) -> HTMLResponse:
    """Trips with stage and money."""
    pages = TripPages(viewer.lang, demo=container.settings.demo)
    with container.read() as services:
        visible = list_visible(services, viewer.caller, limit=MOST_TRIPS)
        stories = tell_briefly(services, visible)
    cards = sorted(
        (pages.card(story, advance) for story, advance in stories), key=lambda card: card.note
    )

    def count(name: str) -> int:
        return sum(card.stage in _SHOWN[name] for card in cards)

    shown: list[TripCard] = [card for card in cards if card.stage in _SHOWN[show_only]]
    return show(
        request,
        viewer.lang,
        "home.html",
        viewer=viewer,
        cards=shown,
        totals=Totals(
            released_fen=sum(card.released_fen for card in cards),
            outstanding_fen=sum(advance.outstanding_fen for _, advance in stories if advance),
            trips=len(cards),
            paid=count("paid"),
            held=count("held"),
        ),
        filters=[(name, count(name)) for name in _SHOWN],
        show=show_only,
        base_url=str(request.base_url).rstrip("/"),
    )


@router.get("/ledger")
def ledger(request: Request, viewer: TheViewer, container: TheContainer) -> HTMLResponse:
    """The trial balance of the viewer's book; an observer sees every book."""
    own = viewer.caller.party_id
    shown = None if viewer.caller.sees_all else {book_of(own) if own is not None else ""}
    with container.read() as services:
        rows = trial_balance(services.books.balances(), shown).data
        owners = {row.book: row.book.removeprefix("lender:") for row in rows}
        waybills = services.records.list_waybills(
            party=None, stage=None, before=None, limit=MOST_TRIPS
        )
        ids = {PartyId(int(owner)) for owner in owners.values() if owner.isdecimal()}
        ids |= {party for _, waybill in waybills for party in parties_of(waybill)}
        parties = services.records.list_parties(sorted(ids))
    names = {party.id: party_name(party, viewer.lang) for party in parties.values()}
    accounts = {account_of_party(party).lower(): name for party, name in names.items()} | {
        collection_account(waybill.id).lower(): (
            f"{word('collection_of', viewer.lang)} {waybill.papers.get('shipping_note', '')} · "
            f"{names.get(waybill.form.performer, '')}"
        )
        for _, waybill in waybills
    }
    books = [
        Book(
            owner=word("book_custodian", viewer.lang)
            if book == CUSTODIAN
            else names.get(PartyId(int(owner)), owner),
            lines=[_account(row, accounts, viewer.lang) for row in rows if row.book == book],
        )
        for book, owner in owners.items()
    ]
    return show(request, viewer.lang, "ledger.html", viewer=viewer, books=books)


def _account(row: BalanceShown, names: Mapping[str, str], lang: str) -> AccountLine:
    kind, _, address = row.account.partition(":")
    known = names.get(address, "")
    name = word(f"account_{kind}", lang)
    return AccountLine(
        name=f"{name} · {known}" if known else name,
        code=f"{address[:8]}…{address[-4:]}" if address and not known else "",
        debit_fen=row.debit_fen,
        credit_fen=row.credit_fen,
    )
