"""Every party's trips at a glance: one row for each trip and party, kept up as events come in.

A projection for lists, counters and the exceptions inbox, so that they stay quick with any number of trips.
It holds ids, keyed hashes, amounts and times, never a name, a number or a plate: those are read with the
few rows that are shown. ``api.flow`` refreshes a trip after each event about it, the judge's job after a
verdict; ``catch_up`` fills in trips that stood before there was a board.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
import sqlmodel
from sqlmodel import Session, col

from api.stages import OPEN, Hold, Stage, holds_of, stage_of
from api.tables import BoardRow
from chain.clock import beijing_day
from chain.delivery import HeldTrip
from chain.ids import PartyId, TripId
from chain.waybill import HeldWaybill
from finance.records import AdvanceRecord

EVERYBODY = "*"
"""The party of the rows that an observer sees."""

AT_ONCE = 500
"""Trips of one question."""

_SHOWN = (
    *("stage", "loads_at", "deliver_by", "day", "note", "vehicle"),
    *("freight_fen", "released_fen", "waits_fen", "hold"),
)

LATE_PICKUP_S = 3600
"""A truck that is not loaded this long after its window opened is an exception."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A trip on a party's board. Amounts in fen.

    Attributes:
        loads_at: when its window opens. deliver_by: when it closes.
        waits_fen: what the driver is still to receive.
        hold: the gravest reason why nothing moves, "" if there is none.
    """

    trip: TripId
    stage: Stage
    loads_at: dt.datetime
    deliver_by: dt.datetime
    freight_fen: int
    released_fen: int
    waits_fen: int
    hold: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which trips of a board.

    Attributes:
        stages: any of these; every stage if empty.
        first_day: Beijing day on which its window opens, at the earliest. last_day: at the latest.
        named: keyed hashes: of the shipping note or of the plate, any of them.
        late: only those that are late to load or to deliver at this instant.
    """

    stages: Sequence[Stage] = ()
    first_day: int | None = None
    last_day: int | None = None
    named: Sequence[str] = ()
    late: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Trips of one stage. Amounts in fen."""

    trips: int
    freight_fen: int
    waits_fen: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a trip stands: everything that boards show of it.

    Attributes:
        trip: as the chain has it.
        path: its waybills from the leaf up.
        verdict: "" before there is one.
        advance: on this trip.
        tolerance_bps: of the advance's line.
    """

    trip: HeldTrip
    path: Sequence[HeldWaybill]
    verdict: str
    advance: AdvanceRecord | None
    tolerance_bps: int = 0

    def parties(self) -> set[str]:
        """On whose boards it is."""
        found = {
            str(party)
            for one in self.path
            for party in (one.form.issuer, one.form.performer, one.form.consignee)
        }
        return found if self.advance is None else found | {str(self.advance.lender)}

    def values(self) -> dict[str, Any]:
        """What is written on each of them."""
        leaf, advance = self.path[0], self.advance
        holds = holds_of(self.trip, self.verdict, advance, tolerance_bps=self.tolerance_bps)
        loads_at = dt.datetime.fromtimestamp(leaf.form.load_from, dt.UTC)
        stage = stage_of(self.trip, leaf, self.verdict, advance, held=bool(holds))
        return {
            "stage": stage.value,
            "loads_at": loads_at,
            "deliver_by": dt.datetime.fromtimestamp(leaf.form.deliver_by, dt.UTC),
            "day": beijing_day(loads_at),
            "note": leaf.form.shipping_note,
            "vehicle": leaf.form.vehicle,
            "freight_fen": leaf.freight,
            "released_fen": advance.released_fen if advance else 0,
            "waits_fen": max(0, leaf.freight - leaf.credited - leaf.paid),
            "hold": holds[0].value if holds else "",
        }


_TABLE: sa.Table = BoardRow.__table__  # type: ignore[attr-defined]  # every table class has it
_NEW = sa.insert(_TABLE)
_AGAIN = (
    sa.update(_TABLE)
    .where(_TABLE.c.trip == sa.bindparam("which"))
    .values({name: sa.bindparam(name) for name in _SHOWN})
)


class Board:
    """The boards in one database session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def note(self, standings: Sequence[Standing]) -> None:
        """Writes trips as they now are on the boards of everyone they concern."""
        known: dict[str, set[str]] = {one.trip.id: set() for one in standings}
        for at in range(0, len(standings), AT_ONCE):
            trips = [one.trip.id for one in standings[at : at + AT_ONCE]]
            query = sqlmodel.select(BoardRow.trip, BoardRow.party)
            for trip, party in self._session.exec(query.where(col(BoardRow.trip).in_(trips))):
                known[trip].add(party)
        again, new = [], []
        for one in standings:
            values = one.values()
            if known[one.trip.id]:
                again.append({"which": one.trip.id, **values})
            new += [
                {"party": party, "trip": one.trip.id, **values}
                for party in sorted({EVERYBODY, *one.parties()} - known[one.trip.id])
            ]
        if again:
            self._session.connection().execute(_AGAIN, again)
        if new:
            self._session.connection().execute(_NEW, new)

    def page(
        self,
        party: PartyId | None,
        wanted: Wanted,
        *,
        before: tuple[dt.datetime, str] | None = None,
        limit: int,
    ) -> list[Noted]:
        """A page of a party's trips, the latest window first; every trip if no party.

        Args:
            party: whose board.
            wanted: which trips.
            before: (loads_at, trip) of the last one of the page before.
            limit: most of them.
        """
        if wanted.named:
            # A question for each index in turn: in one, the order makes SQLite read the party's whole board.
            bare, names = replace(wanted, named=()), list(wanted.named)
            by_trip = {
                row.trip: row
                for column in (BoardRow.note, BoardRow.vehicle)
                for row in self._rows(party, bare, before, limit, col(column).in_(names))
            }
            rows = sorted(by_trip.values(), key=lambda row: (row.loads_at, row.trip), reverse=True)
        else:
            rows = self._rows(party, wanted, before, limit)
        return [
            Noted(
                trip=TripId(row.trip),
                stage=Stage(row.stage),
                loads_at=row.loads_at,
                deliver_by=row.deliver_by,
                freight_fen=row.freight_fen,
                released_fen=row.released_fen,
                waits_fen=row.waits_fen,
                hold=row.hold,
            )
            for row in rows[:limit]
        ]

    def _rows(
        self,
        party: PartyId | None,
        wanted: Wanted,
        before: tuple[dt.datetime, str] | None,
        limit: int,
        *more: sa.ColumnElement[bool],
    ) -> list[BoardRow]:
        query = sqlmodel.select(BoardRow).where(*_conditions(party, wanted), *more)
        if before is not None:
            query = query.where(sa.tuple_(col(BoardRow.loads_at), col(BoardRow.trip)) < before)
        loads_at: Any = col(BoardRow.loads_at)
        if more:  # no bare column, or SQLite would walk the index of the order past the whole board
            loads_at = sa.func.coalesce(loads_at, loads_at)
        query = query.order_by(loads_at.desc(), col(BoardRow.trip).desc())
        return list(self._session.exec(query.limit(limit)))

    def list_ids(
        self, party: PartyId | None, *, after: str = "", before: str = "", limit: int
    ) -> list[TripId]:
        """A page of a party's trips by id; ``before`` gives the page that ends before a cursor."""
        trip = col(BoardRow.trip)
        query = sqlmodel.select(BoardRow.trip).where(
            col(BoardRow.party) == (EVERYBODY if party is None else str(party)), trip > after
        )
        if before:
            rows = self._session.exec(query.where(trip < before).order_by(trip.desc()).limit(limit))
            return [TripId(one) for one in rows][::-1]
        return [TripId(one) for one in self._session.exec(query.order_by(trip).limit(limit))]

    def count(self, party: PartyId | None, wanted: Wanted | None = None) -> dict[Stage, Count]:
        """How many trips of a party stand in each stage, with their money."""
        query = (
            sa.select(
                col(BoardRow.stage),
                sa.func.count(),
                sa.func.sum(col(BoardRow.freight_fen)),
                sa.func.sum(col(BoardRow.waits_fen)),
            )
            .where(*_conditions(party, wanted or Wanted()))
            .group_by(col(BoardRow.stage))
        )
        found = self._session.execute(query).all()
        counts = {
            Stage(stage): Count(int(trips), int(freight), int(waits))
            for stage, trips, freight, waits in found
        }
        return {stage: counts.get(stage, Count(0, 0, 0)) for stage in Stage}

    def list_holds(self, party: PartyId | None) -> Mapping[Hold, int]:
        """How many trips of a party are held, by the gravest reason."""
        query = (
            sa.select(col(BoardRow.hold), sa.func.count())
            .where(*_conditions(party, Wanted(stages=(Stage.HELD, Stage.VOID))))
            .group_by(col(BoardRow.hold))
        )
        return {Hold(hold): int(trips) for hold, trips in self._session.execute(query) if hold}

    def find_last_day(self, party: PartyId | None, until: int) -> int | None:
        """The last Beijing day up to one on which a trip of a party loads."""
        query = sa.select(sa.func.max(col(BoardRow.day))).where(
            *_conditions(party, Wanted(last_day=until))
        )
        return self._session.execute(query).scalar()

    def missing(self, trips: Iterable[TripId]) -> list[TripId]:
        """Those of some trips that are on no board."""
        asked = list(trips)
        query = sqlmodel.select(BoardRow.trip).where(
            col(BoardRow.party) == EVERYBODY, col(BoardRow.trip).in_(asked)
        )
        known = set(self._session.exec(query).all())
        return [trip for trip in asked if trip not in known]


def _conditions(party: PartyId | None, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = [
        col(BoardRow.party) == (EVERYBODY if party is None else str(party))
    ]
    if wanted.stages:
        found.append(col(BoardRow.stage).in_([stage.value for stage in wanted.stages]))
    if wanted.first_day is not None:
        found.append(col(BoardRow.day) >= wanted.first_day)
    if wanted.last_day is not None:
        found.append(col(BoardRow.day) <= wanted.last_day)
    if wanted.named:
        # Two questions by index in one: an OR of both columns would read the party's whole board.
        of_party, names = found[0], list(wanted.named)
        found.append(
            col(BoardRow.trip).in_(
                sa.union_all(
                    *(
                        sa.select(col(BoardRow.trip)).where(of_party, col(column).in_(names))
                        for column in (BoardRow.note, BoardRow.vehicle)
                    )
                )
            )
        )
    if wanted.late is not None:
        waiting = (Stage.SIGNED.value, Stage.APPROVED.value)
        under_way = [stage.value for stage in OPEN if stage is not Stage.DELIVERED]
        opened = wanted.late - dt.timedelta(seconds=LATE_PICKUP_S)
        found.append(
            sa.or_(
                sa.and_(col(BoardRow.stage).in_(waiting), col(BoardRow.loads_at) < opened),
                sa.and_(col(BoardRow.stage).in_(under_way), col(BoardRow.deliver_by) < wanted.late),
            )
        )
    return found
