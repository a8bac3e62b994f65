"""The demo's roads: recorded runs of Liverpool route 14, five places fixed on the longest one, and the trips between them.

The positions are real and are played unchanged, except for the trips named in ALTERED, which
are labelled as altered wherever they are shown.
"""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyproj import Geod

from tracking.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Path(__file__).parent / "tracks" / "liverpool_bus_route14.csv"
ROUTE_RUN = "1099"
"""The longest run (vehicle 4733, 10.1 km): its line is the planned route."""

CORRIDOR_M = 120
GATE_RADIUS_M = 350
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True)
class Place:
    """A gate of the demo: a place at a distance along the planned route, fixed before any trip was looked at."""

    code: str
    name_zh: str
    name_en: str
    at_m: int


PLACES = (
    Place("A", "码头堆场", "Dock yard", 280),
    Place("B", "北区仓库", "North warehouse", 4_300),
    Place("C", "西站货场", "West freight station", 6_430),
    Place("D", "河湾分拨中心", "Riverside hub", 7_350),
    Place("E", "终点工厂", "Terminus works", 10_070),
)


@dataclass(frozen=True, slots=True)
class Drive:
    """One trip of the demo: a recorded run between two places, and what was altered of it, if anything.

    Attributes:
        run: the trip id in the file. vehicle: the vehicle id in the file, or an invented one.
        loading: code of the place. unloading: code of the place.
        alteration: "" for a trip as it was recorded, else what was done to it.
        expect: what should come of it; printed beside what really came.
    """

    run: str
    vehicle: str
    loading: str
    unloading: str
    alteration: str = ""
    expect: str = "paid"

    @property
    def key(self) -> str:
        """Names the trip in the demo."""
        return f"{self.run}-{self.alteration}" if self.alteration else self.run


DRIVES = (
    Drive("1089", "4836", "D", "E"),
    Drive("1091", "4716", "D", "E"),
    Drive("1093", "4803", "B", "E"),
    Drive("1095", "4720", "A", "C"),
    Drive("1097", "4842", "A", "E"),
    Drive("1101", "4841", "A", "E"),
    Drive("1107", "4716", "A", "C"),
    Drive("1113", "4842", "A", "C"),
    Drive("1103", "4722", "A", "E", expect="leaves the route by 291 m and comes back"),
    Drive("1115", "4733", "A", "E", expect="ends 1.9 km short of the terminus"),
)
"""Trips as they were recorded; 1117 and 1119 are stubs and left out, 1099 is the planned route."""

ALTERED = (
    Drive("1105", "9001", "A", "E", "cut", "stops short of the gate: the last 2 km are cut off"),
    Drive("1111", "9002", "A", "E", "teleport", "ten minutes of fixes moved 5 km to the side"),
    Drive("1109", "9003", "A", "E", "shortage", "the consignee accepts only 90 %"),
    Drive("", "9004", "A", "E", "overpriced", "a child waybill dearer than its parent"),
)
"""Trips that were altered on purpose, each with a vehicle and a terminal of its own."""

ALL_DRIVES = DRIVES + ALTERED


def fixes_of(drive: Drive, runs: dict[str, list[Fix]]) -> list[Fix]:
    """The fixes a drive sends: the recorded ones, or what its alteration makes of them."""
    if not drive.run:
        return []
    fixes = runs[drive.run]
    if drive.alteration == "cut":
        end = fixes[-1]
        return [
            fix
            for fix in fixes
            if fix.time < end.time - 600
            and _GEOD.inv(fix.lon_e6 / 1e6, fix.lat_e6 / 1e6, end.lon_e6 / 1e6, end.lat_e6 / 1e6)[2]
            > 2_000
        ]
    if drive.alteration == "teleport":
        middle = fixes[len(fixes) // 2].time
        return [
            fix._replace(lat_e6=fix.lat_e6 + 45_000) if abs(fix.time - middle) <= 300 else fix
            for fix in fixes
        ]
    return fixes


def load_runs(path: Path = FILE) -> dict[str, list[Fix]]:
    """The recorded runs by trip id, in time order; received two seconds after each fix."""
    runs: dict[str, list[Fix]] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            at = int(dt.datetime.fromisoformat(row["time_utc"]).timestamp())
            runs.setdefault(row["trip_id"], []).append(
                Fix(
                    time=at,
                    lat_e6=round(float(row["lat"]) * 1_000_000),
                    lon_e6=round(float(row["lon"]) * 1_000_000),
                )
            )
    return {run: sorted(fixes, key=lambda fix: fix.time) for run, fixes in runs.items()}


def planned_line(fixes: Sequence[Fix]) -> list[tuple[float, float]]:
    """The planned route as (lon, lat): the line of the recorded run, standing fixes left out."""
    line: list[tuple[float, float]] = []
    for fix in fixes:
        point = (fix.lon_e6 / 1e6, fix.lat_e6 / 1e6)
        if not line or _GEOD.inv(*line[-1], *point)[2] > 5:
            line.append(point)
    return line


def point_at(line: Sequence[tuple[float, float]], along_m: float) -> tuple[float, float]:
    """The point (lon, lat) at a distance along a line, metres on the ellipsoid."""
    points = np.asarray(line)
    azimuth, _, steps = _GEOD.inv(points[:-1, 0], points[:-1, 1], points[1:, 0], points[1:, 1])
    ends = np.cumsum(steps)
    leg = min(int(np.searchsorted(ends, along_m)), len(steps) - 1)
    rest = along_m - (ends[leg] - steps[leg])
    lon, lat, _ = _GEOD.fwd(points[leg][0], points[leg][1], azimuth[leg], rest)
    return round(float(lon), 6), round(float(lat), 6)


def line_between(
    line: Sequence[tuple[float, float]], from_m: float, to_m: float
) -> list[tuple[float, float]]:
    """The part of a line between two distances along it."""
    points = np.asarray(line)
    _, _, steps = _GEOD.inv(points[:-1, 0], points[:-1, 1], points[1:, 0], points[1:, 1])
    along = np.concatenate([[0.0], np.cumsum(steps)])
    inside = (along > from_m) & (along < to_m)
    inner = [point for point, is_in in zip(line, inside.tolist(), strict=True) if is_in]
    return [point_at(line, from_m), *inner, point_at(line, to_m)]
