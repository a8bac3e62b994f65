"""The road: raw frames to a verdict, once more, and whether it is the one that the attestors signed."""

from __future__ import annotations

import base64
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from chain.bindings import events, structs
from chain.bindings.enums import TripState, Verdict
from chain.ids import ZERO32, TripId
from tracking import evidence as ground
from tracking.attestor import Terms, Word
from tracking.merkle import MerkleTree
from tracking.plan import Plan
from tracking.policy import Policy
from tracking.trip import Member, RawFrame, TrackBatchRecord, Trip

if TYPE_CHECKING:
    from api.verifier.report import Section
    from api.verifier.story import Happened, Story
    from api.verifier.waybills import Chain

LATENESS_S = 12 * 3600
"""How long after the window fixes count; the same as ``api.flow.LATENESS_S``."""


@dataclass(frozen=True, slots=True)
class Road:
    """What the pack holds of the road.

    Attributes:
        track: raw frames, committed fixes and earlier trips; None if they are not in the pack.
        policy: text of the policy file, None likewise.
        verdict: the verdict with its findings, None likewise.
    """

    track: Any
    policy: str | None
    verdict: Any


def check_road(section: Section, story: Story, chain: Chain, road: Road, trip: TripId) -> None:
    """Commitments, then the verdict from raw frames, then what each attestor signed."""
    commits = [one for one in story.of(events.TrackCommitted) if one.event.trip == trip]
    attested = [one for one in story.of(events.DriveAttested) if one.event.trip == trip]
    if road.track is None:
        if commits or attested:
            section.unknown(
                "road.erased", trip, "the raw frames are erased; roots and verdicts stand"
            )
        return
    batches = _check_batches(section, road.track, commits)
    if chain.leaf is None or chain.plan is None:
        section.unknown("road.verdict", trip, "without the signed plan nothing can be judged")
        return
    if road.policy is None:
        section.unknown("road.policy", trip, "the policy is not in the pack")
        return
    policy = Policy.of_toml(road.policy)
    if not section.require(
        policy.policy_hash == chain.leaf.form.policy,
        "road.policy",
        policy.version,
        "the rules are those that the waybill names",
        "the rules are not those that the waybill names",
    ):
        return
    evidence = evidence_of(road.track, chain, batches, trip)
    terminal = evidence.recorded.trip.terminal
    section.require(
        terminal == Plan.from_json(chain.plan).terminal,
        "road.terminal",
        terminal,
        "the terminal that the signed plan names",
        "not the terminal that the signed plan names",
    )
    _check_membership(section, evidence)
    judged = ground.judge_evidence(evidence, policy)
    verdict = judged.verdict
    if not attested and road.verdict is None:
        section.unknown("road.verdict", trip, f"judged now: {verdict.outcome}; nobody has attested")
        return
    section.require(
        road.verdict == verdict.to_json(),
        "road.verdict",
        verdict.outcome.value,
        f"{verdict.used} fixes, {verdict.distance_m} m: the same verdict from the raw frames",
        f"the raw frames give another verdict ({verdict.outcome}) than the one shown",
    )
    leaf = chain.leaf
    terms = Terms(leaf.version, leaf.form.vehicle, leaf.form.plan, leaf.form.policy)
    by_count = {len(batches): judged}
    for one in story.forms(structs.Attestation):
        form: Any = one.form
        if form.trip != trip:
            continue
        # What was committed later was not committed yet when this attestor looked.
        seen = sum(commit.place < one.place for commit in commits)
        if seen not in by_count:
            early = evidence_of(road.track, chain, batches[:seen], trip)
            by_count[seen] = ground.judge_evidence(early, policy)
        word = Word(trip, terms, by_count[seen])
        mine = word.form(attestor=form.attestor, expires=form.expires, salt=form.salt)
        odd = [
            one.name for one in fields(form) if getattr(mine, one.name) != getattr(form, one.name)
        ]
        section.require(
            not odd,
            "road.attestation",
            f"attestor {form.attestor}",
            f"signed {Verdict(form.verdict).name.lower()} on root {form.root[:14]}…, as found here",
            f"signed another {', '.join(odd)} than the raw frames give",
        )


def _check_batches(
    section: Section, track: Any, commits: list[Happened]
) -> list[tuple[Happened, tuple[Member, ...]]]:
    """Every committed root from its fixes; indexes without gaps."""
    given = track["batches"]
    section.require(
        len(given) == len(commits)
        and [one.event.index for one in commits] == list(range(len(commits))),
        "road.batches",
        f"{len(commits)} batches",
        "every batch that the chain holds is here",
        f"the chain holds {len(commits)} batches, the pack {len(given)}",
    )
    joined = []
    for one, rows in zip(commits, given, strict=False):
        event = one.event
        members = tuple(Member(time, lat, lon, 0) for time, lat, lon in rows)
        leaves = [(at, m.time, m.lat_e6, m.lon_e6) for at, m in enumerate(members)]
        times = [m.time for m in members]
        fits = (
            bool(leaves)
            and MerkleTree(leaves).root == event.root
            and (len(members), min(times), max(times))
            == (event.count, event.first_time, event.last_time)
        )
        section.require(
            fits,
            "road.root",
            f"batch {event.index}",
            f"{event.count} fixes make the root of block {one.place[0]}",
            "its fixes do not make the root that was committed while driving",
        )
        joined.append((one, members))
    return joined


def evidence_of(
    track: Any, chain: Chain, batches: list[tuple[Happened, tuple[Member, ...]]], trip: TripId
) -> ground.Evidence:
    """What the judge is given: raw frames, the signed plan, what was committed and when."""
    leaf, plan = chain.leaf, chain.plan
    assert leaf is not None
    assert plan is not None
    mine = Trip(
        trip=trip,
        terminal=track["terminal"],
        vehicle=leaf.form.vehicle,
        plan=plan,
        plan_hash=leaf.form.plan,
        policy_hash=leaf.form.policy,
        version=leaf.version,
        opens=leaf.form.load_from,
        closes=leaf.form.deliver_by + LATENESS_S,
        state=TripState.NONE,
    )
    records = tuple(
        (
            TrackBatchRecord(
                trip=trip,
                index=one.event.index,
                root=one.event.root,
                count=one.event.count,
                first_time=one.event.first_time,
                last_time=one.event.last_time,
                late_fixes=0,
                built=0,
                committed=int(one.at.timestamp()),
            ),
            members,
        )
        for one, members in batches
    )
    recorded = ground.Recorded(mine, _frames(track["frames"]), records)
    others = []
    for other in track["others"]:
        window = {"opens": other["opens"], "closes": other["closes"]}
        other_trip = replace(
            mine, trip=TripId(other["trip_id"]), terminal=other["terminal"],
            plan={}, plan_hash=ZERO32, **window,
        )  # fmt: skip
        others.append(ground.Recorded(other_trip, _frames(other["frames"])))
    return ground.Evidence(recorded, tuple(others))


def _frames(given: Any) -> tuple[RawFrame, ...]:
    return tuple(
        RawFrame(source, received, base64.b64decode(data, validate=True))
        for source, received, data in given
    )


def _check_membership(section: Section, evidence: ground.Evidence) -> None:
    """A fix that was committed while driving may not be missing from the raw frames."""
    recorded = evidence.recorded
    present = {
        (fix.time, fix.lat_e6, fix.lon_e6)
        for fix in ground.read_frames(recorded.frames, recorded.trip.terminal)
    }
    missing = sum(
        (m.time, m.lat_e6, m.lon_e6) not in present
        for _, members in recorded.batches
        for m in members
    )
    total = sum(len(members) for _, members in recorded.batches)
    section.require(
        not missing,
        "road.frames",
        f"{len(recorded.frames)} raw frames",
        f"they hold all {total} fixes that were committed while driving",
        f"{missing} of {total} committed fixes are in no raw frame",
    )
