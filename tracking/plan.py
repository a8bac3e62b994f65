"""What was promised: the planned road, its width, the places of loading and unloading, their windows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import shapely

from chain.clock import rfc3339
from tracking.instants import instant, parse_instant
from tracking.refusals import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_LATITUDE = 85.0
"""Beyond it the map projection of the corridor has no meaning."""

MAX_VERTICES = 1_000_000
DEFAULT_RADIUS_M = 300
DEFAULT_CORRIDOR_M = 200

LonLat = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Gate:
    """A place of loading or unloading: a circle, or a polygon where one is given.

    Attributes:
        lon: WGS-84 degrees of the centre.
        lat: WGS-84 degrees of the centre.
        radius_m: radius of the circle; ignored where there is a polygon.
        polygon: ring of (lon, lat), not closed; empty for a circle.
        opens: unix seconds from which the window is open, None without one.
        closes: unix seconds at which it closes, None without one.
    """

    lon: float
    lat: float
    radius_m: int = DEFAULT_RADIUS_M
    polygon: tuple[LonLat, ...] = ()
    opens: int | None = None
    closes: int | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any], field: str) -> Gate:
        """A gate from {lat, lon, radius_m} or {polygon}, with opens_utc and closes_utc at will.

        Raises:
            PlanError: names the field that is missing or wrong.
        """
        if not isinstance(value, dict):
            raise PlanError(f"{field} must be an object with lat, lon and radius_m", field=field)
        opens, closes = (
            _instant(value.get(key), f"{field}.{key}") for key in ("opens_utc", "closes_utc")
        )
        if opens is not None and closes is not None and closes < opens:
            raise PlanError(f"{field} closes before it opens", field=field)
        if value.get("polygon"):
            ring = _points(value["polygon"], f"{field}.polygon", least=3)
            ring = ring[:-1] if ring[0] == ring[-1] else ring
            if len(ring) < 3:
                raise PlanError(f"{field}.polygon needs three corners", field=field)
            lon, lat = _middle(ring, f"{field}.polygon")
            return cls(round(lon, 7), round(lat, 7), 0, ring, opens, closes)
        lon, lat = _lon_lat((value.get("lon"), value.get("lat")), field)
        radius = _number(value.get("radius_m", DEFAULT_RADIUS_M), f"{field}.radius_m")
        if not 1 <= radius <= 100_000:
            raise PlanError(f"{field}.radius_m must be 1 to 100000 m, not {radius:g}", field=field)
        return cls(lon, lat, round(radius), (), opens, closes)

    def to_json(self) -> dict[str, Any]:
        """The form that from_json reads."""
        out: dict[str, Any] = {"lat": self.lat, "lon": self.lon, "radius_m": self.radius_m}
        if self.polygon:
            out["polygon"] = [list(corner) for corner in self.polygon]
        for key, at in (("opens_utc", self.opens), ("closes_utc", self.closes)):
            if at is not None:
                out[key] = rfc3339(instant(at))
        return out


@dataclass(frozen=True)
class Plan:
    """A planned trip: route in WGS-84, corridor half width, loading and unloading gate, start, terminal.

    Attributes:
        route: (lon, lat) in driving order, at least two different points.
        loading: where the goods are taken.
        unloading: where they are delivered.
        corridor_m: half width of the corridor around the route.
        starts: planned start, unix seconds, None where not planned.
        terminal: normalised terminal id whose fixes count, "" for any.
    """

    route: tuple[LonLat, ...]
    loading: Gate
    unloading: Gate
    corridor_m: int = DEFAULT_CORRIDOR_M
    starts: int | None = None
    terminal: str = ""

    def __post_init__(self) -> None:
        _check_route(self.route)
        if not 10 <= self.corridor_m <= 20_000:
            raise PlanError(
                f"corridor width must be 10 to 20000 m each side, not {self.corridor_m}",
                field="corridor_half_width_m",
            )

    @cached_property
    def _hash(self) -> int:
        return hash((self.route, self.loading, self.unloading, self.corridor_m))

    def __hash__(self) -> int:
        return self._hash

    @classmethod
    def of_route(
        cls,
        route: Sequence[Sequence[float]],
        *,
        radius_m: int = DEFAULT_RADIUS_M,
        corridor_m: int = DEFAULT_CORRIDOR_M,
    ) -> Plan:
        """A plan from a route alone, its gates around the ends of the route."""
        points = _points(route, "route", least=2)
        _check_route(points)
        first, last = points[0], points[-1]
        return cls(
            points,
            Gate(first[0], first[1], radius_m),
            Gate(last[0], last[1], radius_m),
            corridor_m,
        )

    @classmethod
    def from_json(
        cls, value: Mapping[str, Any], *, route: Sequence[Sequence[float]] | None = None
    ) -> Plan:
        """A plan from {planned_route, pickup, delivery, corridor_half_width_m, planned_start_utc, terminal}.

        Args:
            value: the trip; what is missing of pickup and delivery is put around the ends of the route.
            route: wins over `planned_route`.

        Raises:
            PlanError: names the field.
        """
        if not isinstance(value, dict):
            raise PlanError("a trip is one JSON object", field="trip")
        given = route if route is not None else value.get("planned_route")
        if given is None:
            raise PlanError("the trip has no planned_route", field="planned_route")
        points = _points(given, "planned_route", least=2)
        _check_route(points)
        width = _number(
            value.get("corridor_half_width_m", DEFAULT_CORRIDOR_M), "corridor_half_width_m"
        )
        terminal = value.get("terminal", "")
        if not isinstance(terminal, str):
            raise PlanError("terminal must be text", field="terminal")
        ends = {
            name: Gate.from_json(value[name], name)
            if value.get(name) is not None
            else Gate(points[at][0], points[at][1])
            for name, at in (("pickup", 0), ("delivery", -1))
        }
        return cls(
            points,
            ends["pickup"],
            ends["delivery"],
            round(width),
            _instant(value.get("planned_start_utc"), "planned_start_utc"),
            normal_terminal(terminal),
        )

    def to_json(self) -> dict[str, Any]:
        """The form that from_json reads."""
        return {
            "planned_route": [list(point) for point in self.route],
            "pickup": self.loading.to_json(),
            "delivery": self.unloading.to_json(),
            "corridor_half_width_m": self.corridor_m,
            "planned_start_utc": None if self.starts is None else rfc3339(instant(self.starts)),
            "terminal": self.terminal,
        }


def normal_terminal(text: str) -> str:
    """A terminal id as it is compared: trimmed, decimal ones without leading zeros."""
    text = text.strip()
    return (text.lstrip("0") or "0") if text.isdecimal() else text


def _number(value: Any, field: str) -> float:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    # A whole number of hundreds of digits is no float.
    if not known or (isinstance(value, int) and abs(value) > 1 << 64) or not math.isfinite(value):
        raise PlanError(f"{field} must be a number, not {str(value)[:40]!r}", field=field)
    return float(value)


def _lon_lat(pair: Any, field: str) -> LonLat:
    if not isinstance(pair, (list, tuple)) or len(pair) < 2:
        raise PlanError(f"{field} must be [longitude, latitude], not {pair!r}", field=field)
    lon, lat = _number(pair[0], f"{field}.lon"), _number(pair[1], f"{field}.lat")
    if not -180 <= lon <= 180:
        raise PlanError(f"{field}: longitude {lon:g} is outside -180..180", field=field)
    if not -90 <= lat <= 90:
        raise PlanError(f"{field}: latitude {lat:g} is outside -90..90", field=field)
    return (round(lon, 7), round(lat, 7))


def _middle(ring: tuple[LonLat, ...], field: str) -> LonLat:
    """The mean of a ring's corners, across the antimeridian too; refuses a ring without one clear inside."""
    lons = [lon for lon, _ in ring]
    if max(lons) - min(lons) > 180:
        lons = [lon + 360 if lon < 0 else lon for lon in lons]
    area = shapely.Polygon([(lon, corner[1]) for lon, corner in zip(lons, ring, strict=True)])
    if not area.is_valid or area.area == 0:
        raise PlanError(f"{field} crosses itself or has no inside", field=field)
    lon = sum(lons) / len(ring)
    return lon - 360 if lon > 180 else lon, sum(lat for _, lat in ring) / len(ring)


def _points(value: Any, field: str, *, least: int) -> tuple[LonLat, ...]:
    if not isinstance(value, (list, tuple)):
        raise PlanError(f"{field} must be a list of [longitude, latitude]", field=field)
    if len(value) < least:
        raise PlanError(f"{field} has {len(value)} points and needs {least}", field=field)
    if len(value) > MAX_VERTICES:
        raise PlanError(f"{field} has {len(value)} points; at most {MAX_VERTICES}", field=field)
    return tuple(_lon_lat(pair, f"{field}[{at}]") for at, pair in enumerate(value))


def _instant(value: Any, field: str) -> int | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise PlanError(f"{field} must be an RFC 3339 text", field=field)
    try:
        return parse_instant(value)
    except ValueError as wrong:
        raise PlanError(
            f"{field}: {value!r} is not an RFC 3339 instant with a zone", field=field
        ) from wrong


def _check_route(route: tuple[LonLat, ...]) -> None:
    if len(route) < 2 or len(set(route)) < 2:
        raise PlanError("a route needs two different points", field="route")
    steep = next((at for at, point in enumerate(route) if abs(point[1]) > MAX_LATITUDE), None)
    if steep is not None:
        raise PlanError(
            f"route[{steep}] lies beyond {MAX_LATITUDE:g} degrees of latitude", field="route"
        )
