"""Rows to values and back, inside a session that is given; every bulk write is one statement."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from chain.bindings.enums import TripState
from chain.ids import Hash32, PartyId, TripId
from chain.storage import write_later
from tracking.fix_records import FixRecords, in_parts, replacer, table_of
from tracking.ports import Waiting
from tracking.tables import (
    TerminalRow,
    TrackAttestationRow,
    TrackBatchRow,
    TrackedTripRow,
    TrackEvidenceRow,
    TrackSignatureRow,
    TrackVerdictRow,
)
from tracking.trip import (
    OVER,
    AttestationRecord,
    Member,
    TrackBatchRecord,
    Trip,
    VerdictRecord,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlmodel import Session


_MEMBER = struct.Struct(">qiiq")
_BATCH: sa.Table = TrackBatchRow.__table__  # type: ignore[attr-defined]  # every table class has it
_COMMITTING = (
    sa.update(_BATCH)
    .where(
        _BATCH.c.trip == sa.bindparam("trip_"),
        _BATCH.c.number == sa.bindparam("index_"),
    )
    .values(committed=sa.bindparam("at"))
)
_TRIP: sa.Table = TrackedTripRow.__table__  # type: ignore[attr-defined]  # every table class has it
_ADDING_TRIP = sa.insert(_TRIP)
_MOVING = (
    sa.update(_TRIP)
    .where(_TRIP.c.trip == sa.bindparam("trip_"))
    .values(state=sa.bindparam("state"))
)


class SqlRecords(FixRecords):
    """``tracking.ports.Records`` on SQLite and PostgreSQL; one object serves one transaction."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        # what was read ahead; None where there is none
        self._ahead: dict[TripId, Trip | None] = {}
        self._roots: dict[TripId, dict[int, str]] = {}

    # --- trips ---------------------------------------------------------------------------------

    def add_trip(self, trip: Trip) -> None:
        """Writes a new trip down; its terminal must be known, the trip must not."""
        number = self._number(trip.terminal)
        if number is None:
            raise LookupError(trip.terminal)
        values = _trip_values(trip) | {"trip": trip.trip, "terminal_number": number}
        write_later(self._session, _add_trips, values)
        if trip.trip in self._ahead:
            self._ahead[trip.trip] = trip

    def read_ahead(self, trips: Collection[TripId], terminals: Collection[str] = ()) -> None:
        """Reads trips and terminals (by normalised id) that many events are about, to have them at hand."""
        self._ahead |= dict.fromkeys(trips)
        self._ahead |= {trip.trip: trip for trip in self.list_trips_by_id(trips)}
        if terminals:
            found = self.find_terminals(terminals)
            self._terminals |= {name: found.get(name) for name in terminals}

    def find_trip(self, trip: TripId) -> Trip | None:
        """A trip under watch."""
        if trip in self._ahead:
            return self._ahead[trip]
        found = self._trips(table_of(TrackedTripRow).c.trip == trip)
        return found[0] if found else None

    def list_trips(self, states: Collection[TripState] | None = None) -> list[Trip]:
        """Trips under watch, by opening."""
        if states is None:
            return self._trips()
        return self._trips(table_of(TrackedTripRow).c.state.in_([int(state) for state in states]))

    def list_trips_by_id(self, trips: Collection[TripId]) -> list[Trip]:
        """Those of the trips that are under watch here, by opening."""
        columns = table_of(TrackedTripRow).c
        found = [
            trip for some in in_parts(set(trips)) for trip in self._trips(columns.trip.in_(some))
        ]
        return sorted(found, key=lambda trip: (trip.opens, trip.trip))

    def list_trips_between(self, since: int, until: int) -> list[Trip]:
        """Trips whose window meets a span of time, by opening."""
        columns = table_of(TrackedTripRow).c
        return self._trips(columns.opens <= until, columns.closes >= since)

    def find_trip_of_terminal(self, terminal: str, at: int) -> Trip | None:
        """The trip a terminal is on at an instant: open window, not over; the one opened last."""
        columns = table_of(TrackedTripRow).c
        found = self._trips(
            table_of(TerminalRow).c.terminal == terminal,
            columns.opens <= at,
            columns.closes >= at,
            columns.state.not_in([int(state) for state in OVER]),
        )
        return found[-1] if found else None

    def list_trips_naming(self, terminal: str, limit: int) -> list[TripId]:
        """Trips that name a terminal, whatever their state, the one opened last first."""
        trips = table_of(TrackedTripRow)
        found = self._session.execute(
            sa.select(trips.c.trip)
            .where(trips.c.terminal_number == self._number(terminal))
            .order_by(trips.c.opens.desc(), trips.c.trip)
            .limit(limit)
        )
        return [TripId(trip) for trip in found.scalars()]

    def find_next_opening(self, terminal: str, after: int) -> int | None:
        """When the next window of a terminal opens after an instant, if one does."""
        number = self._number(terminal)
        trips = table_of(TrackedTripRow)
        found: int | None = self._session.execute(
            sa.select(sa.func.min(trips.c.opens)).where(
                trips.c.terminal_number == number, trips.c.opens > after
            )
        ).scalar()
        return found

    def move_trip(self, trip: Trip, state: TripState) -> None:
        """Writes the state of a known trip."""
        write_later(self._session, _move_trips, {"trip_": trip.trip, "state": int(state)})
        if trip.trip in self._ahead:
            self._ahead[trip.trip] = replace(trip, state=state)

    def save_trip(self, trip: Trip) -> None:
        """Writes state, verdict, version, plan and window of a known trip."""
        table = table_of(TrackedTripRow)
        self._update(table, table.c.trip == trip.trip, _trip_values(trip))
        if trip.trip in self._ahead:
            self._ahead[trip.trip] = trip

    def _trips(self, *conditions: Any) -> list[Trip]:
        table, known = table_of(TrackedTripRow), table_of(TerminalRow)
        rows = self._session.execute(
            sa.select(table, known.c.terminal)
            .join(known, known.c.number == table.c.terminal_number)
            .where(*conditions)
            .order_by(table.c.opens, table.c.trip)
        )
        return [
            Trip(
                trip=TripId(row.trip),
                terminal=row.terminal,
                vehicle=Hash32(row.vehicle),
                plan=json.loads(row.plan),
                plan_hash=Hash32(row.plan_hash),
                policy_hash=Hash32(row.policy_hash),
                version=row.version,
                opens=row.opens,
                closes=row.closes,
                state=TripState(row.state),
                verdict=row.verdict,
            )
            for row in rows
        ]

    # --- batches -------------------------------------------------------------------------------

    def add_batch(self, batch: TrackBatchRecord, members: Sequence[Member]) -> None:
        """Keeps a batch that was closed, with its leaves."""
        packed = zlib.compress(
            b"".join(_MEMBER.pack(m.time, m.lat_e6, m.lon_e6, m.digest) for m in members)
        )
        values = _batch_values(batch) | {
            "trip": batch.trip,
            "number": batch.index,
            "members": packed,
        }
        self._roots.pop(batch.trip, None)
        self._session.connection().execute(sa.insert(table_of(TrackBatchRow)), [values])

    def save_batch(self, batch: TrackBatchRecord) -> None:
        """Writes attestor and commitment of a known batch."""
        table = table_of(TrackBatchRow)
        which = sa.and_(table.c.trip == batch.trip, table.c.number == batch.index)
        self._update(
            table, which, {"attestor": _party_text(batch.attestor), "committed": batch.committed}
        )

    def mark_committed(self, trip: TripId, index: int, root: Hash32, at: int) -> bool:
        """Notes that the chain holds a batch with this root; False if no such batch is known."""
        if trip not in self._roots:
            self._read_roots({trip, *self._ahead} - self._roots.keys())
        if self._roots[trip].get(index) != root:
            return False
        write_later(self._session, _commit_batches, {"trip_": trip, "index_": index, "at": at})
        return True

    def _read_roots(self, trips: Collection[TripId]) -> None:
        """The roots of the batches of trips; those read ahead are read together."""
        self._roots |= {trip: {} for trip in trips}
        columns = table_of(TrackBatchRow).c
        for some in in_parts(trips):
            query = sa.select(columns.trip, columns.number, columns.root)
            for row in self._session.execute(query.where(columns.trip.in_(some))):
                self._roots[TripId(row.trip)][row.number] = row.root

    def list_batches(self, trip: TripId) -> list[TrackBatchRecord]:
        """Batches of a trip by index."""
        columns = table_of(TrackBatchRow).c
        rows = self._session.execute(
            sa.select(*[column for column in columns if column.name != "members"])
            .where(columns.trip == trip)
            .order_by(columns.number)
        )
        return [
            TrackBatchRecord(
                trip=TripId(row.trip),
                index=row.number,
                root=Hash32(row.root),
                count=row.fixes,
                first_time=row.first_time,
                last_time=row.last_time,
                late_fixes=row.late_fixes,
                built=row.built,
                committed=row.committed,
                attestor=int(row.attestor or 0),
            )
            for row in rows
        ]

    def list_batch_members(self, trip: TripId) -> dict[int, tuple[Member, ...]]:
        """The leaves of every batch of a trip, by index, in leaf order."""
        columns = table_of(TrackBatchRow).c
        rows = self._session.execute(
            sa.select(columns.number, columns.members).where(columns.trip == trip)
        )
        return {
            row.number: tuple(Member(*m) for m in _MEMBER.iter_unpack(zlib.decompress(row.members)))
            for row in rows
        }

    # --- verdicts and attestations -------------------------------------------------------------

    def save_verdict(self, verdict: VerdictRecord) -> None:
        """Keeps what the judge said; an earlier verdict on the same trip is replaced."""
        self._replace(
            TrackVerdictRow,
            ("trip",),
            {
                "trip": verdict.trip,
                "verdict": verdict.verdict,
                "document": json.dumps(verdict.document, separators=(",", ":"), sort_keys=True),
                "findings": verdict.findings,
                "root": verdict.root,
                "policy_hash": verdict.policy_hash,
                "late_bps": verdict.late_bps,
                "judged": verdict.judged,
            },
        )

    def find_verdict(self, trip: TripId) -> VerdictRecord | None:
        """What the judge said last."""
        return self.list_verdicts([trip]).get(trip)

    def list_verdicts(self, trips: Collection[TripId]) -> Mapping[TripId, VerdictRecord]:
        """Verdicts of many trips in one question."""
        table = table_of(TrackVerdictRow)
        found = {}
        for some in in_parts(set(trips)):
            for row in self._session.execute(sa.select(table).where(table.c.trip.in_(some))):
                found[TripId(row.trip)] = VerdictRecord(
                    trip=TripId(row.trip),
                    verdict=row.verdict,
                    document=json.loads(row.document),
                    findings=Hash32(row.findings),
                    root=Hash32(row.root),
                    policy_hash=Hash32(row.policy_hash),
                    late_bps=row.late_bps,
                    judged=row.judged,
                )
        return found

    def list_outcomes(self, trips: Collection[TripId]) -> dict[TripId, str]:
        """The bare outcomes of verdicts: their documents may be long."""
        columns = table_of(TrackVerdictRow).c
        found: dict[TripId, str] = {}
        for some in in_parts(set(trips)):
            query = sa.select(columns.trip, columns.verdict).where(columns.trip.in_(some))
            found |= {TripId(row.trip): row.verdict for row in self._session.execute(query)}
        return found

    def save_evidence(self, trip: TripId, document: Mapping[str, Any]) -> None:
        """Freezes the evidence a trip was judged on; an earlier one is replaced."""
        packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode())
        self._replace(TrackEvidenceRow, ("trip",), {"trip": trip, "document": packed})

    def find_evidence(self, trip: TripId) -> dict[str, Any] | None:
        """The evidence a trip was judged on."""
        table = table_of(TrackEvidenceRow)
        packed = self._session.execute(
            sa.select(table.c.document).where(table.c.trip == trip)
        ).scalar_one_or_none()
        return None if packed is None else json.loads(zlib.decompress(packed))

    def save_signature(self, trip: TripId, judged: int, hashes: bytes) -> None:
        """Keeps what a judged drive is found by; an earlier one is replaced."""
        values = {"trip": trip, "judged": judged, "hashes": hashes}
        self._replace(TrackSignatureRow, ("trip",), values)

    def list_signatures(self, since: int) -> list[tuple[TripId, int, bytes]]:
        """(trip, judged, hashes) of drives judged at or after an instant, by that instant."""
        columns = table_of(TrackSignatureRow).c
        rows = self._session.execute(
            sa.select(columns.trip, columns.judged, columns.hashes)
            .where(columns.judged >= since)
            .order_by(columns.judged, columns.trip)
        )
        return [(TripId(row.trip), row.judged, row.hashes) for row in rows]

    def save_attestation(self, attestation: AttestationRecord) -> None:
        """Keeps an attestation; the same attestor's earlier one on the trip is replaced."""
        self._replace(TrackAttestationRow, ("trip", "attestor"), _attestation_values(attestation))

    def mark_attested(self, attestation: AttestationRecord) -> None:
        """Keeps what the chain says of an attestation; when it was queued stays as it is known."""
        values = _attestation_values(attestation)
        names = tuple(name for name in values if name != "queued")
        write = replacer(table_of(TrackAttestationRow), ("trip", "attestor"), names)
        write_later(self._session, write, values)

    def list_attestations(self, trip: TripId) -> list[AttestationRecord]:
        """Attestations on a trip, by attestor."""
        table = table_of(TrackAttestationRow)
        rows = self._session.execute(sa.select(table).where(table.c.trip == trip))
        return sorted((_attestation(row) for row in rows), key=lambda one: one.attestor)

    def list_waiting(self, attestor: PartyId) -> list[Waiting]:
        """Trips on the road that were judged and wait for an attestor's word, in one question."""
        trips, verdicts = table_of(TrackedTripRow).c, table_of(TrackVerdictRow).c
        said = table_of(TrackAttestationRow).c
        query = (
            sa.select(trips.trip, trips.version, trips.vehicle, trips.plan_hash, trips.policy_hash)
            .join(table_of(TrackVerdictRow), verdicts.trip == trips.trip)
            .outerjoin(
                table_of(TrackAttestationRow),
                sa.and_(
                    said.trip == trips.trip,
                    said.attestor == str(attestor),
                    said.root == verdicts.root,
                    said.findings == verdicts.findings,
                ),
            )
            .where(
                trips.state.in_([int(TripState.LOADED), int(TripState.HELD)]),
                said.trip.is_(None),
            )
            .order_by(trips.trip)
        )
        return [
            Waiting(
                TripId(row.trip),
                row.version,
                Hash32(row.vehicle),
                Hash32(row.plan_hash),
                Hash32(row.policy_hash),
            )
            for row in self._session.execute(query)
        ]

    def find_attestation(self, trip: TripId, attestor: PartyId) -> AttestationRecord | None:
        """What one attestor signed on a trip."""
        table = table_of(TrackAttestationRow)
        row = self._session.execute(
            sa.select(table).where(table.c.trip == trip, table.c.attestor == _party_text(attestor))
        ).one_or_none()
        return None if row is None else _attestation(row)


def _add_trips(session: Session, trips: list[dict[str, Any]]) -> None:
    session.connection().execute(_ADDING_TRIP, trips)


def _commit_batches(session: Session, committed: list[dict[str, Any]]) -> None:
    session.connection().execute(_COMMITTING, committed)


def _move_trips(session: Session, moved: list[dict[str, Any]]) -> None:
    session.connection().execute(_MOVING, moved)


def _party_text(party: int) -> str:
    return str(party) if party else ""


def _trip_values(trip: Trip) -> dict[str, Any]:
    return {
        "vehicle": trip.vehicle,
        "plan": json.dumps(trip.plan, separators=(",", ":"), sort_keys=True),
        "plan_hash": trip.plan_hash,
        "policy_hash": trip.policy_hash,
        "version": trip.version,
        "opens": trip.opens,
        "closes": trip.closes,
        "state": int(trip.state),
        "verdict": trip.verdict,
    }


def _batch_values(batch: TrackBatchRecord) -> dict[str, Any]:
    return {
        "root": batch.root,
        "fixes": batch.count,
        "first_time": batch.first_time,
        "last_time": batch.last_time,
        "late_fixes": batch.late_fixes,
        "built": batch.built,
        "committed": batch.committed,
        "attestor": _party_text(batch.attestor),
    }


def _attestation_values(attestation: AttestationRecord) -> dict[str, Any]:
    return {
        "trip": attestation.trip,
        "attestor": _party_text(attestation.attestor),
        "verdict": attestation.verdict,
        "root": attestation.root,
        "findings": attestation.findings,
        "queued": attestation.queued,
        "attested": attestation.attested,
    }


def _attestation(row: Any) -> AttestationRecord:
    return AttestationRecord(
        trip=TripId(row.trip),
        attestor=PartyId(int(row.attestor)),
        verdict=row.verdict,
        root=Hash32(row.root),
        findings=Hash32(row.findings),
        queued=row.queued,
        attested=row.attested,
    )
