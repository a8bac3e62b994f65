"""Terminals, raw frames and fixes as rows, inside a session that is given; every bulk write is one statement."""

from __future__ import annotations

import functools
import hashlib
import itertools
import operator
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from chain.ids import Hash32, PartyId, TripId
from chain.storage import insert_into, write_later
from tracking import fix_days
from tracking.errors import TripUnknownError
from tracking.tables import (
    FixRow,
    RawDayRow,
    RawFrameRow,
    TerminalRow,
    TrackedTripRow,
)
from tracking.trip import (
    MARGIN_S,
    OVER,
    Member,
    RawFrame,
    Terminal,
)
from tracking.watch_records import WatchRecords, read_fix

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from sqlmodel import Session

    from tracking.fix import Fix
    from tracking.ports import RawEntry

_IN_AT_ONCE = 500
"""Values of one IN list; SQLite takes 32,766 variables, planners like fewer."""

_NO_NUMBER = -(1 << 63)
_DIGEST = struct.Struct(">13q")
_DAY_S = 86_400
_BY_KEY = operator.itemgetter(0, 1, 2)
_ROWS_AT_ONCE = (1024, 256, 64, 16, 4, 1)
"""Rows of one INSERT: few different texts, so that they stay prepared; 1,024 fixes are 17,408 variables."""
_WORTH_PACKING = 200
"""Bytes; below it a frame's own bytes are as short as zlib makes them."""


_TERMINAL: sa.Table = TerminalRow.__table__  # type: ignore[attr-defined]  # every table class has it
_ADDING_TERMINAL = sa.insert(_TERMINAL).returning(_TERMINAL.c.number)


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


def in_parts(values: Collection[Any]) -> Iterator[list[Any]]:
    """Values cut into as many as one IN list takes."""
    ordered = list(values)
    for at in range(0, len(ordered), _IN_AT_ONCE):
        yield ordered[at : at + _IN_AT_ONCE]


def table_of(row: Any) -> sa.Table:
    """The table of a row's class."""
    table: sa.Table = row.__table__
    return table


class FixRecords(WatchRecords):
    """The part of ``tracking.ports.Records`` that keeps what came in, on SQLite and PostgreSQL."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        # what was read ahead; None where there is none
        self._terminals: dict[str, Terminal | None] = {}

    # --- terminals -----------------------------------------------------------------------------

    def find_terminals(self, terminals: Collection[str]) -> dict[str, Terminal]:
        """Known terminals by normalised id."""
        table = table_of(TerminalRow)
        wanted = set(terminals)
        at_hand = {name: self._terminals[name] for name in wanted & self._terminals.keys()}
        found = {name: one for name, one in at_hand.items() if one is not None}
        for some in in_parts(wanted - at_hand.keys()):
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
            table = table_of(TerminalRow)
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
        table = table_of(TerminalRow)
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
        table = table_of(TerminalRow)
        self._terminals.clear()
        self._session.connection().execute(
            sa.update(table).where(table.c.number == number).values(owner=None)
        )

    def _number(self, terminal: str) -> int | None:
        known = self._terminals.get(terminal)
        if known is not None:
            return known.number
        table = table_of(TerminalRow)
        return self._session.execute(
            sa.select(table.c.number).where(table.c.terminal == terminal)
        ).scalar_one_or_none()

    # --- raw frames and fixes ------------------------------------------------------------------

    def add_raw(self, entries: Sequence[RawEntry]) -> None:
        """Keeps raw frames, one after the other."""
        if entries:
            self._add_new(
                table_of(RawFrameRow), _RAW_COLUMNS, [_raw_values(one) for one in entries]
            )

    def add_fixes(self, fixes: Sequence[tuple[int, Fix]]) -> None:
        """Keeps fixes (terminal number, fix); one known before changes nothing."""
        if fixes:
            rows = [_fix_values(number, fix) for number, fix in fixes]
            rows.sort(key=_BY_KEY)  # in the order of the key: neighbours share a page
            self._add_new(table_of(FixRow), _FIX_COLUMNS, rows)

    def count_fixes(self, terminal_number: int, since: int, until: int) -> int:
        """Fixes of a terminal by its own clock, both ends included."""
        columns = table_of(FixRow).c
        count: int = self._session.execute(
            sa.select(sa.func.count()).where(
                columns.terminal_number == terminal_number, columns.time.between(since, until)
            )
        ).scalar_one()
        return count

    def count_all(self) -> int:
        """All fixes kept; for measuring, it reads the whole table."""
        count: int = self._session.execute(
            sa.select(sa.func.count()).select_from(table_of(FixRow))
        ).scalar_one()
        return count

    def list_fixes(self, terminal: str, since: int, until: int) -> list[Fix]:
        """Fixes of a terminal by its own clock, both ends included, in canonical order."""
        table = table_of(FixRow)
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
        columns = table_of(FixRow).c
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
        table, known = table_of(FixRow), table_of(TerminalRow)
        found: dict[str, Fix] = {}
        for some in in_parts(set(terminals)):
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
        table = table_of(RawFrameRow)
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
        days = table_of(RawDayRow)
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
        table, days = table_of(RawFrameRow), table_of(RawDayRow)
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
        trips = table_of(TrackedTripRow).c
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
            table = table_of(row)
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
        trips, gone = table_of(TrackedTripRow).c, 0
        for day in fix_days.list_days(self._session):
            if day.until > before:
                break
            needed = sa.exists().where(
                trips.opens - MARGIN_S < day.until, trips.closes + MARGIN_S >= day.since, live
            )
            if not self._session.execute(sa.select(needed)).scalar_one():
                gone += fix_days.drop_day(self._session, day)
        return gone

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
        write_later(self._session, replacer(table_of(row), key, tuple(values)), values)


@functools.cache
def replacer(
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
