"""What a record of positions can and cannot be: clocks, jumps, speeds, silences, frozen places."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracking.corridor import distance_mm
from tracking.drive import kmh, runs
from tracking.findings import Finding, Severity
from tracking.track import NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracking.drive import Drive
    from tracking.plan import Plan
    from tracking.policy import Policy, Rule
    from tracking.track import Track

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_EIGHT_HOURS = 8 * 3600
_LOOKBACK = 60
_SPIKES = 200
_KMH_MM_S = 1_000_000 / 3600
_FORWARDS = 3
"""The version of teleport from which on a chain that goes forwards weighs more."""
_BACK_MM = 30_000
_LEAPS_OF_FORCE = 3
"""The version of impossible_acceleration from which on one leap alone goes to a person."""
_LEAPS = 2
"""The version of impossible_speed from which on one short leap alone goes to a person."""


@dataclass(frozen=True, slots=True)
class Clocked:
    """Times set right.

    Attributes:
        time: unix seconds a fix of the track, shifted back where the fault is a constant.
        faulty: fixes that are not evidence because of their clock.
        placed: fixes whose time is known well enough to be a position of the drive.
        rejected: refused fixes by code.
        findings: one a fault.
    """

    time: Ints
    faulty: Bools
    placed: Bools
    rejected: Counter[str]
    findings: list[Finding]


def check_clocks(track: Track, plan: Plan, policy: Policy) -> Clocked:
    """Compares device time with receipt and with the plan's window.

    A fix from the future cannot be evidence. A fix received late is innocent unless it was sent live,
    one by one, with one constant delay: then the device's calendar is wrong. Late batches arrive bunched,
    so their delay shrinks from fix to fix, and they are never accused.
    """
    some = track.fixes
    count = len(some)
    time = some.time.copy()
    faulty = np.zeros(count, dtype=np.bool_)
    placed = np.ones(count, dtype=np.bool_)
    rejected: Counter[str] = Counter()
    findings: list[Finding] = []
    received = some.received
    known = received != NONE
    if known.any():
        ahead = np.where(known, time - np.where(known, received, 0), 0)
        future, backward = policy.rule("clock_future"), policy.rule("clock_backward")
        eight = policy.rule("clock_8h")
        early = known & (ahead > future["tolerance_s"])
        live = _sent_live(time, received, known & (some.late == 0), ahead, backward)
        for mask, rule in ((early, future), (live, backward)):
            for rows in _by_offset(mask, ahead, rule["constant_s"]):
                offset = int(np.median(ahead[rows]))
                code = rule.code
                if abs(abs(offset) - _EIGHT_HOURS) <= eight["tolerance_s"]:
                    code = eight.code
                faulty[rows] = True
                rejected[code] += len(rows)
                constant = int(np.ptp(ahead[rows])) <= 2 * rule["constant_s"]
                placed[rows] = constant
                start, end = int(time[rows].min()), int(time[rows].max())
                time[rows] -= offset if constant else 0
                findings.append(
                    Finding(
                        code,
                        policy.rule(code).severity,
                        start,
                        end,
                        {"fixes": len(rows), "ahead_s": offset, "constant": constant},
                    )
                )
    if plan.starts is not None and count:
        rule = policy.rule("outside_window")
        odd = (time < plan.starts - rule["before_s"]) | (time > plan.starts + rule["after_s"])
        odd &= ~faulty
        if odd.any():
            faulty |= odd
            placed &= ~odd
            rejected[rule.code] += int(np.count_nonzero(odd))
            findings.append(
                Finding(
                    rule.code,
                    rule.severity,
                    int(time[odd].min()),
                    int(time[odd].max()),
                    {"fixes": int(np.count_nonzero(odd))},
                )
            )
    return Clocked(time, faulty, placed, rejected, findings)


def _sent_live(time: Ints, received: Ints, able: Bools, ahead: Ints, rule: Any) -> Bools:
    """Fixes far behind their receipt that were nevertheless sent one by one as they were made."""
    out = np.zeros(len(time), dtype=np.bool_)
    behind = np.flatnonzero(able & (ahead < -rule["tolerance_s"]))
    if len(behind) < rule["least_n"]:
        return out
    order = behind[np.lexsort((time[behind], received[behind]))]
    made, came, lag = np.diff(time[order]), np.diff(received[order]), np.diff(ahead[order])
    steady = (np.abs(lag) <= 2) & (made > 0) & (came > 0) & (np.abs(made - came) <= 2)
    for first, last in runs(steady):
        if last - first + 2 >= rule["least_n"]:
            out[order[first : last + 2]] = True
    return out


def _by_offset(mask: Bools, ahead: Ints, tolerance: int) -> list[Ints]:
    """Groups fixes whose offset from the receipt is about the same."""
    rows = np.flatnonzero(mask)
    if len(rows) == 0:
        return []
    order = rows[np.argsort(ahead[rows], kind="stable")]
    breaks = np.flatnonzero(np.diff(ahead[order]) > tolerance) + 1
    return [np.sort(part) for part in np.split(order, breaks)]


@dataclass(frozen=True, slots=True)
class Sorted:
    """Jumps sorted out: which fixes stay, which are refused under which code."""

    keep: Bools
    rejected: Counter[str]
    findings: list[Finding]


def sort_out_jumps(drive: Drive, policy: Policy) -> Sorted:
    """Refuses outliers: a glitch of seconds, a teleport, or a second place of the same terminal.

    Two fixes that no truck could join split the record into pieces. The heaviest chain of pieces that can
    be joined is the drive (fixes near the planned road weigh nine times). What is left over near
    the road stays, for there the speed is what is wrong; what is left over elsewhere is refused.
    """
    count = len(drive)
    keep = np.ones(count, dtype=np.bool_)
    rule = policy.rule("teleport")
    limit = rule["cap_kmh"] * _KMH_MM_S
    jump = drive.steps - limit * drive.gaps > rule["slack_m"] * 1000
    if not jump.any():
        return Sorted(keep, Counter(), [])
    forwards = rule["forwards_n"] if rule.version >= _FORWARDS else 0
    chained = _chain(drive, jump, limit, rule["slack_m"] * 1000, forwards)
    findings: list[Finding] = []
    rejected: Counter[str] = Counter()
    glitch, double = policy.rule("glitch"), policy.rule("two_places")
    loose = runs(~chained)
    strange = np.zeros(count, dtype=np.bool_)
    small: list[tuple[int, int]] = []
    along_it = jump & drive.match.near[:-1] & drive.match.near[1:]
    hurried = int(np.count_nonzero(along_it)) >= rule["hurried_n"]
    for first, last in loose:
        spans = int(drive.time[last] - drive.time[first])
        on_road = bool(drive.match.near[first : last + 1].all())
        if last == count - 1 and on_road and (hurried or _is_fast(drive, first, rule)):
            continue  # the end of a drive that was too fast before: it did come there
        if spans <= glitch["longest_s"] and (
            last - first + 1 <= glitch["longest_n"] or not on_road
        ):
            small.append((first, last))
        else:
            away = ~drive.match.near[first : last + 1]
            strange[first : last + 1] = away
    interleaved = (
        len(loose) >= double["turns_n"] and sum(b - a + 1 for a, b in loose) >= double["least_n"]
    )
    if interleaved:
        rows = np.concatenate([np.arange(a, b + 1) for a, b in loose])
        coherent = _coherent(drive, rows, limit, rule["slack_m"] * 1000)
        if coherent >= 0.7:
            far = rows[~drive.match.near[rows]]
            if len(far) >= double["least_n"]:
                strange[far] = False
                small = [pair for pair in small if drive.match.near[pair[0]]]
                keep[far] = False
                rejected[double.code] += int(np.count_nonzero(drive.evidence[far]))
                findings.append(
                    Finding(
                        double.code,
                        double.severity,
                        int(drive.time[far[0]]),
                        int(drive.time[far[-1]]),
                        {"fixes": len(far), "apart_m": _apart_m(drive, far, chained)},
                    )
                )
    glitched = 0
    for first, last in small:
        keep[first : last + 1] = False
        glitched += last - first + 1
        rejected[glitch.code] += int(np.count_nonzero(drive.evidence[first : last + 1]))
    if glitched:
        many = glitched * 1000 > glitch["share_permille"] * count and glitched > 3
        findings.append(
            Finding(
                glitch.code,
                Severity.REVIEW if many else glitch.severity,
                int(drive.time[small[0][0]]),
                int(drive.time[small[-1][1]]),
                {"fixes": glitched, "times": len(small)},
            )
        )
    for first, last in runs(strange):
        rows = np.arange(first, last + 1)
        keep[rows] = False
        # A fix refused for its clock already is not refused twice.
        rejected[rule.code] += int(np.count_nonzero(drive.evidence[rows]))
        findings.append(
            Finding(
                rule.code,
                rule.severity,
                int(drive.time[first]),
                int(drive.time[last]),
                {"fixes": len(rows), "away_m": _apart_m(drive, rows, chained)},
            )
        )
    return Sorted(keep, +rejected, findings)


def _is_fast(drive: Drive, at: int, rule: Rule) -> bool:
    """Whether the last minute before a fix was driven faster than trucks drive."""
    since = int(np.searchsorted(drive.time, drive.time[at] - rule["fast_s"]))
    before = max(at - 1, since)
    spent = int(drive.time[before] - drive.time[since])
    return spent > 0 and int(drive.steps[since:before].sum()) > rule["fast_kmh"] * _KMH_MM_S * spent


def _apart_m(drive: Drive, rows: Ints, chained: Bools) -> int:
    """Greatest distance between refused fixes and the drive's fix next before each, metres."""
    anchors = np.flatnonzero(chained)
    if len(anchors) == 0:
        return 0
    before = anchors[np.clip(np.searchsorted(anchors, rows) - 1, 0, None)]
    apart = distance_mm(drive.lon[rows], drive.lat[rows], drive.lon[before], drive.lat[before])
    return int(apart.max()) // 1000


def _coherent(drive: Drive, rows: Ints, limit: float, slack: int) -> float:
    """Share of consecutive pairs among some fixes that one vehicle could have joined."""
    away = distance_mm(
        drive.lon[rows[:-1]], drive.lat[rows[:-1]], drive.lon[rows[1:]], drive.lat[rows[1:]]
    )
    return (
        float(np.mean(away <= limit * np.diff(drive.time[rows]) + slack)) if len(rows) > 1 else 0.0
    )


def _chain(drive: Drive, jump: Bools, limit: float, slack: int, forwards: int) -> Bools:
    """Fixes of the heaviest chain of pieces that one vehicle could have joined.

    A join that goes on along the planned road weighs `forwards` fixes more, so that of two vehicles on one road
    the one is followed that drives the trip, and not the one it meets.
    """
    count = len(drive)
    starts = np.concatenate(([0], np.flatnonzero(jump) + 1))
    ends = np.concatenate((starts[1:] - 1, [count - 1]))
    # One fix more where near the road: the planned trip is the one that is judged.
    weight_of = 1 + 8 * drive.match.near.astype(np.int64)
    total = np.concatenate(([0], np.cumsum(weight_of)))
    weights = total[ends + 1] - total[starts]
    xyz = _earth_centred(drive.lon, drive.lat)
    pieces = len(starts)
    lookback = _LOOKBACK if pieces <= 20_000 else 8
    best = weights.astype(np.float64)
    source = np.full(pieces, -1)
    last_time, first_time = drive.time[ends], drive.time[starts]
    came, goes = drive.match.along[ends], drive.match.along[starts]
    on_road = drive.match.near[ends], drive.match.near[starts]
    for piece in range(1, pieces):
        low = max(0, piece - lookback)
        away = np.sqrt(((xyz[ends[low:piece]] - xyz[starts[piece]]) ** 2).sum(axis=1)) * 1000
        able = away <= limit * (first_time[piece] - last_time[low:piece]) + slack
        if able.any():
            joined = best[low:piece]
            if forwards and on_road[1][piece]:
                on = on_road[0][low:piece] & (came[low:piece] <= goes[piece] + _BACK_MM)
                joined = joined + forwards * on
            options = np.where(able, joined, -1.0)
            pick = int(np.argmax(options))
            best[piece] += options[pick]
            source[piece] = low + pick
    chained = np.zeros(count, dtype=np.bool_)
    at = int(np.argmax(best))
    while at >= 0:
        chained[starts[at] : ends[at] + 1] = True
        at = int(source[at])
    return chained


def _earth_centred(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Earth-centred metres on the WGS-84 ellipsoid."""
    lam, phi = np.radians(lon), np.radians(lat)
    normal = 6378137.0 / np.sqrt(1 - 0.00669437999014 * np.sin(phi) ** 2)
    return np.stack(
        (
            normal * np.cos(phi) * np.cos(lam),
            normal * np.cos(phi) * np.sin(lam),
            normal * (1 - 0.00669437999014) * np.sin(phi),
        ),
        axis=1,
    )


def check_speeds(drive: Drive, policy: Policy) -> list[Finding]:
    """Speeds that no truck has, step by step and over a minute."""
    rule = policy.rule("impossible_speed")
    if len(drive) < 2:
        return []
    fast = drive.steps - rule["cap_kmh"] * _KMH_MM_S * drive.gaps > rule["slack_m"] * 1000
    driven, time = drive.driven, drive.time
    # Over windows of a minute or more, position noise no longer matters.
    until = np.searchsorted(time, time + rule["sustained_s"], side="left")
    able = until < len(time)
    rows = np.flatnonzero(able)
    spent = time[until[rows]] - time[rows]
    way = driven[until[rows]] - driven[rows]
    over = rows[way > rule["sustained_kmh"] * _KMH_MM_S * spent]
    mask = np.zeros(len(drive), dtype=np.bool_)
    for at in over.tolist():
        mask[at : until[at] + 1] = True
    sustained = mask.copy()
    mask[:-1] |= fast
    mask[1:] |= fast
    out = []
    leaps = int(np.count_nonzero(fast))
    for first, last in runs(mask):
        peak = max(
            (
                kmh(int(drive.steps[at]), int(drive.gaps[at]))
                for at in range(first, last)
                if drive.gaps[at] > 0
            ),
            default=9999,
        )
        leapt = int(driven[last] - driven[first])
        mild = (
            rule.version >= _LEAPS
            and leaps == 1
            and not sustained[first : last + 1].any()
            and leapt <= rule["leap_m"] * 1000
        )
        out.append(
            Finding(
                rule.code,
                Severity.REVIEW if mild else rule.severity,
                int(time[first]),
                int(time[last]),
                {
                    "kmh": kmh(int(driven[last] - driven[first]), int(time[last] - time[first])),
                    "peak_kmh": peak,
                    "m": int(driven[last] - driven[first]) // 1000,
                },
            )
        )
    return out


def check_gaps(drive: Drive, policy: Policy) -> list[Finding]:
    """Long silences: with progress they need a person, without they are a parked truck."""
    moved, still = policy.rule("gap"), policy.rule("silence")
    out = []
    for at in np.flatnonzero(drive.gaps > moved["silence_s"]).tolist():
        rule = moved if drive.steps[at] > moved["moved_m"] * 1000 else still
        out.append(
            Finding(
                rule.code,
                rule.severity,
                int(drive.time[at]),
                int(drive.time[at + 1]),
                {"silence_s": int(drive.gaps[at]), "moved_m": int(drive.steps[at]) // 1000},
            )
        )
    return out


def check_accelerations(drive: Drive, policy: Policy) -> list[Finding]:
    """Changes of speed that no vehicle has, from positions a few seconds apart.

    The limit is looser for short times, where a receiver's noise looks like acceleration.
    """
    rule = policy.rule("impossible_acceleration")
    # One fix in so many seconds: at 1 Hz the noise of positions would be all there is.
    bucket = drive.time // rule["apart_s"]
    rows = np.flatnonzero(np.concatenate(([True], np.diff(bucket) > 0))) if len(drive) else bucket
    if len(rows) < 3:
        return []
    time = drive.time[rows]
    lon, lat = drive.lon[rows], drive.lat[rows]
    seconds = np.diff(time)
    metres = distance_mm(lon[:-1], lat[:-1], lon[1:], lat[1:]) / 1000.0
    # The way driven cannot be shorter than the straight line, and noise makes it longer: take the line.
    speed = metres / np.maximum(seconds, 1)
    apart = (seconds[1:] + seconds[:-1]) / 2.0
    pull = np.abs(np.diff(speed)) / np.maximum(apart, 1.0)
    limit = rule["steady_cm_s2"] / 100.0 + rule["noise_cm_s"] / 100.0 / np.maximum(apart, 1.0)
    able = (seconds[1:] <= rule["longest_s"]) & (seconds[:-1] <= rule["longest_s"])
    able &= apart >= rule["apart_s"]
    # A dead stop is not counted: a record may lack the last metres of braking.
    able &= np.minimum(speed[1:], speed[:-1]) * 3.6 > rule["moving_kmh"]
    over = np.flatnonzero(able & (pull > limit))
    if len(over) <= _SPIKES:
        real = [
            not _is_spike(lon[at - 1 : at + 4], lat[at - 1 : at + 4], time[at - 1 : at + 4], rule)
            for at in over.tolist()
        ]
        over = over[np.array(real, dtype=np.bool_)]
    if len(over) < rule["least_n"]:
        return _told_accelerations(drive.speed[rows], speed * 3.6, time, rule)
    worst = int(over[np.argmax(pull[over])])
    # One leap is one change of speed up and one down: a stale report makes it as well.
    leapt = rule.version >= _LEAPS_OF_FORCE and len(over) <= 2 and int(over[-1] - over[0]) <= 1
    return [
        Finding(
            rule.code,
            Severity.REVIEW if leapt else rule.severity,
            int(time[over[0]]),
            int(time[over[-1] + 2]),
            {
                "times": len(over),
                "worst_cm_s2": round(float(pull[worst]) * 100),
                "worst_kmh": kmh(float(metres[worst] * 1000), float(seconds[worst])),
                "next_kmh": kmh(float(metres[worst + 1] * 1000), float(seconds[worst + 1])),
            },
        )
    ]


def _told_accelerations(
    told: NDArray[np.float64], made: NDArray[np.float64], time: Ints, rule: Rule
) -> list[Finding]:
    """The same of the speeds that the source reported, where it did."""
    seconds = np.diff(time)
    pull = np.abs(np.diff(told)) / 3.6 / np.maximum(seconds, 1)
    able = ~np.isnan(pull) & (seconds >= rule["apart_s"]) & (seconds <= rule["longest_s"])
    able &= np.fmin(told[1:], told[:-1]) > rule["moving_kmh"]
    # A reported speed that the way made contradicts, here or on its own side, is a receiver's slip.
    mean = (told[1:] + told[:-1]) / 2.0
    able &= _agrees(mean, made, rule["told_permille"])
    able[1:] &= _agrees(told[1:-1], made[:-1], 3 * rule["told_permille"])
    able[:-1] &= _agrees(told[1:-1], made[1:], 3 * rule["told_permille"])
    over = np.flatnonzero(able & (np.nan_to_num(pull) > rule["told_cm_s2"] / 100.0))
    if len(over) < rule["least_n"]:
        return []
    worst = int(over[np.argmax(pull[over])])
    return [
        Finding(
            rule.code,
            rule.severity,
            int(time[over[0]]),
            int(time[over[-1] + 1]),
            {
                "times": len(over),
                "worst_cm_s2": round(float(pull[worst]) * 100),
                "worst_kmh": round(float(told[worst])),
                "next_kmh": round(float(told[worst + 1])),
            },
        )
    ]


def _agrees(told: NDArray[np.float64], made: NDArray[np.float64], permille: int) -> Bools:
    """Whether reported speeds are those of the way made, to a share of it; one not known does not."""
    agrees: Bools = np.nan_to_num(np.abs(told - made), nan=1e9) < permille / 1000 * np.maximum(
        made, 1.0
    )
    return agrees


def _is_spike(lon: NDArray[np.float64], lat: NDArray[np.float64], time: Ints, rule: Rule) -> bool:
    """Whether one fix of five is to blame: without it the others are a drive."""
    if len(time) < 5:
        return False
    for left_out in range(1, 4):
        rows = np.array([at for at in range(5) if at != left_out])
        metres = distance_mm(lon[rows[:-1]], lat[rows[:-1]], lon[rows[1:]], lat[rows[1:]]) / 1000.0
        seconds = np.maximum(np.diff(time[rows]), 1)
        speed = metres / seconds
        apart = (seconds[1:] + seconds[:-1]) / 2.0
        limit = rule["steady_cm_s2"] / 100.0 + rule["noise_cm_s"] / 100.0 / apart
        if bool((np.abs(np.diff(speed)) / apart <= limit).all()):
            return True
    return False


def check_frozen(drive: Drive, track: Track, policy: Policy) -> list[Finding]:
    """The same place to the last digit while speed or mileage say that it moves, or as if to catch up later.

    A parked receiver may hold its place to the last digit for hours; that alone is nothing.
    """
    rule = policy.rule("frozen_position")
    if len(drive) < rule["least_n"]:
        return []
    same = drive.steps < 120
    moving = np.nan_to_num(drive.speed, nan=0.0) >= rule["moving_kmh"]
    mileage = track.fixes.odometer_dkm[drive.row]
    out = []
    for first, last in runs(same):
        final = last + 1
        spent = int(drive.time[final] - drive.time[first])
        if final - first + 1 < rule["least_n"] or spent < rule["least_s"]:
            continue
        hot = int(np.count_nonzero(moving[first + 1 : final + 1]))
        told = np.nan_to_num(drive.speed[first + 1 : final + 1], nan=0.0) / 3.6
        told_m = int((told * drive.gaps[first:final]).sum())
        rolled_m = 0
        if mileage[first] != NONE and mileage[final] != NONE:
            rolled_m = int(mileage[final] - mileage[first]) * 100
        leap_m = leap_kmh = 0
        if final < len(drive) - 1:
            leap_m = int(drive.steps[final]) // 1000
            leap_kmh = kmh(int(drive.steps[final]), int(drive.gaps[final]))
        lied = hot >= rule["moving_n"] and told_m >= rule["told_m"]
        lied = lied or rolled_m >= rule["told_m"]
        leapt = leap_m >= rule["leap_m"] and leap_kmh >= rule["leap_kmh"]
        if lied or leapt:
            out.append(
                Finding(
                    rule.code,
                    rule.severity if lied else Severity.REVIEW,
                    int(drive.time[first]),
                    int(drive.time[final]),
                    {
                        "fixes": final - first + 1,
                        "moving_fixes": hot,
                        "told_m": told_m,
                        "rolled_m": rolled_m,
                        "leap_m": leap_m,
                        "leap_kmh": leap_kmh,
                    },
                )
            )
    return out
