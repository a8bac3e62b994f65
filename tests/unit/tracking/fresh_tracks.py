"""Tracks that no rule was tuned on: floating-car data of Hof, and the shared tracks cut, turned, reversed, slowed.

Each change keeps what makes a track real (its noise, its lights, its halts) and takes away what a threshold may
have learned by heart: place, direction, length, pace and the phase of the sampling.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tests.unit.tracking import families
from tests.unit.tracking.families import GEOD, Base, Case, Drawn, metres, receiver
from tests.unit.tracking.rough_families import ROUGH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOF = families.SHARED / "trajectories"
STEPS = (5, 8, 10, 12, 15, 20)
LEAST_FIXES = 30
FAMILIES = families.FAMILIES | {make.__name__: make for make in ROUGH}
MOVED_AWAY = frozenset({"china", "gcj02", "bd09", "detour"})
"""Families that draw on the map by degrees; a turned track may lie across the antimeridian already."""


@lru_cache(maxsize=1)
def hof() -> tuple[Base, ...]:
    """The drives of Hof of 3.5 km and more: another town, another fleet, a fix every few seconds."""
    csv.field_size_limit(1 << 30)
    rows = defaultdict(list)
    for row in csv.DictReader((HOF / "fcd_hof_points.csv").read_text().splitlines()):
        rows[row["track_id"]].append(row)
    out = []
    for row in csv.DictReader((HOF / "fcd_hof_routes.csv").read_text().splitlines()):
        fixes = rows[row["track_id"]]
        stamp = np.array([np.datetime64(fix["time_utc"].rstrip("Z")) for fix in fixes])
        t = (stamp - stamp[0]).astype("timedelta64[s]").astype(int)
        points = np.array(
            [
                [float(x) for x in pair.split()]
                for pair in re.sub(r"[A-Z()]", "", row["wkt"]).split(",")
            ]
        )
        length = metres(*points[:-1].T, *points[1:].T).sum()
        if row["wkt"].count("(") > 3 or length < 3_500 or len(t) < 40 or np.diff(t).max() > 300:
            continue
        lon, lat = (np.array([float(fix[name]) for fix in fixes]) for name in ("lon", "lat"))
        route = [tuple(point) for point in points.tolist()]
        out.append(Base(f"hof-{row['track_id']}", t, lon, lat, *receiver(t, lon, lat), route))
    return tuple(out)


def changed(rng: np.random.Generator) -> Iterator[Base]:
    """Each shared track once, changed at random."""
    for name in families.bases():
        one = families.base(name)
        for change, chance in (
            (_cut, 0.6),
            (_turn, 0.4),
            (_back, 0.4),
            (_slow, 0.3),
            (_noise, 0.5),
        ):
            if rng.random() < chance:
                one = change(one, rng)
        yield one


def _cut(one: Base, rng: np.random.Generator) -> Base:
    """A trip from somewhere on the road to somewhere else on it."""
    road = np.array(one.route)
    way = np.concatenate(([0], np.cumsum(metres(*road[:-1].T, *road[1:].T))))
    if way[-1] < 9_000:
        return one
    count = len(one.t)
    ends = int(rng.integers(count // 10, count // 3)), int(rng.integers(count * 2 // 3, count - 5))
    corners = []
    for end in ends:
        here = np.full(len(road), one.lon[end]), np.full(len(road), one.lat[end])
        near = np.flatnonzero(metres(*here, *road.T) < 80)
        if not len(near):
            return one
        corners.append(int(near[np.argmin(np.abs(way[near] / way[-1] - end / count))]))
    first, last = corners
    if last - first < 10 or way[last] - way[first] < 4_000:
        return one
    part = slice(ends[0], ends[1] + 1)
    return Base(
        one.name + "c", one.t[part] - one.t[ends[0]], one.lon[part], one.lat[part],
        one.speed[part], one.heading[part], [tuple(p) for p in road[first : last + 1].tolist()],
    )  # fmt: skip


def _turn(one: Base, rng: np.random.Generator) -> Base:
    """Mirrored and turned about its start, somewhere else on Earth, the antimeridian included."""
    places = (
        (rng.uniform(-179, 179), rng.uniform(-50, 60)),
        (rng.uniform(100, 120), rng.uniform(22, 42)),
        (179.99, rng.uniform(-40, 40)),
    )
    lon0, lat0 = places[int(rng.integers(3))]
    side, angle = (1 if rng.random() < 0.5 else -1), rng.uniform(0, 360)

    def move(lon, lat):
        count = len(lon)
        course, _, away = GEOD.inv(np.full(count, one.lon[0]), np.full(count, one.lat[0]), lon, lat)
        x, y, _ = GEOD.fwd(np.full(count, lon0), np.full(count, lat0), side * course + angle, away)
        return np.asarray(x), np.asarray(y)

    road = np.array(one.route)
    lon, lat = move(one.lon, one.lat)
    route = [(round(float(x), 7), round(float(y), 7)) for x, y in zip(*move(*road.T), strict=True)]
    return Base(one.name + "t", one.t, lon, lat, *receiver(one.t, lon, lat), route)


def _back(one: Base, _: np.random.Generator) -> Base:
    t, lon, lat = one.t[-1] - one.t[::-1], one.lon[::-1].copy(), one.lat[::-1].copy()
    return Base(one.name + "r", t, lon, lat, *receiver(t, lon, lat), one.route[::-1])


def _slow(one: Base, rng: np.random.Generator) -> Base:
    """A calmer driver; the speeds go with him and are not taken from whole seconds again."""
    calm = rng.uniform(1.0, 1.8)
    t = np.rint(one.t * calm).astype(int)
    return replace(one, name=one.name + "s", t=t, speed=one.speed / calm)


def _noise(one: Base, rng: np.random.Generator) -> Base:
    """A receiver's drift on top: some metres that last for half a minute to minutes."""
    spread, memory, count = rng.uniform(0.5, 4), rng.uniform(0.97, 0.998), len(one.t)
    drift = rng.normal(0, spread, (2, count))
    for at in range(1, count):
        drift[:, at] = memory * drift[:, at - 1] + np.sqrt(1 - memory**2) * drift[:, at]
    lat = one.lat + drift[0] / 111_200
    lon = one.lon + drift[1] / 111_300 / np.cos(np.radians(lat))
    return replace(one, name=one.name + "n", lon=lon, lat=lat)


def sampled(one: Base, rng: np.random.Generator) -> Drawn:
    """Points picked every few seconds, half of the time with a phase and a jitter of their own."""
    step = int(rng.choice(STEPS))
    if rng.random() < 0.5:
        return Drawn(one, step, rng)
    picked, due, shake = [], rng.uniform(0, step), 2 if step > 5 else 1
    for at, second in enumerate(one.t):
        if second >= due:
            picked.append(at)
            due = second + step + int(rng.integers(-shake, shake + 1))
    if picked[0] != 0 and rng.random() < 0.7:
        picked.insert(0, 0)
    if picked[-1] != len(one.t) - 1:
        picked.append(len(one.t) - 1)
    return Drawn(one, step, rng, np.array(picked))


def cases(seed: int, names: Iterable[str], *, town: bool = False) -> Iterator[Case]:
    """One case of each family for each fresh track: those of Hof, or the changed ones."""
    for family in names:
        tracks = hof() if town else changed(np.random.default_rng([seed, 7]))
        for one in tracks:
            if family in MOVED_AWAY and "t" in one.name:
                continue
            drawn = sampled(
                one, np.random.default_rng([seed, *one.name.encode(), *family.encode()])
            )
            if len(drawn) < LEAST_FIXES:
                continue
            try:
                made = FAMILIES[family](drawn)
            except (ValueError, IndexError):
                continue  # too short for this family
            if made is not None:
                flag, there, plan, others = made
                yield Case(
                    f"{family}-{one.name}-{seed}", family, one.name, flag, there, plan,
                    drawn.fixes(), others, f"every {drawn.step} s",
                )  # fmt: skip
