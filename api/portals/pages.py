"""The pages: trips with stage and money, one trip with everything, the ledger."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from api.dependencies import TheContainer
from api.portals.rendering import by_day
from api.portals.shell import TheViewer, show
from api.portals.trip_page import TripPages
from api.portals.views import AccountLine, Book, Stage, TripCard
from api.portals.words import word
from api.ports import Container, Services
from api.routes.audit import trial_balance
from api.schemas.money import BalanceShown
from api.schemas.values import HashText
from api.trip_stories import get_trip, list_visible, party_name, tell, tell_briefly
from api.waybill_forms import parties_of
from chain.errors import NotFoundError
from chain.ids import PartyId, TripId
from finance.audit import CUSTODIAN, book_of
from finance.payouts import account_of_party, collection_account
from finance.service import AdvancePosition
from tracking.errors import EvidenceEmptyError
from tracking.evidence import examine_evidence, from_json
from tracking.plot import WORDS as PLOT_WORDS
from tracking.plot import trip_svg
from tracking.policy import default_policy

router = APIRouter(include_in_schema=False)

MOST_TRIPS = 500
"""Trips on the home page; the API pages through more."""

PLOT_WORDS_ZH = {
    "corridor": "走廊",
    "road": "计划线路",
    "track": "轨迹",
    "off": "走廊之外",
    "silent": "失联",
    "refused": "剔除",
    "loading": "装货地",
    "unloading": "卸货地",
    "speed": "速度, km/h",
    "derived": "速度 (由位置推算), km/h",
    "pass": "通过",
    "review": "复核",
    "fail": "不通过",
    "none": "只有提示, 无异常",
    "covered": "线路已行驶",
    "fixes": "个定位点",
}


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


@router.get("/trips/{trip}")
def trip_page(
    trip: HashText, request: Request, viewer: TheViewer, container: TheContainer
) -> HTMLResponse:
    """Everything known of a trip."""
    with container.read() as services:
        held, leaf = get_trip(services, trip, viewer.caller)
        story = tell(services, held, leaf)
        position = _position(services, held.id)
    page = TripPages(viewer.lang, demo=container.settings.demo).page(
        story, position, has_map=story.verdict is not None
    )
    return show(
        request, viewer.lang, "trip.html", viewer=viewer, page=page, days=by_day(page.moments)
    )


@router.get("/trips/{trip}/map.svg")
def trip_map(trip: HashText, viewer: TheViewer, container: TheContainer) -> Response:
    """The track against the corridor, drawn from the evidence that was judged."""
    with container.read() as services:
        held, _ = get_trip(services, trip, viewer.caller)
        verdict = services.tracks.find_verdict(held.id)
        if verdict is None:
            raise NotFoundError("this trip was not judged yet")
    drawn = _draw(container, held.id, verdict.findings, viewer.lang)
    # The picture styles itself; nothing else may run in it, and it loads nothing.
    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return Response(drawn, media_type="image/svg+xml", headers={"Content-Security-Policy": policy})


def _draw(container: Container, trip: TripId, findings: str, lang: str) -> str:
    """Drawing takes a second: the same evidence is drawn once in each language."""
    return _draw_once(_Evidence(container, trip, findings), lang)


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """Where evidence is found; equal when the trip and what was found on it are."""

    container: Container
    trip: TripId
    findings: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Evidence) and (self.trip, self.findings) == (
            other.trip,
            other.findings,
        )

    def __hash__(self) -> int:
        return hash((self.trip, self.findings))


@functools.lru_cache(maxsize=256)
def _draw_once(evidence: _Evidence, lang: str) -> str:
    with evidence.container.read() as services:
        document = services.tracking.get_evidence(evidence.trip)
    words = PLOT_WORDS | PLOT_WORDS_ZH if lang == "zh" else PLOT_WORDS  # type: ignore[operator]  # both are dicts
    try:
        examination = examine_evidence(from_json(document), default_policy())
    except EvidenceEmptyError as error:
        raise NotFoundError("there is nothing to draw") from error
    return trip_svg(examination, words=words)


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
