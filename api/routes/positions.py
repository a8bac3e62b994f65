"""Terminals and their positions over HTTP; JT/T 808 has a door of its own (the gateway)."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from api.auth import Caller, Scope
from api.dependencies import Requires, TheContainer
from api.errors import UnauthenticatedError
from api.naming import Names
from api.schemas.deliveries import PositionsGiven, PositionsTaken, TerminalGiven, TerminalShown
from api.schemas.waybills import TerminalText
from tracking.errors import FixInvalidError
from tracking.fix import Fix
from tracking.plan import normal_terminal
from tracking.service import hash_code

router = APIRouter(tags=["positions"])

PositionSender = Annotated[Caller, Depends(Requires(Scope.POSITIONS))]
_basic = HTTPBasic(auto_error=False, description="terminal and its code")

AHEAD_S = 300
"""How far a device's clock may run ahead of ours."""


@router.post("/terminals", status_code=201)
def register(given: TerminalGiven, _: PositionSender, container: TheContainer) -> TerminalShown:
    """Registers a terminal that sends over HTTP and fixes it to a vehicle.

    Its code is shown this once and not kept; asked again, a new code takes its place.
    """
    vehicle = Names(container.hash_key).vehicle(given.plate)
    code = secrets.token_urlsafe(24)
    with container.write() as services:
        known = services.tracking.register_terminal(given.terminal, vehicle, auth_code=code)
    return TerminalShown(terminal=known.terminal, code=code)


def _terminal(
    container: TheContainer,
    credentials: Annotated[HTTPBasicCredentials | None, Depends(_basic)],
) -> str:
    """The terminal whose code was given."""
    if credentials is None:
        raise UnauthenticatedError("positions are sent under Basic authentication: terminal, code")
    name = normal_terminal(credentials.username)
    with container.read() as services:
        known = services.tracks.find_terminals([name]).get(name)
    expected = known.auth_hash if known and known.auth_hash else "0" * 64
    if not hmac.compare_digest(hash_code(credentials.password), expected):
        raise UnauthenticatedError("the terminal is unknown or its code is wrong")
    return name


@router.post("/positions/{terminal}", status_code=202)
def take(
    terminal: TerminalText,
    given: PositionsGiven,
    sender: Annotated[str, Depends(_terminal)],
    container: TheContainer,
) -> PositionsTaken:
    """Takes positions, oldest first, all or none; what was sent before changes nothing."""
    if normal_terminal(terminal) != sender:
        raise UnauthenticatedError("a terminal speaks for itself alone")
    fixes = _read(given, int(container.clock.now().timestamp()))
    with container.write() as services:
        new = services.tracking.take_fixes(sender, fixes)
    return PositionsTaken(taken=len(fixes), new=new)


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
