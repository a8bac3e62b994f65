"""The lender's portfolio: outstanding, where, at risk, each number opening its loans; loans; lines; warnings."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from api.auth import Scope
from api.dependencies import TheContainer
from api.fund_flow_files import lanes_of
from api.line_offers import LineOffer, OfferKind
from api.loan_list import LoanFilter, LoanLine, LoanSum
from api.portals.firm import csv_cell
from api.portals.paper import Sheet, tables_pdf
from api.portals.shell import Face, TheViewer, Viewer, require_face, show
from api.portals.trip_page import TripPages
from api.portals.views import money_text, share_text
from api.portals.words import word
from api.ports import Services
from api.trip_stories import party_name, tell_briefly
from chain.clock import beijing_day
from chain.errors import NotFoundError
from chain.ids import Hash32, PartyId
from finance.accrual import BPS, date_of
from finance.advance import AdvanceState
from finance.records import DecisionRecord, LineApplication, LineRecord
from finance.watch import SIGNALS, used_bps

router = APIRouter(prefix="/lender", include_in_schema=False)

PAGE_ROWS = 50
MOST_EXPORTED = 100_000
CALENDAR_DAYS = 60
SIGNAL_OF = {one.code: one for one in SIGNALS}
MOST_LANED, LANE_LOANS = 2_000, 10


def _lender(viewer: TheViewer) -> Viewer:
    require_face(viewer, Face.LENDER)
    return viewer


LenderViewer = Annotated[Viewer, Depends(_lender)]


class PartyNames:
    """Names of parties, in one question for all that a page shows."""

    def __init__(self, services: Services, ids: Sequence[str], lang: str) -> None:
        wanted = sorted({PartyId(int(one)) for one in ids if str(one).isdecimal()})
        self._parties = services.records.list_parties(wanted)
        self._lang = lang

    def __call__(self, party: int | str) -> str:
        """What people call a party."""
        found = self._parties.get(PartyId(int(party))) if str(party).isdecimal() else None
        return str(party) if found is None else party_name(found, self._lang)


# -- the first screen ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the outstanding principal: what it is called, and the loans behind it."""

    name: str
    loans: int
    fen: int
    bps: int
    href: str


@dataclass(frozen=True, slots=True)
class Lane:
    """Where the outstanding principal drives: from one place to another, with the loans behind it.

    Attributes:
        name: "" for loans whose papers name no places.
        first: some of its loans, each with its shipping note.
    """

    name: str
    loans: int
    fen: int
    bps: int
    first: Sequence[tuple[LoanLine, str]]


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything on the first screen."""

    owing: LoanSum
    overdue: LoanSum
    risk: LoanSum
    ageing: Sequence[Slice]
    debtors: Sequence[Slice]
    borrowers: Sequence[Slice]
    vintages: Sequence[tuple[LoanSum, int]]
    calendar: Sequence[tuple[str, int]]
    lines: Sequence[tuple[LineRecord, str, int]]

    @property
    def limit_fen(self) -> int:
        """All limits."""
        return sum(line.limit_fen for line, _, _ in self.lines)

    @property
    def used_fen(self) -> int:
        """Reserved and drawn of them."""
        return sum(line.reserved_fen + line.drawn_fen for line, _, _ in self.lines)


def _share(part: int, whole: int) -> int:
    return part * BPS // whole if whole else 0


def _lanes(
    services: Services, own: PartyId | None, day: int, lang: str, *, demo: bool
) -> list[Lane]:
    """The outstanding principal by lane, the heaviest first; over the first ``MOST_LANED`` loans that fall due."""
    whole = services.loans.total(own, LoanFilter(only="owing"), day).outstanding_fen
    rows = services.loans.page(own, LoanFilter(only="owing"), day, limit=MOST_LANED)
    lanes = lanes_of(services, {one.trip for one in rows})
    grouped: dict[str, list[LoanLine]] = {}
    for one in rows:
        grouped.setdefault(lanes.get(one.trip, ""), []).append(one)
    shown = {name: some[:LANE_LOANS] for name, some in grouped.items()}
    notes = shipping_notes(
        services, [one for some in shown.values() for one in some], lang, demo=demo
    )
    made = [
        Lane(
            name, len(some), fen := sum(one.outstanding_fen for one in some), _share(fen, whole),
            [(one, notes.get(one.trip, "")) for one in shown[name]],
        )
        for name, some in grouped.items()
    ]  # fmt: skip
    return sorted(made, key=lambda lane: (-lane.fen, lane.name))


def _screen(services: Services, own: PartyId | None, day: int, lang: str) -> Screen:
    loans = services.loans
    owing = loans.total(own, LoanFilter(only="owing"), day)
    whole = owing.outstanding_fen
    debtors, borrowers = loans.by_debtor(own, day), loans.by_borrower(own, day)
    lines = services.books.list_lines(lender=own)
    ids = [*(one.key for one in debtors), *(one.key for one in borrowers)]
    names = PartyNames(services, [*ids, *(str(line.borrower) for line in lines)], lang)

    def slices(kind: str, sums: Sequence[LoanSum]) -> list[Slice]:
        return [
            Slice(
                names(one.key), one.loans, one.outstanding_fen,
                _share(one.outstanding_fen, whole), f"/lender/loans?only=owing&{kind}={one.key}",
            )
            for one in sums
        ]  # fmt: skip

    return Screen(
        owing=owing,
        overdue=loans.total(own, LoanFilter(only="overdue"), day),
        risk=loans.total(own, LoanFilter(only="risk"), day),
        ageing=[
            Slice(
                word(f"band_{place}", lang), one.loans, one.outstanding_fen,
                _share(one.outstanding_fen, whole), f"/lender/loans?{urlencode({'band': one.key})}",
            )
            for place, one in enumerate(loans.by_band(own, day))
        ],
        debtors=slices("debtor", debtors),
        borrowers=slices("borrower", borrowers),
        vintages=loans.by_month(own, day),
        calendar=[
            (date_of(due).isoformat(), fen)
            for due, fen in loans.by_due_day(own, day, day + CALENDAR_DAYS)
        ],
        lines=[
            (line, names(str(line.borrower)), used_bps(line.limit_fen, line.reserved_fen + line.drawn_fen))
            for line in lines
        ],
    )  # fmt: skip


@router.get("")
def portfolio(request: Request, viewer: LenderViewer, container: TheContainer) -> HTMLResponse:
    """Outstanding, where, at risk."""
    day = beijing_day(container.clock.now())
    own = viewer.caller.party_id
    with container.read() as services:
        screen = _screen(services, own, day, viewer.lang)
        asked = services.loans.total(own, LoanFilter(state=AdvanceState.REQUESTED.value), day)
        waiting = services.loans.total(own, LoanFilter(state=AdvanceState.RELEASABLE.value), day)
        free = _vault(services, own)
    charts = {
        "debtors": [
            {"name": one.name, "value": one.fen, "href": one.href} for one in screen.debtors
        ],
        "calendar": [[day, fen] for day, fen in screen.calendar],
        "vintages": [
            [one.key, _share(late, one.released_fen), one.released_fen]
            for one, late in screen.vintages
        ],
    }
    return show(
        request, viewer.lang, "lender/portfolio.html",
        viewer=viewer, screen=screen, asked=asked, waiting=waiting, free_fen=free, day=date_of(day),
        charts=json.dumps(charts, ensure_ascii=False),
    )  # fmt: skip


def _vault(services: Services, own: PartyId | None) -> int:
    """The lender's free cash, as the books have it."""
    balances = services.books.balances()
    return sum(
        abs(fen)
        for (book, account), fen in balances.items()
        if account == "vault_free" and (own is None or book == f"lender:{own}")
    )


@router.get("/lanes")
def lanes(request: Request, viewer: LenderViewer, container: TheContainer) -> HTMLResponse:
    """The outstanding principal by lane, for the first screen: it opens papers, and so comes behind the rest."""
    day = beijing_day(container.clock.now())
    with container.read() as services:
        found = _lanes(
            services, viewer.caller.party_id, day, viewer.lang, demo=container.settings.demo
        )
    return show(
        request, viewer.lang, "lender/lanes.html", viewer=viewer, lanes=found, most=MOST_LANED
    )


def _sheets(screen: Screen, lanes: Sequence[Lane], lang: str) -> list[Sheet]:
    """The first screen as tables, for a file."""

    def sheet(title: str, slices: Sequence[Slice]) -> Sheet:
        return Sheet(
            word(title, lang),
            [word(name, lang) for name in ("col_what", "col_loans", "outstanding", "col_share")],
            [
                [one.name, str(one.loans), money_text(one.fen, lang), share_text(one.bps)]
                for one in slices
            ],
        )

    return [
        Sheet(
            word("nav_portfolio", lang),
            [word("col_what", lang), word("outstanding", lang), word("col_loans", lang)],
            [
                [word(name, lang), money_text(one.outstanding_fen, lang), str(one.loans)]
                for name, one in (
                    ("outstanding", screen.owing), ("overdue", screen.overdue), ("at_risk", screen.risk),
                )
            ],
        ),
        sheet("chart_ageing", screen.ageing),
        sheet("chart_debtors", screen.debtors),
        sheet("chart_borrowers", screen.borrowers),
        Sheet(
            word("chart_lanes", lang),
            [word(name, lang) for name in ("col_route", "col_loans", "outstanding", "col_share")],
            [
                [lane.name or word("lane_unnamed", lang), str(lane.loans), money_text(lane.fen, lang), share_text(lane.bps)]
                for lane in lanes
            ],
        ),
        Sheet(
            word("chart_vintages", lang),
            [word(name, lang) for name in ("col_month", "col_loans", "released", "outstanding", "col_late")],
            [
                [one.key, str(one.loans), money_text(one.released_fen, lang),
                 money_text(one.outstanding_fen, lang), share_text(_share(late, one.released_fen))]
                for one, late in screen.vintages
            ],
        ),
        Sheet(
            word("chart_calendar", lang),
            [word("due_day", lang), word("col_falls_due", lang)],
            [[due, money_text(fen, lang)] for due, fen in screen.calendar],
        ),
        Sheet(
            word("chart_lines", lang),
            [word(name, lang) for name in ("col_borrower", "col_limit", "col_reserved", "kpi_drawn", "col_used")],
            [
                [name, money_text(line.limit_fen, lang), money_text(line.reserved_fen, lang),
                 money_text(line.drawn_fen, lang), share_text(used)]
                for line, name, used in screen.lines
            ],
        ),
    ]  # fmt: skip


@router.get("/portfolio.{form}")
def portfolio_file(form: str, viewer: LenderViewer, container: TheContainer) -> Response:
    """Every chart of the first screen as tables: CSV or PDF."""
    day = beijing_day(container.clock.now())
    with container.read() as services:
        own, lang = viewer.caller.party_id, viewer.lang
        found = _lanes(services, own, day, lang, demo=container.settings.demo)
        sheets = _sheets(_screen(services, own, day, lang), found, lang)
    title = f"{word('nav_portfolio', viewer.lang)} {date_of(day).isoformat()}"
    return file_of(form, title, sheets, viewer.lang, name=f"portfolio-{date_of(day).isoformat()}")


def file_of(form: str, title: str, sheets: Sequence[Sheet], lang: str, *, name: str) -> Response:
    """Tables as a file.

    Raises:
        NotFoundError: neither csv nor pdf.
    """
    if form == "pdf":
        body, media = tables_pdf(title, sheets, lang), "application/pdf"
    elif form == "csv":
        out = io.StringIO()
        writer = csv.writer(out)
        for sheet in sheets:
            writer.writerow([sheet.title])
            writer.writerow(sheet.head)
            writer.writerows([[csv_cell(cell) for cell in row] for row in sheet.rows])
            writer.writerow([])
        body, media = ("\ufeff" + out.getvalue()).encode(), "text/csv; charset=utf-8"
    else:
        raise NotFoundError("a file is csv or pdf")
    head = {"Content-Disposition": f'attachment; filename="yundan-{name}.{form}"'}
    return Response(body, media_type=media, headers=head)


def shipping_notes(
    services: Services, rows: Sequence[LoanLine], lang: str, *, demo: bool
) -> Mapping[Any, str]:
    """The shipping note of each loan's trip."""
    paths = services.records.list_trips_by_id([one.trip for one in rows])
    pages = TripPages(lang, demo=demo)
    stories = tell_briefly(services, list(paths.values()))
    return {story.trip.id: pages.card(story, advance).note for story, advance in stories}


# -- applications for a line --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wish:
    """An application for a line as a page shows it: with the decision, and who stands on the other side."""

    application: LineApplication
    decision: DecisionRecord | None
    other: str


def wishes_of(
    services: Services, applications: Sequence[LineApplication], lang: str, *, lends: bool
) -> list[Wish]:
    """Applications with their decisions, in their order."""
    others = [str(one.borrower if lends else one.lender) for one in applications]
    names = PartyNames(services, others, lang)
    return [
        Wish(one, services.books.find_decision(Hash32(one.decision)), names(other))
        for one, other in zip(applications, others, strict=True)
    ]


# -- terms between two signatures ---------------------------------------------------------------------

SHOWN_OFFERS = 20


@dataclass(frozen=True, slots=True)
class OfferLine:
    """Terms before their two sides, as a list shows them. Amounts in fen.

    Attributes:
        other: who stands on the other side.
        limit_fen: that the form names.
        before_fen: the line's limit now, None for a new line.
        mine: whether the viewer's signature is wanted.
    """

    offer: LineOffer
    other: str
    limit_fen: int
    before_fen: int | None
    mine: bool


def offer_lines(
    services: Services, offers: Sequence[LineOffer], own: PartyId | None, lang: str
) -> list[OfferLine]:
    """Offers with their other side's name, in their order."""
    others = [str(one.borrower if one.lender == own else one.lender) for one in offers]
    names = PartyNames(services, others, lang)
    made = []
    for one, other in zip(offers, others, strict=True):
        held = services.books.find_line(one.line) if one.kind is OfferKind.CHANGE else None
        made.append(
            OfferLine(
                offer=one,
                other=names(other),
                limit_fen=one.form.limit,
                before_fen=None if held is None else held.limit_fen,
                mine=own is not None and one.waits_for == own,
            )
        )
    return made


# -- lines, approvals, warnings -----------------------------------------------------------------------


@router.get("/lines")
def lines(request: Request, viewer: LenderViewer, container: TheContainer) -> HTMLResponse:
    """Lines with their use, and what waits for an approval."""
    own, day = viewer.caller.party_id, beijing_day(container.clock.now())
    with container.read() as services:
        held = services.books.list_lines(lender=own)
        asked = services.loans.page(
            own, LoanFilter(state=AdvanceState.REQUESTED.value), day, limit=PAGE_ROWS
        )
        names = PartyNames(
            services,
            [*(str(line.borrower) for line in held), *(str(one.borrower) for one in asked), *(one.debtor for one in asked)],
            viewer.lang,
        )  # fmt: skip
        decisions = []
        for one in asked:
            record = services.books.find_advance(one.advance)
            decisions.append(record and services.books.find_decision(record.decision))
        notes = shipping_notes(services, asked, viewer.lang, demo=container.settings.demo)
        applied = services.books.list_applications(lender=own)[:PAGE_ROWS]
        wishes = wishes_of(services, applied, viewer.lang, lends=True)
        laid = services.offers.list_of(lender=own)[:PAGE_ROWS] if own is not None else []
        offers = offer_lines(services, laid, own, viewer.lang)
    return show(
        request, viewer.lang, "lender/lines.html", wishes=wishes, offers=offers,
        viewer=viewer, names=names, day=day, notes=notes,
        lines=[
            (line, used_bps(line.limit_fen, line.reserved_fen + line.drawn_fen), date_of(beijing_day(line.valid_until)))
            for line in held
        ],
        asked=list(zip(asked, decisions, strict=True)),
        may_make=Scope.ADVANCES in viewer.caller.scopes and own is not None,
    )  # fmt: skip


def _figure(fact: str, value: int, lang: str) -> str:
    """The figure that fired a warning, in its unit: the last word of the fact's name says which."""
    if fact.endswith("_bps"):
        return share_text(value)
    if fact.endswith("_milli"):
        return f"{value / 1000:.2f}"
    for part, name in (
        ("days", "figure_days"),
        ("hours", "figure_hours"),
        ("payments", "figure_times"),
    ):
        if part in fact.split("_"):
            return word(name, lang).format(n=value)
    return str(value)


@router.get("/warnings")
def warnings(request: Request, viewer: LenderViewer, container: TheContainer) -> HTMLResponse:
    """Early warnings by borrower: what fired, how far, who does what by when."""
    own, day = viewer.caller.party_id, beijing_day(container.clock.now())
    with container.read() as services:
        held = services.books.list_lines(lender=own)
        found = services.books.list_warnings(lender=own)
        differences = services.books.list_differences()
        names = PartyNames(services, [str(one.borrower) for one in found], viewer.lang)
    return show(
        request, viewer.lang, "lender/warnings.html",
        viewer=viewer, names=names, day=day, date_of=date_of, differences=differences,
        found=found, signals=SIGNAL_OF, figure=partial(_figure, lang=viewer.lang), lines=len(held),
        may_act=Scope.ADVANCES in viewer.caller.scopes and own is not None,
    )  # fmt: skip
