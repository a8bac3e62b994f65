"""Use cases of the road: register terminals, watch trips, take fixes, commit batches, judge, attest.

Every method works inside the database transaction of the records it is given; a trip's state moves only
where the chain has said so (the ``on_`` methods).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.enums import TripState
from chain.bindings.enums import Verdict as ChainVerdict
from chain.bindings.structs import Attestation, TrackBatch
from chain.ids import TripId
from tracking import evidence as ground
from tracking.errors import (
    AttestationRefusedError,
    EvidenceEmptyError,
    TripInvalidError,
    TripStateError,
    TripTakenError,
    TripUnknownError,
)
from tracking.merkle import MerkleTree
from tracking.past import Past
from tracking.plan import Plan
from tracking.policy import Policy, default_policy, find_policy
from tracking.taking import TakingService
from tracking.track import Columns
from tracking.trip import (
    CLOCK_TOLERANCE_S,
    MARGIN_S,
    MOVES,
    OVER,
    AttestationRecord,
    Member,
    TrackBatchRecord,
    Trip,
    VerdictRecord,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from chain.abi import Occurred
    from chain.bindings.events import DriveAttested, TrackCommitted
    from chain.clock import Clock
    from chain.ids import Hash32, PartyId
    from chain.ports import Domain, Outbox, Signer
    from tracking.fix import Fix
    from tracking.ports import Raised, Records
    from tracking.stream import Progress
    from tracking.watch import Seen

log = structlog.get_logger("tracking")

BATCH_LEAST_S, BATCH_MOST_S = 120, 900
BATCH_METRES_A_SECOND = 16
"""A batch spans about a quarter of the drive, counted at this speed, within the two bounds above."""

DAYS_AHEAD = 3
"""Days for which room is made in advance."""

MOST_ALIKE, MOST_NEAR = 8, 24
"""Drives that one drive is compared with: those it may copy out of all ever judged, and those that were
under way in the same area at the same time."""


class TrackingService(TakingService):
    """The use cases of tracking.

    Args:
        records: everything kept, in one transaction.
        clock: gives the present.
        outbox: where calls for the chain are written in the same transaction; None where a process
            (the gateway) sends nothing.
        policy: the judge's rules; the shipped ones unless given.
        past: this process's index of all drives judged before; read anew unless given.
    """

    def __init__(
        self,
        *,
        records: Records,
        clock: Clock,
        outbox: Outbox | None = None,
        policy: Policy | None = None,
        past: Past | None = None,
    ) -> None:
        super().__init__(records, clock)
        self._past = past or Past()
        self._outbox = outbox
        self._policy = policy or default_policy()

    # --- trips ---------------------------------------------------------------------------------

    def open_trip(
        self,
        trip: TripId,
        *,
        terminal: str,
        vehicle: Hash32,
        plan: Plan | Mapping[str, Any],
        opens: int,
        closes: int,
        version: int = 1,
        policy_hash: Hash32 | None = None,
    ) -> Trip:
        """Begins to watch a trip; again with the same facts changes nothing.

        Args:
            trip: its id on chain.
            terminal: a registered terminal, fixed to this vehicle.
            vehicle: keyed hash of the plate, as in the waybill.
            plan: route, corridor, gates and windows.
            opens: unix seconds from which fixes count.
            closes: unix seconds until which they count.
            version: version of the waybill.
            policy_hash: of the judge's rules, as signed, today's or earlier ones; today's unless given.

        Raises:
            TerminalUnknownError: the terminal is not registered.
            TripInvalidError: names the field.
            TripTakenError: the trip is watched with other facts.
            PlanError: the plan is not one; names the field.
        """
        known = self._known(terminal)
        if known.vehicle != vehicle:
            raise TripInvalidError(
                "the terminal is fixed to another vehicle",
                field="terminal",
                terminal=known.terminal,
            )
        if not opens < closes:
            raise TripInvalidError("a window ends after it begins", field="closes")
        signed = self._policy.policy_hash if policy_hash is None else policy_hash
        self._policy_of(signed)
        form = (plan if isinstance(plan, Plan) else Plan.from_json(plan)).to_json()
        new = Trip(
            trip=trip,
            terminal=known.terminal,
            vehicle=vehicle,
            plan=form,
            plan_hash=ground.plan_hash(form),
            policy_hash=signed,
            version=version,
            opens=opens,
            closes=closes,
        )
        before = self._records.find_trip(trip)
        if before is None:
            self._records.add_trip(new)
            return new
        if replace(before, state=new.state, verdict="") != new:
            raise TripTakenError(field="trip", trip=trip)
        return before

    def _policy_of(self, policy_hash: Hash32) -> Policy:
        """The rules a trip was signed for.

        Raises:
            TripInvalidError: this judge never had them.
        """
        if policy_hash == self._policy.policy_hash:
            return self._policy
        found = find_policy(policy_hash)
        if found is None:
            raise TripInvalidError(
                "signed for other rules than this judge's",
                field="policy_hash",
                expected=self._policy.policy_hash,
                given=policy_hash,
            )
        return found

    def get_trip(self, trip: TripId) -> Trip:
        """A trip under watch.

        Raises:
            TripUnknownError: it is not watched here.
        """
        known = self._records.find_trip(trip)
        if known is None:
            raise TripUnknownError(field="trip", trip=trip)
        return known

    def list_track(self, trip: TripId) -> list[Fix]:
        """The fixes of a trip so far, by the device's clock: for maps, not for judging.

        Raises:
            TripUnknownError: it is not watched here.
        """
        known = self.get_trip(trip)
        return self._records.list_fixes(known.terminal, known.opens, known.closes)

    def amend_trip(
        self, trip: TripId, *, version: int, plan: Mapping[str, Any] | None = None
    ) -> Trip:
        """Follows an amendment of the waybill: a new version, perhaps a new plan.

        Raises:
            TripUnknownError: it is not watched here.
            TripStateError: it is over.
            PlanError: the plan is not one.
        """
        known = self.get_trip(trip)
        if known.state in OVER:
            raise TripStateError("an amendment after the end", trip=trip, state=known.state.name)
        form = known.plan if plan is None else Plan.from_json(plan).to_json()
        amended = replace(known, version=version, plan=form, plan_hash=ground.plan_hash(form))
        self._records.save_trip(amended)
        return amended

    def on_trip_moved(self, trip: TripId, to: TripState) -> None:
        """The chain moved a trip (loaded, held, delivered, void); a trip not watched here is left alone.

        Raises:
            TripStateError: the table of moves does not know this one.
        """
        known = self._records.find_trip(trip)
        if known is None or known.state == to:
            return
        if to not in MOVES[known.state]:
            raise TripStateError(trip=trip, state=known.state.name, wanted=to.name)
        self._records.move_trip(known, to)

    # --- batches -------------------------------------------------------------------------------

    def close_batches(self, trip: TripId, *, finish: bool = False) -> list[TrackBatchRecord]:
        """Closes batches over the fixes that no batch holds yet; what has gathered may be several.

        A batch is closed when the fixes after it are further in time than its span; with ``finish`` the
        last one is closed too (the truck has arrived, or the window is over). Fixes from a blind area
        that come after their time go into the next batch, marked by ``late_fixes``.

        Raises:
            TripUnknownError: it is not watched here.
        """
        known, now = self.get_trip(trip), self._now()
        if known.state not in (TripState.LOADED, TripState.HELD):
            return []  # the contract takes batches on the road only
        held = {
            (member.time, member.digest)
            for members in self._records.list_batch_members(trip).values()
            for member in members
        }
        until = min(known.closes, now + CLOCK_TOLERANCE_S)
        fresh = [
            (member, received)
            for member, received in self._records.list_members(known.terminal, known.opens, until)
            if (member.time, member.digest) not in held
        ]
        index = len(self._records.list_batches(trip))
        closed: list[TrackBatchRecord] = []
        for part in _parts(fresh, batch_span_s(known.plan), finish=finish or now > known.closes):
            members = [member for member, _ in part]
            batch = TrackBatchRecord(
                trip=trip,
                index=index + len(closed),
                root=batch_root(members),
                count=len(members),
                first_time=members[0].time,
                last_time=members[-1].time,
                late_fixes=sum(
                    received is not None and received - member.time > CLOCK_TOLERANCE_S
                    for member, received in part
                ),
                built=now,
            )
            self._records.add_batch(batch, members)
            closed.append(batch)
        return closed

    def commit_batch(
        self, batch: TrackBatchRecord, *, attestor: PartyId, signer: Signer, domain: Domain
    ) -> None:
        """Signs a closed batch as an attestor and writes the call for the chain down.

        Args:
            batch: as ``close_batches`` gave it.
            attestor: party of the attestor.
            signer: his key.
            domain: EIP-712 domain of DeliveryRegistry.
        """
        form = TrackBatch(
            trip=batch.trip,
            attestor=attestor,
            index=batch.index,
            root=batch.root,
            count=batch.count,
            first_time=batch.first_time,
            last_time=batch.last_time,
        )
        self._queue(
            DeliveryRegistry.commit_track(form, signer.sign_typed_data(form, domain)),
            key=f"track:{batch.trip}:{batch.index}",
            about=batch.trip,
        )
        self._records.save_batch(replace(batch, attestor=attestor))

    def commit_due(
        self, *, attestor: PartyId, signer: Signer, domain: Domain, finish: bool = False
    ) -> int:
        """Closes, signs and queues what is due on every trip on the road; how many batches."""
        count = 0
        for trip in self._records.list_trips((TripState.LOADED, TripState.HELD)):
            for batch in self.close_batches(trip.trip, finish=finish):
                self.commit_batch(batch, attestor=attestor, signer=signer, domain=domain)
                count += 1
        return count

    def on_track_committed(self, occurred: Occurred[TrackCommitted]) -> None:
        """A batch stands on chain; one that is not ours is left alone (another platform's trip).

        A batch of ours that the chain holds with another root stays uncommitted and is told: somebody
        else signs as our attestor.
        """
        event, at = occurred.event, int(occurred.at.timestamp())
        if self._records.mark_committed(event.trip, event.index, event.root, at):
            return
        if any(batch.index == event.index for batch in self._records.list_batches(event.trip)):
            log.error("batch_differs", trip=event.trip, index=event.index, given=event.root)

    def prove_fix(self, trip: TripId, time: int) -> list[dict[str, Any]]:
        """Proofs that fixes of an instant stand in committed batches, as DeliveryRegistry checks them.

        Raises:
            TripUnknownError: it is not watched here.
        """
        self.get_trip(trip)
        proofs: list[dict[str, Any]] = []
        members = self._records.list_batch_members(trip)
        for batch in self._records.list_batches(trip):
            tree = MerkleTree(_leaves(members[batch.index]))
            proofs.extend(
                {
                    "batch": batch.index,
                    "root": batch.root,
                    "leaf": list(leaf),
                    "proof": list(tree.proof(leaf[0])),
                    "committed": batch.committed,
                }
                for leaf in tree.leaves
                if leaf[1] == time
            )
        return proofs

    # --- judging -------------------------------------------------------------------------------

    def gather_evidence(self, trip: TripId) -> ground.Evidence:
        """The raw evidence of a trip as it stands now, with the earlier trips to compare it with.

        Raises:
            TripUnknownError: it is not watched here.
        """
        known = self.get_trip(trip)
        recorded = self._recorded(known)
        # with their batches: an attestor checks that each holds what the chain has of it
        others = tuple(self._recorded_before(other) for other in self._others(known, recorded))
        return ground.Evidence(recorded, others)

    def _recorded_before(self, trip: Trip) -> ground.Recorded:
        """Another trip's record: as it was judged, where it was; its frames may be forgotten since."""
        frozen = self._records.find_evidence(trip.trip)
        return self._recorded(trip) if frozen is None else ground.recorded_from_json(frozen)

    def _recorded(self, trip: Trip) -> ground.Recorded:
        frames = self._records.list_raw(
            trip.terminal, trip.opens - MARGIN_S, trip.closes + MARGIN_S
        )
        members = self._records.list_batch_members(trip.trip)
        batches = self._records.list_batches(trip.trip)
        # a window is long enough for a late truck; where the same terminal's next trip begins, it ends
        following = self._records.find_next_opening(trip.terminal, trip.opens)
        closes = trip.closes if following is None else min(trip.closes, following - 1)
        return ground.Recorded(
            replace(trip, state=TripState.NONE, verdict="", closes=closes),
            tuple(sorted(frames, key=lambda raw: (raw.received, raw.source, raw.data))),
            tuple((batch, members[batch.index]) for batch in batches),
        )

    def _others(self, trip: Trip, recorded: ground.Recorded) -> list[Trip]:
        """Drives to compare with: earlier ones that this may copy, and those beside it on the road."""
        fixes = Columns.of(ground.fixes_of(recorded))
        alike = self._past.find_alike(self._records, fixes, trip=trip.trip, most=MOST_ALIKE)
        area = _area(trip.plan)
        near = [
            other
            for other in self._records.list_trips_between(trip.opens, trip.closes)
            if other.trip != trip.trip and _overlap(area, _area(other.plan))
        ]
        chosen = {other.trip: other for other in near[:MOST_NEAR]}
        for other in self._records.list_trips_by_id([TripId(name) for name in alike]):
            chosen[other.trip] = other
        return sorted(chosen.values(), key=lambda other: (other.opens, other.trip))

    def judge_trip(self, trip: TripId) -> VerdictRecord:
        """Judges a trip on the evidence so far, freezes that evidence and keeps the verdict.

        Judged again on the same evidence it says the same; new evidence makes a new verdict.

        Raises:
            TripUnknownError: it is not watched here.
            EvidenceEmptyError: no fix belongs to it.
        """
        known = self.get_trip(trip)
        gathered = self.gather_evidence(trip)
        judged = ground.judge_evidence(gathered, self._policy_of(known.policy_hash))
        record = VerdictRecord(
            trip=trip,
            verdict=judged.verdict.outcome.value,
            document=judged.verdict.to_json(),
            findings=judged.findings,
            root=judged.verdict.trajectory_root,
            policy_hash=judged.verdict.policy_hash,
            late_bps=judged.late_bps,
            judged=self._now(),
        )
        self._records.save_evidence(trip, ground.to_json(gathered))
        fixes = Columns.of(ground.fixes_of(gathered.recorded))
        self._past.remember(self._records, fixes, trip=trip, judged=record.judged)
        self._records.save_verdict(record)
        self._records.save_trip(replace(known, verdict=record.verdict))
        return record

    def get_evidence(self, trip: TripId) -> dict[str, Any]:
        """The evidence a trip was judged on, frozen then, as JSON: for attestors and lender packs.

        Raises:
            EvidenceEmptyError: it was not judged yet.
        """
        frozen = self._records.find_evidence(trip)
        if frozen is None:
            raise EvidenceEmptyError("the trip was not judged yet", trip=trip)
        return frozen

    # --- watching ------------------------------------------------------------------------------

    def note_seen(self, seen: Seen) -> list[Raised]:
        """Writes down what a watch has found; the alerts that are new, for those who must be told."""
        self._records.save_progress(seen.progress)
        return self._records.add_alerts(seen.alerts) if seen.alerts else []

    def list_alerts(
        self, trips: Collection[TripId] | None = None, *, since: int = 0, limit: int = 200
    ) -> list[Raised]:
        """Alerts raised at or after an instant, newest first; of all trips where none are named."""
        return self._records.list_alerts(trips, since=since, limit=limit)

    def find_progress(self, trip: TripId) -> Progress | None:
        """Where a trip is now; None before anything was heard of it."""
        return self._records.list_progress([trip]).get(trip)

    # --- keeping and forgetting ----------------------------------------------------------------

    def pack_raw(self, *, limit: int = 200) -> int:
        """Packs raw frames of past days, a row a terminal and day; how many such rows were written.

        Yesterday stays as it is: frames of a long night still come in.
        """
        return self._records.pack_raw(self._now() // 86_400 - 1, limit)

    def prepare_days(self) -> int:
        """Makes room for yesterday and the days to come, where the database keeps days apart; how many."""
        today = self._now() // 86_400
        return self._records.prepare_days(range(today - 1, today + DAYS_AHEAD + 1))

    def forget(self, *, keep_days: int, protected: Iterable[TripId] = ()) -> int:
        """Deletes fixes and raw frames older than the setting says; how many rows.

        What was frozen when a trip was judged stays, and so does all around the window of a trip that is
        not over.

        Args:
            keep_days: whole days to keep, at least 1.
            protected: trips whose evidence a live loan, a dispute or a court still needs.

        Raises:
            TripInvalidError: fewer than one day.
        """
        if keep_days < 1:
            raise TripInvalidError("keep at least one day", field="keep_days", given=keep_days)
        return self._records.forget(self._now() - keep_days * 86_400, set(protected))

    # --- attestations --------------------------------------------------------------------------

    def take_attestation(self, form: Attestation, signature: bytes) -> None:
        """Queues an attestor's signed verdict for the chain, which alone decides whether it counts.

        Raises:
            TripUnknownError: it is not watched here.
            AttestationRefusedError: it is about another plan, policy, vehicle or version than the trip's.
        """
        known = self.get_trip(form.trip)
        for name, expected, given in (
            ("plan", known.plan_hash, form.plan),
            ("policy", known.policy_hash, form.policy),
            ("vehicle", known.vehicle, form.vehicle),
            ("version", known.version, form.version),
        ):
            if expected != given:
                raise AttestationRefusedError(
                    f"the attestation's {name} is not the trip's",
                    field=name,
                    expected=expected,
                    given=given,
                )
        before = self._records.find_attestation(form.trip, form.attestor)
        outcome = ChainVerdict(form.verdict).name.lower()
        if before is not None and (before.root, before.findings, before.verdict) == (
            form.root,
            form.findings,
            outcome,
        ):
            return  # the same word again: it is queued or stands on chain
        # an attestor may say something else when new evidence came; every word is a call of its own
        self._queue(
            DeliveryRegistry.attest(form, signature),
            key=f"attest:{form.trip}:{form.attestor}:{form.findings}",
            about=form.trip,
        )
        self._records.save_attestation(
            AttestationRecord(
                trip=form.trip,
                attestor=form.attestor,
                verdict=outcome,
                root=form.root,
                findings=form.findings,
                queued=self._now(),
            )
        )

    def on_attested(self, occurred: Occurred[DriveAttested]) -> None:
        """An attestation stands on chain, whoever sent it; trips not watched here are left alone."""
        event = occurred.event
        if self._records.find_trip(event.trip) is None:
            return
        at = int(occurred.at.timestamp())
        self._records.mark_attested(
            AttestationRecord(
                trip=event.trip,
                attestor=event.attestor,
                verdict=event.verdict.name.lower(),
                root=event.root,
                findings=event.findings,
                queued=at,  # unless it was queued here
                attested=at,
            )
        )

    def _queue(self, call: Any, *, key: str, about: str) -> None:
        if self._outbox is None:
            raise TripStateError("this process sends nothing to the chain")
        self._outbox.queue(call, key=key, about=about)


# --- terminals at the gateway ------------------------------------------------------------------


# --- batches -----------------------------------------------------------------------------------


def batch_span_s(plan: Mapping[str, Any]) -> int:
    """Seconds of fixes that one batch holds: a quarter of the drive at 16 m/s, 2 to 15 minutes.

    A truck is slower than that on average, so a trip gives four batches or more.
    """
    points = plan["planned_route"]
    metres = sum(
        ((b[0] - a[0]) ** 2 * 0.6 + (b[1] - a[1]) ** 2) ** 0.5 * 111_000
        for a, b in itertools.pairwise(points)
    )
    return int(min(max(metres / BATCH_METRES_A_SECOND / 4, BATCH_LEAST_S), BATCH_MOST_S))


def batch_root(members: Sequence[Member]) -> Hash32:
    """Root of the tree over a batch's members in their order."""
    return MerkleTree(_leaves(members)).root


def _leaves(members: Sequence[Member]) -> list[tuple[int, int, int, int]]:
    return [(at, m.time, m.lat_e6, m.lon_e6) for at, m in enumerate(members)]


def _parts(
    fresh: Sequence[tuple[Member, int | None]], span_s: int, *, finish: bool
) -> Iterable[list[tuple[Member, int | None]]]:
    part: list[tuple[Member, int | None]] = []
    for one in fresh:
        if part and one[0].time - part[0][0].time >= span_s:
            yield part
            part = []
        part.append(one)
    if part and finish:
        yield part


def _area(plan: Mapping[str, Any]) -> tuple[float, float, float, float]:
    lons, lats = zip(*(point[:2] for point in plan["planned_route"]), strict=True)
    return min(lons), min(lats), max(lons), max(lats)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
