"""The lender's loans: the list with its filter in the address, one loan with everything, its statement."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from api.auth import Caller, Scope
from api.dependencies import TheContainer
from api.loan_list import LoanFilter
from api.payout_stories import PayoutStory, tell_payout
from api.portals.firm import csv_cell
from api.portals.lender import LenderViewer, PartyNames, file_of, shipping_notes
from api.portals.paper import Sheet
from api.portals.shell import Viewer, show
from api.portals.trip_page import TripPages
from api.portals.views import BEIJING, money_text
from api.portals.words import word
from api.ports import Services
from api.schemas.values import HashText
from api.trip_stories import tell_briefly
from chain.clock import beijing_day
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import AdvanceId, Hash32
from finance.accrual import date_of, day_number
from finance.advance import AdvanceEvent, AdvanceState, EventKind, replay
from finance.payout_errors import UnknownPayoutError
from finance.portfolio import AGEING
from finance.records import AdvanceRecord, LineRecord, PayeeRecord

router = APIRouter(prefix="/lender", include_in_schema=False)

PAGE_ROWS = 50
MOST_EXPORTED = 100_000

# -- the loans ----------------------------------------------------------------------------------------


def _filter(  # noqa: PLR0917  FastAPI fills them by name
    state: Annotated[str, Query(max_length=12)] = "",
    band: Annotated[str, Query(max_length=10)] = "",
    tier: Annotated[str, Query(max_length=20)] = "",
    debtor: Annotated[str, Query(max_length=20)] = "",
    borrower: Annotated[str, Query(max_length=20)] = "",
    month: Annotated[str, Query(max_length=7)] = "",
    due: Annotated[str, Query(max_length=10)] = "",
    only: Annotated[str, Query(max_length=10)] = "",
) -> LoanFilter:
    return LoanFilter(state, band, tier, debtor, borrower, month, due, only)


TheFilter = Annotated[LoanFilter, Depends(_filter)]


def _address(wanted: LoanFilter, **changes: str) -> str:
    given = {**asdict(wanted), **changes}
    text = urlencode({name: value for name, value in given.items() if value})
    return f"/lender/loans?{text}" if text else "/lender/loans"


@router.get("/loans")
def loans(
    request: Request,
    viewer: LenderViewer,
    container: TheContainer,
    wanted: TheFilter,
    after: Annotated[str, Query(max_length=90)] = "",
) -> HTMLResponse:
    """Loans with a filter in the address, the first due first."""
    own, day = viewer.caller.party_id, beijing_day(container.clock.now())
    with container.read() as services:
        rows = services.loans.page(own, wanted, day, after=_after(after), limit=PAGE_ROWS + 1)
        shown = rows[:PAGE_ROWS]
        total = services.loans.total(own, wanted, day)
        notes = shipping_notes(services, shown, viewer.lang, demo=container.settings.demo)
        names = PartyNames(
            services,
            [
                *(str(one.borrower) for one in shown),
                *(one.debtor for one in shown),
                wanted.debtor,
                wanted.borrower,
            ],
            viewer.lang,
        )
        named = [
            (one, names(one.borrower), names(one.debtor or "0"), notes.get(one.trip, ""))
            for one in shown
        ]
        chosen = [
            (
                name,
                names(value) if name in {"debtor", "borrower"} else _said(name, value, viewer.lang),
                _address(wanted, **{name: ""}),
            )
            for name, value in asdict(wanted).items()
            if value
        ]
    last = shown[-1] if len(rows) > PAGE_ROWS else None
    return show(
        request,
        viewer.lang,
        "lender/loans.html",
        viewer=viewer,
        rows=named,
        total=total,
        wanted=wanted,
        chosen=chosen,
        after=after,
        here=_address(wanted),
        more="" if last is None else f"{last.due_day}_{last.advance}",
    )


def _said(name: str, value: str, lang: str) -> str:
    """A filter's value in words."""
    if name == "band":
        place = next((at for at, band in enumerate(AGEING) if band[0] == value), None)
        return value if place is None else word(f"band_{place}", lang)
    if name == "only" and value in {"owing", "overdue", "risk", "open"}:
        return word(f"only_{value}", lang)
    if name == "state" and value in set(AdvanceState):
        return word(f"advance_{value}", lang)
    return value


def _after(text: str) -> tuple[int, str] | None:
    due, _, advance = text.partition("_")
    return (int(due), advance) if due.isdigit() and len(due) < 9 else None


@router.get("/loans.csv")
def loans_csv(
    viewer: LenderViewer, container: TheContainer, wanted: TheFilter
) -> StreamingResponse:
    """The filtered loans as CSV, all of them."""
    own, day, lang = viewer.caller.party_id, beijing_day(container.clock.now()), viewer.lang
    head = (
        "advance",
        "col_borrower",
        "col_debtor",
        "col_stage",
        "col_principal",
        "released",
        "outstanding",
        "due_day",
        "days_past_due",
        "col_tier",
    )

    def lines() -> Iterator[str]:
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow([word(name, lang) for name in head])
        yield "\ufeff" + out.getvalue()
        after: tuple[int, str] | None = None
        for _ in range(MOST_EXPORTED // 1000):
            with container.read() as services:
                rows = services.loans.page(own, wanted, day, after=after, limit=1000)
                people = [str(one.borrower) for one in rows] + [one.debtor for one in rows]
                names = PartyNames(services, people, lang)
            out.seek(0)
            out.truncate()
            for one in rows:
                cells: list[str | int] = [
                    one.advance,
                    names(one.borrower),
                    names(one.debtor),
                    word(f"advance_{one.state}", lang),
                    one.principal_fen,
                    one.released_fen,
                    one.outstanding_fen,
                    one.due.isoformat() if one.due else "",
                    str(one.days_past_due),
                    word(f"tier_{one.tier.word}", lang),
                ]
                writer.writerow([csv_cell(cell) for cell in cells])
            yield out.getvalue()
            if len(rows) < 1000:
                return
            after = (rows[-1].due_day, rows[-1].advance)

    return StreamingResponse(
        lines(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="yundan-loans.csv"'},
    )


# -- one loan -----------------------------------------------------------------------------------------


def _sight(services: Services, advance: str, caller: Caller) -> AdvanceId:
    record = services.books.find_advance(AdvanceId(advance))
    if record is None:
        raise NotFoundError("there is no such advance")
    caller.require_sight((record.lender,), "advance")
    return record.advance


@router.get("/loans/{advance}")
def loan(
    advance: HashText, request: Request, viewer: LenderViewer, container: TheContainer
) -> HTMLResponse:
    """A loan: schedule, transactions, charges, evidence, notes, documents and what can be done."""
    now = container.clock.now()
    day = beijing_day(now)
    with container.read() as services:
        found = _sight(services, advance, viewer.caller)
        position = services.finance.show_advance(found)
        record = position.record
        events = services.books.list_events([found])[found]
        decision = services.books.find_decision(record.decision)
        line = services.books.find_line(record.line)
        payees = position.payees
        names = PartyNames(
            services,
            [
                str(record.lender),
                str(record.borrower),
                record.debtor,
                *(str(one.party) for one in payees),
            ],
            viewer.lang,
        )
        days = sorted({day, record.due_day, record.due_day + 30} if record.due_day else {day})
        schedule = [
            (date_of(on), services.finance.show_advance(found, day=on)) for on in days if on >= day
        ]
        payouts = payouts_of(services, payees)
        settlements = services.books.list_settlements(record.waybill)
        own = viewer.caller.party_id
        notes = services.notes.list_about(own, found) if own is not None else []
        note = _notes_of_trip(services, record.trip, viewer.lang, demo=container.settings.demo)
    return show(
        request,
        viewer.lang,
        "lender/loan.html",
        viewer=viewer,
        position=position,
        record=record,
        line=line,
        decision=decision,
        note=note,
        names=names,
        schedule=schedule,
        transactions=running_balance(record, line, events),
        payouts=payouts,
        settlements=settlements,
        notes=notes,
        due=date_of(record.due_day) if record.due_day else None,
        day=date_of(day),
        start=date_of(record.start_day) if record.start_day else None,
        acts=ACTS_OF.get(record.state, ()),
        may_make=Scope.ADVANCES in viewer.caller.scopes and own is not None,
        may_check=Scope.APPROVALS in viewer.caller.scopes and own is not None,
    )


def payouts_of(services: Services, payees: Sequence[PayeeRecord]) -> list[PayoutStory]:
    """How far each payee's money has come through the bank; one the bank never had is left out."""
    found = []
    for one in payees:
        with contextlib.suppress(UnknownPayoutError):
            found += [tell_payout(services, Hash32(one.payout))] if one.payout else []
    return found


def _notes_of_trip(services: Services, trip: Any, lang: str, *, demo: bool) -> str:
    paths = services.records.list_trips_by_id([trip])
    if trip not in paths:
        return ""
    ((story, advance),) = tell_briefly(services, [paths[trip]])
    return TripPages(lang, demo=demo).card(story, advance).note


def running_balance(
    record: AdvanceRecord, line: LineRecord | None, events: Sequence[AdvanceEvent]
) -> list[tuple[AdvanceEvent, int | None]]:
    """The events of a loan in their order, each with what would have closed it then; None before money moved."""
    ordered = sorted(events, key=lambda one: (one.at, one.position))
    rows: list[tuple[AdvanceEvent, int | None]] = []
    moved = False
    for count, event in enumerate(ordered, 1):
        moved = moved or event.kind is EventKind.DRAWN
        owed = None
        if moved and line is not None:
            then = replay(record.advance, line.terms, ordered[:count])
            owed = sum(then.due_on(beijing_day(event.at)).values())
        rows.append((event, owed))
    return rows


@router.post("/loans/{advance}/notes")
def write_note(
    advance: HashText,
    viewer: LenderViewer,
    container: TheContainer,
    text: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Keeps a note about a loan."""
    own = viewer.caller.require_self()
    with container.write() as services:
        found = _sight(services, advance, viewer.caller)
        author = _author(services, viewer)
        services.notes.write(own, found, author, text)
    return RedirectResponse(f"/lender/loans/{advance}#notes", status_code=303)


@router.post("/loans/{advance}/gate")
def decide_gate(
    *,
    advance: HashText,
    viewer: LenderViewer,
    container: TheContainer,
    opens: Annotated[bool, Form()],
    reason: Annotated[str, Form(min_length=1, max_length=80)],
) -> Response:
    """Keeps the reason as a note, then to the page that signs the release or its cancellation."""
    own = viewer.caller.require_self()
    act = word("act_release" if opens else "act_cancel", viewer.lang)
    with container.write() as services:
        found = _sight(services, advance, viewer.caller)
        services.notes.write(own, found, _author(services, viewer), f"{act} · {reason}")
    asked = urlencode({"opens": str(opens).lower(), "reason": reason}, quote_via=quote)
    form = quote(f"/v1/advances/{advance}/gate?{asked}", safe="/")
    return RedirectResponse(f"/sign?form={form}", status_code=303)


@router.post("/loans/{advance}/act")
def act(  # noqa: PLR0917  FastAPI fills them by name
    advance: HashText,
    viewer: LenderViewer,
    container: TheContainer,
    act: Annotated[str, Form(pattern="^(default|write_off|later_start|decline|waive|extend)$")],
    reason: Annotated[str, Form(min_length=1, max_length=80)],
    yuan: Annotated[str, Form(max_length=16)] = "",
    day: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Keeps the reason as a note, then to the page that signs the act.

    Raises:
        InvalidValueError: a waiver without an amount, a later start or due day without its day.
    """
    own = viewer.caller.require_self()
    value = _value_of(act, yuan, day)
    said = word(f"act_{act}", viewer.lang)
    with container.write() as services:
        found = _sight(services, advance, viewer.caller)
        services.notes.write(own, found, _author(services, viewer), f"{said} · {reason}")
    asked = urlencode({"act": act, "value": value, "reason": reason}, quote_via=quote)
    form = quote(f"/v1/advances/{advance}/act?{asked}", safe="/")
    return RedirectResponse(f"/sign?form={form}", status_code=303)


def _value_of(act: str, yuan: str, day: str) -> int:
    """What an act says beside its name: fen of a waiver, the Beijing day of a later start or due day, else 0."""
    if act == "waive":
        whole, _, rest = yuan.strip().replace(",", "").partition(".")
        if not whole.isdecimal() or not (rest.isdecimal() or not rest) or len(rest) > 2:
            raise InvalidValueError("write the amount as 7.20", field="yuan")
        return int(whole) * 100 + int(rest.ljust(2, "0"))
    if act in {"later_start", "extend"}:
        try:
            return day_number(dt.date.fromisoformat(day))
        except ValueError as error:
            raise InvalidValueError("choose the day", field="day") from error
    return 0


ACTS_OF = {
    AdvanceState.REQUESTED: ("decline",),
    AdvanceState.RELEASED: ("extend", "waive", "later_start", "default"),
    AdvanceState.DEFAULTED: ("write_off", "waive"),
}
"""State of a loan -> what its lender may do beside approving and the gate."""


def _author(services: Services, viewer: Viewer) -> str:
    members = services.people.list_members(viewer.caller.org_id) if viewer.caller.org_id else []
    own = next((one for one in members if one.account == viewer.caller.account_id), None)
    return own.name if own is not None else viewer.caller.name


@router.get("/loans/{advance}/statement.{form}")
def statement(
    advance: HashText, form: str, viewer: LenderViewer, container: TheContainer
) -> Response:
    """A loan's statement as a file: terms, transactions, what is due."""
    lang, day = viewer.lang, beijing_day(container.clock.now())
    with container.read() as services:
        found = _sight(services, advance, viewer.caller)
        position = services.finance.show_advance(found)
        events = services.books.list_events([found])[found]
        record = position.record
        line = services.books.find_line(record.line)
        names = PartyNames(
            services, [str(record.lender), str(record.borrower), record.debtor], lang
        )
    sheets = [
        Sheet(
            word("advance", lang),
            [word("col_what", lang), ""],
            [
                [word("col_borrower", lang), names(record.borrower)],
                [word("col_debtor", lang), names(record.debtor or "0")],
                [word("col_stage", lang), word(f"advance_{record.state}", lang)],
                [word("col_principal", lang), money_text(record.principal_fen, lang)],
                [
                    word("due_day", lang),
                    date_of(record.due_day).isoformat() if record.due_day else "–",
                ],
                [word("payoff", lang), money_text(position.payoff_fen, lang)],
            ],
        ),
        Sheet(
            word("transactions", lang),
            [word(name, lang) for name in ("col_at", "col_what", "col_amount", "col_balance")],
            [
                [
                    event.at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M"),
                    word(f"kind_{event.kind}", lang),
                    money_text(event.amount, lang) if event.amount else "–",
                    "–" if balance is None else money_text(balance, lang),
                ]
                for event, balance in running_balance(record, line, events)
            ],
        ),
    ]
    title = f"{word('statement', lang)} {date_of(day).isoformat()}"
    return file_of(form, title, sheets, lang, name=f"loan-{advance[2:10]}")
