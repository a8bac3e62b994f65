"""The borrower's side of a loan: asking for an advance on a trip, what is owed on it, paying it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.auth import Scope
from api.board import Wanted
from api.dependencies import TheContainer
from api.portals.firm import FirmViewer
from api.portals.lender import PartyNames
from api.portals.loans import PAGE_ROWS, payouts_of, running_balance
from api.portals.shell import Viewer, show
from api.portals.trip_page import TripPages
from api.portals.views import TripCard
from api.ports import Services
from api.schemas.values import HashText
from api.stages import Stage
from api.trip_stories import tell_briefly
from chain.clock import beijing_day
from chain.errors import NotFoundError
from chain.ids import AdvanceId, Hash32, PartyId, TripId
from chain.waybill import HeldWaybill
from finance.accrual import date_of
from finance.advance import AdvanceState
from finance.records import LineState

router = APIRouter(prefix="/firm/advances", include_in_schema=False)

MOST_TRIPS = 100
"""Trips that are offered when an advance is asked for, the newest."""

OWED = frozenset({AdvanceState.RELEASED, AdvanceState.DEFAULTED})
"""States of an advance on which something can be paid back."""


# -- asking -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Askable:
    """A trip on which the firm can ask for an advance.

    Attributes:
        waybill: the firm's own, on which the debtor owes it the freight.
        owed_fen: that freight.
        leaf: the driver's waybill, who is paid first.
        driver: his party. driver_name: what people call him.
        freight_fen: what he is owed.
        account: salted hash of the account he has agreed to, "" where he has named none.
    """

    card: TripCard
    waybill: str
    owed_fen: int
    leaf: str
    driver: str
    driver_name: str
    freight_fen: int
    account: str


def _own_waybill(path: Sequence[HeldWaybill], own: PartyId) -> HeldWaybill | None:
    """The waybill under which the firm is owed freight and lets another drive; None if it has none here."""
    return next((one for one in path[1:] if one.form.performer == own), None)


def askable_trips(services: Services, viewer: Viewer, own: PartyId, *, demo: bool) -> list[Askable]:
    """Signed trips of a firm that nobody has asked an advance for, the newest first."""
    noted = services.board.page(own, Wanted(stages=(Stage.SIGNED,)), limit=MOST_TRIPS)
    paths = services.records.list_trips_by_id([one.trip for one in noted])
    found = [
        (paths[one.trip], waybill)
        for one in noted
        if one.trip in paths and (waybill := _own_waybill(paths[one.trip][1], own)) is not None
    ]
    stories = tell_briefly(services, [path for path, _ in found])
    pages = TripPages(viewer.lang, demo=demo)
    made = []
    for (story, advance), ((_, path), waybill) in zip(stories, found, strict=True):
        if advance is not None and advance.state not in {
            AdvanceState.DECLINED,
            AdvanceState.VOIDED,
        }:
            continue
        leaf = path[0]
        driver = leaf.form.performer
        accounts = [one for one, _ in services.accounts.list_of(driver) if one.is_usable]
        made.append(
            Askable(
                card=pages.card(story, advance),
                waybill=waybill.id,
                owed_fen=waybill.freight,
                leaf=leaf.id,
                driver=str(driver),
                driver_name=story.name(driver, viewer.lang),
                freight_fen=leaf.freight,
                account=accounts[-1].account if accounts else "",
            )
        )
    return made


@router.get("/new")
def ask_page(
    request: Request,
    viewer: FirmViewer,
    container: TheContainer,
    trip: Annotated[str, Query(max_length=66)] = "",
) -> HTMLResponse:
    """Asking for an advance: a trip, a line, how much; the rules answer with every reason before one signs."""
    own = viewer.caller.party_id
    with container.read() as services:
        trips = (
            []
            if own is None
            else askable_trips(services, viewer, own, demo=container.settings.demo)
        )
        lines = [
            one
            for one in services.books.list_lines(borrower=own)
            if own is not None and one.state is LineState.OPEN
        ]
        names = PartyNames(services, [str(one.lender) for one in lines], viewer.lang)
    return show(
        request, viewer.lang, "firm/ask.html", viewer=viewer, trips=trips, chosen=trip,
        lines=[(one, names(one.lender)) for one in lines],
        may_ask=Scope.ADVANCES in viewer.caller.scopes and own is not None,
    )  # fmt: skip


# -- one advance --------------------------------------------------------------------------------------


@router.get("/{advance}")
def advance_page(
    advance: HashText, request: Request, viewer: FirmViewer, container: TheContainer
) -> HTMLResponse:
    """An advance as its borrower sees it: what is owed and until when, who was paid, paying it back."""
    day = beijing_day(container.clock.now())
    with container.read() as services:
        record = services.books.find_advance(AdvanceId(advance))
        if record is None:
            raise NotFoundError("there is no such advance")
        viewer.caller.require_sight((record.borrower,), "advance")
        position = services.finance.show_advance(record.advance)
        events = services.books.list_events([record.advance])[record.advance]
        line = services.books.find_line(record.line)
        decision = services.books.find_decision(Hash32(record.decision))
        people = [str(record.lender), record.debtor, *(str(one.party) for one in position.payees)]
        names = PartyNames(services, people, viewer.lang)
        days = sorted({day, record.due_day, record.due_day + 30} if record.due_day else {day})
        schedule = [
            (date_of(on), services.finance.show_advance(record.advance, day=on))
            for on in days
            if on >= day
        ]
        payouts = payouts_of(services, position.payees)
        settlements = services.books.list_settlements(record.waybill)
        paths = services.records.list_trips_by_id([TripId(record.trip)])
        stories = tell_briefly(services, list(paths.values()))
        pages = TripPages(viewer.lang, demo=container.settings.demo)
        card = next((pages.card(story, found) for story, found in stories), None)
    return show(
        request, viewer.lang, "firm/advance.html", viewer=viewer, position=position, record=record,
        line=line, decision=decision, names=names, schedule=schedule, payouts=payouts, card=card,
        settlements=settlements,
        transactions=running_balance(record, line, events), day=date_of(day),
        due=date_of(record.due_day) if record.due_day else None,
        may_repay=record.state in OWED
        and Scope.ADVANCES in viewer.caller.scopes
        and viewer.caller.party_id is not None,
    )  # fmt: skip


# -- the list -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenAdvance:
    """An advance that is not over, as the credit page lists it. Amounts in fen."""

    advance: str
    note: str
    trip: str
    lender: str
    state: str
    principal_fen: int
    outstanding_fen: int
    due: str
    late_days: int


def open_advances(
    services: Services, viewer: Viewer, own: PartyId | None, *, day: int, demo: bool
) -> list[OpenAdvance]:
    """A borrower's advances that are not over, the first due first, those not released yet at the end."""
    states = {
        AdvanceState.NONE, AdvanceState.REQUESTED, AdvanceState.APPROVED, AdvanceState.RELEASABLE, *OWED,
    }  # fmt: skip
    rows = services.books.list_advances(borrower=own, states=states, limit=500)
    rows.sort(key=lambda one: (one.due_day or 10**9, one.submitted_at))
    rows = rows[:PAGE_ROWS]
    names = PartyNames(services, [str(one.lender) for one in rows], viewer.lang)
    paths = services.records.list_trips_by_id([one.trip for one in rows])
    stories = tell_briefly(services, list(paths.values()))
    pages = TripPages(viewer.lang, demo=demo)
    notes = {story.trip.id: pages.card(story, found).note for story, found in stories}
    return [
        OpenAdvance(
            advance=one.advance,
            note=notes.get(one.trip, ""),
            trip=one.trip,
            lender=names(one.lender),
            state=one.state.value,
            principal_fen=one.principal_fen,
            outstanding_fen=one.outstanding_fen,
            due=date_of(one.due_day).isoformat() if one.due_day else "",
            late_days=max(0, day - one.due_day) if one.due_day and one.state in OWED else 0,
        )
        for one in rows
    ]
