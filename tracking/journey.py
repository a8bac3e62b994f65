"""The journey against the plan: loading left, road driven in order, unloading reached, detours named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracking.corridor import OFF, from_gate_mm, in_gate
from tracking.drive import kmh, runs
from tracking.findings import Finding, Severity
from tracking.verdict import RouteShare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracking.corridor import Corridor
    from tracking.drive import Drive
    from tracking.policy import Policy, Rule

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_SAME_MM = 120
_MOVING_KMH = 10
_APPROACH_GAP_S = 60
_WITH_WAY_TOLD = 4
"""The version of no_journey from which on a held place must have told of the way that was found further on."""


@dataclass(frozen=True, slots=True)
class Journey:
    """The journey in numbers.

    Attributes:
        share: of the road.
        departed_at: unix seconds, None where loading was not seen.
        arrived_at: unix seconds, None where unloading was not reached after the journey.
        covered: forward steps that count as coverage, one fewer than the fixes.
    """

    share: RouteShare
    departed_at: int | None
    arrived_at: int | None
    covered: Bools
    findings: list[Finding]


def follow(drive: Drive, corridor: Corridor, policy: Policy) -> Journey:
    """Follows a drive along its planned road."""
    plan = corridor.plan
    findings: list[Finding] = []
    along, on_road = drive.match.along, drive.on_road
    covered, covered_mm = _coverage(drive, policy)
    inside_load = in_gate(plan.loading, drive.lon, drive.lat)
    inside_unload = in_gate(plan.unloading, drive.lon, drive.lat)
    length = corridor.length_mm

    reach = np.maximum.accumulate(np.where(on_road, along, -1)) if len(drive) else along
    near_end = (length - reach <= length // 10) | (
        length - reach <= 2_000 * max(plan.unloading.radius_m, 100) + corridor.width_mm
    )
    there = (inside_unload & near_end) | _stays_there(inside_unload, covered_mm, length, policy)
    arrival = _arrival(drive, policy, there, (covered, covered_mm, length), findings)
    near_start = reach <= 2_000 * max(plan.loading.radius_m, 100) + corridor.width_mm
    departure = _departure(drive, corridor, policy, inside_load & near_start, findings)
    # The trip lasts from the loading place to the unloading place; the way there and home is his own.
    first = int(np.argmax(inside_load & near_start)) if departure is not None else 0
    last = arrival if arrival is not None else len(drive) - 1
    part = slice(min(first, max(last, 0)), max(last, 0))
    near = drive.match.near
    steps = drive.steps[part]
    both = (near[:-1] & near[1:])[part]
    one = (near[:-1] ^ near[1:])[part]
    on_route = int(steps[both].sum()) + int(steps[one].sum()) // 2
    share = RouteShare(
        length // 1000, covered_mm // 1000, on_route // 1000, int(steps.sum()) // 1000
    )
    if arrival is None and not any(one.code == "no_journey" for one in findings):
        _not_arrived(drive, corridor, policy, reach, findings)
    _coverage_findings(drive, share, policy, findings)
    _off_route(drive, policy, part, findings)
    _reversed(drive, policy, part, findings)
    _dwell(drive, policy, inside_load & near_start, "loading", findings)
    arrived = departed = None
    if arrival is not None:
        arrived = int(drive.time[arrival])
        after = np.arange(len(drive)) >= arrival
        _dwell(drive, policy, inside_unload & after, "unloading", findings)
    if departure is not None:
        departed = int(drive.time[departure])
    _windows(corridor, policy, departed, arrived, findings)
    return Journey(share, departed, arrived, covered, findings)


def _coverage(drive: Drive, policy: Policy) -> tuple[Bools, int]:
    """Forward steps on the road, and the millimetres of road that their union covers."""
    if len(drive) < 2:
        return np.zeros(0, dtype=np.bool_), 0
    along, on_road = drive.match.along, drive.on_road
    ahead = np.diff(along)
    # The road may wind between two fixes, but not more than a truck could have driven meanwhile.
    feasible = ahead <= np.maximum(drive.steps * 2, drive.gaps * 45_000) + 200_000
    covered = on_road[:-1] & on_road[1:] & (ahead > 0) & feasible
    # What was not seen does not count.
    unseen = policy.rule("gap")
    covered &= (drive.gaps <= unseen["unseen_s"]) | (
        (drive.gaps <= unseen["silence_s"]) & (ahead <= unseen["moved_m"] * 1000)
    )
    low, high = along[:-1][covered], along[1:][covered]
    if len(low) == 0:
        return covered, 0
    order = np.argsort(low, kind="stable")
    low, high = low[order], high[order]
    top = np.maximum.accumulate(high)
    floor = np.concatenate(([low[0]], np.maximum(top[:-1], low[1:])))
    return covered, int(np.maximum(high - floor, 0).sum())


def _arrival(
    drive: Drive,
    policy: Policy,
    there: Bools,
    covered: tuple[Bools, int, int],
    findings: list[Finding],
) -> int | None:
    """The first fix (its position) at the unloading place after the journey.

    A place without a journey is no arrival: it must have been seen on the way, or at least driving up to
    the place. `covered` are the forward steps, the part of the road they cover and the whole of it, mm.
    """
    forward, covered_mm, length_mm = covered
    rows = np.flatnonzero(there)
    if len(rows) == 0:
        return None
    first = int(rows[0])
    rule = policy.rule("no_journey")
    # It appeared there without having been seen on the way, and never moved again; out of a silence a truck
    # that was seen on half of its road may well have driven there.
    leapt = first > 0 and (
        kmh(int(drive.steps[first - 1]), int(drive.gaps[first - 1]))
        > policy.rule("impossible_speed")["cap_kmh"]
    )
    silent = (
        first > 0
        and int(drive.gaps[first - 1]) > rule["unseen_s"]
        and covered_mm * 1000 < rule["seen_permille"] * length_mm
    )
    placed = (
        (leapt or silent)
        and int(drive.steps[first - 1]) > rule["jump_m"] * 1000
        and len(drive) - first >= rule["still_n"]
        and int(drive.steps[first:].sum()) < rule["still_m"] * 1000
        and not _was_frozen(drive, first - 1, rule)
    )
    held_mm = _held_mm(drive) if rule.version >= _WITH_WAY_TOLD else 0
    unseen = (covered_mm + held_mm) * 1000 < rule["coverage_permille"] * length_mm
    if placed or (unseen and _approach_mm(drive, forward, first) < rule["approach_m"] * 1000):
        findings.append(
            Finding(
                rule.code,
                rule.severity,
                int(drive.time[first]),
                int(drive.time[int(rows[-1])]),
                {"covered_m": covered_mm // 1000, "length_m": length_mm // 1000},
            )
        )
        return None
    return first


def _was_frozen(drive: Drive, at: int, rule: Rule) -> bool:
    """Whether a receiver held its last place while it said that it moved: it was not put elsewhere by hand.

    The speeds it told meanwhile must make up for the way it was found further on: two stale reports before a leap
    of kilometres explain nothing.
    """
    moved = np.flatnonzero(drive.steps[:at] >= _SAME_MM)
    since = int(moved[-1]) + 1 if len(moved) else 0
    told = np.nan_to_num(drive.speed[since : at + 1], nan=0.0)
    held = at - since >= 2 and bool((told > _MOVING_KMH).any())
    if not held or rule.version < _WITH_WAY_TOLD:
        return held
    told_mm = float((told * drive.gaps[since : at + 1]).sum()) / 3.6 * 1000
    return told_mm * 1000 >= rule["held_permille"] * int(drive.steps[at])


def _held_mm(drive: Drive) -> int:
    """Way that a receiver told of by its speeds while it held its place to the last digit, mm.

    The place says nothing then, and is named for it; but the truck was not put elsewhere by hand.
    """
    told = np.nan_to_num(drive.speed[1:], nan=0.0)
    held = (drive.steps < _SAME_MM) & (told > _MOVING_KMH) & (drive.gaps <= _APPROACH_GAP_S)
    return int((told * drive.gaps)[held].sum() / 3.6 * 1000)


def _approach_mm(drive: Drive, covered: Bools, first: int) -> int:
    """Road seen driven without a break or a silence up to a fix, mm."""
    broken = np.flatnonzero(~covered[:first] | (drive.gaps[:first] > _APPROACH_GAP_S))
    begin = int(broken[-1]) + 1 if len(broken) else 0
    return int(drive.match.along[first] - drive.match.along[begin]) if begin < first else 0


def _stays_there(inside: Bools, covered_mm: int, length_mm: int, policy: Policy) -> Bools:
    """The last stay at the unloading place, if the record ends in it and most of the road was driven.

    It counts wherever along the road the place was entered: where the road passes a gate and comes back to
    it, a silence may hide the loop between, and a truck that stands there has arrived all the same.
    """
    stay = np.zeros(len(inside), dtype=np.bool_)
    least = policy.rule("no_journey")["stay_permille"]
    if len(inside) and inside[-1] and covered_mm * 1000 >= least * length_mm:
        outside = np.flatnonzero(~inside)
        stay[outside[-1] + 1 if len(outside) else 0 :] = True
    return stay


def _departure(
    drive: Drive, corridor: Corridor, policy: Policy, inside: Bools, findings: list[Finding]
) -> int | None:
    """The first fix (its position) outside the loading place after the last time in it."""
    if inside.any():
        start = len(inside) - 1 - int(np.argmax(inside[::-1]))
        return start + 1 if start + 1 < len(drive) else start
    rule = policy.rule("loading_not_seen")
    if len(drive):
        away = from_gate_mm(corridor.plan.loading, drive.lon[:1], drive.lat[:1])
        nearest = int(from_gate_mm(corridor.plan.loading, drive.lon, drive.lat).min()) // 1000
        # One report earlier it would have been inside.
        began_m = int(drive.steps[0]) // 1000 if len(drive.steps) else 0
        allowed_m = max(rule["allowance_m"], began_m if int(away[0]) // 1000 == nearest else 0)
        mild = nearest <= allowed_m and bool(drive.match.near[0])
        findings.append(
            Finding(
                rule.code,
                Severity.INFO if mild else rule.severity,
                int(drive.time[0]),
                int(drive.time[0]),
                {"first_m": int(away[0]) // 1000, "nearest_m": nearest},
            )
        )
    return None


def _not_arrived(
    drive: Drive,
    corridor: Corridor,
    policy: Policy,
    reach: Ints,
    findings: list[Finding],
) -> None:
    """Short of the gate, driven past it, or a record that ends within one report of it."""
    if len(drive) == 0:
        return
    away = from_gate_mm(corridor.plan.unloading, drive.lon, drive.lat)
    last = len(drive) - 1
    at = int(np.argmin(np.where(reach * 2 > corridor.length_mm, away, away + 10**12)))
    nearest, end = int(away[at]) // 1000, int(away[last]) // 1000
    rule = policy.rule("short_of_gate")
    time = int(drive.time[last])
    detail = {
        "nearest_m": nearest,
        "last_m": end,
        "left_m": max(0, corridor.length_mm - max(int(reach[last]), 0)) // 1000,
    }
    pause = int(np.median(drive.gaps)) if len(drive.gaps) else 0
    pace = int(drive.steps[-1]) // max(1, int(drive.gaps[-1])) if len(drive.gaps) else 0
    # It was still moving and would have been inside before its next report was due.
    under_way = (
        at == last
        and bool(drive.match.near[last])
        and end <= rule["allowance_m"]
        and pace * pause >= end * 1000
    )
    past = policy.rule("drive_past")
    if under_way:
        findings.append(Finding("ended_under_way", Severity.INFO, time, time, detail))
    elif nearest <= rule["allowance_m"] and end > past["past_m"]:
        findings.append(Finding(past.code, past.severity, int(drive.time[at]), time, detail))
    else:
        findings.append(Finding(rule.code, rule.severity, time, time, detail))


def _coverage_findings(
    drive: Drive, share: RouteShare, policy: Policy, findings: list[Finding]
) -> None:
    rule = policy.rule("low_coverage")
    permille = share.coverage_ppm // 1000
    if len(drive) and permille < rule["coverage_permille"]:
        findings.append(
            Finding(
                rule.code,
                Severity.FAIL if permille < rule["fail_permille"] else rule.severity,
                int(drive.time[0]),
                int(drive.time[-1]),
                {"coverage_permille": permille, "covered_m": share.covered_m},
            )
        )


def _off_route(drive: Drive, policy: Policy, part: slice, findings: list[Finding]) -> None:
    """Stretches outside the corridor with their length, greatest distance and place."""
    rule = policy.rule("off_route")
    driven = drive.driven
    # The last place on the road up to each fix, and the next one from it on.
    along, rows = drive.match.along, np.arange(len(drive))
    known = along != OFF
    before_it = np.maximum.accumulate(np.where(known, rows, -1))
    after_it = np.minimum.accumulate(np.where(known, rows, len(drive))[::-1])[::-1]
    outside = ~drive.match.near
    outside[: part.start] = False
    outside[part.stop + 1 :] = False
    for first, last in runs(outside):
        before, after = max(0, first - 1), min(len(drive) - 1, last + 1)
        spent = int(drive.time[after] - drive.time[before])
        length = int(driven[after] - driven[before]) // 1000
        widest = first + int(np.argmax(np.abs(drive.match.offset[first : last + 1])))
        away = abs(int(drive.match.offset[widest])) // 1000
        grave = (
            (spent > rule["longest_s"] and length > 200)
            or length >= rule["length_m"]
            or away >= rule["away_m"]
        )
        was, will = int(before_it[first]), int(after_it[last])
        left = int(along[was]) // 1000 if was >= 0 else None
        back = int(along[will]) // 1000 if will < len(drive) else None
        findings.append(
            Finding(
                rule.code,
                rule.severity if grave else Severity.INFO,
                int(drive.time[first]),
                int(drive.time[last]),
                {
                    "length_m": length,
                    "away_m": away,
                    "seconds": spent,
                    "lat": round(float(drive.lat[widest]), 6),
                    "lon": round(float(drive.lon[widest]), 6),
                    "left_at_m": left,
                    "back_at_m": back,
                },
            )
        )


def _reversed(drive: Drive, policy: Policy, part: slice, findings: list[Finding]) -> None:
    """Stretches driven against the planned direction."""
    rule = policy.rule("reversed")
    rows = np.flatnonzero(drive.on_road)
    rows = rows[(rows >= part.start) & (rows <= part.stop)]
    if len(rows) < 2:
        return
    back = np.diff(drive.match.along[rows]) < 0
    for first, last in runs(back):
        start, end = int(rows[first]), int(rows[last + 1])
        lost = int(drive.match.along[start] - drive.match.along[end])
        # Where a road turns back on itself a fix may be taken for the other way; nobody loses more than he drives.
        backed = lost <= 2 * int(drive.steps[start:end].sum())
        if backed and lost > rule["back_m"] * 1000:
            findings.append(
                Finding(
                    rule.code,
                    rule.severity,
                    int(drive.time[start]),
                    int(drive.time[end]),
                    {"back_m": lost // 1000, "at_m": int(drive.match.along[end]) // 1000},
                )
            )


def _dwell(
    drive: Drive, policy: Policy, inside: Bools, place: str, findings: list[Finding]
) -> None:
    """Seconds spent inside a gate on the longest stay."""
    rule = policy.rule("dwell")
    stays = [(int(drive.time[b] - drive.time[a]), a, b) for a, b in runs(inside)]
    if not stays:
        return
    longest, first, last = max(stays, key=lambda stay: (stay[0], -stay[1]))
    findings.append(
        Finding(
            f"dwell_{place}",
            Severity.INFO,
            int(drive.time[first]),
            int(drive.time[last]),
            {"seconds": longest, "short": longest < rule["least_s"]},
        )
    )


def _windows(
    corridor: Corridor,
    policy: Policy,
    departed: int | None,
    arrived: int | None,
    findings: list[Finding],
) -> None:
    """Loading left or unloading reached outside the agreed window."""
    rule = policy.rule("off_window")
    plan = corridor.plan
    for place, gate, at in (
        ("loading", plan.loading, departed),
        ("unloading", plan.unloading, arrived),
    ):
        if at is None:
            continue
        early = (gate.opens or at) - at
        late = at - (gate.closes or at)
        off = max(early, late)
        if off > rule["grace_s"]:
            findings.append(
                Finding(
                    rule.code,
                    rule.severity,
                    at,
                    at,
                    {"place": place, "off_s": off, "early": early > late},
                )
            )
