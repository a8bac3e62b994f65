"""Judges a trip: fixes and plan in, verdict out; pure, and the same for any order of arrival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tracking import fraud, fraud_history, instruments, journey, plausibility
from tracking.corridor import corridor_of
from tracking.drive import Drive
from tracking.findings import Finding
from tracking.fraud_history import OtherTrack as OtherTrack  # noqa: PLC0414, TC001  part of this door
from tracking.merkle import root_of_columns
from tracking.policy import default_policy
from tracking.track import Columns, Track
from tracking.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracking.corridor import Corridor
    from tracking.fix import Fix
    from tracking.journey import Journey
    from tracking.plan import Plan
    from tracking.policy import Policy


_MOST_OF_A_CODE = 40


@dataclass(frozen=True, slots=True)
class Examination:
    """A verdict with the columns it was made from, for pictures and reports."""

    plan: Plan
    corridor: Corridor
    track: Track
    drive: Drive
    journey: Journey
    verdict: Verdict


def judge(
    plan: Plan,
    fixes: Iterable[Fix] | Columns,
    *,
    policy: Policy | None = None,
    others: Sequence[OtherTrack] = (),
) -> Verdict:
    """The verdict on a trip.

    Args:
        plan: what was promised.
        fixes: in any order, batching and duplication.
        policy: the rules; the shipped ones unless given.
        others: tracks already on file to compare with.

    Returns:
        The verdict; the same bytes for the same fixes, plan, policy and others.
    """
    return examine(plan, fixes, policy=policy, others=others).verdict


def examine(
    plan: Plan,
    fixes: Iterable[Fix] | Columns,
    *,
    policy: Policy | None = None,
    others: Sequence[OtherTrack] = (),
) -> Examination:
    """The verdict on a trip with all that it rests on."""
    policy = default_policy() if policy is None else policy
    corridor = corridor_of(plan)
    track = Track.of(fixes, terminal=plan.terminal)
    rejected = track.rejected.copy()
    clocked = plausibility.check_clocks(track, plan, policy)
    rejected.update(clocked.rejected)
    findings = list(clocked.findings)
    rows = np.flatnonzero(clocked.placed)
    drive = Drive.of(
        track.fixes.take(rows), clocked.time[rows], ~clocked.faulty[rows], rows, corridor
    )
    drive, datum_findings = fraud.set_datum_right(drive, corridor, policy)
    findings += datum_findings
    jumps = plausibility.sort_out_jumps(drive, policy)
    rejected.update(jumps.rejected)
    findings += jumps.findings
    if not jumps.keep.all():
        drive = drive.take(jumps.keep, corridor)
    findings += _few_fixes(track, drive, policy)
    way = journey.follow(drive, corridor, policy)
    findings += way.findings
    findings += plausibility.check_speeds(drive, policy)
    findings += plausibility.check_accelerations(drive, policy)
    findings += plausibility.check_gaps(drive, policy)
    findings += plausibility.check_frozen(drive, track, policy)
    findings += fraud.check_fraud(drive, corridor, way, policy)
    findings += instruments.check_instruments(drive, track, policy)
    findings += fraud_history.check_others(drive, corridor, others, track, policy)
    used = np.zeros(len(track), dtype=np.bool_)
    used[drive.row[drive.evidence]] = True
    evidence = track.fixes.take(used)
    times = evidence.time
    verdict = Verdict(
        findings=tuple(_bounded(sorted(findings, key=_finding_order))),
        given=track.given,
        used=int(np.count_nonzero(used)),
        rejected=dict(sorted(rejected.items())),
        route=way.share,
        distance_m=int(drive.steps.sum()) // 1000,
        max_gap_s=int(np.diff(times).max()) if len(times) > 1 else 0,
        departed_at=way.departed_at,
        arrived_at=way.arrived_at,
        started_at=int(times[0]) if len(times) else None,
        ended_at=int(times[-1]) if len(times) else None,
        trajectory_root=root_of_columns(times, evidence.lat_e6, evidence.lon_e6),
        policy_hash=policy.policy_hash,
    )
    return Examination(plan, corridor, track, drive, way, verdict)


def _bounded(findings: list[Finding]) -> list[Finding]:
    """The gravest and first findings of each code; the rest are counted in one, so that a verdict stays readable."""
    by_code: dict[str, list[Finding]] = {}
    for finding in findings:
        by_code.setdefault(finding.code, []).append(finding)
    out: list[Finding] = []
    for code, some in by_code.items():
        out += some[:_MOST_OF_A_CODE]
        rest = some[_MOST_OF_A_CODE:]
        if rest:
            starts = [one.start for one in rest if one.start is not None]
            ends = [one.end for one in rest if one.end is not None]
            # They come gravest first: the first of the rest is the worst of it.
            out.append(
                Finding(
                    code,
                    rest[0].severity,
                    min(starts, default=None),
                    max(ends, default=None),
                    {"more": len(rest)},
                )
            )
    return sorted(out, key=_finding_order)


def _finding_order(finding: Finding) -> tuple[int, int, str, str]:
    return (
        -finding.severity.rank,
        finding.start if finding.start is not None else -1,
        finding.code,
        repr(sorted(finding.detail.items())),
    )


def _few_fixes(track: Track, drive: Drive, policy: Policy) -> list[Finding]:
    out = []
    rule = policy.rule("no_fixes")
    if len(drive) < rule["least_n"]:
        out.append(Finding(rule.code, rule.severity, None, None, {"positions": len(drive)}))
    if len(track.terminals) > 1:
        rule = policy.rule("several_terminals")
        out.append(
            Finding(rule.code, rule.severity, None, None, {"terminals": len(track.terminals)})
        )
    return out
