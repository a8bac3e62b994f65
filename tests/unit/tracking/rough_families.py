"""Honest drives under rough conditions: canyons of houses, tunnels, ferries, jams, nights, reports minutes apart.

None may fail, and few may need a person. A silence with progress is what the rule `gap` is for, so that tunnels
here stay under its ten minutes; what a ferry does to a record is a gap, and that a person looks at it is right.
"""

from __future__ import annotations

import numpy as np

from tests.unit.tracking.families import Drawn, arrives, metres, thin


def _again(d: Drawn, picked: np.ndarray) -> None:
    start, terminal = d.start, d.terminal
    d.__init__(d.base, d.step, d.rng, picked)
    d.t = d.t - d.start + start
    d.start, d.terminal = start, terminal


def sparse(d: Drawn):
    """A report every 30 to 120 s."""
    d.step = int(d.rng.choice((30, 45, 60, 90, 120)))
    _again(d, thin(d.base.t, d.step))
    return (False, arrives(d), d.plan(), []) if len(d) >= 8 else None


def urban_canyon(d: Drawn):
    """For a fifth to a third of the way a receiver errs by tens of metres that last for half a minute."""
    first = int(d.rng.integers(len(d) // 6, len(d) // 2))
    last = min(len(d) - 2, first + int(len(d) * d.rng.uniform(0.2, 0.33)))
    spread, error = d.rng.uniform(8, 22), np.zeros(2)
    for at in range(first, last):
        memory = float(np.exp(-(d.t[at] - d.t[at - 1]) / 25.0))
        error = memory * error + np.sqrt(1 - memory**2) * d.rng.normal(0, spread, 2)
        d.lat[at] += error[0] / 111_200
        d.lon[at] += error[1] / 111_300 / np.cos(np.radians(d.lat[at]))
    return False, arrives(d), d.plan(), []


def tunnels(d: Drawn):
    """Two to four silences of up to four minutes, a fifth of the drive in all; the fix after each is off by 40 m."""
    keep = np.ones(len(d), dtype=bool)
    for _ in range(int(d.rng.integers(2, 5))):
        first = int(d.rng.integers(len(d) // 8, len(d) * 3 // 4))
        last = int(np.searchsorted(d.t, d.t[first] + d.rng.uniform(30, 230)))
        if last >= len(d) - 4 or np.count_nonzero(~keep) + last - first > len(d) // 5:
            continue
        keep[first + 1 : last] = False
        d.lat[last] += d.rng.uniform(-30, 30) / 111_200
        d.lon[last] += d.rng.uniform(-30, 30) / 111_300 / np.cos(np.radians(d.lat[last]))
    d.keep(keep)
    return False, arrives(d), d.plan(), []


def jam(d: Drawn):
    """Stop and go: for a stretch everything takes three to eight times as long, with its own fixes."""
    first = int(d.rng.integers(len(d) // 5, len(d) // 2))
    last = min(len(d) - 3, first + max(6, len(d) // 10))
    slower = d.rng.uniform(3, 8)
    inner = d.t[first] + np.rint((d.t[first : last + 1] - d.t[first]) * slower).astype(int)
    times = np.arange(inner[0], inner[-1], d.step)
    wave = 1 - np.cos((times - inner[0]) / d.rng.uniform(15, 40))
    ahead = np.cumsum(np.where(wave > 0.6, wave, 0.0)) + 1e-9 * np.arange(len(times))
    whole = (
        (ahead[-1] - ahead[0]) * len(times) / max(1, len(times) - 1)
    )  # the last fix is still in it
    part = inner[0] + (ahead - ahead[0]) / max(whole, 1e-9) * (inner[-1] - inner[0])
    columns = {
        name: np.interp(part, inner, getattr(d, name)[first : last + 1]) for name in ("lat", "lon")
    }
    late = inner[-1] - d.t[last]
    speeds = np.full(len(times), np.nan)
    d.speed = np.concatenate((d.speed[:first], speeds, d.speed[last:]))
    d.heading = np.concatenate((d.heading[:first], speeds, d.heading[last:]))
    d.t = np.concatenate((d.t[:first], times, d.t[last:] + late))
    for name, column in columns.items():
        own = getattr(d, name)
        setattr(d, name, np.concatenate((own[:first], column, own[last:])))
    d.received = np.full(len(d.t), -1)
    shake = d.rng.normal(0, 0.6, (2, len(times)))
    d.lat[first : first + len(times)] += shake[0] / 111_200
    d.lon[first : first + len(times)] += shake[1] / 111_300 / np.cos(np.radians(d.lat[first]))
    return False, arrives(d), d.plan(), []


def night_stop(d: Drawn):
    """Parked for seven to eleven hours, engine off: nothing heard, or a report every five minutes."""
    at = int(d.rng.integers(len(d) // 4, len(d) * 3 // 4))
    hours = int(d.rng.uniform(7, 11) * 3600)
    times = np.arange(d.t[at] + 300, d.t[at] + hours, 300)
    if d.rng.random() < 0.5:
        times = times[:0]
    same = d.rng.random() < 0.5
    shake = d.rng.normal(0, 0.0 if same else 2.0, (2, len(times)))
    d.lat = np.concatenate((d.lat[: at + 1], d.lat[at] + shake[0] / 111_200, d.lat[at + 1 :]))
    d.lon = np.concatenate(
        (
            d.lon[: at + 1],
            d.lon[at] + shake[1] / 111_300 / np.cos(np.radians(d.lat[at])),
            d.lon[at + 1 :],
        )
    )
    none = np.zeros(len(times))
    d.t = np.concatenate((d.t[: at + 1], times, d.t[at + 1 :] + hours))
    d.speed = np.concatenate((d.speed[: at + 1], none, d.speed[at + 1 :]))
    d.heading = np.concatenate((d.heading[: at + 1], none + d.heading[at], d.heading[at + 1 :]))
    d.received = np.full(len(d.t), -1)
    return False, arrives(d), d.plan(), []


def late_batches(d: Drawn):
    """Half of the record comes in four blind-area uploads, out of order."""
    d.received = d.t + 2
    for _ in range(4):
        first = int(d.rng.integers(0, max(1, len(d) * 7 // 8)))
        last = min(len(d) - 1, first + max(3, len(d) // 8))
        d.received[first:last] = d.t[last] + int(d.rng.integers(3, 4_000))
    order = np.argsort(d.received, kind="stable")
    d.keep(order)
    return False, arrives(d), d.plan(), []


def there_and_back(d: Drawn):
    """Out and home on one plan: it ends where it began, on a road that is driven twice."""
    if d.t[-1] - d.t[0] < 600:
        return None
    home = d.t[-1] + 900 + (d.t[-1] - d.t[::-1])
    for name, column in (("lat", d.lat), ("lon", d.lon), ("speed", d.speed)):
        setattr(d, name, np.concatenate((column, column[::-1])))
    d.heading = np.concatenate((d.heading, np.mod(d.heading[::-1] + 180, 360)))
    d.t = np.concatenate((d.t, home))
    d.received = np.full(len(d.t), -1)
    d.nudge(1.2, 0.95)
    route = [*d.base.route, *d.base.route[-2::-1]]
    first = d.base.route[0]
    near = np.hypot(d.lat[-1] - first[1], (d.lon[-1] - first[0]) * np.cos(np.radians(first[1])))
    there = bool(near * 111_200 <= 250)
    return (False, True, d.plan(route), []) if there else None


def by_distance(d: Drawn):
    """A terminal that reports by the way driven, and at least every minute or two."""
    apart, longest = d.rng.uniform(120, 500), int(d.rng.choice((30, 60, 120)))
    steps = metres(d.base.lon[:-1], d.base.lat[:-1], d.base.lon[1:], d.base.lat[1:])
    driven = np.concatenate(([0.0], np.cumsum(steps)))
    picked = [0]
    for at in range(1, len(driven)):
        last = picked[-1]
        if driven[at] - driven[last] >= apart or d.base.t[at] - d.base.t[last] >= longest:
            picked.append(at)
    if picked[-1] != len(driven) - 1:
        picked.append(len(driven) - 1)
    _again(d, np.array(picked))
    return (False, arrives(d), d.plan(), []) if len(d) >= 8 else None


def by_turn(d: Drawn):
    """A terminal that reports every half minute, and whenever its course has changed meanwhile."""
    longest, turn = int(d.rng.choice((15, 20, 30, 60))), d.rng.uniform(15, 40)
    picked = [0]
    for at in range(1, len(d.base.t)):
        last = picked[-1]
        bent = abs((d.base.heading[at] - d.base.heading[last] + 180) % 360 - 180)
        waited = d.base.t[at] - d.base.t[last]
        if waited >= longest or (bent >= turn and d.base.speed[at] > 8 and waited >= 2):
            picked.append(at)
    if picked[-1] != len(d.base.t) - 1:
        picked.append(len(d.base.t) - 1)
    _again(d, np.array(picked))
    return (False, arrives(d), d.plan(), []) if len(d) >= 8 else None


def closer_for_a_while(d: Drawn):
    """Asked to report two to six times as often for a fifth to two fifths of the way, as a centre may ask."""
    slow = int(d.rng.choice((10, 15, 20, 30)))
    quick = max(2, int(slow / d.rng.uniform(2, 6)))
    whole = d.base.t[-1]
    first = d.rng.uniform(0.1, 0.5) * whole
    last = first + d.rng.uniform(0.2, 0.4) * whole
    picked, due = [], 0.0
    for at, second in enumerate(d.base.t):
        if second >= due:
            picked.append(at)
            due = second + (quick if first <= second < last else slow)
    if picked[-1] != len(d.base.t) - 1:
        picked.append(len(d.base.t) - 1)
    _again(d, np.array(picked))
    return (False, arrives(d), d.plan(), []) if len(d) >= 8 else None


def whole_speeds(d: Drawn):
    """Speeds to the whole km/h and courses to ten degrees, as cheap terminals give them."""
    d.speed = np.rint(d.speed)
    d.heading = np.mod(np.rint(d.heading / 10.0) * 10.0, 360.0)
    return False, arrives(d), d.plan(), []


def drift_at_rest(d: Drawn):
    """A halt of ten to forty minutes in which the receiver wanders by tens of metres and tells small speeds."""
    at = int(d.rng.integers(len(d) // 4, len(d) * 3 // 4))
    seconds = int(d.rng.integers(600, 2400))
    times = np.arange(d.t[at] + d.step, d.t[at] + seconds, d.step)
    spread, hold = d.rng.uniform(4, 18), float(np.exp(-d.step / d.rng.uniform(60, 300)))
    drift = np.zeros((2, len(times)))
    for one in range(1, len(times)):
        drift[:, one] = hold * drift[:, one - 1] + np.sqrt(1 - hold**2) * d.rng.normal(0, spread, 2)
    cos = np.cos(np.radians(d.lat[at]))
    lat, lon = d.lat[at] + drift[0] / 111_200, d.lon[at] + drift[1] / 111_300 / cos
    d.lat = np.concatenate((d.lat[: at + 1], lat, d.lat[at + 1 :]))
    d.lon = np.concatenate((d.lon[: at + 1], lon, d.lon[at + 1 :]))
    d.t = np.concatenate((d.t[: at + 1], times, d.t[at + 1 :] + seconds))
    told = np.abs(d.rng.normal(0, 1.5, len(times)))
    d.speed = np.concatenate((d.speed[: at + 1], told, d.speed[at + 1 :]))
    course = d.rng.uniform(0, 360, len(times))
    d.heading = np.concatenate((d.heading[: at + 1], course, d.heading[at + 1 :]))
    d.received = np.full(len(d.t), -1)
    return False, arrives(d), d.plan(), []


def every_minute(d: Drawn):
    """A report a minute, as most centres ask for."""
    _again(d, thin(d.base.t, 60))
    return (False, arrives(d), d.plan(), []) if len(d) >= 8 else None


def every_second(d: Drawn):
    """A report a second, as a recorder keeps."""
    _again(d, thin(d.base.t, 1))
    return False, arrives(d), d.plan(), []


def told_twice(d: Drawn):
    """Every place is told again a second later."""
    d.keep(np.repeat(np.arange(len(d)), 2))
    d.t = d.t + np.arange(len(d)) % 2
    return False, arrives(d), d.plan(), []


ROUGH = (
    sparse,
    urban_canyon,
    tunnels,
    jam,
    night_stop,
    late_batches,
    there_and_back,
    by_distance,
    by_turn,
    closer_for_a_while,
    whole_speeds,
    drift_at_rest,
    every_minute,
    every_second,
    told_twice,
)
