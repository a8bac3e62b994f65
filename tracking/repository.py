"""Rows to values and back, inside a session that is given; every bulk write is one statement."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import operator
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from chain.bindings.enums import TripState
from chain.ids import Hash32, PartyId, TripId
from chain.storage import insert_into, write_later
from tracking import fix_days
from tracking.errors import TripUnknownError
from tracking.ports import Waiting
from tracking.tables import (
    FixRow,
    RawDayRow,
    RawFrameRow,
    TerminalRow,
    TrackAttestationRow,
    TrackBatchRow,
    TrackedTripRow,
    TrackEvidenceRow,
    TrackSignatureRow,
    TrackVerdictRow,
)
from tracking.trip import (
    MARGIN_S,
    OVER,
    AttestationRecord,
    Member,
    RawFrame,
    Terminal,
    TrackBatchRecord,
    Trip,
    VerdictRecord,
)
from tracking.watch_records import WatchRecords, read_fix

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from sqlmodel import Session

    from tracking.fix import Fix
    from tracking.ports import RawEntry

_IN_AT_ONCE = 500
"""Values of one IN list; SQLite takes 32,766 variables, planners like fewer."""

_NO_NUMBER = -(1 << 63)
_DIGEST = struct.Struct(">13q")
_MEMBER = struct.Struct(">qiiq")
_DAY_S = 86_400
_BY_KEY = operator.itemgetter(0, 1, 2)
_ROWS_AT_ONCE = (1024, 256, 64, 16, 4, 1)
"""Rows of one INSERT: few different texts, so that they stay prepared; 1,024 fixes are 17,408 variables."""
_WORTH_PACKING = 200
"""Bytes; below it a frame's own bytes are as short as zlib makes them."""


def fix_digest(fix: Fix) -> int:
    """64 bits over what the device said, not over when and how it reached us.

    With terminal and time it names a fix: the same fix sent live, later from a blind area, or twice, is
    one row.
    """
    time, lat, lon, speed, heading, _, _, altitude, sats, valid, way, told, status, alarm, _, ok = (
        fix
    )
    hashed = hashlib.blake2b(
        _DIGEST.pack(
            time,
            lat,
            lon,
            _NO_NUMBER if speed is None else speed,
            _NO_NUMBER if heading is None else heading,
            _NO_NUMBER if altitude is None else altitude,
            _NO_NUMBER if sats is None else sats,
            _NO_NUMBER if way is None else way,
            _NO_NUMBER if told is None else told,
            _NO_NUMBER if status is None else status,
            _NO_NUMBER if alarm is None else alarm,
            valid,
            ok,
        ),
        digest_size=8,
    )
    return int.from_bytes(hashed.digest(), "big", signed=True)


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
_TERMINAL: sa.Table = TerminalRow.__table__  # type: ignore[attr-defined]  # every table class has it
_ADDING_TERMINAL = sa.insert(_TERMINAL).returning(_TERMINAL.c.number)
_MOVING = (
    sa.update(_TRIP)
    .where(_TRIP.c.trip == sa.bindparam("trip_"))
    .values(state=sa.bindparam("state"))
)


def _batches(values: Collection[Any]) -> Iterator[list[Any]]:
    ordered = list(values)
    for at in range(0, len(ordered), _IN_AT_ONCE):
        yield ordered[at : at + _IN_AT_ONCE]


class SqlRecords(WatchRecords):
    """``tracking.ports.Records`` on SQLite and PostgreSQL; one object serves one transaction."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        # what was read ahead; None where there is none
        self._ahead: dict[TripId, Trip | None] = {}
        self._terminals: dict[str, Terminal | None] = {}
        self._roots: dict[TripId, dict[int, str]] = {}

    # --- terminals -----------------------------------------------------------------------------

    def find_terminals(self, terminals: Collection[str]) -> dict[str, Terminal]:
        """Known terminals by normalised id."""
        table = _table(TerminalRow)
        wanted = set(terminals)
        at_hand = {name: self._terminals[name] for name in wanted & self._terminals.keys()}
        found = {name: one for name, one in at_hand.items() if one is not None}
        for some in _batches(wanted - at_hand.keys()):
            for row in self._session.execute(sa.select(table).where(table.c.terminal.in_(some))):
                found[row.terminal] = _terminal(row)
        return found

    def add_terminal(self, terminal: str, vehicle: Hash32, *, now: int) -> Terminal:
        """Writes a new terminal down; the id must not be known yet."""
        values = {
            "terminal": terminal,
            "vehicle": vehicle,
            "auth_hash": "",
            "device_hash": "",
            "registered": now,
        }
        number = self._session.connection().execute(_ADDING_TERMINAL, values).scalar_one()
        made = Terminal(number, terminal, vehicle, "", "", None)
        if terminal in self._terminals:
            self._terminals[terminal] = made
        return made

    def save_terminals(self, terminals: Iterable[Terminal]) -> None:
        """Writes vehicle, authentication and device hashes of known terminals, never their owners."""
        values = [
            {
                "b_number": one.number,
                "b_vehicle": one.vehicle,
                "b_auth": one.auth_hash,
                "b_device": one.device_hash,
            }
            for one in terminals
        ]
        if values:
            self._terminals.clear()
            table = _table(TerminalRow)
            self._session.connection().execute(
                sa.update(table)
                .where(table.c.number == sa.bindparam("b_number"))
                .values(
                    vehicle=sa.bindparam("b_vehicle"),
                    auth_hash=sa.bindparam("b_auth"),
                    device_hash=sa.bindparam("b_device"),
                ),
                values,
            )

    def claim_terminal(self, number: int, owner: PartyId) -> bool:
        """Gives a terminal to a party; False if another has it, however close together they ask."""
        table = _table(TerminalRow)
        self._terminals.clear()
        given = self._session.connection().execute(
            sa.update(table)
            .where(
                table.c.number == number,
                sa.or_(table.c.owner.is_(None), table.c.owner == str(owner)),
            )
            .values(owner=str(owner))
        )
        return given.rowcount == 1

    def disown_terminal(self, number: int) -> None:
        """Takes a terminal from its owner."""
        table = _table(TerminalRow)
        self._terminals.clear()
        self._session.connection().execute(
            sa.update(table).where(table.c.number == number).values(owner=None)
        )

    def _number(self, terminal: str) -> int | None:
        known = self._terminals.get(terminal)
        if known is not None:
            return known.number
        table = _table(TerminalRow)
        return self._session.execute(
            sa.select(table.c.number).where(table.c.terminal == terminal)
        ).scalar_one_or_none()

    # --- raw frames and fixes ------------------------------------------------------------------

    def add_raw(self, entries: Sequence[RawEntry]) -> None:
        """Keeps raw frames, one after the other."""
        if entries:
            self._add_new(_table(RawFrameRow), _RAW_COLUMNS, [_raw_values(one) for one in entries])

    def add_fixes(self, fixes: Sequence[tuple[int, Fix]]) -> None:
        """Keeps fixes (terminal number, fix); one known before changes nothing."""
        if fixes:
            rows = [_fix_values(number, fix) for number, fix in fixes]
            rows.sort(key=_BY_KEY)  # in the order of the key: neighbours share a page
            self._add_new(_table(FixRow), _FIX_COLUMNS, rows)

    def count_fixes(self, terminal_number: int, since: int, until: int) -> int:
        """Fixes of a terminal by its own clock, both ends included."""
        columns = _table(FixRow).c
        count: int = self._session.execute(
            sa.select(sa.func.count()).where(
                columns.terminal_number == terminal_number, columns.time.between(since, until)
            )
        ).scalar_one()
        return count

    def count_all(self) -> int:
        """All fixes kept; for measuring, it reads the whole table."""
        count: int = self._session.execute(
            sa.select(sa.func.count()).select_from(_table(FixRow))
        ).scalar_one()
        return count

    def list_fixes(self, terminal: str, since: int, until: int) -> list[Fix]:
        """Fixes of a terminal by its own clock, both ends included, in canonical order."""
        table = _table(FixRow)
        number = self._number(terminal)
        if number is None:
            return []
        rows = self._session.execute(
            sa.select(table)
            .where(table.c.terminal_number == number, table.c.time.between(since, until))
            .order_by(table.c.time, table.c.digest)
        )
        return [read_fix(row, terminal) for row in rows]

    def list_members(
        self, terminal: str, since: int, until: int
    ) -> list[tuple[Member, int | None]]:
        """Fixes on Earth of a terminal as leaves of a batch, each with its receipt, in leaf order."""
        columns = _table(FixRow).c
        number = self._number(terminal)
        if number is None:
            return []
        rows = self._session.execute(
            sa.select(
                columns.time, columns.lat_e6, columns.lon_e6, columns.digest, columns.received
            )
            .where(
                columns.terminal_number == number,
                columns.time.between(since, until),
                columns.lat_e6.between(-90_000_000, 90_000_000),
                columns.lon_e6.between(-180_000_000, 180_000_000),
            )
            .order_by(columns.time, columns.lat_e6, columns.lon_e6, columns.digest)
        )
        return [(Member(*row[:4]), row[4]) for row in rows]

    def last_fixes(self, terminals: Collection[str], since: int) -> dict[str, Fix]:
        """The latest fix of each terminal not older than ``since`` by its own clock."""
        table, known = _table(FixRow), _table(TerminalRow)
        found: dict[str, Fix] = {}
        for some in _batches(set(terminals)):
            rank = (
                sa.func.row_number()
                .over(
                    partition_by=table.c.terminal_number,
                    order_by=(table.c.time.desc(), table.c.digest.desc()),
                )
                .label("rank")
            )
            ranked = (
                sa.select(table, known.c.terminal, rank)
                .join(known, known.c.number == table.c.terminal_number)
                .where(known.c.terminal.in_(some), table.c.time >= since)
                .subquery()
            )
            for row in self._session.execute(sa.select(ranked).where(ranked.c.rank == 1)):
                found[row.terminal] = read_fix(row, row.terminal)
        return found

    def list_raw(self, terminal: str, since: int, until: int) -> list[RawFrame]:
        """Raw frames of a terminal that were received, or hold fixes, in the span; by receipt."""
        table = _table(RawFrameRow)
        number = self._number(terminal)
        if number is None:
            return []
        rows = self._session.execute(
            sa.select(table).where(
                table.c.terminal_number == number,
                table.c.received >= since,  # nothing is received before it was
                sa.or_(
                    table.c.received <= until,
                    sa.and_(table.c.first_time <= until, table.c.last_time >= since),
                ),
            )
        )
        found = [
            _RawRow(row.source, row.received, row.first_time, row.last_time, _unpacked(row))
            for row in rows
        ]
        days = _table(RawDayRow)
        packed = self._session.execute(
            sa.select(days.c.data).where(
                days.c.terminal_number == number,
                days.c.day >= since // _DAY_S,
                sa.or_(
                    days.c.day <= until // _DAY_S,
                    sa.and_(days.c.first_time <= until, days.c.last_time >= since),
                ),
            )
        )
        for day in packed.scalars():
            found.extend(
                one
                for one in _unpack_day(day)
                if since <= one.received
                and (one.received <= until or (one.first_time <= until and one.last_time >= since))
            )
        return [RawFrame(one.source, one.received, one.data) for one in _each_once(found)]

    def pack_raw(self, day: int, limit: int) -> int:
        """Packs the raw frames of terminals received before a UTC day, a row a terminal and day."""
        table, days = _table(RawFrameRow), _table(RawDayRow)
        of_day = table.c.received // _DAY_S
        due = self._session.execute(
            sa.select(of_day, table.c.terminal_number)
            .where(table.c.received < day * _DAY_S)
            .group_by(of_day, table.c.terminal_number)
            .order_by(of_day)
            .limit(limit)
        ).all()
        for which_day, number in due:
            which = sa.and_(
                table.c.terminal_number == number,
                table.c.received.between(which_day * _DAY_S, which_day * _DAY_S + _DAY_S - 1),
            )
            same_day = sa.and_(days.c.day == which_day, days.c.terminal_number == number)
            before = self._session.execute(
                sa.select(days.c.data).where(same_day)
            ).scalar_one_or_none()  # frames that came in after the day was packed
            rows = [] if before is None else _unpack_day(before)
            rows += [
                _RawRow(row.source, row.received, row.first_time, row.last_time, _unpacked(row))
                for row in self._session.execute(sa.select(table).where(which))
            ]
            rows = _each_once(rows)
            self._replace(
                RawDayRow,
                ("day", "terminal_number"),
                {
                    "day": which_day,
                    "terminal_number": number,
                    "frames": len(rows),
                    "first_time": min(one.first_time for one in rows),
                    "last_time": max(one.last_time for one in rows),
                    "data": _pack_day(rows),
                },
            )
            self._session.execute(sa.delete(table).where(which))
        return len(due)

    def prepare_days(self, days: range) -> int:
        """Makes room for the fixes of days to come, where the database keeps days apart; how many."""
        return (
            fix_days.prepare_days(self._session, days)
            if fix_days.is_partitioned(self._session)
            else 0
        )

    def forget(self, before: int, protected: Collection[TripId]) -> int:
        """Deletes fixes and raw frames older than an instant by the device's clock."""
        trips = _table(TrackedTripRow).c
        live: sa.ColumnElement[bool] = trips.state.not_in([int(state) for state in OVER])
        if protected:
            # written into the statement: there may be more loans than a statement takes variables
            names: sa.BindParameter[list[str]] = sa.bindparam(
                "kept", sorted(protected), expanding=True, literal_execute=True
            )
            live = sa.or_(live, trips.trip.in_(names))
        gone = self._drop_days(before, live)
        for row, first, last in (
            (FixRow, "time", "time"),
            (RawFrameRow, "first_time", "last_time"),
            (RawDayRow, "first_time", "last_time"),
        ):
            table = _table(row)
            around = sa.exists().where(
                trips.terminal_number == table.c.terminal_number,
                trips.opens - MARGIN_S <= table.c[last],
                trips.closes + MARGIN_S >= table.c[first],
                live,
            )
            done = self._session.execute(sa.delete(table).where(table.c[last] < before, ~around))
            gone += done.rowcount  # type: ignore[attr-defined]  # a DELETE's result has it
        return gone

    def _drop_days(self, before: int, live: sa.ColumnElement[bool]) -> int:
        """Drops whole days of fixes that no trip needs any more; how many fixes."""
        if not fix_days.is_partitioned(self._session):
            return 0
        trips, gone = _table(TrackedTripRow).c, 0
        for day in fix_days.list_days(self._session):
            if day.until > before:
                break
            needed = sa.exists().where(
                trips.opens - MARGIN_S < day.until, trips.closes + MARGIN_S >= day.since, live
            )
            if not self._session.execute(sa.select(needed)).scalar_one():
                gone += fix_days.drop_day(self._session, day)
        return gone

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
        found = self._trips(_table(TrackedTripRow).c.trip == trip)
        return found[0] if found else None

    def list_trips(self, states: Collection[TripState] | None = None) -> list[Trip]:
        """Trips under watch, by opening."""
        if states is None:
            return self._trips()
        return self._trips(_table(TrackedTripRow).c.state.in_([int(state) for state in states]))

    def list_trips_by_id(self, trips: Collection[TripId]) -> list[Trip]:
        """Those of the trips that are under watch here, by opening."""
        columns = _table(TrackedTripRow).c
        found = [
            trip for some in _batches(set(trips)) for trip in self._trips(columns.trip.in_(some))
        ]
        return sorted(found, key=lambda trip: (trip.opens, trip.trip))

    def list_trips_between(self, since: int, until: int) -> list[Trip]:
        """Trips whose window meets a span of time, by opening."""
        columns = _table(TrackedTripRow).c
        return self._trips(columns.opens <= until, columns.closes >= since)

    def find_trip_of_terminal(self, terminal: str, at: int) -> Trip | None:
        """The trip a terminal is on at an instant: open window, not over; the one opened last."""
        columns = _table(TrackedTripRow).c
        found = self._trips(
            _table(TerminalRow).c.terminal == terminal,
            columns.opens <= at,
            columns.closes >= at,
            columns.state.not_in([int(state) for state in OVER]),
        )
        return found[-1] if found else None

    def list_trips_naming(self, terminal: str, limit: int) -> list[TripId]:
        """Trips that name a terminal, whatever their state, the one opened last first."""
        trips = _table(TrackedTripRow)
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
        trips = _table(TrackedTripRow)
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
        table = _table(TrackedTripRow)
        self._update(table, table.c.trip == trip.trip, _trip_values(trip))
        if trip.trip in self._ahead:
            self._ahead[trip.trip] = trip

    def _trips(self, *conditions: Any) -> list[Trip]:
        table, known = _table(TrackedTripRow), _table(TerminalRow)
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
        self._session.connection().execute(sa.insert(_table(TrackBatchRow)), [values])

    def save_batch(self, batch: TrackBatchRecord) -> None:
        """Writes attestor and commitment of a known batch."""
        table = _table(TrackBatchRow)
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
        columns = _table(TrackBatchRow).c
        for some in _batches(trips):
            query = sa.select(columns.trip, columns.number, columns.root)
            for row in self._session.execute(query.where(columns.trip.in_(some))):
                self._roots[TripId(row.trip)][row.number] = row.root

    def list_batches(self, trip: TripId) -> list[TrackBatchRecord]:
        """Batches of a trip by index."""
        columns = _table(TrackBatchRow).c
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
        columns = _table(TrackBatchRow).c
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
        table = _table(TrackVerdictRow)
        found = {}
        for some in _batches(set(trips)):
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
        columns = _table(TrackVerdictRow).c
        found: dict[TripId, str] = {}
        for some in _batches(set(trips)):
            query = sa.select(columns.trip, columns.verdict).where(columns.trip.in_(some))
            found |= {TripId(row.trip): row.verdict for row in self._session.execute(query)}
        return found

    def save_evidence(self, trip: TripId, document: Mapping[str, Any]) -> None:
        """Freezes the evidence a trip was judged on; an earlier one is replaced."""
        packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode())
        self._replace(TrackEvidenceRow, ("trip",), {"trip": trip, "document": packed})

    def find_evidence(self, trip: TripId) -> dict[str, Any] | None:
        """The evidence a trip was judged on."""
        table = _table(TrackEvidenceRow)
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
        columns = _table(TrackSignatureRow).c
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
        write = _replacer(_table(TrackAttestationRow), ("trip", "attestor"), names)
        write_later(self._session, write, values)

    def list_attestations(self, trip: TripId) -> list[AttestationRecord]:
        """Attestations on a trip, by attestor."""
        table = _table(TrackAttestationRow)
        rows = self._session.execute(sa.select(table).where(table.c.trip == trip))
        return sorted((_attestation(row) for row in rows), key=lambda one: one.attestor)

    def list_waiting(self, attestor: PartyId) -> list[Waiting]:
        """Trips on the road that were judged and wait for an attestor's word, in one question."""
        trips, verdicts = _table(TrackedTripRow).c, _table(TrackVerdictRow).c
        said = _table(TrackAttestationRow).c
        query = (
            sa.select(trips.trip, trips.version, trips.vehicle, trips.plan_hash, trips.policy_hash)
            .join(_table(TrackVerdictRow), verdicts.trip == trips.trip)
            .outerjoin(
                _table(TrackAttestationRow),
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
        table = _table(TrackAttestationRow)
        row = self._session.execute(
            sa.select(table).where(table.c.trip == trip, table.c.attestor == _party_text(attestor))
        ).one_or_none()
        return None if row is None else _attestation(row)

    # --- statements ----------------------------------------------------------------------------

    def _add_new(
        self, table: sa.Table, columns: tuple[str, ...], rows: list[tuple[Any, ...]]
    ) -> None:
        """Inserts what is new, many rows a statement, by the driver itself.

        SQLAlchemy's work a row costs more than the row; and SQLite's driver lets go of the interpreter
        at every statement, so that one a row would wait for the gateway's loop thousands of times.
        """
        connection = self._session.connection()
        mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
        at = 0
        for size in _ROWS_AT_ONCE:
            while len(rows) - at >= size:
                flat = tuple(itertools.chain.from_iterable(rows[at : at + size]))
                connection.exec_driver_sql(_insert_text(table.name, columns, size, mark), flat)
                at += size

    def _update(self, table: sa.Table, which: Any, values: dict[str, Any]) -> None:
        done = self._session.execute(sa.update(table).where(which).values(**values))
        if done.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has it
            raise TripUnknownError(table=table.name)

    def _replace(self, row: Any, key: tuple[str, ...], values: dict[str, Any]) -> None:
        write_later(self._session, _replacer(_table(row), key, tuple(values)), values)


def _add_trips(session: Session, trips: list[dict[str, Any]]) -> None:
    session.connection().execute(_ADDING_TRIP, trips)


def _commit_batches(session: Session, committed: list[dict[str, Any]]) -> None:
    session.connection().execute(_COMMITTING, committed)


def _move_trips(session: Session, moved: list[dict[str, Any]]) -> None:
    session.connection().execute(_MOVING, moved)


@functools.cache
def _replacer(
    table: sa.Table, key: tuple[str, ...], names: tuple[str, ...]
) -> Callable[[Session, list[dict[str, Any]]], None]:
    """Writes rows, or what is new of those whose key is known, except what is not among ``names``."""

    def write(session: Session, rows: list[dict[str, Any]]) -> None:
        statement = _replacing(session.get_bind().dialect.name, table, key, names)
        session.connection().execute(statement, rows)

    return write


@functools.cache
def _replacing(dialect: str, table: sa.Table, key: tuple[str, ...], names: tuple[str, ...]) -> Any:
    insert = insert_into(dialect, table)
    rest = {name: insert.excluded[name] for name in names if name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=rest)


@functools.cache
def _insert_text(table: str, columns: tuple[str, ...], rows: int, mark: str) -> str:
    row = f"({', '.join([mark] * len(columns))})"
    values = ", ".join([row] * rows)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608  names of our own tables


def _table(row: Any) -> sa.Table:
    table: sa.Table = row.__table__
    return table


def _party_text(party: int) -> str:
    return str(party) if party else ""


def _terminal(row: Any) -> Terminal:
    return Terminal(
        row.number,
        row.terminal,
        Hash32(row.vehicle),
        row.auth_hash,
        row.device_hash,
        None if row.owner is None else PartyId(int(row.owner)),
    )


_RAW_COLUMNS = (
    "terminal_number",
    "source",
    "received",
    "first_time",
    "last_time",
    "piece",
    "packed",
    "data",
)


def _raw_values(entry: RawEntry) -> tuple[Any, ...]:
    number, (source, received, data), first, last, piece = entry
    if len(data) > _WORTH_PACKING:
        packed = zlib.compress(data, 6)
        if len(packed) < len(data):
            return (number, source, received, first, last, piece, True, packed)
    return (number, source, received, first, last, piece, False, data)


class _RawRow(NamedTuple):
    source: str
    received: int
    first_time: int
    last_time: int
    data: bytes


_PACKED_HEAD = struct.Struct(">8sqqqI")


def _each_once(rows: Iterable[_RawRow]) -> list[_RawRow]:
    """By receipt, then bytes; of the same bytes the ones received first."""
    once: dict[tuple[str, bytes], _RawRow] = {}
    for one in sorted(rows, key=lambda row: (row.received, row.source, row.data)):
        once.setdefault((one.source, one.data), one)
    return list(once.values())


def _unpacked(row: Any) -> bytes:
    data: bytes = row.data
    return zlib.decompress(data) if row.packed else data


def _pack_day(rows: Iterable[_RawRow]) -> bytes:
    """Heads and bytes one after the other; frames of one terminal are alike, so zlib makes them small."""
    parts = []
    for one in rows:
        parts.append(
            _PACKED_HEAD.pack(
                one.source.encode("ascii"),
                one.received,
                one.first_time,
                one.last_time,
                len(one.data),
            )
        )
        parts.append(one.data)
    return zlib.compress(b"".join(parts), 9)


def _unpack_day(packed: bytes) -> list[_RawRow]:
    data, at, rows = zlib.decompress(packed), 0, []
    while at < len(data):
        source, received, first, last, size = _PACKED_HEAD.unpack_from(data, at)
        at += _PACKED_HEAD.size
        name = source.rstrip(b"\0").decode("ascii")
        rows.append(_RawRow(name, received, first, last, data[at : at + size]))
        at += size
    return rows


_FIX_COLUMNS = (
    "terminal_number",
    "time",
    "digest",
    "lat_e6",
    "lon_e6",
    "speed_dkmh",
    "heading",
    "received",
    "altitude_m",
    "satellites",
    "valid",
    "odometer_dkm",
    "recorder_dkmh",
    "status",
    "alarm",
    "late",
    "items_ok",
)


def _fix_values(number: int, fix: Fix) -> tuple[Any, ...]:
    """In the order of ``_FIX_COLUMNS``, which is that of the fields of a fix but for its terminal."""
    return (number, fix[0], fix_digest(fix), *fix[1:6], *fix[7:])


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
