"""Speed of the judge: batch, streaming, root, search among stored trips; a made road, nothing from outside.

Each function yields lines of ``yundan bench``. Run singly: ``python -m tests.benchmarks.bench_judge [NAME]``.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
import warnings
from functools import cache
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import Geod

from tracking.fix import Fix
from tracking.history import TripIndex, signature_of
from tracking.judge import judge
from tracking.merkle import root_of_columns
from tracking.plan import Plan
from tracking.stream import LiveTrip
from tracking.track import Columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

GEOD = Geod(ellps="WGS84")
START = 1_773_000_000


@cache
def road(vertices: int = 2_000) -> Plan:
    """A winding road of so many vertices, 50 m apart."""
    rng = np.random.default_rng(11)
    course = 60 + np.cumsum(rng.normal(0, 9, vertices)) % 90
    lon, lat = [104.0], [30.6]
    for at in range(vertices - 1):
        x, y, _ = GEOD.fwd(lon[-1], lat[-1], float(course[at]), 50.0)
        lon.append(x)
        lat.append(y)
    return Plan.of_route([(round(a, 6), round(b, 6)) for a, b in zip(lon, lat, strict=True)])


def drive(plan: Plan, count: int) -> list[Fix]:
    """So many fixes along the road, at uneven speed with drifting noise."""
    rng = np.random.default_rng(5)
    points = np.array(plan.route)
    way = np.linspace(0, 1, len(points))
    pace = 1.0 + 0.35 * np.sin(np.linspace(0, 90, count)) + 0.1 * np.sin(np.linspace(0, 900, count))
    at = np.cumsum(pace) / pace.sum()
    drift = np.zeros((2, count))
    noise = rng.normal(0, 4e-6, (2, count))
    for row in range(1, count):
        drift[:, row] = 0.98 * drift[:, row - 1] + noise[:, row]
    lon = np.interp(at, way, points[:, 0]) + drift[0]
    lat = np.interp(at, way, points[:, 1]) + drift[1]
    return [
        Fix(
            time=START + row,
            lat_e6=round(y * 1e6),
            lon_e6=round(x * 1e6),
            terminal="1",
            received=START + row + 2,
        )
        for row, (x, y) in enumerate(zip(lon.tolist(), lat.tolist(), strict=True))
    ]


def line(bench, value, unit, *, baseline=None, baseline_name="", target=None, least=True):
    """One line of ``yundan bench``."""
    return {
        "bench": bench,
        "value": round(value, 2),
        "unit": unit,
        "baseline": None if baseline is None else round(baseline, 2),
        "baseline_name": baseline_name,
        "ratio": None if not baseline else round(value / baseline, 2),
        "target": target,
        "holds": None if target is None else (value >= target if least else value <= target),
    }


def best_of(rounds: int, work: Callable[[], object]) -> float:
    """Least CPU seconds of some rounds: another program on the machine must not count."""
    least = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        work()
        least = min(least, time.process_time() - begun)
    return least


def batch() -> Iterator[dict]:
    """A trip of 100,000 fixes on a road of 2,000 vertices, from Fix objects to verdict and root."""
    plan = road()
    fixes = drive(plan, 100_000)
    judge(plan, fixes[:200])
    ours = len(fixes) / best_of(3, lambda: judge(plan, fixes))
    route = shapely.LineString(plan.route)
    some = fixes[:3_000]

    def loop() -> None:
        # What a first version does: one geometry and two calls a fix, in degrees.
        done = 0.0
        for fix in some:
            point = shapely.Point(fix.lon_e6 / 1e6, fix.lat_e6 / 1e6)
            if route.distance(point) < 0.002:
                done = max(done, route.project(point))

    plain = len(some) / best_of(2, loop)
    yield line(
        "tracking.judge.batch", ours, "fixes/s/core",
        baseline=plain, baseline_name="per-point shapely loop (distance and project only)", target=100_000,
    )  # fmt: skip


def against_movingpandas() -> Iterator[dict]:
    """The same work by MovingPandas: a trajectory with its speeds, stops, and the fixes off the road's buffer.

    It knows no order along the road, no gates and no rules: less than the judge does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of optional parts that are not installed
        import movingpandas as mpd
    plan = road()
    fixes = drive(plan, 20_000)
    judge(plan, fixes[:200])
    ours = len(fixes) / best_of(2, lambda: judge(plan, fixes))
    corridor = shapely.LineString(plan.route).buffer(0.002)

    def theirs() -> None:
        frame = gpd.GeoDataFrame(
            {"t": pd.to_datetime([fix.time for fix in fixes], unit="s"), "trip": 1},
            geometry=gpd.points_from_xy(
                [fix.lon_e6 / 1e6 for fix in fixes], [fix.lat_e6 / 1e6 for fix in fixes]
            ),
            crs="EPSG:4326",
        )
        track = mpd.Trajectory(frame, 1, t="t")
        track.add_speed()
        mpd.TrajectoryStopDetector(track).get_stop_segments(
            max_diameter=80, min_duration=dt.timedelta(seconds=300)
        )
        track.df.geometry.within(corridor).sum()

    yield line(
        "tracking.judge.movingpandas", ours, "fixes/s/core", baseline=len(fixes) / best_of(1, theirs),
        baseline_name="MovingPandas: speeds, stops and corridor alone", target=None,
    )  # fmt: skip


def merkle() -> Iterator[dict]:
    """The root of 100,000 fixes."""
    fixes = Columns.of(drive(road(), 100_000))
    took = best_of(2, lambda: root_of_columns(fixes.time, fixes.lat_e6, fixes.lon_e6))
    yield line("tracking.judge.root", len(fixes) / took, "fixes/s/core")


def streaming() -> Iterator[dict]:
    """One fix at a time through the live view of a trip, on a road of 2,000 vertices."""
    plan = road()
    fixes = drive(plan, 20_000)
    LiveTrip(plan).feed(fixes[:200])

    def one_by_one() -> None:
        live = LiveTrip(plan)
        for fix in fixes:
            live.feed((fix,))

    yield line(
        "tracking.judge.streaming",
        len(fixes) / best_of(2, one_by_one),
        "fixes/s/core",
        target=20_000,
    )


def replay_search() -> Iterator[dict]:
    """A search among 100,000 stored trips on 200 roads of about 80 km, one of which it copies."""
    rng = np.random.default_rng(3)
    roads = [rng.integers(-(2**62), 2**62, 180) for _ in range(200)]
    index = TripIndex()
    for trip in range(100_000):
        steps = rng.gamma(6.0, 5.0, 180)
        index.add_signature(f"trip {trip}", signature_of(roads[trip % 200], np.cumsum(steps))[0])
    plan = road()
    original, again = drive(plan, 6_000), drive(plan, 6_000)
    index.add("original", Columns.of(original))
    fixes = Columns.of(again)
    index.search(fixes)
    waits = []
    for _ in range(20):
        begun = time.perf_counter()
        found = index.search(fixes)
        waits.append((time.perf_counter() - begun) * 1000)
    same_road = signature_of(roads[7], np.cumsum(rng.gamma(6.0, 5.0, 180)))
    begun = time.perf_counter()
    index.search_signature(*same_road)
    crowded = (time.perf_counter() - begun) * 1000
    if not found or found[0].trip != "original":
        raise AssertionError("the copy was not found")
    yield line("tracking.replay_search.p50", sorted(waits)[10], "ms", target=50, least=False)
    yield line("tracking.replay_search.road_of_500_trips", crowded, "ms", target=50, least=False)


BENCHES: Mapping[str, Callable[[], Iterator[dict]]] = {
    "tracking.judge": batch,
    "tracking.movingpandas": against_movingpandas,
    "tracking.merkle": merkle,
    "tracking.stream": streaming,
    "tracking.replay_search": replay_search,
}
"""What ``yundan bench`` runs, by name."""


def main() -> None:
    """Runs all, or those whose name is given."""
    wanted = sys.argv[1:] or list(BENCHES)
    for name in wanted:
        for one in BENCHES[name]():
            print(json.dumps(one), flush=True)


if __name__ == "__main__":
    main()
