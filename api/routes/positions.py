"""Terminals and their positions over HTTP; JT/T 808 has a door of its own (the gateway).

Phones speak OsmAnd's form, a Traccar server forwards what it hears, and files of a recorder (CSV, GPX, NMEA)
are taken whole. What is answered with 2xx is durable.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from api.auth import Caller, Scope
from api.dependencies import Once, OnceIfNamed, OnceOnly, RawBody, Requires, TheContainer
from api.errors import UnauthenticatedError
from api.naming import Names
from api.ports import Container, Services
from api.schemas.deliveries import (
    PositionsForwarded,
    PositionsGiven,
    PositionsTaken,
    ReportTaken,
    TerminalGiven,
    TerminalShown,
)
from api.schemas.waybills import TerminalText
from tracking.errors import FixInvalidError
from tracking.fix import Fix
from tracking.imports import Recording, read_recording
from tracking.osmand import ReportRefusal, read_report
from tracking.plan import normal_terminal
from tracking.taking import hash_code

router = APIRouter(tags=["positions"])

PositionSender = Annotated[Caller, Depends(Requires(Scope.POSITIONS))]
_basic = HTTPBasic(auto_error=False, description="terminal and its code")

AHEAD_S = 300
"""How far a device's clock may run ahead of ours."""


@router.post("/terminals", status_code=201, response_model=TerminalShown)
def register(
    given: TerminalGiven, caller: PositionSender, container: TheContainer, once: OnceOnly
) -> Response:
    """Registers a terminal that sends over HTTP and fixes it to a vehicle.

    The first party that asks has it from then on; once waybills name it, only one that issues or performs
    such a waybill may be the first. Its code is shown this once and not kept; asked again by the same party,
    a new code takes its place; another party is refused (`terminal_taken`).
    """
    party = caller.require_self()
    vehicle = Names(container.hash_key).vehicle(given.plate)
    code = secrets.token_urlsafe(24)

    def work(services: Services) -> TerminalShown:
        naming = services.tracking.list_trips_naming(given.terminal)
        runs = any(
            party in {leaf.form.issuer, leaf.form.performer}
            for leaf in services.records.list_leaves(naming).values()
        )
        known = services.tracking.issue_code(
            given.terminal, vehicle, code, party=party, may_own=runs or not naming
        )
        return TerminalShown(terminal=known.terminal, code=code)

    return once.run(caller.name, work, secret=True)


def _terminal(
    container: TheContainer,
    credentials: Annotated[HTTPBasicCredentials | None, Depends(_basic)],
) -> str:
    """The terminal whose code was given."""
    if credentials is None:
        raise UnauthenticatedError("positions are sent under Basic authentication: terminal, code")
    return _speaks_for(container, credentials.username, credentials.password)


def _speaks_for(container: Container, terminal: str, code: str) -> str:
    """The terminal, normalised, if the code is its own.

    Raises:
        UnauthenticatedError: it is not, or there is no such terminal.
    """
    name = normal_terminal(terminal)
    with container.read() as services:
        known = services.tracks.find_terminals([name]).get(name)
    expected = known.auth_hash if known and known.auth_hash else "0" * 64
    if not hmac.compare_digest(hash_code(code), expected):
        raise UnauthenticatedError("the terminal is unknown or its code is wrong")
    return name


@router.post("/positions/{terminal}", status_code=202, response_model=PositionsTaken)
def take(
    terminal: TerminalText,
    given: PositionsGiven,
    sender: Annotated[str, Depends(_terminal)],
    container: TheContainer,
    once: OnceIfNamed,
) -> Response:
    """Takes positions, oldest first, all or none; what was sent before changes nothing."""
    if normal_terminal(terminal) != sender:
        raise UnauthenticatedError("a terminal speaks for itself alone")
    fixes = _read(given, int(container.clock.now().timestamp()))
    return _take(once, sender, fixes)


@router.post("/positions/{terminal}/recording", status_code=202, response_model=PositionsTaken)
def take_recording(
    *,
    terminal: TerminalText,
    form: Annotated[Recording, Query(alias="format", description="what the body is")],
    body: RawBody,
    sender: Annotated[str, Depends(_terminal)],
    container: TheContainer,
    once: OnceIfNamed,
) -> Response:
    """Takes the file of a recorder: CSV as for `yundan track check`, a GPX track or an NMEA log.

    All or none; its fixes count as sent late, and what was sent before changes nothing.
    """
    if normal_terminal(terminal) != sender:
        raise UnauthenticatedError("a terminal speaks for itself alone")
    fixes = read_recording(body, form)
    now = int(container.clock.now().timestamp())
    ahead = next((fix for fix in fixes if fix.time > now + AHEAD_S), None)
    if ahead is not None:
        raise FixInvalidError(
            "the file holds a position from the future", field="time", now=now, given=ahead.time
        )
    return _take(once, sender, fixes)


def _take(once: Once, sender: str, fixes: list[Fix]) -> Response:
    def work(services: Services) -> PositionsTaken:
        return PositionsTaken(taken=len(fixes), new=services.tracking.take_fixes(sender, fixes))

    return once.run(f"terminal:{sender}", work, 202)


@router.get("/osmand", response_model=ReportTaken)
@router.post("/osmand", response_model=ReportTaken)
def take_report(
    request: Request,
    body: RawBody,
    sender: Annotated[str, Depends(_terminal)],
    once: OnceIfNamed,
) -> Response:
    """Takes a phone's report in OsmAnd's form (query, form or JSON), under Basic authentication."""
    return _take_report(once, sender, _report_text(request, body))


@router.get("/osmand/{code}", response_model=ReportTaken)
@router.post("/osmand/{code}", response_model=ReportTaken)
def take_report_by_code(
    code: str, request: Request, body: RawBody, container: TheContainer, once: OnceIfNamed
) -> Response:
    """The same for an application that knows nothing but an address: the terminal's code is part of it."""
    text = _report_text(request, body)
    report = read_report(text)
    device = "" if isinstance(report, ReportRefusal) else report.device
    return _take_report(once, _speaks_for(container, device, code), text)


def _report_text(request: Request, body: bytes) -> str:
    return body.decode("utf-8", "replace") if body.strip() else request.url.query


def _take_report(once: Once, sender: str, text: str) -> Response:
    """Keeps a report, or says why it is none; a phone that were told 4xx would send it for ever."""

    def work(services: Services) -> ReportTaken:
        try:
            return ReportTaken(taken=1, new=services.tracking.take_osmand(sender, text))
        except FixInvalidError as wrong:  # read before anything is written
            refused = str(wrong.facts.get("reason") or wrong.code)
            return ReportTaken(taken=0, new=0, refused=refused, field=wrong.field)

    return once.run(f"terminal:{sender}", work, 200)


@router.post("/traccar", status_code=202, response_model=PositionsForwarded)
def take_forwarded(
    body: RawBody,
    container: TheContainer,
    once: OnceIfNamed,
    authorization: Annotated[str | None, Header(max_length=400)] = None,
) -> Response:
    """Takes what the operator's own Traccar server forwards (`forward.type=json`).

    Set there `forward.header=Authorization: Bearer ...` with this system's `YUNDAN_FORWARD_TOKEN`; without
    that setting the door is shut.
    """
    token = container.settings.forward_token.get_secret_value()
    given = (authorization or "").removeprefix("Bearer ").strip()
    if not token or not hmac.compare_digest(given.encode(), token.encode()):
        raise UnauthenticatedError("positions are forwarded under the operator's token")

    def work(services: Services) -> PositionsForwarded:
        told = services.tracking.take_forwarded(body)
        return PositionsForwarded(taken=told.taken, new=told.new, refused=list(told.refused))

    return once.run("traccar", work, 202)


def _read(given: PositionsGiven, now: int) -> list[Fix]:
    fixes: list[Fix] = []
    for at, one in enumerate(given.fixes):
        time = int(one.time.timestamp())
        if time > now + AHEAD_S:
            raise FixInvalidError(
                "the position is from the future", field=f"fixes[{at}].time", now=now, given=time
            )
        if fixes and time < fixes[-1].time:
            raise FixInvalidError(
                "positions stand in the order of their time", field=f"fixes[{at}].time"
            )
        fixes.append(
            Fix(
                time=time,
                lat_e6=round(one.lat * 1_000_000),
                lon_e6=round(one.lon * 1_000_000),
                speed_dkmh=None if one.speed_kmh is None else round(one.speed_kmh * 10),
                heading=one.heading,
                altitude_m=one.altitude_m,
                satellites=one.satellites,
            )
        )
    return fixes
