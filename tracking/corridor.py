"""The planned road as a corridor: how far a place is from it, and how far along it a drive has come.

Distances to the road are measured on an ellipsoidal Mercator plane and rescaled by its local scale, which
is exact to better than 1 part in 1,000 within a kilometre of the road; lengths along the road and between
fixes are geodesics. Everything is rounded to whole millimetres at once, so that later comparisons do
not depend on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import Geod, Proj

from tracking.refusals import PlanError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracking.plan import Gate, Plan

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

GEOD = Geod(ellps="WGS84")
_DENSE_M = 100.0
_MOST_EXACT = 20_000
"""Segments whose second passes are looked for exactly; more than that is no road but a scribble."""

_MOST_PAIRS = 400
"""Pairs of passes that are compared one by one; more go through an array."""

_ECCENTRICITY_2 = 0.00669437999014
_PACE_STEP_MM = 10_000
_BEND_M = 60.0
_TOP_M_S = 70.0
_SIDEWAYS_M_S2 = 4.0
_FORWARD_M_S2 = 2.5
_BRAKING_M_S2 = 4.0
OFF = -1
"""Progress of a fix that is not on the corridor."""


def geodesic_mm(lon: Floats, lat: Floats) -> Ints:
    """Geodesic distance from each point to the next, whole millimetres, one fewer than the points."""
    if len(lon) < 2:
        return np.zeros(0, dtype=np.int64)
    metres = GEOD.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2]
    whole: Ints = np.rint(np.asarray(metres) * 1000).astype(np.int64)
    return whole


def distance_mm(lon: Floats, lat: Floats, to_lon: Floats | float, to_lat: Floats | float) -> Ints:
    """Geodesic distance from points to points (or to one), whole millimetres."""
    if len(lon) == 0:
        return np.zeros(0, dtype=np.int64)
    there = (
        np.broadcast_to(np.asarray(to_lon, float), lon.shape),
        np.broadcast_to(np.asarray(to_lat, float), lon.shape),
    )
    metres = GEOD.inv(lon, lat, *there)[2]
    whole: Ints = np.rint(np.asarray(metres) * 1000).astype(np.int64)
    return whole


@dataclass(frozen=True, slots=True)
class Match:
    """Where fixes lie beside the road.

    Attributes:
        offset: distance to the nearest point of the road, mm, signed: left of the driving direction is
            positive.
        along: progress of that point along the road, mm; OFF where the fix is outside the corridor.
        near: within the corridor.
    """

    offset: Ints
    along: Ints
    near: Bools


class _Road:
    """The line of a road on the plane, which the trips of one road have in common."""

    def __init__(self, route: tuple[tuple[float, float], ...]) -> None:
        points = np.array(route, dtype=np.float64)
        moved = np.ones(len(points), dtype=np.bool_)
        moved[1:] = (np.diff(points, axis=0) != 0).any(axis=1)
        points = points[moved]
        self.lon_0 = float(points[0, 0])
        self.proj = Proj(proj="merc", ellps="WGS84", lon_0=self.lon_0, over=True)
        # longitudes run on across the antimeridian instead of jumping by 360
        self.lon, self.lat = _densify(np.unwrap(points[:, 0], period=360.0), points[:, 1])
        steps = geodesic_mm(self.lon, self.lat)
        self.along = np.concatenate(([0], np.cumsum(steps)))
        x, y = self.proj(self.lon, self.lat)
        self.x, self.y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        self.seg_len = np.maximum(steps, 1)
        ends = np.stack((self.x, self.y), axis=1)
        self.segments: NDArray[Any] = np.asarray(
            shapely.linestrings(np.stack((ends[:-1], ends[1:]), axis=1))
        )
        self.tree = shapely.STRtree(self.segments)
        self.pace: tuple[Floats, Floats] | None = None
        self.twofold: dict[int, Bools] = {}

    @cached_property
    def lists(self) -> tuple[list[float], list[float], list[float]]:
        """Mercator metres x and y, and metres along: plain floats are quicker one by one."""
        return self.x.tolist(), self.y.tolist(), (self.along / 1000.0).tolist()


_road_of = lru_cache(maxsize=256)(_Road)


class Corridor:
    """The planned road of one plan, ready for many fixes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        road = self.road = _road_of(plan.route)
        self.lon_0, self._proj = road.lon_0, road.proj
        self.lon, self.lat = road.lon, road.lat
        self.x, self.y = road.x, road.y
        self.along, self.length_mm = road.along, int(road.along[-1])
        self._seg_len, self._segments, self._tree = road.seg_len, road.segments, road.tree
        self.width_mm = plan.corridor_m * 1000
        self._check_gates()

    def _check_gates(self) -> None:
        """A gate that the corridor does not touch could never be reached along it.

        Raises:
            PlanError: names the gate and its distance.
        """
        for field, gate in (("pickup", self.plan.loading), ("delivery", self.plan.unloading)):
            away = int(from_gate_mm(gate, self.lon, self.lat).min())
            spot = (np.array([gate.lon]), np.array([gate.lat]))
            away = min(away, int(self.offset_mm(*spot)[0]) - gate.radius_m * 1000)
            if away > self.width_mm:
                raise PlanError(
                    f"{field} lies {away // 1000} m from the route and the corridor is {self.plan.corridor_m} m wide",
                    field=field,
                    away_m=away // 1000,
                )

    def project(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Mercator metres on the ellipsoid; divide distances by scale() to have ground metres."""
        x, y = self._proj(lon, lat)
        return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)

    def place(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Mercator metres of fixes, on the turn of the globe where the road lies."""
        middle = (float(self.lon.min()) + float(self.lon.max())) / 2
        near = lon + 360.0 * np.rint((middle - lon) / 360.0)
        return self.project(near, np.clip(lat, -89.0, 89.0))

    @staticmethod
    def scale(lat: Floats) -> Floats:
        """Mercator metres per ground metre at a latitude."""
        phi = np.radians(np.clip(lat, -89.0, 89.0))
        scale: Floats = np.sqrt(1 - _ECCENTRICITY_2 * np.sin(phi) ** 2) / np.cos(phi)
        return scale

    def match(self, lon: Floats, lat: Floats, steps: Ints) -> Match:
        """Matches ordered fixes to the road, so that progress fits the distance driven.

        Where the road passes a place twice (it doubles back, crosses itself, ends where it began) the
        pass is chosen that agrees best with the way driven before and after.

        Args:
            lon: degrees, ordered by time.
            lat: degrees.
            steps: geodesic mm from each fix to the next.
        """
        count = len(lon)
        if count == 0:
            none = np.zeros(0, dtype=np.int64)
            return Match(none, none, none.astype(np.bool_))
        x, y = self.place(lon, lat)
        scale = self.scale(lat)
        points = shapely.points(x, y)
        _, nearest = self._tree.query_nearest(points, all_matches=False)
        offset, along = self._on_segment(x, y, scale, nearest)
        near = np.abs(offset) <= self.width_mm
        ambiguous = near & self._twofold[nearest]
        along = np.where(near, along, OFF)
        if ambiguous.any():
            self._choose_passes(
                points,
                x=x,
                y=y,
                scale=scale,
                steps=steps,
                ambiguous=ambiguous,
                offset=offset,
                along=along,
            )
        return Match(offset, along, near)

    def offset_mm(self, lon: Floats, lat: Floats) -> Ints:
        """Distance of places to the nearest point of the road, mm, without order."""
        x, y = self.place(lon, lat)
        _, nearest = self._tree.query_nearest(shapely.points(x, y), all_matches=False)
        return np.abs(self._on_segment(x, y, self.scale(lat), nearest)[0])

    def nearest_after(
        self, x: float, y: float, scale: float, done_m: float
    ) -> tuple[float, float, int] | None:
        """The pass of the road near a place (Mercator metres) that lies least far ahead of a progress.

        Returns:
            (distance m, progress m, segment), None where the place is outside the corridor.
        """
        reach = self.plan.corridor_m
        near = self._tree.query(shapely.Point(x, y), predicate="dwithin", distance=reach * scale)
        if len(near) == 0:
            return None
        count = np.ones(len(near))
        offset, along = self._on_segment(x * count, y * count, scale * count, near)
        away, at = np.abs(offset) / 1000.0, along / 1000.0
        # Behind costs more than ahead: a truck that comes back to its road has made way meanwhile.
        cost = away + np.where(at >= done_m - 50.0, at - done_m, 5.0 * (done_m - at)) / 10.0
        best = int(np.argmin(cost))
        return float(away[best]), float(at[best]), int(near[best])

    def least_seconds(self, along: Ints) -> Floats:
        """Seconds from the start of the road in which a fast vehicle could be at each progress (mm).

        The road's bends limit the speed to what 4 m/s2 sideways allow, its straights to 250 km/h, and
        2.5 m/s2 forwards and 4 m/s2 braking join them.
        """
        pace = self.road.pace
        if pace is None:
            pace = self.road.pace = self._find_pace()
        least: Floats = np.interp(along, pace[0], pace[1])
        return least

    def _find_pace(self) -> tuple[Floats, Floats]:
        count = max(3, self.length_mm // _PACE_STEP_MM)
        along = np.linspace(0, self.length_mm, count + 1)
        step = float(along[1]) / 1000.0
        x, y = np.interp(along, self.along, self.x), np.interp(along, self.along, self.y)
        course = np.unwrap(np.arctan2(np.diff(y), np.diff(x)))
        reach = max(1, round(_BEND_M / step))
        padded = np.concatenate((np.full(reach, course[0]), course, np.full(reach, course[-1])))
        bend = np.abs(padded[2 * reach :] - padded[: -2 * reach]) / (2 * reach * step)
        square = np.minimum(_TOP_M_S**2, _SIDEWAYS_M_S2 / np.maximum(bend, 1e-7)).tolist()
        square.append(square[-1])
        for at in range(1, len(square)):
            square[at] = min(square[at], square[at - 1] + 2 * _FORWARD_M_S2 * step)
        for at in range(len(square) - 2, -1, -1):
            square[at] = min(square[at], square[at + 1] + 2 * _BRAKING_M_S2 * step)
        speed = np.sqrt(np.array(square))
        seconds = np.concatenate(([0.0], np.cumsum(2 * step / (speed[1:] + speed[:-1]))))
        return along, seconds

    def _on_segment(self, x: Floats, y: Floats, scale: Floats, seg: Any) -> tuple[Ints, Ints]:
        """Signed distance to segments and progress of the foot, mm."""
        ax, ay = self.x[seg], self.y[seg]
        dx, dy = self.x[seg + 1] - ax, self.y[seg + 1] - ay
        px, py = x - ax, y - ay
        square = dx * dx + dy * dy
        part = np.clip((px * dx + py * dy) / np.where(square > 0, square, 1.0), 0.0, 1.0)
        away = np.hypot(px - part * dx, py - part * dy) / scale
        side = np.where(dx * py - dy * px >= 0, 1, -1)
        along = self.along[seg] + np.rint(part * self._seg_len[seg]).astype(np.int64)
        return np.rint(np.minimum(away, 9e9) * 1000).astype(np.int64) * side, along

    @property
    def _twofold(self) -> Bools:
        """Segments beside which the road passes a second time, further along."""
        found = self.road.twofold.get(self.plan.corridor_m)
        if found is None:
            found = self.road.twofold[self.plan.corridor_m] = self._find_twofold()
        return found

    def _find_twofold(self) -> Bools:
        count = len(self._segments)
        found = np.zeros(count, dtype=np.bool_)
        scale = self.scale(self.lat[:-1])
        reach = 2.0 * self.plan.corridor_m
        middle = (self.along[:-1] + self.along[1:]) // 2
        perhaps = np.flatnonzero(self._maybe_twofold(reach * float(scale.max()), middle))
        if len(perhaps) > _MOST_EXACT:
            # A road that winds over itself everywhere: looking at too many places only costs time.
            found[perhaps] = True
            return found
        for start in range(0, len(perhaps), 2_000):
            part = perhaps[start : start + 2_000]
            one, other = self._tree.query(
                self._segments[part], predicate="dwithin", distance=reach * scale[part]
            )
            one = part[one]
            # A second pass is a part of the road near in space yet far along it.
            apart = (
                np.abs(middle[one] - middle[other])
                - (self._seg_len[one] + self._seg_len[other]) // 2
                > 1.3 * reach * 1000
            )
            found[one[apart]] = True
        return found

    def _maybe_twofold(self, reach: float, middle: Ints) -> Bools:
        """Segments near which, by the cells of a grid, the road passes far along it; never too few."""
        size = reach + 2 * _DENSE_M * float(self.scale(self.lat).max())
        x = (self.x[:-1] + self.x[1:]) / 2
        y = (self.y[:-1] + self.y[1:]) / 2
        column = np.floor((x - x.min()) / size).astype(np.int64) + 1
        row = np.floor((y - y.min()) / size).astype(np.int64) + 1
        wide = int(column.max()) + 2
        cells, at = np.unique(row * wide + column, return_inverse=True)
        low = np.full(len(cells), np.iinfo(np.int64).max)
        high = np.full(len(cells), -1)
        np.minimum.at(low, at, middle)
        np.maximum.at(high, at, middle)
        least, most = low.copy(), high.copy()
        for step in (-wide - 1, -wide, -wide + 1, -1, 1, wide - 1, wide, wide + 1):
            beside = np.searchsorted(cells, cells + step)
            beside = np.minimum(beside, len(cells) - 1)
            there = cells[beside] == cells + step
            least = np.where(there, np.minimum(least, low[beside]), least)
            most = np.where(there, np.maximum(most, high[beside]), most)
        far = 1_300 * 2 * self.plan.corridor_m
        maybe: Bools = np.maximum(most[at] - middle, middle - least[at]) > far
        return maybe

    def _choose_passes(
        self,
        points: Any,
        *,
        x: Floats,
        y: Floats,
        scale: Floats,
        steps: Ints,
        ambiguous: Bools,
        offset: Ints,
        along: Ints,
    ) -> None:
        """Chooses passes for ambiguous fixes by the cheapest way through all candidates, in place."""
        rows = np.flatnonzero(ambiguous)
        which, seg = self._tree.query(
            points[rows], predicate="dwithin", distance=self.plan.corridor_m * scale[rows]
        )
        owner = rows[which]
        cand_off, cand_along = self._on_segment(x[owner], y[owner], scale[owner], seg)
        order = np.lexsort((seg, owner))
        owner, seg, cand_off, cand_along = (
            owner[order],
            seg[order],
            cand_off[order],
            cand_along[order],
        )
        # Neighbouring segments near one fix are one pass; its nearest point stands for it.
        fresh = np.ones(len(owner), dtype=np.bool_)
        fresh[1:] = (np.diff(owner) != 0) | (np.diff(seg) > 1)
        group = np.cumsum(fresh) - 1
        best = np.lexsort((np.abs(cand_off), group))
        first = np.ones(len(best), dtype=np.bool_)
        first[1:] = np.diff(group[best]) != 0
        pick = best[first]
        owner, cand_off, cand_along = owner[pick], cand_off[pick], cand_along[pick]
        starts = np.searchsorted(owner, rows, side="left")
        stops = np.searchsorted(owner, rows, side="right")
        # One pass only, as nearly everywhere: nothing to choose.
        alone = stops - starts <= 1
        ambiguous[rows[alone]] = False
        rows, starts, stops = rows[~alone], starts[~alone], stops[~alone]
        if len(rows) == 0:
            return
        driven = np.concatenate(([0], np.cumsum(steps)))
        _cheapest_way(
            _Candidates(rows, starts, stops, cand_off, cand_along),
            driven,
            ambiguous=ambiguous,
            offset=offset,
            along=along,
        )


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Passes of the road near ambiguous fixes: those of fix rows[k] are starts[k] up to stops[k]."""

    rows: Ints
    starts: Ints
    stops: Ints
    offset: Ints
    along: Ints


def _cheapest_way(
    near: _Candidates, driven: Ints, *, ambiguous: Bools, offset: Ints, along: Ints
) -> None:
    """Viterbi over runs of ambiguous fixes between fixes whose place on the road is certain."""
    rows = near.rows
    certain = np.flatnonzero((along != OFF) & ~ambiguous)
    before = np.searchsorted(certain, rows) - 1
    # A run ends where a certain fix lies between two ambiguous ones.
    breaks = np.flatnonzero(np.diff(before) != 0) + 1
    offs, alongs, ways = near.offset.tolist(), near.along.tolist(), driven.tolist()
    low, high, row_list = near.starts.tolist(), near.stops.tolist(), rows.tolist()
    for run in np.split(np.arange(len(rows)), breaks):
        first, last = int(run[0]), int(run[-1])
        anchor = int(before[first])
        states: list[tuple[float, int, int]] = []
        if anchor >= 0:
            at = int(certain[anchor])
            states = [(0.0, int(along[at]), ways[at])]
        trail: list[list[int]] = []
        costs: list[float] = []
        places: list[int] = []
        way = 0
        for index in range(first, last + 1):
            here = ways[row_list[index]]
            fresh = min(1.0, 0.05 + (here - way) / 20_000.0) if trail else 1.0
            if trail and len(places) * (high[index] - low[index]) > _MOST_PAIRS:
                part = slice(low[index], high[index])
                costs, back = _cheapest_of_many(costs, places, alongs[part], here - way)
                costs = [
                    cost + (off / 30_000.0 * fresh) ** 2
                    for cost, off in zip(costs, offs[part], strict=True)
                ]
                places, way = alongs[part], here
                trail.append(back)
                continue
            new_costs, new_places, back = [], [], []
            for cand in range(low[index], high[index]):
                # Evidence counts by the metre driven, so that a long halt does not outweigh the drive.
                lateral = offs[cand] / 30_000.0 * fresh
                place = alongs[cand]
                best_cost, best_from = (place / 5e9, -1) if not trail else (float("inf"), -1)
                if not trail and states:
                    cost, was, been = states[0]
                    best_cost = cost + _move_cost(place - was, here - been)
                if trail:
                    for source, was in enumerate(places):
                        cost = costs[source] + _move_cost(place - was, here - way)
                        if cost < best_cost:
                            best_cost, best_from = cost, source
                new_costs.append(best_cost + lateral * lateral)
                new_places.append(place)
                back.append(best_from)
            costs, places, way = new_costs, new_places, here
            trail.append(back)
        follower = anchor + 1
        if follower < len(certain):
            at = int(certain[follower])
            costs = [
                cost + _move_cost(int(along[at]) - place, ways[at] - way)
                for cost, place in zip(costs, places, strict=True)
            ]
        state = min(range(len(costs)), key=costs.__getitem__)
        for index in range(last, first - 1, -1):
            cand = low[index] + state
            offset[row_list[index]], along[row_list[index]] = offs[cand], alongs[cand]
            state = trail[index - first][state]


def _cheapest_of_many(
    costs: list[float], places: list[int], onward: list[int], driven: int
) -> tuple[list[float], list[int]]:
    """For each pass onward the least cost of coming there from any of the places, and from which."""
    progress = np.array(onward)[:, None] - np.array(places)[None, :]
    back = -progress
    turned = 2.0 + np.where(back > driven + 50_000, back + driven, back) / 100_000.0
    moves = np.where(progress < -30_000, turned, np.abs(progress - driven) / 100_000.0)
    whole = moves + np.array(costs)[None, :]
    best = whole.argmin(axis=1)
    return whole[np.arange(len(onward)), best].tolist(), best.tolist()


def _move_cost(progress: int, driven: int) -> float:
    """Cost of having come so far along the road (mm) while driving so far (mm)."""
    if progress < -30_000:
        return (
            2.0 + (-progress + driven) / 100_000.0
            if -progress > driven + 50_000
            else 2.0 + (-progress) / 100_000.0
        )
    return abs(progress - driven) / 100_000.0


@lru_cache(maxsize=32)
def corridor_of(plan: Plan) -> Corridor:
    """The corridor of a plan, built once."""
    return Corridor(plan)


def _densify(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Puts points into long legs, on the geodesic, so that straight lines on the plane are the road."""
    metres = geodesic_mm(lon, lat) / 1000.0
    pieces = np.maximum(np.ceil(metres / _DENSE_M).astype(int), 1)
    if not (pieces > 1).any():
        return lon, lat
    out_lon: list[float] = []
    out_lat: list[float] = []
    for at in range(len(metres)):
        out_lon.append(float(lon[at]))
        out_lat.append(float(lat[at]))
        extra = int(pieces[at]) - 1
        if extra:
            between = GEOD.npts(lon[at], lat[at], lon[at + 1], lat[at + 1], extra)
            for point_lon, point_lat in between:
                out_lon.append(float(lon[at]) + (point_lon - lon[at] + 180.0) % 360.0 - 180.0)
                out_lat.append(point_lat)
    out_lon.append(float(lon[-1]))
    out_lat.append(float(lat[-1]))
    return np.array(out_lon), np.array(out_lat)


def in_gate(gate: Gate, lon: Floats, lat: Floats) -> Bools:
    """Which places lie inside a gate; on the line is inside."""
    if not gate.polygon:
        # A box a little wider than the circle spares the geodesics of places far away.
        reach = gate.radius_m * 1.02 / 110_000 + 1e-6
        aside = np.abs((lon - gate.lon + 180.0) % 360.0 - 180.0)
        rows = np.flatnonzero(
            (np.abs(lat - gate.lat) <= reach)
            & (aside * np.cos(np.radians(min(88.0, abs(gate.lat) + reach))) <= reach)
        )
        inside = np.zeros(len(lon), dtype=np.bool_)
        away = distance_mm(lon[rows], lat[rows], gate.lon, gate.lat)
        inside[rows] = away <= gate.radius_m * 1000
        return inside
    ring = np.array(gate.polygon)
    middle = gate.lon
    ring[:, 0] = middle + (ring[:, 0] - middle + 180.0) % 360.0 - 180.0
    area = shapely.Polygon(ring)
    return np.asarray(
        shapely.intersects_xy(area, middle + (lon - middle + 180.0) % 360.0 - 180.0, lat),
        dtype=np.bool_,
    )


def from_gate_mm(gate: Gate, lon: Floats, lat: Floats) -> Ints:
    """Distance to the edge of a gate, mm; 0 inside."""
    if not gate.polygon:
        return np.maximum(distance_mm(lon, lat, gate.lon, gate.lat) - gate.radius_m * 1000, 0)
    ring = np.array([*gate.polygon, gate.polygon[0]])
    plane = Proj(proj="aeqd", ellps="WGS84", lon_0=gate.lon, lat_0=gate.lat)
    area = shapely.Polygon(np.stack(plane(ring[:, 0], ring[:, 1]), axis=1))
    x, y = plane(lon, lat)
    metres = shapely.distance(area, shapely.points(np.asarray(x), np.asarray(y)))
    return np.rint(np.asarray(metres) * 1000).astype(np.int64)
