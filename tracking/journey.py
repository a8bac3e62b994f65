"""The journey against the plan: loading left, road driven in order, unloading reached, detours named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracking.corridor import OFF, from_gate_mm, in_gate
from tracking.drive import runs
from tracking.findings import Finding, Severity
from tracking.verdict import RouteShare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracking.corridor import Corridor
    from tracking.drive import Drive
    from tracking.policy import Policy

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_BACK_MM = 50_000


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

    both = drive.match.near[:-1] & drive.match.near[1:]
    one = drive.match.near[:-1] ^ drive.match.near[1:]
    on_route = int(drive.steps[both].sum()) + int(drive.steps[one].sum()) // 2
    share = RouteShare(
        length // 1000, covered_mm // 1000, on_route // 1000, int(drive.steps.sum()) // 1000
    )

    reach = np.maximum.accumulate(np.where(on_road, along, -1)) if len(drive) else along
    near_end = (length - reach <= length // 10) | (
        length - reach <= 2_000 * max(plan.unloading.radius_m, 100) + corridor.width_mm
    )
    arrived = _arrival(
        drive, corridor, policy, inside_unload & near_end, covered, covered_mm, findings
    )
    departed = _departure(drive, corridor, policy, inside_load, findings)
    if arrived is None and not any(one.code == "no_journey" for one in findings):
        _not_arrived(drive, corridor, policy, inside_unload, reach, findings)
    _coverage_findings(drive, share, policy, findings)
    _off_route(drive, policy, corridor, findings)
    _reversed(drive, policy, findings)
    _dwell(drive, policy, plan.loading, inside_load, "loading", findings)
    if arrived is not None:
        _dwell(
            drive,
            policy,
            plan.unloading,
            inside_unload & (drive.time >= arrived),
            "unloading",
            findings,
        )
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
    corridor: Corridor,
    policy: Policy,
    there: Bools,
    covered: Bools,
    covered_mm: int,
    findings: list[Finding],
) -> int | None:
    """The first fix at the unloading place after the journey; a place without a journey is no arrival."""
    rows = np.flatnonzero(there)
    if len(rows) == 0:
        return None
    first = int(rows[0])
    rule = policy.rule("no_journey")
    # It appeared there without having been seen on the way, and never moved again.
    placed = (
        first > 0
        and int(drive.steps[first - 1]) > rule["jump_m"] * 1000
        and int(drive.gaps[first - 1]) > rule["unseen_s"]
        and len(drive) - first >= rule["still_n"]
        and int(drive.steps[first:].sum()) < rule["still_m"] * 1000
    )
    if placed or covered_mm * 1000 < rule["coverage_permille"] * corridor.length_mm:
        findings.append(
            Finding(
                rule.code,
                rule.severity,
                int(drive.time[first]),
                int(drive.time[int(rows[-1])]),
                {"covered_m": covered_mm // 1000, "length_m": corridor.length_mm // 1000},
            )
        )
        return None
    return int(drive.time[first])


def _departure(
    drive: Drive, corridor: Corridor, policy: Policy, inside: Bools, findings: list[Finding]
) -> int | None:
    """The first fix outside the loading place after having been in it."""
    if inside.any():
        start = int(np.argmax(inside))
        after = np.flatnonzero(~inside[start:])
        return int(drive.time[start + int(after[0])]) if len(after) else None
    rule = policy.rule("loading_not_seen")
    if len(drive):
        away = from_gate_mm(corridor.plan.loading, drive.lon[:1], drive.lat[:1])
        nearest = int(from_gate_mm(corridor.plan.loading, drive.lon, drive.lat).min()) // 1000
        mild = nearest <= rule["allowance_m"] and bool(drive.match.near[0])
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
    inside: Bools,
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


def _off_route(drive: Drive, policy: Policy, corridor: Corridor, findings: list[Finding]) -> None:
    """Stretches outside the corridor with their length, greatest distance and place."""
    rule = policy.rule("off_route")
    driven = drive.driven
    for first, last in runs(~drive.match.near):
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
        left, back = _places(drive.match.along, first, last)
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


def _places(along: Ints, first: int, last: int) -> tuple[int | None, int | None]:
    """Progress where the road was left and joined again, metres."""
    before, after = along[:first], along[last + 1 :]
    known_before, known_after = before[before != OFF], after[after != OFF]
    return (
        int(known_before[-1]) // 1000 if len(known_before) else None,
        int(known_after[0]) // 1000 if len(known_after) else None,
    )


def _reversed(drive: Drive, policy: Policy, findings: list[Finding]) -> None:
    """Stretches driven against the planned direction."""
    rule = policy.rule("reversed")
    rows = np.flatnonzero(drive.on_road)
    if len(rows) < 2:
        return
    back = np.diff(drive.match.along[rows]) < 0
    for first, last in runs(back):
        start, end = int(rows[first]), int(rows[last + 1])
        lost = int(drive.match.along[start] - drive.match.along[end])
        if lost > rule["back_m"] * 1000:
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
    drive: Drive, policy: Policy, gate: object, inside: Bools, place: str, findings: list[Finding]
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
