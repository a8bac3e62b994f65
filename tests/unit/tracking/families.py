"""Labelled drives made from real tracks: every family of honest trip, fault, deviation and forgery.

The real tracks are those of ../shared (OpenStreetMap contributors, ODbL), never shipped. Points are picked from
the 1 Hz track, not interpolated; speed and heading come from neighbouring 1 Hz points, as a receiver would
give them. Attacks are simulated: what is found here says how the rules behave, not what organised
fraud will do.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyproj import Geod

from tracking.datum import wgs84_to_bd09, wgs84_to_gcj02
from tracking.fix import Fix
from tracking.judge import OtherTrack
from tracking.plan import Gate, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "tracking"
KUBICKA = SHARED / "trajectories" / "kubicka"
GEOD = Geod(ellps="WGS84")
CITIES = ((87.6, 43.8), (108.94, 34.26), (116.40, 39.90), (113.26, 23.13), (104.07, 30.66))


@dataclass
class Base:
    """A real track at 1 Hz with its road."""

    name: str
    t: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    speed: np.ndarray
    heading: np.ndarray
    route: list[tuple[float, float]]


@dataclass
class Case:
    """A labelled drive."""

    name: str
    family: str
    base: str
    flag: bool
    arrives: bool | None
    plan: Plan
    fixes: list[Fix]
    others: list[OtherTrack] = field(default_factory=list)
    note: str = ""


@lru_cache(maxsize=64)
def base(name: str) -> Base:
    """One real track of the shared set."""
    rows = list(csv.DictReader((KUBICKA / f"{name}.csv").read_text().splitlines()))
    stamp = np.array([np.datetime64(row["time_utc"].rstrip("Z")) for row in rows])
    t = (stamp - stamp[0]).astype("timedelta64[s]").astype(int)
    lon = np.array([float(row["lon"]) for row in rows])
    lat = np.array([float(row["lat"]) for row in rows])
    geo = json.loads((KUBICKA / f"{name}.route.geojson").read_text())
    speed, heading = receiver(t, lon, lat)
    coordinates = geo["geometry"]["coordinates"]
    if geo["geometry"]["type"] == "MultiLineString":
        coordinates = [point for part in coordinates for point in part]
    return Base(name, t, lon, lat, speed, heading, [tuple(p[:2]) for p in coordinates])


def bases() -> list[str]:
    """Names of the real tracks."""
    return sorted(path.name[:8] for path in KUBICKA.glob("*.csv") if path.name != "index.csv")


def receiver(t, lon, lat):
    """Speed (km/h) and heading that a receiver would give, from neighbouring points."""
    before = np.maximum(np.arange(len(t)) - 1, 0)
    after = np.minimum(np.arange(len(t)) + 1, len(t) - 1)
    azimuth, _, metres = GEOD.inv(lon[before], lat[before], lon[after], lat[after])
    seconds = np.maximum(t[after] - t[before], 1)
    return np.minimum(metres / seconds * 3.6, 300.0), np.mod(azimuth, 360.0)


def thin(t, step):
    """Positions of points picked every `step` seconds."""
    picked, due = [], 0
    for at, second in enumerate(t):
        if second >= due:
            picked.append(at)
            due = (second // step + 1) * step
    if picked[-1] != len(t) - 1:
        picked.append(len(t) - 1)
    return np.array(picked)


def metres(lon1, lat1, lon2, lat2):
    return GEOD.inv(lon1, lat1, lon2, lat2)[2]


class Drawn:
    """Columns on their way to fixes."""

    def __init__(self, one: Base, step: int, rng: np.random.Generator, picked=None) -> None:
        rows = thin(one.t, step) if picked is None else picked
        self.base, self.step, self.rng = one, step, rng
        self.start = 1_772_500_000 + int(rng.integers(0, 2_000_000)) // 60 * 60
        self.t = one.t[rows] + self.start
        self.lon, self.lat = one.lon[rows].copy(), one.lat[rows].copy()
        self.speed, self.heading = one.speed[rows].copy(), one.heading[rows].copy()
        self.received = np.full(len(rows), -1)
        self.terminal = str(rng.integers(10**10, 10**11))

    def __len__(self) -> int:
        return len(self.t)

    def keep(self, mask) -> None:
        for name in ("t", "lon", "lat", "speed", "heading", "received"):
            setattr(self, name, getattr(self, name)[mask])

    def fixes(self, terminal=None) -> list[Fix]:
        return [
            Fix(
                time=int(t),
                lat_e6=round(lat * 1e6),
                lon_e6=round(lon * 1e6),
                speed_dkmh=None if np.isnan(speed) else round(float(speed) * 10),
                heading=None if np.isnan(heading) else round(float(heading)) % 360,
                received=None if received < 0 else int(received),
                terminal=self.terminal if terminal is None else terminal,
            )
            for t, lon, lat, speed, heading, received in zip(
                self.t, self.lon, self.lat, self.speed, self.heading, self.received, strict=True
            )
        ]

    def plan(self, route=None) -> Plan:
        points = tuple(self.base.route if route is None else route)
        first, last = points[0], points[-1]
        return Plan(points, Gate(*first), Gate(*last), 200, int(self.start), self.terminal)

    def nudge(self, sd, phi=0.0) -> None:
        """Adds noise of a standard deviation in metres, with an autocorrelation a step."""
        count = len(self)
        noise = self.rng.normal(0, sd, (2, count))
        if phi:
            for at in range(1, count):
                noise[:, at] = phi * noise[:, at - 1] + np.sqrt(1 - phi * phi) * noise[:, at]
        self.lat = self.lat + noise[0] / 111_200
        self.lon = self.lon + noise[1] / (111_300 * np.cos(np.radians(self.lat)))


def arrives(drawn: Drawn) -> bool:
    last = drawn.base.route[-1]
    return bool(
        (
            metres(drawn.lon, drawn.lat, np.full(len(drawn), last[0]), np.full(len(drawn), last[1]))
            <= 300
        ).any()
    )


def moving_span(drawn: Drawn, seconds: float, least_m: float) -> tuple[int, int] | None:
    """A random span of about so many seconds in which the vehicle really moves."""
    steps = metres(drawn.lon[:-1], drawn.lat[:-1], drawn.lon[1:], drawn.lat[1:])
    driven = np.concatenate(([0], np.cumsum(steps)))
    for _ in range(40):
        first = int(
            drawn.rng.integers(len(drawn) // 6, max(len(drawn) // 6 + 1, len(drawn) * 2 // 3))
        )
        last = int(np.searchsorted(drawn.t, drawn.t[first] + seconds))
        if last < len(drawn) - 3 and driven[last] - driven[first] > least_m:
            return first, last
    return None


# ------------------------------------------------------------------- honest
def clean(d: Drawn):
    return False, arrives(d), d.plan(), []


def late_batch(d: Drawn):
    d.received = d.t + 2
    first = int(d.rng.integers(len(d) // 5, len(d) // 2))
    last = min(len(d) - 2, first + int(d.rng.integers(20, 90)))
    d.received[first:last] = d.t[last] + 3
    return False, arrives(d), d.plan(), []


def duplicates(d: Drawn):
    rows = np.sort(np.concatenate((np.arange(len(d)), np.flatnonzero(d.rng.random(len(d)) < 0.08))))
    d.keep(rows)
    return False, arrives(d), d.plan(), []


def short_gap(d: Drawn):
    gap = int(d.rng.integers(45, 180))
    at = d.t[int(d.rng.integers(len(d) // 4, len(d) * 3 // 4))]
    if np.count_nonzero(d.t > at + gap) < 5:
        return None
    d.keep((d.t < at) | (d.t > at + gap))
    return False, arrives(d), d.plan(), []


def rest_stop(d: Drawn):
    at = int(d.rng.integers(len(d) // 4, len(d) * 3 // 4))
    seconds = int(d.rng.integers(600, 1800))
    times = np.arange(d.t[at] + d.step, d.t[at] + seconds, d.step)
    drift = d.rng.normal(0, 1, (2, len(times)))
    for one in range(1, len(times)):
        drift[:, one] = 0.97 * drift[:, one - 1] + np.sqrt(1 - 0.97**2) * drift[:, one]
    lat = d.lat[at] + drift[0] * 1.1 / 111_200
    lon = d.lon[at] + drift[1] * 1.1 / 111_300 / np.cos(np.radians(d.lat[at]))
    d.t = np.concatenate((d.t[: at + 1], times, d.t[at + 1 :] + seconds))
    d.lat = np.concatenate((d.lat[: at + 1], lat, d.lat[at + 1 :]))
    d.lon = np.concatenate((d.lon[: at + 1], lon, d.lon[at + 1 :]))
    d.speed = np.concatenate(
        (d.speed[: at + 1], np.abs(d.rng.normal(0, 0.4, len(times))), d.speed[at + 1 :])
    )
    d.heading = np.concatenate(
        (d.heading[: at + 1], np.full(len(times), d.heading[at]), d.heading[at + 1 :])
    )
    d.received = np.full(len(d.t), -1)
    return False, arrives(d), d.plan(), []


def warped(d: Drawn, lag: float, sway: float):
    """Another truck on the same road: its headway varies, its noise is its own."""
    other = Drawn(d.base, d.step, d.rng)
    other.start = d.start
    span = max(1, d.t[-1] - d.t[0])
    phase = (d.t - d.t[0]) / span
    waves = d.rng.uniform(1.5, 3.5)
    other.t = d.t + np.rint(
        lag + sway * np.sin(phase * np.pi * waves + d.rng.uniform(0, 6))
    ).astype(int)
    other.lon, other.lat, other.heading = d.lon.copy(), d.lat.copy(), d.heading.copy()
    other.speed = d.speed * d.rng.normal(1, 0.04, len(d))
    other.t = np.maximum.accumulate(other.t) + np.arange(len(d)) * 0
    other.nudge(3.0, 0.9)
    return other


def convoy(d: Drawn):
    other = warped(d, d.rng.uniform(60, 300), d.rng.uniform(20, 60))
    return False, arrives(d), d.plan(), [OtherTrack("other truck", other.fixes(), other.terminal)]


def same_road_again(d: Drawn):
    """The same truck on the same road on another day: own speeds, own stops, own noise."""
    other = warped(d, -86_400, d.rng.uniform(30, 120))
    return (
        False,
        arrives(d),
        d.plan(),
        [OtherTrack("earlier trip", other.fixes(d.terminal), d.terminal)],
    )


def no_speeds(d: Drawn):
    d.speed[:] = np.nan
    d.heading[:] = np.nan
    return False, arrives(d), d.plan(), []


def to_china(d: Drawn, shift: Callable | None):
    lon0, lat0 = CITIES[int(d.rng.integers(len(CITIES)))]
    route = np.array(d.base.route)
    ref_lat = route[0, 1]
    squeeze = np.cos(np.radians(ref_lat)) / np.cos(np.radians(lat0))
    move = lambda lon, lat: (lon0 + (lon - route[0, 0]) * squeeze, lat0 + (lat - ref_lat))  # noqa: E731  short enough to stand here
    road = list(zip(*move(route[:, 0], route[:, 1]), strict=True))
    d.lon, d.lat = move(d.lon, d.lat)
    there = bool(
        (
            metres(d.lon, d.lat, np.full(len(d), road[-1][0]), np.full(len(d), road[-1][1])) <= 300
        ).any()
    )
    if shift is not None:
        d.lon, d.lat = shift(d.lon, d.lat)
    return there, d.plan([(round(a, 6), round(b, 6)) for a, b in road])


def china(d: Drawn):
    there, plan = to_china(d, None)
    return False, there, plan, []


# ------------------------------------------------------- mechanical fraud and faults
def teleport(d: Drawn):
    seconds = d.rng.uniform(120, 400)
    first = int(d.rng.integers(len(d) // 5, len(d) * 3 // 5))
    last = min(len(d) - 3, int(np.searchsorted(d.t, d.t[first] + seconds)))
    away, course = d.rng.uniform(3000, 15000), d.rng.uniform(0, 360)
    rows = np.arange(first, last + 1)
    d.lon[rows], d.lat[rows], _ = GEOD.fwd(
        d.lon[rows], d.lat[rows], np.full(len(rows), course), np.full(len(rows), away)
    )
    return True, arrives(d), d.plan(), []


def time_compressed(d: Drawn):
    factor = d.rng.uniform(2.5, 6)
    first = int(d.rng.integers(len(d) // 4, len(d) * 3 // 5))
    part = d.t[first:] - d.t[first]
    d.t = np.concatenate((d.t[:first], d.t[first] + np.rint(part / factor).astype(int)))
    d.speed[first + 1 :] = np.minimum(300, d.speed[first + 1 :] * factor)
    _, rows = np.unique(d.t, return_index=True)
    d.keep(rows)
    return True, arrives(d), d.plan(), []


def frozen(d: Drawn):
    span = moving_span(d, d.rng.uniform(180, 500), 700)
    if span is None:
        return None
    first, last = span
    d.lon[first:last], d.lat[first:last] = d.lon[first], d.lat[first]
    d.heading[first:last] = d.heading[first]
    return True, arrives(d), d.plan(), []


def two_places(d: Drawn):
    names = [name for name in bases() if name != d.base.name]
    other = Drawn(base(names[int(d.rng.integers(len(names)))]), d.step, d.rng)
    begin = int(d.t[int(d.rng.integers(len(d) // 5, len(d) // 2))])
    other.t = other.t - other.t[0] + begin
    other.keep(other.t < begin + d.rng.uniform(300, 2000))
    order = np.argsort(np.concatenate((d.t, other.t)), kind="stable")
    there = arrives(d)
    for name in ("t", "lon", "lat", "speed", "heading", "received"):
        setattr(d, name, np.concatenate((getattr(d, name), getattr(other, name)))[order])
    return True, there, d.plan(), []


def future(d: Drawn):
    d.received = d.t + 2
    there = arrives(d)
    first = int(d.rng.integers(len(d) // 4, len(d) * 3 // 4))
    d.t[first:] += [3600, 28800, 86400][int(d.rng.integers(3))]
    return True, there, d.plan(), []


def step_back(d: Drawn):
    d.received = d.t + 2
    there = arrives(d)
    first = int(d.rng.integers(len(d) // 4, len(d) // 2))
    last = first + int(d.rng.integers(15, 60))
    d.t[first:last] -= [3600, 28800, 86400, 2592000][int(d.rng.integers(4))]
    return True, there, d.plan(), []


def gap(d: Drawn):
    whole = d.t[-1] - d.t[0]
    if whole < 2400:
        return None
    seconds = max(900, int(whole * d.rng.uniform(0.3, 0.6)))
    span = moving_span(d, seconds, 3000)
    if span is None:
        return None
    rows = np.arange(len(d))
    d.keep((rows <= span[0]) | (rows >= span[1]))
    return True, arrives(d), d.plan(), []


def straight_line(d: Drawn):
    span = moving_span(d, d.rng.uniform(150, 500), 1500)
    if span is None:
        return None
    first, last = span
    part = (d.t[first : last + 1] - d.t[first]) / (d.t[last] - d.t[first])
    away = metres(d.lon[first], d.lat[first], d.lon[last], d.lat[last])
    if away < 1200:
        return None
    d.lon[first : last + 1] = d.lon[first] + part * (d.lon[last] - d.lon[first])
    d.lat[first : last + 1] = d.lat[first] + part * (d.lat[last] - d.lat[first])
    d.speed[first + 1 : last] = round(away / (d.t[last] - d.t[first]) * 3.6, 1)
    d.heading[first + 1 : last] = round(
        GEOD.inv(d.lon[first], d.lat[first], d.lon[last], d.lat[last])[0] % 360
    )
    return True, arrives(d), d.plan(), []


def mock_static(d: Drawn):
    away = metres(
        d.lon, d.lat, np.full(len(d), d.base.route[-1][0]), np.full(len(d), d.base.route[-1][1])
    )
    cut = max(4, int(len(d) * d.rng.uniform(0.03, 0.15)))
    if away[:cut].min() < 900:
        return None
    begin = int(d.t[cut]) + int(d.rng.integers(300, 1500))
    times = np.arange(begin, begin + int(d.rng.integers(900, 2400)), d.step)
    lon, lat = d.base.route[-1]
    count = len(times)
    d.keep(np.arange(len(d)) < cut)
    d.t = np.concatenate((d.t, times))
    d.lon, d.lat = (
        np.concatenate((d.lon, np.full(count, lon))),
        np.concatenate((d.lat, np.full(count, lat))),
    )
    d.speed, d.heading = (
        np.concatenate((d.speed, np.zeros(count))),
        np.concatenate((d.heading, np.zeros(count))),
    )
    d.received = np.full(len(d.t), -1)
    return True, False, d.plan(), []


def gcj02(d: Drawn):
    there, plan = to_china(d, wgs84_to_gcj02)
    return True, there, plan, []


def bd09(d: Drawn):
    there, plan = to_china(d, wgs84_to_bd09)
    return True, there, plan, []


def shared_track(d: Drawn):
    twin = Drawn(d.base, d.step, d.rng)
    lag = int(d.rng.integers(0, 8))
    twin.t, twin.lon, twin.lat = d.t + lag, d.lon.copy(), d.lat.copy()
    twin.speed, twin.heading = d.speed.copy(), d.heading.copy()
    twin.received = d.received.copy()
    twin.nudge(d.rng.uniform(0.2, 1.5))
    return True, arrives(d), d.plan(), [OtherTrack("twin", twin.fixes(), twin.terminal)]


def replayed(d: Drawn, jitter: float, stretch: float, *, repick: bool):
    earlier = Drawn(d.base, d.step, d.rng)
    earlier.start = d.start - int(d.rng.integers(1, 20)) * 86_400 - int(d.rng.integers(0, 20_000))
    earlier.t = earlier.t - earlier.t[0] + earlier.start
    file = [OtherTrack("earlier trip", earlier.fixes(d.terminal), d.terminal)]
    if repick:
        phase = int(d.rng.integers(1, d.step))
        begin, terminal = d.start, d.terminal
        d.__init__(d.base, d.step, d.rng, thin(np.maximum(d.base.t + phase, 0), d.step))
        d.t = d.t - d.t[0] + begin
        d.start, d.terminal = begin, terminal
    d.t = d.start + np.rint((d.t - d.t[0]) * stretch).astype(int)
    d.speed = d.speed / stretch
    if jitter:
        d.nudge(jitter)
    return True, None, d.plan(), file


def replay_exact(d: Drawn):
    return replayed(d, 0.0, 1.0, repick=False)


# ------------------------------------------------------------------- harder
def replay_jittered(d: Drawn):
    return replayed(
        d, d.rng.uniform(1, 6), d.rng.uniform(0.9, 1.12), repick=bool(d.rng.integers(2))
    )


def along_route(d: Drawn, seconds):
    route = np.array(d.base.route)
    steps = metres(route[:-1, 0], route[:-1, 1], route[1:, 0], route[1:, 1])
    way = np.concatenate(([0], np.cumsum(steps)))
    return way, route


def playback(d: Drawn, noise: float, speed_noise: float):
    way, route = along_route(d, 0)
    speed = d.rng.uniform(40, 115)
    duration = int(way[-1] / (speed / 3.6))
    times = np.arange(0, duration, d.step)
    at = times * speed / 3.6
    d.t = d.start + times
    d.lon, d.lat = np.interp(at, way, route[:, 0]), np.interp(at, way, route[:, 1])
    ahead = np.minimum(at + 5, way[-1])
    lon2, lat2 = np.interp(ahead, way, route[:, 0]), np.interp(ahead, way, route[:, 1])
    d.heading = np.mod(GEOD.inv(d.lon, d.lat, lon2, lat2)[0], 360)
    d.speed = np.full(len(times), round(speed, 1)) + d.rng.normal(0, speed_noise, len(times))
    d.received = np.full(len(times), -1)
    if noise:
        d.nudge(noise)
    return True, None, d.plan(), []


def playback_perfect(d: Drawn):
    return playback(d, 0.0, 0.0)


def playback_noise(d: Drawn):
    return playback(d, d.rng.uniform(2, 5), 1.2)


def speed_mismatch(d: Drawn):
    span = moving_span(d, d.rng.uniform(360, 900), 2500)
    if span is None:
        return None
    first, last = span
    true = float(np.mean(d.speed[first:last]))
    told = float(d.rng.uniform(20, 90))
    if abs(told - true) < 0.3 * true or abs(told - true) < 12:
        return None
    d.speed[first:last] = d.rng.normal(told, 2, last - first)
    return True, arrives(d), d.plan(), []


# ------------------------------------------------------------------- deviations
def detour(d: Drawn):
    """The plan takes another road for a stretch; the drive is the real one."""
    route = np.array(d.base.route)
    steps = metres(route[:-1, 0], route[:-1, 1], route[1:, 0], route[1:, 1])
    way = np.concatenate(([0], np.cumsum(steps)))
    stretch = min(d.rng.uniform(2500, 6000), way[-1] * 0.4)
    begin = d.rng.uniform(0.15, 0.5) * way[-1]
    first, last = np.searchsorted(way, begin), np.searchsorted(way, begin + stretch)
    away = d.rng.uniform(1000, 2500)
    course = GEOD.inv(*route[first], *route[last])[0] + (90 if d.rng.random() < 0.5 else -90)
    part = np.linspace(0, 1, 30)
    bulge = np.sin(part * np.pi) * away
    lon = route[first, 0] + part * (route[last, 0] - route[first, 0])
    lat = route[first, 1] + part * (route[last, 1] - route[first, 1])
    lon, lat, _ = GEOD.fwd(lon, lat, np.full(30, course), bulge)
    planned = [*map(tuple, route[:first]), *zip(lon, lat, strict=True), *map(tuple, route[last:])]
    plan = d.plan([(round(float(a), 6), round(float(b), 6)) for a, b in planned])
    far = np.array(
        [
            np.min(
                metres(
                    np.full(len(planned), x),
                    np.full(len(planned), y),
                    np.array([p[0] for p in planned]),
                    np.array([p[1] for p in planned]),
                )
            )
            for x, y in zip(d.lon, d.lat, strict=True)
        ]
    )
    if far.max() < 600:
        return None
    return True, arrives(d), plan, []


def stops_short(d: Drawn):
    short = d.rng.uniform(1200, 4000)
    away = metres(
        d.lon, d.lat, np.full(len(d), d.base.route[-1][0]), np.full(len(d), d.base.route[-1][1])
    )
    far = np.flatnonzero(away > short)
    if len(far) == 0 or far[-1] < len(d) // 2:
        return None
    cut = int(far[-1]) + 1
    d.keep(np.arange(len(d)) < cut)
    return True, False, d.plan(), []


# ------------------------------------------------------------------- variants a forger would try next
def playback_varied(d: Drawn):
    """The plan played at a living speed with halts, under white noise."""
    way, route = along_route(d, 0)
    aim = speed = d.rng.uniform(40, 90) / 3.6
    place, second, halt, places, times = 0.0, 0, 0, [0.0], [0]
    while place < way[-1] - 1:
        speed = max(2.0, speed + d.rng.normal(0, 0.35) + (aim - speed) * 0.02)
        if halt == 0 and d.rng.random() < 0.003:
            halt = int(d.rng.integers(10, 50))
        place = min(place + (0.0 if halt else speed), way[-1])
        halt = max(0, halt - 1)
        second += 1
        if second % d.step == 0:
            places.append(place)
            times.append(second)
    at = np.array(places)
    d.t = d.start + np.array(times)
    d.lon, d.lat = np.interp(at, way, route[:, 0]), np.interp(at, way, route[:, 1])
    d.speed = np.append(np.diff(at) / np.diff(d.t) * 3.6, 0.0)
    d.heading, d.received = np.full(len(at), np.nan), np.full(len(at), -1)
    d.nudge(d.rng.uniform(2, 5))
    return True, None, d.plan(), []


def replay_warped(d: Drawn):
    """A replay whose clock sways by six seconds, as another truck's might."""
    case = replayed(d, 3.0, 1.0, repick=False)
    phase = (d.t - d.t[0]) / (d.t[-1] - d.t[0])
    d.t = np.maximum.accumulate(d.t + np.rint(6 * np.sin(phase * np.pi * 3)).astype(int))
    return case


def replay_part(d: Drawn):
    """Only the first six tenths of the earlier trip are on file."""
    case = replayed(d, 3.0, 1.0, repick=False)
    (file,) = case[3]
    return (
        True,
        None,
        case[2],
        [OtherTrack(file.name, file.fixes[: len(file.fixes) * 6 // 10], file.terminal)],
    )


def teleport_small(d: Drawn):
    first = int(d.rng.integers(len(d) // 5, len(d) * 3 // 5))
    last = min(len(d) - 3, int(np.searchsorted(d.t, d.t[first] + d.rng.uniform(40, 120))))
    rows = np.arange(first, last + 1)
    course, away = (
        np.full(len(rows), d.rng.uniform(0, 360)),
        np.full(len(rows), d.rng.uniform(1500, 3000)),
    )
    d.lon[rows], d.lat[rows], _ = GEOD.fwd(d.lon[rows], d.lat[rows], course, away)
    return True, arrives(d), d.plan(), []


def compressed_a_little(d: Drawn):
    return compressed(d, d.rng.uniform(1.7, 2.5), len(d))


def compressed_in_the_middle(d: Drawn):
    return compressed(d, d.rng.uniform(2.5, 5), max(6, int(len(d) * d.rng.uniform(0.15, 0.3))))


def compressed(d: Drawn, factor: float, count: int):
    first = int(d.rng.integers(len(d) // 5, len(d) // 2))
    last = min(len(d) - 3, first + count) if count < len(d) else len(d)
    way = metres(
        d.lon[first : last - 1],
        d.lat[first : last - 1],
        d.lon[first + 1 : last],
        d.lat[first + 1 : last],
    )
    if way.sum() < 2.5 * (d.t[last - 1] - d.t[first]):
        return None  # a truck that stands is no faster for a slow clock
    inner = d.t[first] + np.rint((d.t[first:last] - d.t[first]) / factor).astype(int)
    d.t = np.concatenate((d.t[:first], inner, d.t[last:] - (d.t[last - 1] - inner[-1])))
    d.speed[first + 1 : last] = np.minimum(300, d.speed[first + 1 : last] * factor)
    d.keep(np.unique(d.t, return_index=True)[1])
    return True, arrives(d), d.plan(), []


def hurried(fixes: list[Fix], first: int, last: int, factor: float) -> list[Fix]:
    """A record whose clock ran slowly from one fix to another: what comes after it is shifted."""
    begin = fixes[first].time
    saved = fixes[last].time - begin - round((fixes[last].time - begin) / factor)
    inner = [
        fix._replace(time=begin + round((fix.time - begin) / factor)) for fix in fixes[first:last]
    ]
    later = [fix._replace(time=fix.time - saved) for fix in fixes[last:]]
    return [*fixes[:first], *inner, *later]


def convoy_close(d: Drawn):
    """A second truck half a minute behind that keeps its distance well."""
    other = warped(d, d.rng.uniform(15, 60), d.rng.uniform(6, 15))
    return False, arrives(d), d.plan(), [OtherTrack("other truck", other.fixes(), other.terminal)]


def straight_short(d: Drawn):
    span = moving_span(d, d.rng.uniform(90, 150), 700)
    if span is None:
        return None
    first, last = span
    away = metres(d.lon[first], d.lat[first], d.lon[last], d.lat[last])
    if away < 500:
        return None
    part = (d.t[first : last + 1] - d.t[first]) / (d.t[last] - d.t[first])
    d.lon[first : last + 1] = d.lon[first] + part * (d.lon[last] - d.lon[first])
    d.lat[first : last + 1] = d.lat[first] + part * (d.lat[last] - d.lat[first])
    d.speed[first + 1 : last] = away / (d.t[last] - d.t[first]) * 3.6
    return True, arrives(d), d.plan(), []


def mock_direct(d: Drawn):
    """From the road to the gate in one report, and still from then on."""
    lon, lat = d.base.route[-1]
    away = metres(d.lon, d.lat, np.full(len(d), lon), np.full(len(d), lat))
    cut = max(4, int(len(d) * d.rng.uniform(0.03, 0.4)))
    if away[: cut + 1].min() < 1500:
        return None
    times = np.arange(int(d.t[cut - 1]) + d.step, int(d.t[cut - 1]) + 1500, d.step)
    d.keep(np.arange(len(d)) < cut)
    none = np.zeros(len(times))
    d.t = np.concatenate((d.t, times))
    d.lon, d.lat = np.concatenate((d.lon, none + lon)), np.concatenate((d.lat, none + lat))
    d.speed, d.heading = np.concatenate((d.speed, none)), np.concatenate((d.heading, none))
    d.received = np.full(len(d.t), -1)
    return True, False, d.plan(), []


def frozen_quiet(d: Drawn):
    """A frozen place whose speed is frozen at zero too."""
    span = moving_span(d, d.rng.uniform(180, 500), 700)
    if span is None:
        return None
    first, last = span
    d.lon[first:last], d.lat[first:last], d.speed[first:last] = d.lon[first], d.lat[first], 0.0
    return True, arrives(d), d.plan(), []


def speed_even(d: Drawn):
    """A reported speed that is right on average and never changes."""
    span = moving_span(d, d.rng.uniform(500, 900), 2500)
    if span is None:
        return None
    first, last = span
    told = float(np.mean(d.speed[first:last])) * d.rng.uniform(0.85, 1.15)
    d.speed[first:last] = d.rng.normal(told, 2, last - first)
    return True, arrives(d), d.plan(), []


HONEST = (
    clean,
    late_batch,
    duplicates,
    short_gap,
    rest_stop,
    convoy,
    same_road_again,
    no_speeds,
    china,
)
MECHANICAL = (
    teleport,
    time_compressed,
    frozen,
    two_places,
    future,
    step_back,
    gap,
    straight_line,
    mock_static,
    gcj02,
    bd09,
    shared_track,
    replay_exact,
)
HARDER = (playback_perfect, speed_mismatch, replay_jittered, playback_noise)
DEVIATIONS = (detour, stops_short)
NEXT = (
    playback_varied,
    replay_warped,
    replay_part,
    teleport_small,
    compressed_a_little,
    compressed_in_the_middle,
    straight_short,
    mock_direct,
    frozen_quiet,
    speed_even,
    convoy_close,
)
FAMILIES = {make.__name__: make for make in (*HONEST, *MECHANICAL, *HARDER, *DEVIATIONS, *NEXT)}
HELD_OUT = frozenset(bases()[2::3])
"""A third of the real tracks, never looked at while tuning."""


def cases(names: list[str], seed: int, families=None, steps=(5, 8, 10, 15, 20)) -> Iterator[Case]:
    """One case of each family for each track, drawn from a seed."""
    for family in families or FAMILIES:
        for name in names:
            rng = np.random.default_rng([seed, int(name), *family.encode()])
            drawn = Drawn(base(name), int(rng.choice(steps)), rng)
            made = FAMILIES[family](drawn)
            if made is None:
                continue
            flag, there, plan, others = made
            yield Case(
                f"{family}-{name}-{seed}",
                family,
                name,
                flag,
                there,
                plan,
                drawn.fixes(),
                others,
                f"every {drawn.step} s",
            )
