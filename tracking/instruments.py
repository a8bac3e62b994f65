"""What the truck's other instruments say of the same drive: mileage, recorder, compass, receiver's health.

They are independent of the positions, so a forger must forge them too, in step. A value that the source did not
give is never derived here and never accuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracking.corridor import GEOD
from tracking.drive import runs
from tracking.findings import Finding
from tracking.track import NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracking.drive import Drive
    from tracking.policy import Policy, Rule
    from tracking.track import Columns, Track

    Ints = NDArray[np.int64]

_GNSS_ALARMS = 0b111 << 4


def check_instruments(drive: Drive, track: Track, policy: Policy) -> list[Finding]:
    """Compares the drive with the instruments that its fixes report."""
    if len(drive) < 2:
        return []
    fixes = track.fixes.take(drive.row)
    return [
        *_odometer(drive, fixes, policy.rule("odometer_mismatch")),
        *_recorder(drive, fixes, policy.rule("recorder_mismatch")),
        *_heading(drive, policy.rule("heading_mismatch")),
        *_receiver(drive, fixes, policy.rule("gnss_health")),
    ]


def _odometer(drive: Drive, fixes: Columns, rule: Rule) -> list[Finding]:
    """Mileage against the way between positions, whole trip; and mileage that runs backwards."""
    rows = np.flatnonzero(fixes.odometer_dkm != NONE)
    if len(rows) < rule["least_n"]:
        return []
    mileage = fixes.odometer_dkm[rows]
    start, end = int(drive.time[rows[0]]), int(drive.time[rows[-1]])
    back = int(np.maximum(-np.diff(mileage), 0).max()) * 100
    if back > rule["back_m"]:
        return [Finding(rule.code, rule.severity, start, end, {"back_m": back})]
    told = int(mileage[-1] - mileage[0]) * 100
    made = int(drive.driven[rows[-1]] - drive.driven[rows[0]]) // 1000
    apart = abs(told - made)
    if max(told, made) < rule["least_m"] or apart * 1000 <= rule["off_permille"] * max(told, made):
        return []
    return [Finding(rule.code, rule.severity, start, end, {"told_m": told, "made_m": made})]


def _recorder(drive: Drive, fixes: Columns, rule: Rule) -> list[Finding]:
    """The tachograph's speed against the receiver's, minute by minute."""
    known = (fixes.recorder_dkmh != NONE) & ~np.isnan(drive.speed)
    apart = np.abs(fixes.recorder_dkmh / 10.0 - np.nan_to_num(drive.speed))
    out = []
    for first, last in runs(known & (apart > rule["off_kmh"])):
        spent = int(drive.time[last] - drive.time[first])
        if spent >= rule["least_s"] and last - first + 1 >= rule["least_n"]:
            out.append(
                Finding(
                    rule.code,
                    rule.severity,
                    int(drive.time[first]),
                    int(drive.time[last]),
                    {
                        "seconds": spent,
                        "apart_kmh": round(float(np.median(apart[first : last + 1]))),
                    },
                )
            )
    return out


def _heading(drive: Drive, rule: Rule) -> list[Finding]:
    """The reported course against the course made, where the truck clearly moves.

    One unchanging course is a source that does not know it, not a forgery.
    """
    heading = drive.heading
    given = heading[~np.isnan(heading)]
    if len(given) == 0 or bool((given == given[0]).all()):
        return []
    rows = np.flatnonzero(
        ~np.isnan(heading[:-1])
        & ~np.isnan(heading[1:])
        & (drive.steps > rule["step_m"] * 1000)
        & (drive.gaps <= rule["longest_s"])
    )
    if len(rows) < rule["least_n"]:
        return []
    course = np.asarray(
        GEOD.inv(drive.lon[rows], drive.lat[rows], drive.lon[rows + 1], drive.lat[rows + 1])[0]
    )
    # A step may bend: the course made lies between the two reported, so the nearer one is asked.
    one, two = (np.abs((heading[rows + at] - course + 180.0) % 360.0 - 180.0) for at in (0, 1))
    wrong = np.minimum(one, two) > rule["off_deg"]
    share = int(np.count_nonzero(wrong)) * 1000 // len(rows)
    if share <= rule["share_permille"]:
        return []
    return [
        Finding(
            rule.code,
            rule.severity,
            int(drive.time[rows[0]]),
            int(drive.time[rows[-1] + 1]),
            {"wrong_permille": share, "steps": len(rows)},
        )
    ]


def _receiver(drive: Drive, fixes: Columns, rule: Rule) -> list[Finding]:
    """Alarms of the GNSS module or antenna, and fixes on fewer satellites than a place needs."""
    alarm = (fixes.alarm != NONE) & ((fixes.alarm & _GNSS_ALARMS) != 0)
    few = (fixes.satellites != NONE) & (fixes.satellites < rule["least_satellites_n"])
    bad = np.flatnonzero(alarm | few)
    if len(bad) * 1000 <= rule["share_permille"] * len(drive):
        return []
    return [
        Finding(
            rule.code,
            rule.severity,
            int(drive.time[bad[0]]),
            int(drive.time[bad[-1]]),
            {"alarms": int(np.count_nonzero(alarm)), "few_satellites": int(np.count_nonzero(few))},
        )
    ]
