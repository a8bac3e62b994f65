"""The first page: a person's own, or the four faces with a guided tour; and the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.dependencies import TheContainer
from api.loan_list import LoanFilter
from api.portals.shell import Face, TheViewer, show
from api.portals.tour import steps_of
from api.portals.views import AccountLine, Book
from api.portals.words import word
from api.routes.audit import trial_balance
from api.schemas.money import BalanceShown
from api.settings import LOCAL_HOSTS, Settings
from api.stages import Stage
from api.trip_stories import party_name
from api.waybill_forms import parties_of
from chain.ids import PartyId
from finance.audit import CUSTODIAN, book_of
from finance.payouts import account_of_party, collection_account

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


HOME_OF = {Face.FIRM: "/firm", Face.LENDER: "/lender", Face.DRIVER: "/driver"}


@router.get("/")
def home(request: Request, viewer: TheViewer, container: TheContainer) -> Response:
    """A person's own first page; an observer's four faces and guided tour."""
    if viewer.face in HOME_OF:
        return RedirectResponse(HOME_OF[viewer.face], status_code=303)
    with container.read() as services:
        counts = services.board.count(None)
        steps = steps_of(services)
        lines = services.books.list_lines()
        released = services.loans.total(None, LoanFilter(), 0).released_fen
    done = sum(counts[stage].trips for stage in (Stage.PAID, Stage.REPAID))
    return show(
        request,
        viewer.lang,
        "home.html",
        viewer=viewer,
        totals=Totals(
            released_fen=released,
            outstanding_fen=sum(line.drawn_fen for line in lines),
            trips=sum(count.trips for count in counts.values()),
            paid=done,
            held=counts[Stage.HELD].trips,
        ),
        logins=demo_logins(container.settings),
        consignee_url=next(one.address for one in steps if one.name == "evidence"),
        tour=[(one.name, one.href) for one in steps],
    )


def demo_logins(settings: Settings) -> dict[str, tuple[str, str]]:
    """Login and password of each face, in a demo alone: they were made for this run and open nothing else."""
    path = settings.var / "accounts.json"
    if not settings.demo or settings.host not in LOCAL_HOSTS or not path.is_file():
        return {}
    kept = {one["login"]: one["password"] for one in json.loads(path.read_text("utf-8"))}
    return {name: (name, kept[name]) for name in ("firm", "driver", "lender") if name in kept}


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
