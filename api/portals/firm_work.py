"""What a firm does at its desk: import, a new waybill, signing, its credit with reasons, its keys and webhooks."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from api.auth import Scope
from api.dependencies import TheContainer
from api.object_ids import plain_path
from api.portals.borrowing import open_advances
from api.portals.firm import FirmViewer, Purse
from api.portals.lender import SHOWN_OFFERS, PartyNames, offer_lines, wishes_of
from api.portals.shell import Face, TheViewer, Viewer, show
from api.portals.trip_page import TripPages
from api.portals.views import money_text
from api.portals.words import word
from api.ports import Services
from api.routes.advances import concerned_by
from api.schemas.values import HashText
from api.trip_stories import party_name, tell_briefly
from chain.clock import beijing_day
from chain.errors import InvalidValueError
from chain.ids import AdvanceId, LineId, PartyId
from finance.accrual import date_of
from finance.advance import AdvanceState
from finance.credit import DebtorHistory, Limit, earned_limit
from finance.records import LineRecord, ReceivableRecord
from finance.watch import used_bps

router = APIRouter(include_in_schema=False)

SIGNED_FIELDS = (
    "parent",
    "issuer",
    "performer",
    "consignee",
    "waybill",
    "trip",
    "advance",
    "debtor",
    "lender",
    "borrower",
    "party",
    "freight",
    "amount",
    "principal",
    "quantity",
    "loadFrom",
    "deliverBy",
    "approvedUntil",
    "termDays",
    "expires",
    "at",
    "open",
    "reason",
    "act",
    "value",
    "document",
    "line",
    "limit",
    "frozen",
    "validUntil",
    "ratePpm",
    "penaltyPpm",
    "ceilingPpm",
    "feeBps",
    "advanceBps",
    "toleranceBps",
    "tenorDays",
    "graceDays",
    "attestor",
    "gated",
    "terms",
    "payees",
    "fingerprint",
    "decision",
    "account",
    "accepted",
    "loaded",
    "receipt",
    "notice",
    "vehicle",
    "terminal",
    "route",
    "shippingNote",
    "salt",
)
"""Fields of signed forms that have a name in words; others are shown by the form's own name."""

SIGNED_ACTS = ("default", "write_off", "later_start", "decline", "waive", "extend")
"""Acts of a lender on a loan, by the words of their buttons."""

SIGNED_PAPERS = ("shipping_note", "goods", "plate", "unit")
"""What a waybill says beside its signed form, shown above it."""

SIGNED_FORM = re.compile(
    r"/v1/(advances/0x[0-9a-f]{64}/(approval|gate|acknowledgement|consent|repayment|act)"
    r"|lines/0x[0-9a-f]{64}/change|line-offers/lo_[0-9a-f]{24}|advances"
    r"|deliveries/0x[0-9a-f]{64}/(loading|confirmation)|waybills/0x[0-9a-f]{64})"
    r"(\?amount_fen=[0-9]{1,15}|\?opens=(true|false)&reason=[0-9A-Za-z_.~%-]{1,1000}"
    r"|\?act=[a-z_]{1,12}&value=[0-9]{1,15}&reason=[0-9A-Za-z_.~%-]{1,1000}"
    r"|\?(frozen=(true|false)|limit_fen=[0-9]{1,15}(&valid_until=[0-9TZ:%A-]{1,40})?))?"
)
"""The forms that this page signs: nothing else can be put before a wallet by a link."""

HISTORY_DAYS = 90
KNOWN_WAYBILLS = 200
KNOWN_APPLICATIONS = 20
MOST_LENDERS = 100


@router.get("/firm/import")
def import_page(request: Request, viewer: FirmViewer) -> HTMLResponse:
    """A file of waybills: template, check, red cells, progress, error workbook."""
    return show(
        request, viewer.lang, "firm/import.html", viewer=viewer, page_key=secrets.token_hex(6),
    )  # fmt: skip


@router.get("/firm/new")
def new_page(request: Request, viewer: FirmViewer, container: TheContainer) -> HTMLResponse:
    """A new waybill, with the chain of parties drawn as it is built."""
    own = viewer.caller.party_id
    with container.read() as services:
        known = _known_parties(services, own)
        names = PartyNames(services, [str(one) for one in known], viewer.lang)
        routes = [] if own is None else [one.name for one in services.routes.list_of(own)]
    return show(
        request, viewer.lang, "firm/new.html", viewer=viewer, routes=routes,
        parties=sorted((names(one), str(one)) for one in known),
        own_name=names(own) if own is not None else "",
    )  # fmt: skip


def _known_parties(services: Services, own: PartyId | None) -> set[PartyId]:
    """Who stands in the firm's last waybills."""
    rows = services.records.list_waybills(party=own, stage=None, before=None, limit=KNOWN_WAYBILLS)
    known = {
        side
        for _, one in rows
        for side in (one.form.issuer, one.form.performer, one.form.consignee)
    }
    return known | ({own} if own is not None else set())


@router.get("/firm/waybills/{waybill}/sign")
def sign_waybill(waybill: HashText, _: FirmViewer) -> RedirectResponse:
    """To the page that signs it."""
    return RedirectResponse(f"/sign?form=/v1/waybills/{waybill}", status_code=303)


@router.get("/sign")
def sign_page(
    request: Request,
    viewer: TheViewer,
    container: TheContainer,
    form: Annotated[str, Query(max_length=1200)] = "",
) -> HTMLResponse:
    """One form before its signer: in words, whole, and with every way to sign it told honestly.

    Raises:
        InvalidValueError: no form that can be signed here.
    """
    form = plain_path(form)
    if not SIGNED_FORM.fullmatch(form):
        raise InvalidValueError("this is not a form that can be signed here", field="form")
    kind = _kind_of(form)
    named = {name: word(f"signed_{name}", viewer.lang) for name in SIGNED_FIELDS}
    with container.read() as services:
        held = viewer.party is not None and services.platform_keys.holds_for(viewer.party)
        about = _about(services, form, viewer, demo=container.settings.demo)
    return show(
        request, viewer.lang, "firm/sign.html",
        viewer=viewer, form=form, kind=kind, named=named, held=held, about=about, next=_after(form, viewer),
        acts={act: word(f"act_{act}", viewer.lang) for act in SIGNED_ACTS},
        papers={name: word(f"field_{name}", viewer.lang) for name in SIGNED_PAPERS},
    )  # fmt: skip


def _about(services: Services, form: str, viewer: Viewer, *, demo: bool) -> list[tuple[str, str]]:
    """What a form about a loan or a line hangs on, in words, for those whom it concerns."""
    kind, _, rest = form.removeprefix("/v1/").partition("/")
    named = rest.partition("?")[0].partition("/")[0]
    own, lang = viewer.caller.party_id, viewer.lang
    if kind == "advances" and named:
        record = services.books.find_advance(AdvanceId(named))
        if record is None:
            return []
        payees = services.books.list_payees([record.advance])[record.advance]
        if not viewer.caller.sees_all and own not in concerned_by(services, record, payees):
            return []
        paths = services.records.list_trips_by_id([record.trip])
        cards = [
            TripPages(lang, demo=demo).card(story, found)
            for story, found in tell_briefly(services, list(paths.values()))
        ]
        names = PartyNames(services, [str(record.borrower), str(record.lender)], lang)
        return [
            *((word("col_trip", lang), one.note) for one in cards),
            *((word("col_route", lang), f"{one.origin} → {one.destination}") for one in cards),
            (word("col_borrower", lang), names(record.borrower)),
            (word("apply_lender", lang), names(record.lender)),
            (word("col_principal", lang), money_text(record.principal_fen, lang)),
        ]
    if kind == "lines":
        line = services.books.find_line(LineId(named))
        if line is None or not (viewer.caller.sees_all or own in {line.lender, line.borrower}):
            return []
        names = PartyNames(services, [str(line.borrower)], lang)
        return [
            (word("col_borrower", lang), names(line.borrower)),
            (word("limit_now", lang), money_text(line.limit_fen, lang)),
        ]
    return []


def _after(form: str, viewer: Viewer) -> str:
    """Where a signer goes on when his form is on its way."""
    lends = viewer.face is Face.LENDER
    path = form.partition("?")[0]
    if "/line-offers/" in path or "/lines/" in path:
        return "/lender/lines" if lends else "/firm/credit"
    if path.startswith("/v1/advances/"):
        advance = path.split("/")[3]
        owed = path.endswith("/repayment")
        return f"/lender/loans/{advance}" if lends else f"/firm/advances/{advance}" if owed else "/"
    return "/"


def _kind_of(form: str) -> str:
    """What a form is called in the catalogue (``sign_KIND``)."""
    path = form.partition("?")[0]
    for part, kind in (("/waybills/", "waybill"), ("/line-offers/", "offer")):
        if part in path:
            return kind
    return "request" if path == "/v1/advances" else path.rsplit("/", 1)[1]


# -- credit -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LineStory:
    """A line as its borrower sees it: how it is used, and what his trips earn today."""

    line: LineRecord
    lender: str
    used: int
    earned: Limit
    history: Sequence[tuple[str, DebtorHistory]]


@router.get("/firm/credit")
def credit(request: Request, viewer: FirmViewer, container: TheContainer) -> HTMLResponse:
    """Limit, reserved, drawn, headroom, and why today's limit is what it is."""
    own, day = viewer.caller.party_id, beijing_day(container.clock.now())
    with container.read() as services:
        lines = services.books.list_lines(borrower=own)
        receivables = [
            one
            for line in {line.lender for line in lines}
            for one in services.books.list_receivables(lender=line)
        ]
        live = services.books.list_advances(
            borrower=own,
            states={AdvanceState.APPROVED, AdvanceState.RELEASED, AdvanceState.RELEASABLE},
            limit=50,
        )
        decided = [services.books.find_decision(one.decision) for one in live[:5]]
        applied = services.books.list_applications(borrower=own)[:KNOWN_APPLICATIONS] if own else []
        laid = services.offers.list_of(borrower=own)[:SHOWN_OFFERS] if own else []
        offers = offer_lines(services, laid, own, viewer.lang)
        owing = open_advances(services, viewer, own, day=day, demo=container.settings.demo)
        lenders = services.records.list_parties_of_kind("lender", limit=MOST_LENDERS)
        wishes = wishes_of(services, applied, viewer.lang, lends=False)
        names = PartyNames(
            services,
            [*(str(line.lender) for line in lines), *(str(one.debtor) for one in receivables)],
            viewer.lang,
        )
    stories = [_line_story(line, receivables, names, day) for line in lines]
    return show(
        request, viewer.lang, "firm/credit.html", viewer=viewer, stories=stories,
        wishes=wishes, may_ask=Scope.ADVANCES in viewer.caller.scopes and own is not None,
        purse=Purse.of(lines), offers=offers, owing=owing,
        lenders=[(str(one.id), party_name(one, viewer.lang)) for one in lenders], decided=[one for one in decided if one], date_of=date_of,
    )  # fmt: skip


def _line_story(
    line: LineRecord, receivables: Sequence[ReceivableRecord], names: PartyNames, day: int
) -> LineStory:
    own = [one for one in receivables if one.owner == line.borrower]
    history = [
        _history(debtor, [one for one in own if one.debtor == debtor], day)
        for debtor in sorted({one.debtor for one in own})
    ]
    first = min(
        (beijing_day(one.acknowledged_at) for one in own if one.acknowledged_at), default=day
    )
    return LineStory(
        line=line,
        lender=names(line.lender),
        used=used_bps(line.limit_fen, line.reserved_fen + line.drawn_fen),
        earned=earned_limit(
            history, tenure_days=max(0, day - first), present_fen=line.limit_fen, warned=line.frozen
        ),
        history=[(names(one.debtor), one) for one in history],
    )


def _history(debtor: PartyId, rows: Sequence[ReceivableRecord], day: int) -> DebtorHistory:
    """A debtor's last 90 days with the borrower, as far as his receivables tell."""
    recent = [
        one
        for one in rows
        if one.acknowledged_at is not None
        and beijing_day(one.acknowledged_at) > day - HISTORY_DAYS
        and one.due_day is not None
    ]
    waits = sorted(
        beijing_day(one.settled_at) - (one.due_day - one.term_days)
        for one in recent
        if one.settled_at is not None and one.due_day is not None
    )
    freight = sum(one.freight_fen for one in recent)
    settled = [one for one in recent if one.settled_at is not None]
    short = sum(max(0, one.freight_fen - one.received_fen) for one in settled)
    whole = sum(one.freight_fen for one in settled)
    return DebtorHistory(
        debtor=str(debtor),
        freight_fen=freight,
        p75_days_to_pay=max(1, waits[(3 * len(waits) - 1) // 4]) if waits else 30,
        short_pay_ppm=short * 1_000_000 // whole if whole else 0,
    )


# -- developer ----------------------------------------------------------------------------------------


@router.get("/firm/developer")
def developer(request: Request, viewer: FirmViewer, container: TheContainer) -> HTMLResponse:
    """Keys, the log of writes, receivers of webhooks with their deliveries and replay."""
    own = viewer.caller.party_id
    with container.read() as services:
        keys = services.keys.list_of(own) if own is not None else []
        receivers = services.endpoints.list_of(own) if own is not None else []
        deliveries = [
            (receiver, one)
            for receiver in receivers
            for one in services.deliveries.list_of(receiver.id, limit=20)
        ]
        log = services.answers.list_last([one.key_id for one in keys], limit=50)
    return show(
        request, viewer.lang, "firm/developer.html", viewer=viewer, keys=keys, receivers=receivers,
        deliveries=deliveries, log=log, labels={one.key_id: one.label for one in keys},
        scopes=" ".join(sorted(scope.value for scope in Scope)),
        may_keep=Scope.KEYS in viewer.caller.scopes and own is not None,
        base_url=str(request.base_url).rstrip("/"),
    )  # fmt: skip
