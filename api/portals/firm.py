"""The firm's day: what stands where, what money waits, its waybills with filters, what needs a person."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated
from urllib.parse import unquote_plus, urlencode

import xlsxwriter
from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from api.auth import Scope
from api.board import Count, Noted, Wanted
from api.dependencies import TheContainer
from api.naming import Names
from api.portals.rendering import when_text
from api.portals.shell import Face, TheViewer, Viewer, require_face, show
from api.portals.to_sign import wanted_signatures
from api.portals.trip_page import TripPages
from api.portals.views import BEIJING, TripCard
from api.portals.words import word
from api.ports import Container, Services
from api.schemas.values import HashText
from api.stages import OPEN, Hold, Stage
from api.trip_stories import tell_briefly
from chain.clock import beijing_day
from chain.ids import TripId
from chain.money import yuan_text
from finance.accrual import date_of
from finance.advance import AdvanceState
from finance.records import LineRecord

router = APIRouter(prefix="/firm", include_in_schema=False)

PAGE_ROWS = 50
MOST_EXPORTED = 20_000
MOST_HELD = 200
PAGE_NAME = "waybills"


def _firm(viewer: TheViewer) -> Viewer:
    require_face(viewer, Face.FIRM)
    return viewer


FirmViewer = Annotated[Viewer, Depends(_firm)]


# -- today --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Purse:
    """A borrower's lines in sum. Amounts in fen."""

    limit_fen: int = 0
    reserved_fen: int = 0
    drawn_fen: int = 0
    headroom_fen: int = 0

    @classmethod
    def of(cls, lines: Sequence[LineRecord]) -> Purse:
        """The sum of lines."""
        return cls(
            limit_fen=sum(line.limit_fen for line in lines),
            reserved_fen=sum(line.reserved_fen + line.held_fen for line in lines),
            drawn_fen=sum(line.drawn_fen for line in lines),
            headroom_fen=sum(line.as_line.headroom for line in lines),
        )


def _day_asked(asked: str, now: dt.datetime) -> dt.date:
    try:
        return dt.date.fromisoformat(asked)
    except ValueError:
        return now.astimezone(BEIJING).date()


def _day_number(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days


@router.get("")
def today(
    request: Request,
    viewer: FirmViewer,
    container: TheContainer,
    day: Annotated[str, Query(max_length=10)] = "",
) -> HTMLResponse:
    """The trips of a day by stage, everything open, money waiting, signatures asked for."""
    own, now = viewer.caller.party_id, container.clock.now()
    chosen = _day_asked(day, now)
    number = _day_number(chosen)
    with container.read() as services:
        of_day = services.board.count(own, Wanted(first_day=number, last_day=number))
        every = services.board.count(own)
        last_day = services.board.find_last_day(own, number - 1)
        quiet = not day and last_day is not None and not any(one.trips for one in of_day.values())
        if (
            quiet and last_day is not None
        ):  # nothing loads today: the last day that had trips is shown
            number, chosen = last_day, date_of(last_day)
            of_day = services.board.count(own, Wanted(first_day=number, last_day=number))
            last_day = services.board.find_last_day(own, number - 1)
        late = services.board.page(own, Wanted(late=now), limit=MOST_HELD)
        held = services.board.page(own, Wanted(stages=(Stage.HELD,)), limit=6)
        held_cards = cards_of(services, held, viewer, demo=container.settings.demo)
        lines = services.books.list_lines(borrower=own) if own or viewer.caller.sees_all else []
        live = services.books.list_advances(
            borrower=own, states={AdvanceState.RELEASED, AdvanceState.DEFAULTED}, limit=500
        )
        to_sign = wanted_signatures(services, viewer)
    soon = beijing_day(now) + 7
    return show(
        request,
        viewer.lang,
        "firm/today.html",
        viewer=viewer,
        day=chosen,
        quiet=quiet,
        is_today=number == beijing_day(now),
        last_day=None if last_day is None else date_of(last_day),
        pipe=[(stage, of_day[stage]) for stage in (*OPEN, Stage.PAID, Stage.REPAID, Stage.HELD)],
        total=sum(count.trips for count in of_day.values()),
        waits_fen=sum(every[stage].waits_fen for stage in (*OPEN, Stage.HELD)),
        open_trips=sum(every[stage].trips for stage in (*OPEN, Stage.HELD)),
        held_trips=every[Stage.HELD].trips,
        held_cards=held_cards,
        late=len(late),
        purse=Purse.of(lines),
        due_fen=sum(one.outstanding_fen for one in live if one.due_day and one.due_day <= soon),
        to_sign=to_sign,
    )


# -- the list -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of the list, as they stand in its address."""

    stage: str = ""
    q: str = ""
    since: str = ""
    until: str = ""
    late: str = ""

    def wanted(self, names: Names, now: dt.datetime) -> Wanted:
        """What the board is asked for."""
        return Wanted(
            stages=(Stage(self.stage),) if self.stage in set(Stage) else (),
            first_day=_number_of(self.since),
            last_day=_number_of(self.until),
            named=_named(names, self.q),
            late=now if self.late else None,
        )

    def query(self, **changes: str) -> str:
        """This list's address with some filters changed; empty ones are left out."""
        given = {
            "stage": self.stage, "q": self.q, "since": self.since, "until": self.until,
            "late": self.late, **changes,
        }  # fmt: skip
        text = urlencode({name: value for name, value in given.items() if value})
        return f"/firm/waybills?{text}" if text else "/firm/waybills"


def _number_of(day: str) -> int | None:
    try:
        return _day_number(dt.date.fromisoformat(day)) if day else None
    except ValueError:
        return None


def _named(names: Names, text: str) -> tuple[str, ...]:
    """Keyed hashes of what a search may mean: a shipping note, one with its serial, a plate."""
    text = text.strip()
    if not text:
        return ()
    note = text.rsplit("·", 1)[0] if text.rsplit("·", 1)[-1].isdigit() else text
    return tuple(
        {str(names.shipping_note(note)), str(names.shipping_note(text)), str(names.vehicle(text))}
    )


def _filters(
    stage: Annotated[str, Query(max_length=12)] = "",
    q: Annotated[str, Query(max_length=80)] = "",
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    late: Annotated[str, Query(max_length=1)] = "",
) -> Filters:
    return Filters(stage, q, since, until, late)


TheFilters = Annotated[Filters, Depends(_filters)]


def cards_of(
    services: Services, noted: Sequence[Noted], viewer: Viewer, *, demo: bool
) -> list[TripCard]:
    """What is shown of trips on a board, in its order."""
    paths = services.records.list_trips_by_id([one.trip for one in noted])
    stories = tell_briefly(services, [paths[one.trip] for one in noted if one.trip in paths])
    pages = TripPages(viewer.lang, demo=demo)
    return [pages.card(story, advance) for story, advance in stories]


def _cursor(text: str) -> tuple[dt.datetime, str] | None:
    seconds, _, trip = text.partition("_")
    if not seconds.isdigit() or len(seconds) > 12:
        return None
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC), trip


@router.get("/waybills")
def waybills(
    request: Request,
    viewer: FirmViewer,
    container: TheContainer,
    filters: TheFilters,
    before: Annotated[str, Query(max_length=90)] = "",
) -> HTMLResponse:
    """A firm's trips, the newest first; the address is the filter."""
    own, names = viewer.caller.party_id, Names(container.hash_key)
    wanted = filters.wanted(names, container.clock.now())
    with container.read() as services:
        noted = services.board.page(own, wanted, before=_cursor(before), limit=PAGE_ROWS + 1)
        shown = noted[:PAGE_ROWS]
        cards = cards_of(services, shown, viewer, demo=container.settings.demo)
        counts = services.board.count(
            own, Wanted(first_day=wanted.first_day, last_day=wanted.last_day)
        )
        views = services.views.list_of(own, PAGE_NAME) if own is not None else []
    last = shown[-1] if len(noted) > PAGE_ROWS else None
    return show(
        request,
        viewer.lang,
        "firm/waybills.html",
        viewer=viewer,
        cards=list(zip(shown, cards, strict=True)),
        filters=filters,
        counts=_ordered(counts),
        total=sum(count.trips for count in counts.values()),
        views=views,
        may_act=own is not None and Scope.ADVANCES in viewer.caller.scopes,
        more="" if last is None else f"{int(last.loads_at.timestamp())}_{last.trip}",
        before=before,
        base_url=str(request.base_url).rstrip("/"),
    )


def _ordered(counts: dict[Stage, Count]) -> list[tuple[Stage, Count]]:
    return [(stage, count) for stage, count in counts.items() if count.trips or stage in OPEN]


@router.post("/views")
def keep_view(
    viewer: FirmViewer,
    container: TheContainer,
    filters: Annotated[str, Form(max_length=500)],
    name: Annotated[str, Form(max_length=60)] = "",
    forget: Annotated[str, Form(max_length=60)] = "",
) -> Response:
    """Keeps this filter under a name, or forgets one."""
    own = viewer.caller.require_self()
    with container.write() as services:
        if forget:
            services.views.forget(own, PAGE_NAME, forget)
        else:
            services.views.keep(own, PAGE_NAME, name, _pairs(filters))
    return RedirectResponse(f"/firm/waybills?{urlencode(_pairs(filters))}", status_code=303)


def _pairs(query: str) -> dict[str, str]:
    allowed = {"stage", "q", "since", "until", "late"}
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {name: unquote_plus(value) for name, _, value in pairs if name in allowed}


# -- leaving with it ----------------------------------------------------------------------------------

COLUMNS = (
    "col_trip", "col_loads_at", "col_driver_name", "col_plate", "col_from", "col_to", "col_stage",
    "col_freight", "col_released", "col_why",
)  # fmt: skip


def _exported(
    container: Container, viewer: Viewer, wanted: Wanted, trips: Sequence[str]
) -> Iterator[list[str | int]]:
    """The rows of an export, page by page; amounts in fen."""
    own, before, left = viewer.caller.party_id, None, MOST_EXPORTED
    chosen = set(trips)
    while left > 0:
        with container.read() as services:
            noted = services.board.page(own, wanted, before=before, limit=500)
            cards = cards_of(services, noted, viewer, demo=container.settings.demo)
        for one, card in zip(noted, cards, strict=True):
            if chosen and one.trip not in chosen:
                continue
            yield [
                card.note, when_text(one.loads_at), card.driver, card.vehicle, card.origin,
                card.destination, word(f"stage_{card.stage}", viewer.lang), card.freight_fen, card.released_fen,
                "; ".join(card.reasons),
            ]  # fmt: skip
        if len(noted) < 500:
            return
        left -= len(noted)
        before = (noted[-1].loads_at, noted[-1].trip)


def csv_cell(value: str | int) -> str:
    """A cell of a CSV: an amount in yuan, or a text that no spreadsheet takes for a formula."""
    if isinstance(value, int):
        return yuan_text(value)
    return f"'{value}" if value[:1] in tuple("=+-@\t\r") else value


@router.get("/waybills.csv")
def export_csv(
    viewer: FirmViewer,
    container: TheContainer,
    filters: TheFilters,
    trip: Annotated[list[HashText] | None, Query(max_length=500)] = None,
) -> StreamingResponse:
    """The filtered list (or the chosen rows of it) as CSV with a byte order mark, as Excel likes it."""
    wanted = filters.wanted(Names(container.hash_key), container.clock.now())

    def lines() -> Iterator[str]:
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow([word(name, viewer.lang) for name in COLUMNS])
        yield "\ufeff" + out.getvalue()
        for row in _exported(container, viewer, wanted, trip or ()):
            out.seek(0)
            out.truncate()
            writer.writerow([csv_cell(cell) for cell in row])
            yield out.getvalue()

    return StreamingResponse(
        lines(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="yundan-waybills.csv"'},
    )


@router.get("/waybills.xlsx")
def export_xlsx(
    viewer: FirmViewer,
    container: TheContainer,
    filters: TheFilters,
    trip: Annotated[list[HashText] | None, Query(max_length=500)] = None,
) -> Response:
    """The same as a workbook; amounts are numbers."""
    wanted = filters.wanted(Names(container.hash_key), container.clock.now())
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        bold, money = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.00"})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(COLUMNS) - 1, 18)
        sheet.write_row(0, 0, [word(name, viewer.lang) for name in COLUMNS], bold)
        for number, row in enumerate(_exported(container, viewer, wanted, trip or ()), 1):
            for place, cell in enumerate(row):
                if isinstance(cell, int):
                    sheet.write_number(number, place, Decimal(cell) / 100, money)
                else:
                    sheet.write_string(number, place, cell)
    return Response(
        out.getvalue(),
        media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        headers={"Content-Disposition": 'attachment; filename="yundan-waybills.xlsx"'},
    )


@router.post("/waybills/retry")
def retry_releases(
    viewer: FirmViewer,
    container: TheContainer,
    trip: Annotated[list[HashText] | None, Form(max_length=500)] = None,
    back: Annotated[str, Form(max_length=700)] = "/firm/waybills",
) -> Response:
    """Tries the waiting releases of the chosen trips again; the contracts check everything anew."""
    viewer.caller.require(Scope.ADVANCES)
    own = viewer.caller.require_self()
    with container.write() as services:
        for one in trip or ():
            advance = services.books.find_advance_of_trip(TripId(one))
            if (
                advance is not None
                and advance.borrower == own
                and advance.state is AdvanceState.RELEASABLE
            ):
                services.finance.retry_advance(advance.advance)
    target = back if back.startswith("/firm/waybills") else "/firm/waybills"
    return RedirectResponse(target, status_code=303)


# -- exceptions ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Concern:
    """A trip that needs a person: why, and what to do."""

    code: str
    card: TripCard
    since: dt.datetime | None


@router.get("/exceptions")
def exceptions(
    request: Request,
    viewer: FirmViewer,
    container: TheContainer,
    code: Annotated[str, Query(max_length=20)] = "",
) -> HTMLResponse:
    """What needs a person, by reason: late trucks first, then what is held."""
    own, now = viewer.caller.party_id, container.clock.now()
    with container.read() as services:
        late = services.board.page(own, Wanted(late=now), limit=MOST_HELD)
        held = services.board.page(own, Wanted(stages=(Stage.HELD, Stage.VOID)), limit=MOST_HELD)
        holds = services.board.list_holds(own)
        found = [
            *((_late_code(one, now), one) for one in late),
            *((one.hold, one) for one in held),
        ]
        cards = cards_of(services, [one for _, one in found], viewer, demo=container.settings.demo)
    rows = [
        Concern(name, card, one.deliver_by if name.startswith("late") else card.at)
        for (name, one), card in zip(found, cards, strict=True)
        if not code or name == code
    ]
    counts = dict.fromkeys(("late_pickup", "late_delivery"), 0)
    for name, _ in found[: len(late)]:
        counts[name] += 1
    counts |= {hold.value: holds.get(hold, 0) for hold in Hold}
    return show(
        request,
        viewer.lang,
        "firm/exceptions.html",
        viewer=viewer,
        rows=rows,
        code=code,
        counts=[(name, count) for name, count in counts.items() if count],
        total=sum(counts.values()),
        base_url=str(request.base_url).rstrip("/"),
    )


def _late_code(one: Noted, now: dt.datetime) -> str:
    return "late_delivery" if one.deliver_by < now else "late_pickup"
