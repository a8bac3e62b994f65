"""What many drives tell together: areas crossed, stops by place, a road's deviations, and the road as it is driven.

Everything is told of the trips that the caller may see and of no other. A page is a page of trips, so that the work
of one question is bounded; geopandas is loaded when the first report is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from api.trip_stories import list_visible
from chain.errors import InvalidValueError
from tracking.corridor import GEOD, distance_mm
from tracking.findings import Finding, Severity
from tracking.instants import parse_instant
from tracking.learned import LearnedRoute, can_teach, learn_route
from tracking.plan import Gate, Plan
from tracking.refusals import PlanError
from tracking.track import Columns, Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.auth import Caller
    from api.planned_routes import PlannedRoute
    from api.ports import Services
    from chain.ids import TripId
    from tracking.fleet import JudgedTrip
    from tracking.trip import Trip, VerdictRecord

MOST_SHAPES = 20
MOST_CORNERS = 60
MOST_SEARCHED = 1_000
"""Trips looked through for earlier drives of a lane; their verdicts and plans alone are read."""
_PAGE = 100
_SAME_PLACE_M = 1_000
_CORNERS_OF_A_CIRCLE = 48
_SHAPE = re.compile(r"(?P<name>[^:]{1,80}):(?P<numbers>[-0-9., ]{5,2000})")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of trips with their drives.

    Attributes:
        trips: those with a drive to tell of.
        seen: ids of all trips on the page.
        has_more: whether more follow.
    """

    trips: Sequence[JudgedTrip]
    seen: Sequence[TripId]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Learned:
    """A road learned from earlier drives, and of which trips they were; no road where none was driven."""

    trips: Sequence[TripId]
    route: LearnedRoute | None


def read_page(services: Services, caller: Caller, *, after: str, limit: int) -> Page:
    """The caller's trips after an id with their drives, by id."""
    from tracking.fleet import JudgedTrip  # noqa: PLC0415  geopandas takes a second to load

    visible = list_visible(services, caller, after=after, limit=limit + 1)
    ids = [trip.id for trip, _ in visible[:limit]]
    verdicts = services.tracks.list_verdicts(ids)
    drives = []
    for trip in services.tracks.list_trips_by_id(ids):
        fixes = _drive(services, trip)
        if len(fixes):
            judged = verdicts.get(trip.trip)
            outcome = None if judged is None else judged.verdict
            findings = () if judged is None else findings_of(judged)
            drives.append(
                JudgedTrip(trip.trip, Plan.from_json(trip.plan), fixes, outcome, findings)
            )
    return Page(sorted(drives, key=lambda one: one.trip), ids, len(visible) > limit)


def findings_of(verdict: VerdictRecord) -> tuple[Finding, ...]:
    """The findings of a kept verdict."""
    return tuple(
        Finding(
            one["code"],
            Severity(one["severity"]),
            _second(one["from"]),
            _second(one["to"]),
            one["detail"],
        )
        for one in verdict.document["findings"]
    )


def _second(text: str | None) -> int | None:
    return None if text is None else parse_instant(text)


def _drive(services: Services, trip: Trip) -> Columns:
    fixes = services.tracks.list_fixes(trip.terminal, trip.opens, trip.closes)
    return Track.of(fixes, terminal=trip.terminal).fixes


# --- shapes ------------------------------------------------------------------------------------
def read_shapes(given: Sequence[str], column: str) -> Any:
    """Named circles and polygons as a GeoDataFrame with a column of their names.

    Args:
        given: ``NAME:LON,LAT,RADIUS_M`` or ``NAME:LON,LAT LON,LAT LON,LAT ...``.
        column: what a name is of; the field that an error names.

    Raises:
        InvalidValueError: names what is wrong.
    """
    import geopandas as gpd  # noqa: PLC0415  as above

    if len(given) > MOST_SHAPES:
        raise InvalidValueError(f"at most {MOST_SHAPES} at a time", field=column, given=len(given))
    rows = [_shape(text, column) for text in given]
    return gpd.GeoDataFrame(
        {column: [name for name, _ in rows]}, geometry=[area for _, area in rows], crs="EPSG:4326"
    )


def _shape(text: str, column: str) -> tuple[str, shapely.Polygon]:
    form = _SHAPE.fullmatch(text.strip())
    if form is None:
        raise _odd(text, column, "is not NAME:LON,LAT,RADIUS_M or NAME:LON,LAT LON,LAT LON,LAT")
    try:
        corners = [
            tuple(float(part) for part in corner.split(",")) for corner in form["numbers"].split()
        ]
    except ValueError:
        raise _odd(text, column, "has something that is not a number") from None
    if any(not (-180 <= one[0] <= 180 and len(one) > 1 and -85 <= one[1] <= 85) for one in corners):
        raise _odd(text, column, "has a corner that is not a place (longitude first)")
    name = form["name"].strip()
    if len(corners) == 1 and len(corners[0]) == 3:
        lon, lat, radius = corners[0]
        if not 1 <= radius <= 100_000:
            raise _odd(text, column, "has a radius that is not 1 to 100,000 m")
        return name, _circle(lon, lat, radius)
    if not 3 <= len(corners) <= MOST_CORNERS or any(len(one) != 2 for one in corners):
        raise _odd(text, column, f"is not 3 to {MOST_CORNERS} corners of two numbers")
    area = shapely.Polygon(corners)
    if not area.is_valid or area.area == 0:
        raise _odd(text, column, "crosses itself or has no inside")
    return name, area


def _odd(text: str, column: str, why: str) -> InvalidValueError:
    return InvalidValueError(f"{text[:60]!r} {why}", field=column, given=text[:200])


def _circle(lon: float, lat: float, radius_m: float) -> shapely.Polygon:
    turns = np.linspace(0, 360, _CORNERS_OF_A_CIRCLE, endpoint=False)
    same = np.full(len(turns), 1.0)
    x, y, _ = GEOD.fwd(lon * same, lat * same, turns, radius_m * same)
    return shapely.Polygon(np.stack((np.asarray(x), np.asarray(y)), axis=1))


def places_of(routes: Sequence[PlannedRoute]) -> list[str]:
    """The places of some planned routes, as shapes: what people call them, each once."""
    found: dict[str, str] = {}
    for route in routes:
        for name, end in ((route.origin, "pickup"), (route.destination, "delivery")):
            gate = route.plan[end]
            plain = name.replace(":", " ").strip() or end
            place = (
                f"{plain}:{gate['lon']:.6f},{gate['lat']:.6f},{max(1, gate.get('radius_m', 300))}"
            )
            found.setdefault(plain, place)
    return list(found.values())[:MOST_SHAPES]


# --- lanes -------------------------------------------------------------------------------------
def is_same_lane(one: Plan, other: Plan) -> bool:
    """Whether two plans lead from the same place to the same place."""
    return _is_same_place(one.loading, other.loading) and _is_same_place(
        one.unloading, other.unloading
    )


def _is_same_place(one: Gate, other: Gate) -> bool:
    apart = distance_mm(np.array([one.lon]), np.array([one.lat]), other.lon, other.lat)
    return int(apart[0]) <= 1_000 * max(_SAME_PLACE_M, one.radius_m + other.radius_m)


def learn_lane(services: Services, caller: Caller, lane: Plan, *, most: int) -> Learned:
    """The road of a lane, learned from the caller's latest drives there that passed."""
    chosen: list[tuple[int, Trip, VerdictRecord]] = []
    after = ""
    for _ in range(MOST_SEARCHED // _PAGE):
        visible = list_visible(services, caller, after=after, limit=_PAGE)
        ids = [trip.id for trip, _ in visible]
        passed = {
            trip: verdict
            for trip, verdict in services.tracks.list_verdicts(ids).items()
            if verdict.verdict == "pass"
        }
        chosen += [
            (passed[trip.trip].judged, trip, passed[trip.trip])
            for trip in services.tracks.list_trips_by_id(list(passed))
            if is_same_lane(Plan.from_json(trip.plan), lane)
        ]
        if len(visible) < _PAGE:
            break
        after = ids[-1]
    drives: dict[TripId, Columns] = {}
    for _, trip, verdict in sorted(chosen, key=lambda one: (-one[0], one[1].trip)):
        if len(drives) == most:
            break
        cut = _cut(_drive(services, trip), verdict)
        if can_teach(cut):
            drives[trip.trip] = cut
    try:
        return Learned(tuple(drives), learn_route(list(drives.values())) if drives else None)
    except PlanError:
        return Learned((), None)  # nothing in them that is a road


def _cut(fixes: Columns, verdict: VerdictRecord) -> Columns:
    """The drive from where it left to where it arrived: the way there and home is the driver's own."""
    ends = [verdict.document[name] for name in ("departed_at", "arrived_at")]
    low, high = (None if end is None else parse_instant(end) for end in ends)
    keep = np.ones(len(fixes), dtype=np.bool_)
    if low is not None:
        keep &= fixes.time >= low
    if high is not None:
        keep &= fixes.time <= high
    return fixes.take(keep)
