"""A drive whose clock was made to run slowly: too fast for the road, or with forces that nobody drives with.

Squeezed by a factor, speeds grow by it and forces by its square. The road's bends say how fast a vehicle could be
at all; and where the road is straight or the drive was slow, a mean force over a minute that no driver keeps up
(real cars: 2.1 m/s2 over 40 s, 1.7 over a minute; floating cars whose clocks err by seconds: 2.7 and 2.4) tells
it still.
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


def check_compressed(drive: Drive, corridor: Corridor, way: Journey, rule: Rule) -> list[Finding]:
    """Faster than the road allows; where it does not say so, driven with forces that nobody keeps up."""
    return _faster_than_the_road(drive, corridor, way, rule) or _forced(drive, rule)


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
        over = np.flatnonzero((share > permille) & (spent <= window * 2))
        if len(over):
            worst = max(worst, round(float(share[over].max())))
        for at in rows[over].tolist():
            mask[at : until[at] + 1] = True
    out = []
    for first, last in runs(mask):
        spent_s = int(time[last] - time[first])
        out.append(
            Finding(
                rule.code,
                rule.severity,
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
