"""A corridor learned from earlier verified drives between the same places, with the support of every stretch.

A plan drawn by hand is often wrong where it matters: the weighbridge, the second gate, the road the drivers
know. Drives that passed are evidence of the road as it is driven; where they agree they make a route, and how
many agree on each stretch is shown, so that a person can refuse a thin one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Proj

from tracking.corridor import geodesic_mm
from tracking.refusals import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracking.track import Columns

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_STEP_M = 50.0
_NEAR_M = 60.0
_LARGEST_GAP_M = 3_000.0
_LARGEST_SPAN_DEG = 20.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a learned route with equal support.

    Attributes:
        from_m: metres along the route.
        to_m: metres along the route.
        drives: how many of the drives passed it within 60 m.
    """

    from_m: int
    to_m: int
    drives: int


@dataclass(frozen=True, slots=True)
class LearnedRoute:
    """A route as it is driven.

    Attributes:
        route: (lon, lat) in driving order, WGS-84, six decimals.
        drives: how many drives it was learned from.
        stretches: support along it.
        spread_m: half width within which nine in ten passages lie: what a corridor needs at least.
    """

    route: tuple[tuple[float, float], ...]
    drives: int
    stretches: tuple[Stretch, ...]
    spread_m: int

    @property
    def least_support(self) -> int:
        """Drives on the thinnest stretch."""
        return min((stretch.drives for stretch in self.stretches), default=0)


def learn_route(drives: Sequence[Columns], *, near_m: float = _NEAR_M) -> LearnedRoute:
    """The road that most of some drives took.

    The drive that lies nearest to all the others leads; each place of it moves to the middle of the drives
    that pass within `near_m` in the same direction, so that one receiver's error does not become the plan.

    Args:
        drives: fixes of verified drives between the same two places, cut to the trip.
        near_m: how near a passage must lie to be of the same road.

    Raises:
        PlanError: no drives, or one too short to have a road.
    """
    if not drives:
        raise PlanError("no drives to learn from", field="drives")
    plane = _plane(drives[0])
    lines = [_line(columns, plane) for columns in drives]
    short = next((at for at, line in enumerate(lines) if line.length < 2 * _STEP_M), None)
    if short is not None:
        raise PlanError(f"drive {short} is too short to have a road", field="drives")
    leader = lines[_medoid(lines)]
    at = np.arange(0.0, leader.length, _STEP_M)
    spots = shapely.get_coordinates(shapely.line_interpolate_point(leader, at))
    ahead = _directions(leader, at)
    offsets = np.full((len(lines), len(at)), np.nan)
    for row, line in enumerate(lines):
        offsets[row] = _sideways(line, spots, ahead, near_m)
    passed = ~np.isnan(offsets)
    middle = np.nanmedian(offsets, axis=0, keepdims=False)
    left = np.stack((-ahead[:, 1], ahead[:, 0]), axis=1)
    road = spots + left * middle[:, None]
    road = np.concatenate((road, shapely.get_coordinates(shapely.get_point(leader, -1))))
    thin = shapely.get_coordinates(shapely.simplify(shapely.LineString(road), 3.0))
    lon, lat = plane(thin[:, 0], thin[:, 1], inverse=True)
    route = tuple((round(float(x), 6), round(float(y), 6)) for x, y in zip(lon, lat, strict=True))
    spread = np.nanquantile(np.abs(offsets - middle), 0.9)
    return LearnedRoute(
        route,
        len(lines),
        _stretches(passed.sum(axis=0), at, leader.length),
        round(float(spread) + 0.5),
    )


def can_teach(columns: Columns) -> bool:
    """Whether a drive has a road to learn from: it moves, and does not leap over what it did not see."""
    order = np.argsort(columns.time, kind="stable")
    lon, lat = columns.lon_e6[order] / 1e6, columns.lat_e6[order] / 1e6
    steps = geodesic_mm(lon, lat) / 1000.0
    if not len(steps) or float(steps.max()) > _LARGEST_GAP_M or np.ptp(lon) > _LARGEST_SPAN_DEG:
        return False
    return float(steps[steps > 5.0].sum()) > 4 * _STEP_M


def _plane(columns: Columns) -> Proj:
    """Metres around the first drive; its place decides, so that the order of the fixes does not."""
    return Proj(
        proj="tmerc",
        ellps="WGS84",
        lon_0=float(np.median(columns.lon_e6)) / 1e6,
        lat_0=float(np.median(columns.lat_e6)) / 1e6,
    )


def _line(columns: Columns, plane: Proj) -> shapely.LineString:
    order = np.argsort(columns.time, kind="stable")
    lon, lat = columns.lon_e6[order] / 1e6, columns.lat_e6[order] / 1e6
    steps = geodesic_mm(lon, lat) / 1000.0
    if len(steps) and (float(steps.max()) > _LARGEST_GAP_M or np.ptp(lon) > _LARGEST_SPAN_DEG):
        raise PlanError(
            f"a drive leaps {steps.max():.0f} m; learn from drives without gaps", field="drives"
        )
    moved = np.concatenate(([True], steps > 5.0))
    x, y = plane(lon[moved], lat[moved])
    if len(x) < 2:
        raise PlanError("a drive does not move", field="drives")
    return shapely.LineString(np.stack((x, y), axis=1))


def _medoid(lines: list[shapely.LineString]) -> int:
    """The line that lies nearest to all others, by the median distance of its places."""
    total = []
    for line in lines:
        spots = shapely.line_interpolate_point(line, np.linspace(0, line.length, 100))
        total.append(sum(float(np.median(shapely.distance(other, spots))) for other in lines))
    return int(np.argmin(total))


def _directions(line: shapely.LineString, at: Floats) -> Floats:
    before = shapely.get_coordinates(shapely.line_interpolate_point(line, np.maximum(at - 10, 0)))
    after = shapely.get_coordinates(
        shapely.line_interpolate_point(line, np.minimum(at + 10, line.length))
    )
    step = after - before
    unit: Floats = step / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
    return unit


def _sideways(line: shapely.LineString, spots: Floats, ahead: Floats, near_m: float) -> Floats:
    """How far left of each place a line passes it, NaN where it does not, or only the other way."""
    points = shapely.points(spots)
    along = np.asarray(shapely.line_locate_point(line, points))
    feet = shapely.get_coordinates(shapely.line_interpolate_point(line, along))
    aside = feet - spots
    left = -aside[:, 0] * ahead[:, 1] + aside[:, 1] * ahead[:, 0]
    same_way = (_directions(line, along) * ahead).sum(axis=1) > 0.3
    away = np.hypot(aside[:, 0], aside[:, 1])
    out: Floats = np.where((away <= near_m) & same_way, left, np.nan)
    return out


def _stretches(support: Ints, at: Floats, length: float) -> tuple[Stretch, ...]:
    breaks = np.concatenate(([0], np.flatnonzero(np.diff(support) != 0) + 1, [len(support)]))
    return tuple(
        Stretch(
            round(float(at[low])),
            round(float(at[high]) if high < len(at) else length),
            int(support[low]),
        )
        for low, high in zip(breaks[:-1].tolist(), breaks[1:].tolist(), strict=True)
    )
