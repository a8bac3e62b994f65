"""An attestor's own judgement: raw evidence in, a form to sign out, or a refusal that says why; no I/O.

An attestor trusts the platform for nothing that he can check: he decodes the raw frames himself, judges
them by his own copy of the rules, builds every committed tree again, and compares plan, policy, vehicle and
commitments with what he reads on chain. What he cannot check is whether frames were withheld; the batches
committed while the truck drove bound that: a fix that is in a committed tree must be in the evidence. The
same holds for the batches that earlier trips, laid beside it by the platform, show. That the platform has left
a trip out he cannot see; but what he compared with is bound by the finding `compared` into the hash that he
signs, so that an omission can be shown later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chain.bindings.enums import Verdict as ChainVerdict
from chain.bindings.structs import Attestation
from tracking import evidence as ground
from tracking.errors import AttestationRefusedError
from tracking.merkle import MerkleTree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chain.ids import Hash32, PartyId, TripId
    from tracking.evidence import Judged, Recorded
    from tracking.policy import Policy


@dataclass(frozen=True, slots=True)
class Terms:
    """What the trip's leaf waybill says on chain now (``WaybillRegistry.tripTerms``)."""

    version: int
    vehicle: Hash32
    plan: Hash32
    policy: Hash32


@dataclass(frozen=True, slots=True)
class Commit:
    """A batch as the chain holds it (event ``TrackCommitted``); ``at`` is its block's unix time."""

    root: Hash32
    count: int
    first_time: int
    last_time: int
    at: int


@dataclass(frozen=True, slots=True)
class Word:
    """What an attestor found and is ready to sign."""

    trip: TripId
    terms: Terms
    judged: Judged

    def form(self, *, attestor: PartyId, expires: int, salt: Hash32) -> Attestation:
        """The form to sign under DeliveryRegistry's EIP-712 domain.

        Args:
            attestor: his party.
            expires: unix seconds after which the signature is worth nothing.
            salt: 32 random bytes; it makes the signature single.
        """
        verdict = self.judged.verdict
        return Attestation(
            trip=self.trip,
            attestor=attestor,
            version=self.terms.version,
            vehicle=self.terms.vehicle,
            plan=self.terms.plan,
            policy=self.terms.policy,
            root=verdict.trajectory_root,
            verdict=int(ChainVerdict[verdict.outcome.name]),
            findings=self.judged.findings,
            departed_at=verdict.departed_at or 0,
            arrived_at=verdict.arrived_at or 0,
            distance_m=min(verdict.distance_m, (1 << 32) - 1),
            fixes=verdict.used,
            late_bps=self.judged.late_bps,
            expires=expires,
            salt=salt,
        )


def consider(
    document: Mapping[str, Any],
    *,
    trip: TripId,
    terms: Terms,
    commits: Mapping[int, Commit],
    policy: Policy,
    others: Mapping[TripId, Mapping[int, Commit]] | None = None,
) -> Word:
    """Judges the evidence of a trip anew.

    Args:
        document: the evidence as the platform gives it (``tracking.evidence.to_json``).
        trip: the trip asked about.
        terms: of its leaf, read on chain by the attestor himself.
        commits: its committed batches by index, read on chain by the attestor himself.
        policy: the attestor's own copy of the rules.
        others: committed batches of the earlier trips in the evidence, read on chain; None where they
            cannot be read (a check without a node).

    Raises:
        AttestationRefusedError: the evidence is not of this trip, or contradicts the chain; ``field``
            names what.
        EvidenceEmptyError: it is no evidence, or holds no fix of the trip.
        PlanError: the plan is not one.
    """
    evidence = ground.from_json(document)
    recorded = evidence.recorded
    claimed = recorded.trip
    for name, expected, given in (
        ("trip_id", trip, claimed.trip),
        ("plan", terms.plan, ground.plan_hash(claimed.plan)),
        ("policy", terms.policy, policy.policy_hash),
        ("vehicle", terms.vehicle, claimed.vehicle),
    ):
        if expected != given:
            raise AttestationRefusedError(
                f"the evidence's {name} is not the chain's",
                field=name,
                expected=expected,
                given=given,
            )
    checked = replace(evidence, recorded=_checked_batches(recorded, commits))
    _check_membership(checked.recorded)
    if others is not None:
        for other in evidence.others:
            _check_other(other, others.get(other.trip.trip, {}))
    return Word(trip, terms, ground.judge_evidence(checked, policy))


def _checked_batches(recorded: Recorded, commits: Mapping[int, Commit]) -> Recorded:
    """The batches with their times as the chain has them; every tree is built again."""
    batches = []
    for batch, members in recorded.batches:
        leaves = [(at, m.time, m.lat_e6, m.lon_e6) for at, m in enumerate(members)]
        root = MerkleTree(leaves).root if leaves else ""
        commit = commits.get(batch.index)
        if root != batch.root or (commit is not None and commit.root != root):
            raise AttestationRefusedError(
                "a batch's fixes do not make the root that was committed",
                field=f"batches[{batch.index}]",
                expected=commit.root if commit is not None else batch.root,
                given=root,
            )
        batches.append((replace(batch, committed=None if commit is None else commit.at), members))
    missing = sorted(set(commits) - {batch.index for batch, _ in recorded.batches})
    if missing:
        raise AttestationRefusedError(
            "a batch that the chain holds is missing from the evidence",
            field=f"batches[{missing[0]}]",
        )
    return replace(recorded, batches=tuple(batches))


def _check_other(recorded: Recorded, commits: Mapping[int, Commit]) -> None:
    """What an earlier trip shows of its batches must be the chain's, and in its frames.

    Batches that came after it was judged need not be shown.
    """
    shown = {batch.index for batch, _ in recorded.batches}
    _check_membership(
        _checked_batches(recorded, {at: one for at, one in commits.items() if at in shown})
    )


def _check_membership(recorded: Recorded) -> None:
    """Every fix that was committed while driving must be in the raw frames."""
    present = {
        (fix.time, fix.lat_e6, fix.lon_e6)
        for fix in ground.read_frames(recorded.frames, recorded.trip.terminal)
    }
    for batch, members in recorded.batches:
        for member in members:
            if (member.time, member.lat_e6, member.lon_e6) not in present:
                raise AttestationRefusedError(
                    "a committed fix is missing from the raw frames",
                    field=f"batches[{batch.index}]",
                    time=member.time,
                )
