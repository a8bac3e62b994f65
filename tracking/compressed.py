"""A drive whose clock was made to run slowly: too fast for the road, or with forces that nobody drives with.

Squeezed by a factor, speeds grow by it and forces by its square. The road's bends say how fast a vehicle could be
at all; and where the road is straight or the drive was slow, a mean force over a minute that no driver keeps up
(real cars: 2.1 m/s2 over 40 s, 1.7 over a minute; floating cars whose clocks err by seconds: 2.7 and 2.4) tells
it still. Where a record reports at a steady pace, a squeezed stretch also betrays itself: reports come closer by the
factor, the truck is faster by it, and forces grow by its square, while faster roads ask for less force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracking.corridor import GEOD
from tracking.drive import kmh, runs
from tracking.findings import Finding, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracking.corridor import Corridor
    from tracking.drive import Drive
    from tracking.journey import Journey
    from tracking.policy import Rule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_WITH_RHYTHM = 4
"""The version of the rule from which on rhythm counts, and a short burst alone goes to a person."""

_MOST_STRETCHES = 12


def check_compressed(drive: Drive, corridor: Corridor, way: Journey, rule: Rule) -> list[Finding]:
    """Faster than the road allows; where it does not say so, with forces that nobody keeps up, or out of its rhythm."""
    return (
        _faster_than_the_road(drive, corridor, way, rule)
        or _forced(drive, rule)
        or (_out_of_rhythm(drive, rule) if rule.version >= _WITH_RHYTHM else [])
    )


def _faster_than_the_road(
    drive: Drive, corridor: Corridor, way: Journey, rule: Rule
) -> list[Finding]:
    """Stretches driven faster than their bends and a vehicle's forces allow."""
    # How far it has come at most: where the road passes a place twice, a fix may be taken for the other pass.
    along = np.maximum.accumulate(np.where(drive.on_road, drive.match.along, 0))
    least = corridor.least_seconds(along)
    ahead = np.diff(along)
    # Only steps whose progress is what was driven: a cut corner of the plan is not speed.
    true = way.covered & (ahead * 10 <= drive.steps * 13 + 500_000)
    needed = np.concatenate(([0.0], np.cumsum(np.where(true, np.diff(least), 0.0))))
    time = drive.time
    mask = np.zeros(len(drive), dtype=np.bool_)
    lasting = np.zeros(len(drive), dtype=np.bool_)
    worst = 0
    for window, permille in (
        (rule["burst_s"], rule["burst_permille"]),
        (rule["short_s"], rule["short_permille"]),
        (rule["middle_s"], rule["middle_permille"]),
        (rule["long_s"], rule["long_permille"]),
    ):
        until = np.searchsorted(time, time + window, side="left")
        rows = np.flatnonzero(until < len(time))
        if len(rows) == 0:
            continue
        spent = (time[until[rows]] - time[rows]).astype(np.float64)
        share = (needed[until[rows]] - needed[rows]) / np.maximum(spent, 1.0) * 1000
        able = spent <= window * 2
        if rule.version >= _WITH_RHYTHM:
            able &= until[rows] - rows >= rule["steps_n"]
        over = np.flatnonzero((share > permille) & able)
        if len(over):
            worst = max(worst, round(float(share[over].max())))
        for at in rows[over].tolist():
            mask[at : until[at] + 1] = True
            lasting[at : until[at] + 1] |= window > rule["burst_s"]
    out = []
    for first, last in runs(mask):
        spent_s = int(time[last] - time[first])
        # A burst that no longer span bears out may be one leap of a receiver.
        alone = rule.version >= _WITH_RHYTHM and not lasting[first : last + 1].any()
        mild = alone and spent_s <= rule["alone_s"]
        out.append(
            Finding(
                rule.code,
                Severity.REVIEW if mild else rule.severity,
                int(time[first]),
                int(time[last]),
                {
                    "seconds": spent_s,
                    "needed_s": round(float(needed[last] - needed[first])),
                    "kmh": kmh(int(drive.steps[first:last].sum()), spent_s),
                    "worst_permille": worst,
                },
            )
        )
    return out


def _forced(drive: Drive, rule: Rule) -> list[Finding]:
    """Mean forces over a minute or so that no driver keeps up; where one could, a person looks."""
    time, force, apart, able = _forces(drive, rule)
    if len(time) < rule["force_n"]:
        return []
    sums = np.concatenate(([0.0], np.cumsum(np.where(able, force * apart, 0.0))))
    spans = np.concatenate(([0.0], np.cumsum(np.where(able, apart, 0.0))))
    grave, mild = np.zeros(len(time), np.bool_), np.zeros(len(time), np.bool_)
    worst = 0
    for window in ("force_short", "force_middle", "force_long"):
        seconds = rule[f"{window}_s"]
        until = np.searchsorted(time, time + seconds, side="left")
        rows = np.flatnonzero(until < len(time))
        if len(rows) == 0:
            continue
        ends = until[rows]
        seen = spans[ends] - spans[rows]
        # Most of the window must have been seen, and not be longer than it says.
        whole = (ends - rows >= rule["force_n"]) & (seen * 10 >= 8 * seconds)
        whole &= seen * 10 < 16 * seconds
        mean = (sums[ends] - sums[rows]) / np.maximum(seen, 1.0) * 100.0
        for mask, most in ((grave, f"{window}_fail_cm_s2"), (mild, f"{window}_cm_s2")):
            over = np.flatnonzero(whole & (mean > rule[most]))
            for at in over.tolist():
                mask[rows[at] : ends[at] + 1] = True
        if whole.any():
            worst = max(worst, round(float(mean[whole].max())))
    out = []
    for first, last in runs(mild):
        begin = int(np.searchsorted(drive.time, time[first]))
        end = min(int(np.searchsorted(drive.time, time[last])), len(drive) - 1)
        spent = int(drive.time[end] - drive.time[begin])
        out.append(
            Finding(
                rule.code,
                rule.severity if grave[first : last + 1].any() else Severity.REVIEW,
                int(drive.time[begin]),
                int(drive.time[end]),
                {
                    "seconds": spent,
                    "mean_cm_s2": worst,
                    "kmh": kmh(int(drive.steps[begin:end].sum()), spent),
                },
            )
        )
    return out


def _forces(drive: Drive, rule: Rule) -> tuple[Ints, Floats, Floats, Bools]:
    """Instants, forces (m/s2, forwards and sideways together), their seconds, and which can be relied on.

    Fixes that repeat a place to the last digit are left out (a stale report makes a leap of the next one), and
    one fix in so many seconds is taken, since noise over a second looks like force.
    """
    rows = np.flatnonzero(np.concatenate(([True], drive.steps > 0)))[: len(drive)]
    bucket = drive.time[rows] // rule["force_apart_s"]
    rows = rows[np.concatenate(([True], np.diff(bucket) > 0))[: len(rows)]]
    none = np.zeros(0)
    if len(rows) < 3:
        return none.astype(np.int64), none, none, none.astype(np.bool_)
    lon, lat, time = drive.lon[rows], drive.lat[rows], drive.time[rows]
    course, _, metres = GEOD.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])
    seconds = np.maximum(np.diff(time), 1)
    speed = np.asarray(metres) / seconds
    east, north = speed * np.sin(np.radians(course)), speed * np.cos(np.radians(course))
    apart = (seconds[1:] + seconds[:-1]) / 2.0
    force = np.hypot(np.diff(east), np.diff(north)) / apart
    able = (seconds[1:] <= rule["force_gap_s"]) & (seconds[:-1] <= rule["force_gap_s"])
    # One leap must not speak for a minute.
    return time[1:-1], np.minimum(force, rule["force_most_cm_s2"] / 100.0), apart, able


# ------------------------------------------------------------------- RHYTHM
def _out_of_rhythm(drive: Drive, rule: Rule) -> list[Finding]:
    """Stretches whose reports come closer, faster by as much and with the square of the force.

    A terminal asked to report more often, one that reports by distance, or in bends, comes closer too; but the
    truck under it is no faster than its road, or drives with the forces of a truck. Positions alone speak here.
    """
    stretches = _closer_stretches(drive, rule)
    if not stretches:
        return []
    time = drive.time.astype(np.float64)
    course, _, metres = GEOD.inv(drive.lon[:-1], drive.lat[:-1], drive.lon[1:], drive.lat[1:])
    gaps, metres = np.maximum(drive.gaps, 1).astype(np.float64), np.asarray(metres)
    speed = metres / gaps
    east, north = speed * np.sin(np.radians(course)), speed * np.cos(np.radians(course))
    pull = np.hypot(np.diff(east), np.diff(north))
    apart = (gaps[1:] + gaps[:-1]) / 2.0
    out: list[Finding] = []
    for first, last, usual in stretches:
        inner = (time[last] - time[first]) / (last - first)
        ratio = usual / inner
        outer = np.ones(len(gaps), dtype=np.bool_)
        outer[max(0, first - 1) : last + 1] = False
        outer &= gaps <= 2.0 * usual
        both = outer[1:] & outer[:-1]
        driven = outer & (metres > 3.0)
        least = rule["rhythm_n"]
        if np.count_nonzero(both) < least or np.count_nonzero(driven) < least:
            continue
        force = _steady_mean(pull[first : last - 1], apart[first : last - 1])
        pace = float(metres[first:last].sum() / (time[last] - time[first]))
        other_force = float(pull[both].sum() / apart[both].sum())
        other_pace = float(metres[driven].sum() / gaps[driven].sum())
        # Squeezed by the ratio, the product of both grows by its third power; else by less than its second.
        grown = float(
            np.log(max(force, 0.02) / max(other_force, 0.02))
            + np.log(max(pace, 0.1) / max(other_pace, 0.1))
        )
        power = grown / float(np.log(ratio)) * 1000
        told = any(
            force * 100 >= rule[f"rhythm_{way}_cm_s2"] and power >= rule[f"rhythm_{way}_permille"]
            for way in ("power", "force", "long")
            if way != "long" or last - first >= rule["rhythm_long_n"]
        )
        if (
            told
            and grown * 1000 >= rule["rhythm_least_permille"]
            and not any(a <= drive.time[last] and drive.time[first] <= b for a, b in _spans(out))
        ):
            out.append(
                Finding(
                    rule.code,
                    Severity.REVIEW,
                    int(drive.time[first]),
                    int(drive.time[last]),
                    {
                        "seconds": int(drive.time[last] - drive.time[first]),
                        "closer_permille": round(ratio * 1000),
                        "mean_cm_s2": round(force * 100),
                        "usual_cm_s2": round(other_force * 100),
                        "kmh": round(pace * 3.6),
                        "usual_kmh": round(other_pace * 3.6),
                    },
                )
            )
    return out


def _steady_mean(pull: Floats, apart: Floats) -> float:
    """Mean force of a stretch; a leap counts for no more than a few times the middle force."""
    force = pull / apart
    return float((np.minimum(force, 2.5 * np.median(force)) * apart).sum() / apart.sum())


def _spans(some: list[Finding]) -> list[tuple[int, int]]:
    return [(one.start or 0, one.end or 0) for one in some]


def _closer_stretches(drive: Drive, rule: Rule) -> list[tuple[int, int, float]]:
    """First and last fix of stretches whose reports come much closer than outside, and the usual pause there."""
    gaps = drive.gaps
    least = rule["rhythm_n"]
    if len(gaps) < 3 * least:
        return []
    found: dict[tuple[int, int], float] = {}
    for share in (50, 75, 90):
        pause = int(np.percentile(gaps, share, method="lower"))
        close = (gaps * 1000 <= pause * rule["rhythm_close_permille"]) & (gaps > 0)
        able = [(a, b + 1) for a, b in runs(close) if b - a + 1 >= least]
        for first, last in sorted(able, key=lambda one: one[0] - one[1])[:_MOST_STRETCHES]:
            outer = np.ones(len(gaps), dtype=np.bool_)
            outer[max(0, first - 1) : last + 1] = False
            outer &= (gaps > 0) & (gaps <= 4 * pause)
            if (first, last) in found or np.count_nonzero(outer) < least:
                continue
            usual = float(np.median(gaps[outer]))
            spent = int(drive.time[last] - drive.time[first])
            inner = spent / (last - first)
            # A clock that runs slowly keeps the pace of the reports even; bends and distances do not.
            even = np.abs(gaps[first:last] - inner) <= 1.0 + inner / 4.0
            if np.count_nonzero(even) * 1000 < rule["rhythm_even_permille"] * (last - first):
                continue
            if usual * (last - first) * 1000 >= rule["rhythm_ratio_permille"] * spent:
                found[first, last] = usual
    return [
        (a, b, usual)
        for (a, b), usual in sorted(found.items(), key=lambda one: one[0][0] - one[0][1])
    ]
