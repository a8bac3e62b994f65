"""Routes, trips, positions, deliveries and attestations."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.schemas.signing import TypedData
from api.schemas.values import (
    AmountFen,
    Given,
    HashText,
    Instant,
    Listed,
    NameText,
    PartyRef,
    Shown,
    TripRef,
    WaybillRef,
)
from api.schemas.waybills import PlateText, TerminalText


class RouteGiven(Given):
    """A planned road, its corridor and its two places; windows come with each waybill."""

    name: NameText
    origin: NameText
    destination: NameText
    plan: dict[str, Any] = Field(
        description="planned_route [[lon, lat], ...] in WGS-84, pickup and delivery "
        "{lat, lon, radius_m | polygon}, corridor_half_width_m",
    )


class RouteShown(Shown):
    """A planned road."""

    name: str
    origin: str
    destination: str
    plan: dict[str, Any]


class RouteList(Listed):
    """The planned roads of a party."""

    data: list[RouteShown]


class TerminalGiven(Given):
    """A positioning terminal and the vehicle it is fixed to."""

    terminal: TerminalText
    plate: PlateText


class TerminalShown(Shown):
    """A terminal; the code is shown this once and opens positions over HTTP (Basic: terminal, code)."""

    terminal: str
    code: str


class PositionGiven(Given):
    """One position by the device's own clock; WGS-84."""

    time: Instant
    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]
    speed_kmh: Annotated[float, Field(ge=0, le=300)] | None = None
    heading: Annotated[int, Field(ge=0, le=359)] | None = None
    altitude_m: Annotated[int, Field(ge=-500, le=9000)] | None = None
    satellites: Annotated[int, Field(ge=0, le=100)] | None = None


class PositionsGiven(Given):
    """Positions of one terminal, oldest first."""

    fixes: Annotated[list[PositionGiven], Field(min_length=1, max_length=2000)]


class PositionsTaken(Shown):
    """How many positions were kept."""

    taken: int
    new: int


class ReportTaken(Shown):
    """What became of a phone's report; one that is no evidence is refused by a code, and not asked for again."""

    taken: int
    new: int
    refused: str | None = None
    field: str | None = None


class PositionsForwarded(Shown):
    """What became of forwarded positions; one bad or unknown costs no other."""

    taken: int
    new: int
    refused: list[dict[str, Any]]


class FormToSign(Shown):
    """What the caller is asked to sign; post its `message` back with the signature."""

    to_sign: TypedData


class Accepted(Shown):
    """The signed form is on its way to the chain; `status` tells what becomes of it."""

    about: str
    status: str = Field(description="where to look: a path of this API")


class SentShown(Shown):
    """What has become of a call."""

    function: str
    state: str
    transaction: HashText | None
    block: int | None
    gas_used: int | None
    error: str
    message: str


class EventShown(Shown):
    """One event of the chain."""

    event: str
    at: Instant
    block: int
    transaction: HashText
    facts: dict[str, Any]


class TripShown(Shown):
    """A trip as it stands."""

    id: TripRef
    waybill: WaybillRef
    shipping_note: str
    serial: str
    state: str
    verdict: str
    loaded_milli: int
    accepted_milli: int | None
    loaded_at: Instant | None
    confirmed_at: Instant | None
    completed_at: Instant | None
    disputed: bool
    freight_fen: AmountFen
    paid_fen: AmountFen
    driver: PartyRef
    expanded: dict[str, Any] | None = Field(
        default=None, description="what `expand` asked for, by name; null where nothing was"
    )


class TripTold(TripShown):
    """A trip with all that was seen of it."""

    chain: list[WaybillRef] = Field(description="its waybills, the leaf last")
    judged: dict[str, Any] | None = Field(description="the judge's verdict with its findings")
    trajectory_root: str
    attestations: list[dict[str, Any]]
    batches: int
    timeline: list[EventShown]
    sent: list[SentShown]


class TripPage(Shown):
    """A page of trips."""

    data: list[TripShown]
    has_more: bool
    next_cursor: TripRef | None


class AttestationWaiting(Shown):
    """A trip whose drive waits for the caller's verdict."""

    trip: HashText
    version: int
    vehicle: HashText
    plan: HashText
    policy: HashText


class AttestationsWaiting(Listed):
    """Trips that wait for the caller's verdict."""

    data: list[AttestationWaiting]


class EvidenceShown(Shown):
    """The raw evidence of a trip, frozen when our judge looked at it; recompute, do not believe."""

    trip: HashText
    evidence: dict[str, Any]


class Health(Shown):
    """Whether this process lives."""

    status: str
    time: Instant = Field(description="the business clock, which signed times are compared with")
    chain_id: int


class Readiness(Shown):
    """Whether this system can serve."""

    ready: bool
    problems: list[str]
    handled_block: int | None
