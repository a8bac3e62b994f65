"""What the watch over trips under way reads and writes, inside a session that is given."""

from __future__ import annotations

import functools
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from chain.ids import Hash32, TripId
from tracking.alerts import Alert
from tracking.findings import Severity
from tracking.fix import Fix
from tracking.ports import Raised, TripOnRoad
from tracking.stream import Progress
from tracking.tables import FixRow, TerminalRow, TrackedTripRow, TripAlertRow, TripProgressRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sqlmodel import Session

    from chain.bindings.enums import TripState

_IN_AT_ONCE = 500
_PROGRESS = tuple(one.name for one in fields(Progress))


class WatchRecords:
    """The part of ``tracking.ports.Records`` that a watch uses, on SQLite and PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session
        dialect = session.get_bind().dialect.name
        self._insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._newer = _newer(dialect)

    def list_newer(self, since: Mapping[str, int], until: int) -> dict[str, list[Fix]]:
        """Fixes of many terminals, each newer than its own instant by the device's clock, in order."""
        found: dict[str, list[Fix]] = {}
        asked = json.dumps(list(since.items()))
        rows = self._session.execute(self._newer, {"asked": asked, "until": until})
        for fix in map(Fix._make, rows):
            found.setdefault(fix.terminal, []).append(fix)
        return found

    def list_on_road(
        self, states: Collection[TripState], since: int, until: int
    ) -> list[TripOnRoad]:
        """Trips in some states whose window meets a span of time, without their plans, by opening."""
        trips, known = _table(TrackedTripRow).c, _table(TerminalRow)
        rows = self._session.execute(
            sa.select(
                trips.trip,
                known.c.terminal,
                trips.version,
                trips.plan_hash,
                trips.opens,
                trips.closes,
            )
            .join(known, known.c.number == trips.terminal_number)
            .where(
                trips.state.in_([int(state) for state in states]),
                trips.opens <= until,
                trips.closes >= since,
            )
            .order_by(trips.opens, trips.trip)
        )
        return [
            TripOnRoad(TripId(trip), terminal, version, Hash32(plan), opens, closes)
            for trip, terminal, version, plan, opens, closes in rows
        ]

    def add_alerts(self, alerts: Sequence[Raised]) -> list[Raised]:
        """Keeps alerts; those that were not known before (by trip, instant and code)."""
        table = _table(TripAlertRow)
        fresh = {(one.trip, one.alert.at, one.alert.code): one for one in alerts}
        for trips in _batches({one.trip for one in alerts}):
            rows = self._session.execute(
                sa.select(table.c.trip, table.c.at, table.c.code).where(table.c.trip.in_(trips))
            )
            for row in rows:
                fresh.pop((TripId(row.trip), row.at, row.code), None)
        if fresh:
            self._session.connection().execute(
                self._insert(table).on_conflict_do_nothing(),
                [
                    {
                        "trip": one.trip,
                        "at": one.alert.at,
                        "code": one.alert.code,
                        "severity": one.alert.severity.value,
                        "detail": json.dumps(one.alert.detail, separators=(",", ":")),
                        "raised": one.raised,
                    }
                    for one in fresh.values()
                ],
            )
        return list(fresh.values())

    def list_alerts(
        self, trips: Collection[TripId] | None, *, since: int = 0, limit: int = 200
    ) -> list[Raised]:
        """Alerts raised at or after an instant, newest first; of all trips where none are named."""
        table = _table(TripAlertRow)
        query = sa.select(table).where(table.c.raised >= since)
        if trips is not None:
            names: sa.BindParameter[list[str]] = sa.bindparam(
                "trips", sorted(trips), expanding=True, literal_execute=True
            )
            query = query.where(table.c.trip.in_(names))
        rows = self._session.execute(
            query.order_by(table.c.raised.desc(), table.c.at.desc(), table.c.code).limit(limit)
        )
        return [
            Raised(
                TripId(row.trip),
                Alert(row.code, Severity(row.severity), row.at, json.loads(row.detail)),
                row.raised,
            )
            for row in rows
        ]

    def save_progress(self, progress: Mapping[TripId, Progress]) -> None:
        """Writes down where trips are."""
        if not progress:
            return
        statement = self._insert(_table(TripProgressRow))
        rest = {name: statement.excluded[name] for name in _PROGRESS}
        self._session.connection().execute(
            statement.on_conflict_do_update(index_elements=("trip",), set_=rest),
            [
                {"trip": trip, **{name: getattr(one, name) for name in _PROGRESS}}
                for trip, one in progress.items()
            ],
        )

    def list_progress(self, trips: Collection[TripId]) -> dict[TripId, Progress]:
        """Where those of the trips are that somebody watches."""
        table = _table(TripProgressRow)
        return {
            TripId(row.trip): Progress(**{name: getattr(row, name) for name in _PROGRESS})
            for some in _batches(set(trips))
            for row in self._session.execute(sa.select(table).where(table.c.trip.in_(some)))
        }


def read_fix(row: Any, terminal: str) -> Fix:
    """A row of fixes as a fix."""
    return Fix(
        time=row.time,
        lat_e6=row.lat_e6,
        lon_e6=row.lon_e6,
        speed_dkmh=row.speed_dkmh,
        heading=row.heading,
        received=row.received,
        terminal=terminal,
        altitude_m=row.altitude_m,
        satellites=row.satellites,
        valid=row.valid,
        odometer_dkm=row.odometer_dkm,
        recorder_dkmh=row.recorder_dkmh,
        status=row.status,
        alarm=row.alarm,
        late=row.late,
        items_ok=row.items_ok,
    )


def _batches(values: Collection[Any]) -> Iterator[list[Any]]:
    ordered = list(values)
    for at in range(0, len(ordered), _IN_AT_ONCE):
        yield ordered[at : at + _IN_AT_ONCE]


def _table(row: Any) -> sa.Table:
    table: sa.Table = row.__table__
    return table


@functools.cache
def _newer(dialect: str) -> Any:
    """Fixes after an instant of each terminal's own; the list of them is one JSON value, so that the text stays one.

    A list of VALUES is a new text for every length, and to compile two thousand of them each second took a
    quarter of the watch's time.
    """
    table, known = _table(FixRow), _table(TerminalRow)
    given: Any = sa.bindparam("asked", type_=sa.String)
    if dialect == "sqlite":
        pair = sa.func.json_each(given).table_valued("value", name="asked").c.value
        terminal: Any = sa.func.json_extract(pair, "$[0]")
        since: Any = sa.func.json_extract(pair, "$[1]")
    else:
        elements = sa.func.jsonb_array_elements(sa.cast(given, postgresql.JSONB))
        pair = elements.table_valued(sa.column("value", postgresql.JSONB), name="asked").c.value
        terminal, since = pair[0].astext, sa.cast(pair[1].astext, sa.BigInteger)
    columns = [known.c.terminal if name == "terminal" else table.c[name] for name in Fix._fields]
    return (
        sa.select(*columns)
        .select_from(pair.table)
        .join(known, known.c.terminal == terminal)
        .join(table, sa.and_(table.c.terminal_number == known.c.number, table.c.time > since))
        .where(table.c.time <= sa.bindparam("until"))
        .order_by(table.c.terminal_number, table.c.time, table.c.digest)
    )
