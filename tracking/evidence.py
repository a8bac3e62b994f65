"""From raw bytes to a verdict, the same on any machine: what our judge and every attestor run alike."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import rfc8785

from chain.bindings.enums import TripState
from chain.ids import Hash32, TripId
from chain.keccak import keccak
from tracking import jt808, osmand
from tracking.errors import EvidenceEmptyError, FixInvalidError
from tracking.fix import Fix
from tracking.fraud_history import OtherTrack
from tracking.judge import examine
from tracking.plan import Plan
from tracking.trip import Member, RawFrame, TrackBatchRecord, Trip, belongs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracking.judge import Examination
    from tracking.policy import Policy
    from tracking.verdict import Verdict

LATE_COMMIT_S = 3600
"""A fix counts as committed while driving if a block holds its batch this soon after its own time."""

JT808, OSMAND, TRACCAR, FIXES = "jt808", "osmand", "traccar", "fixes"
"""Sources of raw frames."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A trip's raw evidence, frozen when it was judged.

    Attributes:
        trip: id, plan, hashes, window and terminal; its state is not part of the evidence.
        frames: raw frames around the window, by receipt, then bytes.
        batches: what was committed while driving, with the leaves of each.
    """

    trip: Trip
    frames: tuple[RawFrame, ...]
    batches: tuple[tuple[TrackBatchRecord, tuple[Member, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that another person needs to judge a trip again without trusting us.

    Attributes:
        recorded: the trip itself.
        others: earlier trips it is compared with, by id.
    """

    recorded: Recorded
    others: tuple[Recorded, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict made from raw evidence, in the numbers an attestation carries.

    Attributes:
        verdict: of the judge.
        findings: keccak of the verdict's canonical bytes.
        late_bps: share of the distance not committed while driving, 1/10,000.
    """

    verdict: Verdict
    findings: Hash32
    late_bps: int


def plan_hash(plan: Mapping[str, Any]) -> Hash32:
    """Keccak of the plan's RFC 8785 bytes: what the waybill's signatures bind."""
    return Hash32("0x" + keccak(rfc8785.dumps(Plan.from_json(plan).to_json())).hex())


# --- raw frames to fixes -----------------------------------------------------------------------


def read_frames(frames: Iterable[RawFrame], terminal: str) -> list[Fix]:
    """Every position that raw frames of a terminal hold, in their order; what is unreadable is skipped.

    Pieces of a message come together whatever their order; a frame of another terminal is skipped.
    """
    fixes: list[Fix] = []
    reassembler = jt808.Reassembler(most_messages=10_000, most_bytes=1 << 30, expiry_s=1 << 40)
    for raw in frames:
        if raw.source == JT808:
            fixes.extend(_read_jt808(raw, terminal, reassembler))
        elif raw.source == OSMAND:
            fix = osmand.read_request(raw.data.decode("utf-8", "replace"), received=raw.received)
            if isinstance(fix, Fix) and fix.terminal == terminal:
                fixes.append(fix)
        elif raw.source == TRACCAR:
            fixes.extend(
                fix
                for fix in osmand.read_forwarded(raw.data, received=raw.received)
                if isinstance(fix, Fix) and fix.terminal == terminal
            )
        elif raw.source == FIXES:
            fixes.extend(
                fix._replace(received=raw.received, terminal=terminal)
                for fix in unpack_fixes(raw.data)
            )
    return fixes


def _read_jt808(raw: RawFrame, terminal: str, reassembler: jt808.Reassembler) -> Iterable[Fix]:
    frame = jt808.parse_frame(raw.data)
    if isinstance(frame, jt808.Refusal) or frame.terminal != terminal:
        return
    if frame.pieces and not frame.encryption:
        done = reassembler.add(frame, raw.received)
        if done is None:
            return
        frame = done[0]
    message = jt808.read_message(frame)
    if isinstance(message, jt808.Refusal):
        return
    for fix in jt808.fixes_of(frame, message, received=raw.received):
        if isinstance(fix, Fix):
            yield fix


def pack_fixes(fixes: Sequence[Fix]) -> bytes:
    """Fixes that came as JSON or from a file, as raw bytes: RFC 8785 of their own fields.

    Terminal and receipt are not inside: they belong to the frame.
    """
    rows = []
    for fix in fixes:
        row = {name: value for name, value in fix._asdict().items() if value is not None}
        del row["terminal"]
        row.pop("received", None)
        rows.append(row)
    return rfc8785.dumps(rows)


def unpack_fixes(data: bytes) -> list[Fix]:
    """What ``pack_fixes`` wrote.

    Raises:
        FixInvalidError: it was not written by it.
    """
    try:
        return [Fix(**row) for row in json.loads(data)]
    except (ValueError, TypeError) as error:
        raise FixInvalidError("the stored fixes cannot be read", field="data") from error


# --- to a verdict ------------------------------------------------------------------------------


def fixes_of(recorded: Recorded) -> list[Fix]:
    """The fixes of a trip: those of its terminal that belong to its window."""
    trip = recorded.trip
    return [
        fix
        for fix in read_frames(recorded.frames, trip.terminal)
        if belongs(fix, trip.opens, trip.closes)
    ]


def examine_evidence(evidence: Evidence, policy: Policy) -> Examination:
    """The judge's whole work on raw evidence.

    Raises:
        EvidenceEmptyError: no fix belongs to the trip.
        PlanError: the plan is not one.
    """
    trip = evidence.recorded.trip
    fixes = fixes_of(evidence.recorded)
    if not fixes:
        raise EvidenceEmptyError(trip=trip.trip)
    others = [
        OtherTrack(one.trip.trip, fixes_of(one), one.trip.terminal) for one in evidence.others
    ]
    plan = replace(Plan.from_json(trip.plan), terminal=trip.terminal)
    return examine(plan, fixes, policy=policy, others=[one for one in others if one.fixes])


def judge_evidence(evidence: Evidence, policy: Policy) -> Judged:
    """The verdict on raw evidence; the same bytes wherever it is computed.

    Raises:
        EvidenceEmptyError: no fix belongs to the trip.
        PlanError: the plan is not one.
    """
    examination = examine_evidence(evidence, policy)
    verdict = examination.verdict
    return Judged(
        verdict,
        Hash32("0x" + keccak(verdict.canonical_bytes()).hex()),
        _late_bps(examination, evidence.recorded),
    )


def _late_bps(examination: Examination, recorded: Recorded) -> int:
    """Share of the driven distance whose end was not committed within ``LATE_COMMIT_S`` of its time."""
    drive = examination.drive
    if len(drive) < 2:
        return 0
    in_time = {
        (member.time, member.lat_e6, member.lon_e6)
        for batch, members in recorded.batches
        if batch.committed is not None
        for member in members
        if batch.committed - member.time <= LATE_COMMIT_S
    }
    fixes = examination.track.fixes.take(drive.row)
    places = zip(fixes.time.tolist(), fixes.lat_e6.tolist(), fixes.lon_e6.tolist(), strict=True)
    late = np.array([place not in in_time for place in places], dtype=np.bool_)
    total = int(drive.steps.sum())
    return int(drive.steps[late[1:]].sum()) * 10_000 // total if total else 0


# --- as JSON -----------------------------------------------------------------------------------


def to_json(evidence: Evidence) -> dict[str, Any]:
    """The evidence as JSON: what attestors fetch and the lender pack carries."""
    return {
        **recorded_to_json(evidence.recorded),
        "others": [recorded_to_json(one) for one in evidence.others],
    }


def recorded_to_json(recorded: Recorded) -> dict[str, Any]:
    """One trip's evidence as JSON; bytes are base64."""
    trip = recorded.trip
    return {
        "trip_id": trip.trip,
        "terminal": trip.terminal,
        "vehicle": trip.vehicle,
        "plan": dict(trip.plan),
        "plan_hash": trip.plan_hash,
        "policy_hash": trip.policy_hash,
        "version": trip.version,
        "opens": trip.opens,
        "closes": trip.closes,
        "frames": [
            [raw.source, raw.received, base64.b64encode(raw.data).decode("ascii")]
            for raw in recorded.frames
        ],
        "batches": [
            {
                "index": batch.index,
                "root": batch.root,
                "first_time": batch.first_time,
                "last_time": batch.last_time,
                "late_fixes": batch.late_fixes,
                "built": batch.built,
                "committed": batch.committed,
                "attestor": str(batch.attestor),
                "members": [[m.time, m.lat_e6, m.lon_e6, str(m.digest)] for m in members],
            }
            for batch, members in recorded.batches
        ],
    }


def from_json(value: Mapping[str, Any]) -> Evidence:
    """What ``to_json`` wrote.

    Raises:
        EvidenceEmptyError: it is not evidence.
    """
    try:
        return Evidence(
            recorded_from_json(value), tuple(recorded_from_json(one) for one in value["others"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceEmptyError("this is not the evidence of a trip", field=str(error)) from error


def recorded_from_json(value: Mapping[str, Any]) -> Recorded:
    """What ``recorded_to_json`` wrote; raises KeyError, TypeError or ValueError for anything else."""
    trip = Trip(
        trip=TripId(value["trip_id"]),
        terminal=value["terminal"],
        vehicle=Hash32(value["vehicle"]),
        plan=value["plan"],
        plan_hash=Hash32(value["plan_hash"]),
        policy_hash=Hash32(value["policy_hash"]),
        version=int(value["version"]),
        opens=int(value["opens"]),
        closes=int(value["closes"]),
        state=TripState.NONE,
    )
    frames = tuple(
        RawFrame(source, int(received), base64.b64decode(data, validate=True))
        for source, received, data in value["frames"]
    )
    batches = []
    for batch in value["batches"]:
        members = tuple(Member(m[0], m[1], m[2], int(m[3])) for m in batch["members"])
        batches.append(
            (
                TrackBatchRecord(
                    trip=trip.trip,
                    index=int(batch["index"]),
                    root=Hash32(batch["root"]),
                    count=len(members),
                    first_time=int(batch["first_time"]),
                    last_time=int(batch["last_time"]),
                    late_fixes=int(batch["late_fixes"]),
                    built=int(batch["built"]),
                    committed=batch["committed"],
                    attestor=int(batch["attestor"]),
                ),
                members,
            )
        )
    return Recorded(trip, frames, tuple(batches))
