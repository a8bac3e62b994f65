"""Parties, waybills and trips as rows (keeps ``chain.ports.Records``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from chain.abi import json_value
from chain.bindings.enums import TripState
from chain.bindings.structs import Waybill
from chain.delivery import HeldTrip
from chain.errors import NotFoundError
from chain.ids import Address, Hash32, PartyId, TripId, WaybillId
from chain.party import Party, PartyStage
from chain.storage import keyring_of
from chain.tables import PartyRow, TripRow, WaybillRow
from chain.waybill import MOST_TIERS, ZERO, HeldWaybill, Stage

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterator, Sequence

    from sqlmodel import Session

MANY = 1_000
"""Rows, or values in a question, at once."""

SIDES = ("issuer", "performer", "consignee")
"""What a party can be in a waybill."""

_INTEGERS = (
    "issuer", "performer", "consignee", "freight", "quantity", "load_from", "deliver_by", "term_days", "expires",
)  # fmt: skip


_IS_HELD = sa.select(col(WaybillRow.number)).where(
    col(WaybillRow.waybill_id) == sa.bindparam("waybill")
)
_KEY_OF = sa.select(col(PartyRow.key)).where(
    col(PartyRow.party_id) == sa.bindparam("party"),
    col(PartyRow.stage) == PartyStage.REGISTERED.value,
)


class SqlRecords:
    """The rows of one database transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        # waybills are asked for by id many times within one database transaction
        self._known: dict[str, WaybillRow] = {}
        self._parties: dict[PartyId, PartyRow] = {}
        self._trips: dict[TripId, TripRow | None] = {}  # None where there is none
        self._leaves: dict[TripId, WaybillRow] = {}

    def read_ahead(self, waybills: Collection[str], trips: Collection[str]) -> None:
        """Reads what many events are about in few questions, so that each is answered from memory.

        Args:
            waybills: read with everything above them.
            trips: read with their leaves.
        """
        for some in _pieces(trips):
            query = select(WaybillRow).where(col(WaybillRow.trip_id).in_(some))
            for row in self._session.exec(query.order_by(col(WaybillRow.number))):
                self._known[row.waybill_id] = row
                self._leaves[TripId(row.trip_id or "")] = row
        self._read_paths({*waybills, *(row.waybill_id for row in self._leaves.values())})
        named = {row.trip_id for row in self._known.values() if row.trip_id}
        for some in _pieces({*trips, *named}):
            self._trips |= {TripId(one): None for one in some if one not in self._trips}
            for trip in self._session.exec(select(TripRow).where(col(TripRow.trip_id).in_(some))):
                self._trips[TripId(trip.trip_id)] = trip

    def _read_paths(self, waybills: Collection[str]) -> None:
        """Reads waybills and everything above them; one question for each tier."""
        wanted = set(waybills)
        while wanted:
            for some in _pieces(wanted - self._known.keys()):
                query = select(WaybillRow).where(col(WaybillRow.waybill_id).in_(some))
                self._known |= {row.waybill_id: row for row in self._session.exec(query)}
            above = {self._known[one].parent_id for one in wanted if one in self._known}
            wanted = {one for one in above if one}

    # -- parties ------------------------------------------------------------------------------

    def find_party(self, party: PartyId) -> Party | None:
        """A party by its id."""
        row = self._parties.get(party) or self._session.get(PartyRow, str(party))
        if row is None:
            return None
        self._parties[party] = row  # a session forgets what nobody holds
        return _party(row)

    def find_key(self, party: PartyId) -> Address | None:
        """The present key of a registered party."""
        return self._session.execute(_KEY_OF, {"party": str(party)}).scalar_one_or_none()

    def find_party_by_key(self, key: Address) -> Party | None:
        """The party that a key speaks for."""
        row = self._session.exec(select(PartyRow).where(col(PartyRow.key) == key)).first()
        return None if row is None else _party(row)

    def get_party(self, party: PartyId) -> Party:
        """A party that must exist."""
        found = self.find_party(party)
        if found is None:
            raise NotFoundError(f"party {party} is not registered")
        return found

    def list_parties(self, parties: Sequence[PartyId]) -> dict[PartyId, Party]:
        """Several parties in one query."""
        wanted = sorted({str(party) for party in parties})
        rows = self._session.exec(select(PartyRow).where(col(PartyRow.party_id).in_(wanted)))
        return {found.id: found for found in map(_party, rows)}

    def list_parties_of_kind(self, kind: str, *, limit: int) -> list[Party]:
        """Registered parties of a kind, the first registered first."""
        query = (
            select(PartyRow)
            .where(col(PartyRow.kind) == kind, col(PartyRow.stage) == "registered")
            .order_by(col(PartyRow.registered_at), col(PartyRow.party_id))
            .limit(limit)
        )
        return [_party(row) for row in self._session.exec(query)]

    def add_party(self, party: Party) -> None:
        """A new party."""
        self._session.add(PartyRow(**self._party_row(party)))
        self._session.flush()

    def save_party(self, party: Party) -> None:
        """A party as it now is."""
        _assign(self._session.get_one(PartyRow, str(party.id)), self._party_row(party))

    # -- waybills -----------------------------------------------------------------------------

    def find_waybill(self, waybill: WaybillId) -> HeldWaybill | None:
        """A waybill by its id."""
        row = self._row(waybill)
        return None if row is None else held_waybill(row)

    def has_waybill(self, waybill: WaybillId) -> bool:
        """Whether a waybill is held here."""
        return self._session.execute(_IS_HELD, {"waybill": waybill}).first() is not None

    def get_waybill(self, waybill: WaybillId) -> HeldWaybill:
        """A waybill that must exist."""
        found = self.find_waybill(waybill)
        if found is None:
            raise NotFoundError("there is no such waybill", given=waybill)
        return found

    def list_ancestors(self, waybill: WaybillId) -> list[HeldWaybill]:
        """The waybill itself first, then upwards to its root; empty if it is unknown."""
        first = self._row(waybill)
        if first is None:
            return []
        if first.parent_id is None:
            return [held_waybill(first)]
        if first.parent_id not in self._known:
            # One query for the chain (a chain is small), then the path is walked in memory.
            self._chain_rows(first.root_id)
        self._read_paths([waybill])
        return _path(waybill, self._known)

    def list_children(self, waybill: WaybillId) -> list[HeldWaybill]:
        """The waybills right below one, oldest first."""
        rows = self._session.exec(
            select(WaybillRow)
            .where(col(WaybillRow.parent_id) == waybill)
            .order_by(col(WaybillRow.number))
        )
        return [held_waybill(row) for row in rows]

    def list_chain(self, root: WaybillId) -> list[HeldWaybill]:
        """Every waybill below a root and the root itself, by tier, oldest first."""
        return [held_waybill(row) for row in self._chain_rows(root)]

    def find_leaf(self, trip: TripId) -> HeldWaybill | None:
        """The latest waybill that names a trip."""
        if trip in self._leaves:
            return held_waybill(self._leaves[trip])
        row = self._session.exec(
            select(WaybillRow)
            .where(col(WaybillRow.trip_id) == trip)
            .order_by(col(WaybillRow.number).desc())
            .limit(1)
        ).first()
        return None if row is None else held_waybill(row)

    def list_leaves(self, trips: Sequence[TripId]) -> dict[TripId, HeldWaybill]:
        """The latest waybill that names each of some trips, in a question for every thousand."""
        found: dict[TripId, HeldWaybill] = {}
        for first in range(0, len(trips), MANY):
            rows = self._session.exec(
                select(WaybillRow)
                .where(col(WaybillRow.trip_id).in_(trips[first : first + MANY]))
                .order_by(col(WaybillRow.number))
            )
            found |= {TripId(row.trip_id or ""): held_waybill(row) for row in rows}
        return found

    def list_parties_called(self, names: Sequence[str]) -> dict[str, list[Party]]:
        """Registered parties by the name that people call them, in either language."""
        found: dict[str, list[Party]] = {}
        for first in range(0, len(names), MANY):
            some = [self._name_index(name) for name in names[first : first + MANY]]
            rows = self._session.exec(
                select(PartyRow).where(
                    sa.or_(
                        col(PartyRow.name_zh_index).in_(some), col(PartyRow.name_en_index).in_(some)
                    ),
                    col(PartyRow.stage) == PartyStage.REGISTERED.value,
                )
            )
            for party in map(_party, rows):
                for name in {party.name_zh, party.name_en}.intersection(names):
                    found.setdefault(name, []).append(party)
        return found

    def _name_index(self, name: str) -> str:
        return keyring_of(self._session).blind("party.name", name)

    def _party_row(self, party: Party) -> dict[str, Any]:
        indexes = {
            "name_zh_index": self._name_index(party.name_zh),
            "name_en_index": self._name_index(party.name_en),
        }
        return _party_values(party) | indexes

    def add_waybills(self, waybills: Sequence[HeldWaybill]) -> None:
        """New waybills, many at once, in their order."""
        for first in range(0, len(waybills), MANY):
            self._session.execute(
                sa.insert(WaybillRow),
                [_waybill_values(one) for one in waybills[first : first + MANY]],
            )

    def list_waybills(
        self,
        *,
        party: PartyId | None,
        stage: Stage | None,
        before: int | None = None,
        after: int | None = None,
        side: str = "",
        parent: WaybillId | None = None,
        limit: int,
    ) -> list[tuple[int, HeldWaybill]]:
        """A page of waybills, newest first, each with the number that the next page begins before.

        Its cost does not grow with what lies before or after the page: each side of the party is an
        index that is read from the cursor on, and the three are merged.

        Args:
            party: only those in which it is issuer, performer or consignee.
            stage: only those in this stage.
            before: only those submitted before this number.
            after: only those submitted after it, the oldest of them first taken (the page before a cursor).
            side: only those in which the party is ``issuer``, ``performer`` or ``consignee``.
            parent: only those right below this one.
            limit: most of them.
        """
        number = col(WaybillRow.number)
        order = number.asc() if after is not None else number.desc()

        def page(*conditions: Any) -> Any:
            query = sa.select(number).where(*conditions)
            if stage is not None:
                query = query.where(col(WaybillRow.stage) == stage.value)
            if parent is not None:
                query = query.where(col(WaybillRow.parent_id) == parent)
            if before is not None:
                query = query.where(number < before)
            if after is not None:
                query = query.where(number > after)
            return query.order_by(order).limit(limit)

        if party is None:
            wanted = page()
        else:
            pages = [
                sa.select(page(getattr(WaybillRow, name) == str(party)).subquery().c.number)
                for name in SIDES
                if side in {"", name}
            ]
            merged = sa.union(*pages).subquery()
            order_of = merged.c.number.asc() if after is not None else merged.c.number.desc()
            wanted = sa.select(merged.c.number).order_by(order_of).limit(limit)
        numbers = sorted(self._session.execute(wanted).scalars(), reverse=True)
        rows = self._session.exec(
            select(WaybillRow).where(number.in_(numbers)).order_by(number.desc())
        )
        return [(row.number or 0, held_waybill(row)) for row in rows]

    def find_number(self, waybill: WaybillId, party: PartyId) -> int | None:
        """The number of a waybill in lists; None if there is none in which the party stands."""
        row = self._row(waybill)
        if row is None or str(party) not in {row.issuer, row.performer, row.consignee}:
            return None
        if row.number is None:
            self._session.flush()  # it is new in this transaction
        return row.number

    def add_waybill(self, waybill: HeldWaybill) -> None:
        """A new waybill."""
        row = WaybillRow(**_waybill_values(waybill))
        self._session.add(row)
        self._known[waybill.id] = row
        self._leaves.pop(waybill.form.trip, None)

    def save_waybill(self, waybill: HeldWaybill) -> None:
        """A waybill as it now is; what its form says never changes."""
        row = self._row(waybill.id)
        if row is None:
            raise NotFoundError("there is no such waybill", given=waybill.id)
        _assign(row, _moving_values(waybill))

    # -- trips --------------------------------------------------------------------------------

    def find_trip(self, trip: TripId) -> HeldTrip | None:
        """A trip by its id."""
        row = self._trips[trip] if trip in self._trips else self._session.get(TripRow, trip)
        return None if row is None else held_trip(row)

    def list_trips(self, *, limit: int = 1000, after: str = "") -> list[HeldTrip]:
        """A page of trips by id."""
        rows = self._session.exec(
            select(TripRow)
            .where(col(TripRow.trip_id) > after)
            .order_by(col(TripRow.trip_id))
            .limit(limit)
        )
        return [held_trip(row) for row in rows]

    def find_trips(self, trips: Collection[TripId]) -> dict[TripId, HeldTrip]:
        """Those of some trips that are known, in one question."""
        rows = self._session.exec(select(TripRow).where(col(TripRow.trip_id).in_(trips)))
        return {TripId(row.trip_id): held_trip(row) for row in rows}

    def list_loaded(
        self,
        since: dt.datetime,
        until: dt.datetime,
        *,
        after: tuple[dt.datetime, TripId] | None = None,
        limit: int,
    ) -> list[HeldTrip]:
        """A page of trips loaded from ``since`` on and before ``until``, in the order of loading.

        Args:
            since: first instant.
            until: the instant at which it ends.
            after: loading time and id of the last trip of the page before.
            limit: most of them.
        """
        place = sa.tuple_(col(TripRow.loaded_at), col(TripRow.trip_id))
        query = select(TripRow).where(
            col(TripRow.loaded_at) >= since, col(TripRow.loaded_at) < until
        )
        if after is not None:
            query = query.where(place > sa.tuple_(*after))
        query = query.order_by(col(TripRow.loaded_at), col(TripRow.trip_id)).limit(limit)
        return [held_trip(row) for row in self._session.exec(query)]

    def list_trips_of(
        self, party: PartyId | None, *, also: Collection[TripId] = (), after: str = "", limit: int
    ) -> list[tuple[HeldTrip, list[HeldWaybill]]]:
        """A page of trips by id, each with its waybills from the leaf up, in two questions.

        Args:
            party: only trips of shipments in which it stands somewhere (all if None); whether it
                stands in the trip's own path is for the caller to see.
            also: trips to give besides.
            after: only trips after this id.
            limit: most of them.
        """
        leaf, any_of = aliased(WaybillRow), aliased(WaybillRow)
        query = (
            select(TripRow, leaf.root_id)
            .join(leaf, col(leaf.waybill_id) == col(TripRow.leaf_id))
            .where(col(TripRow.trip_id) > after)
            .order_by(col(TripRow.trip_id))
            .limit(limit)
        )
        if party is not None:
            sides = (any_of.issuer, any_of.performer, any_of.consignee)
            stands = sa.select(col(any_of.root_id)).where(
                sa.or_(*(col(side) == str(party) for side in sides))
            )
            query = query.where(
                sa.or_(col(leaf.root_id).in_(stands), col(TripRow.trip_id).in_(sorted(also)))
            )
        found = self._session.exec(query).all()
        roots = sorted({root for _, root in found})
        rows = self._session.exec(select(WaybillRow).where(col(WaybillRow.root_id).in_(roots)))
        by_id = {row.waybill_id: row for row in rows}
        return [(held_trip(trip), _path(trip.leaf_id, by_id)) for trip, _ in found]

    def list_trips_by_id(
        self, trips: Collection[TripId]
    ) -> dict[TripId, tuple[HeldTrip, list[HeldWaybill]]]:
        """Trips by id, each with its waybills from the leaf up; one question for each tier."""
        held = []
        for some in _pieces(trips):
            query = select(TripRow).where(col(TripRow.trip_id).in_(sorted(some)))
            held += [held_trip(row) for row in self._session.exec(query)]
        self._read_paths({trip.leaf for trip in held})
        return {trip.id: (trip, _path(trip.leaf, self._known)) for trip in held}

    def add_trip(self, trip: HeldTrip) -> None:
        """A new trip."""
        row = TripRow(**_trip_values(trip))
        self._session.add(row)
        self._trips[trip.id] = row

    def save_trip(self, trip: HeldTrip) -> None:
        """A trip as it now is."""
        row = self._trips.get(trip.id) or self._session.get_one(TripRow, trip.id)
        _assign(row, _trip_values(trip))

    # -- the rest -----------------------------------------------------------------------------

    def _row(self, waybill: WaybillId) -> WaybillRow | None:
        row = self._known.get(waybill)
        if row is None:
            query = select(WaybillRow).where(col(WaybillRow.waybill_id) == waybill)
            row = self._session.exec(query).first()
            if row is not None:
                self._known[waybill] = row
        return row

    def _chain_rows(self, root: str) -> list[WaybillRow]:
        query = select(WaybillRow).where(col(WaybillRow.root_id) == root)
        rows = list(
            self._session.exec(query.order_by(col(WaybillRow.tier), col(WaybillRow.number)))
        )
        self._known |= {row.waybill_id: row for row in rows}
        return rows


def _assign(row: Any, values: dict[str, Any]) -> None:
    """Writes what differs into a row; it goes out with the next statement, or with the commit."""
    for name, value in values.items():
        if getattr(row, name) != value:
            setattr(row, name, value)


def _pieces(values: Collection[str]) -> Iterator[list[str]]:
    """The values in pieces that fit into one question."""
    ordered = sorted(values)
    for at in range(0, len(ordered), MANY):
        yield ordered[at : at + MANY]


def _party(row: PartyRow) -> Party:
    return Party(
        id=PartyId(int(row.party_id)),
        name_zh=row.name_zh,
        name_en=row.name_en,
        kind=row.kind,
        stage=PartyStage(row.stage),
        key=Address(row.key) if row.key else None,
        profile=Hash32(row.profile),
        registered_at=row.registered_at,
        profile_salt=row.profile_salt or "",
    )


def _party_values(party: Party) -> dict[str, Any]:
    return {
        "party_id": str(party.id),
        "name_zh": party.name_zh,
        "name_en": party.name_en,
        "kind": party.kind,
        "stage": party.stage.value,
        "key": party.key,
        "profile": party.profile,
        "registered_at": party.registered_at,
        "profile_salt": party.profile_salt or None,
    }


def _path(leaf: str, rows: dict[str, WaybillRow]) -> list[HeldWaybill]:
    """The waybills from a leaf up to its root."""
    path: list[HeldWaybill] = []
    at: str | None = leaf
    while at is not None and len(path) <= MOST_TIERS:
        path.append(held_waybill(rows[at]))
        at = rows[at].parent_id
    return path


def held_waybill(row: WaybillRow) -> HeldWaybill:
    """A row as services see it."""
    form: dict[str, Any] = {
        name: int(value) if name in _INTEGERS else value for name, value in row.form.items()
    }
    return HeldWaybill(
        id=WaybillId(row.waybill_id),
        form=Waybill(**form),
        root=WaybillId(row.root_id),
        tier=row.tier,
        stage=Stage(row.stage),
        papers=row.papers,
        plan=row.plan,
        issuer_signature=row.issuer_signature,
        performer_signature=row.performer_signature,
        declared=row.declared,
        version=row.version,
        freight=row.freight,
        quantity=row.quantity,
        vehicle=Hash32(row.vehicle) if row.vehicle else None,
        paid=row.paid,
        credited=row.credited,
        accepted=row.accepted,
        delivered_at=row.delivered_at,
        refusal=row.refusal,
    )


def _waybill_values(waybill: HeldWaybill) -> dict[str, Any]:
    form = waybill.form
    return {
        "waybill_id": waybill.id,
        "parent_id": form.parent if form.parent != ZERO else None,
        "root_id": waybill.root,
        "trip_id": form.trip if waybill.is_leaf else None,
        "tier": waybill.tier,
        "issuer": str(form.issuer),
        "performer": str(form.performer),
        "consignee": str(form.consignee),
        "form": json_value(form),
        **_moving_values(waybill),
    }


def _moving_values(waybill: HeldWaybill) -> dict[str, Any]:
    """What is not in the form and may change."""
    return {
        "papers": dict(waybill.papers),
        "plan": None if waybill.plan is None else dict(waybill.plan),
        "stage": waybill.stage.value,
        "declared": waybill.declared,
        "issuer_signature": waybill.issuer_signature,
        "performer_signature": waybill.performer_signature,
        "version": waybill.version,
        "freight": waybill.freight,
        "quantity": waybill.quantity,
        "vehicle": waybill.vehicle,
        "paid": waybill.paid,
        "credited": waybill.credited,
        "accepted": waybill.accepted,
        "delivered_at": waybill.delivered_at,
        "refusal": waybill.refusal,
    }


def held_trip(row: TripRow) -> HeldTrip:
    """A row as services see it."""
    return HeldTrip(
        id=TripId(row.trip_id),
        leaf=WaybillId(row.leaf_id),
        state=TripState(row.state),
        vehicle=Hash32(row.vehicle) if row.vehicle else None,
        loaded=row.loaded,
        loaded_at=row.loaded_at,
        accepted=row.accepted,
        condition=row.condition,
        confirmed_by=PartyId(int(row.confirmed_by)) if row.confirmed_by else None,
        confirmed_at=row.confirmed_at,
        receipt=Hash32(row.receipt) if row.receipt else None,
        completed_at=row.completed_at,
        completed_hash=Hash32(row.completed_hash) if row.completed_hash else None,
        disputed=row.disputed,
    )


def _trip_values(trip: HeldTrip) -> dict[str, Any]:
    return {
        "trip_id": trip.id,
        "leaf_id": trip.leaf,
        "state": int(trip.state),
        "vehicle": trip.vehicle,
        "loaded": trip.loaded,
        "loaded_at": trip.loaded_at,
        "accepted": trip.accepted,
        "condition": trip.condition,
        "confirmed_by": str(trip.confirmed_by) if trip.confirmed_by is not None else None,
        "confirmed_at": trip.confirmed_at,
        "receipt": trip.receipt,
        "completed_at": trip.completed_at,
        "completed_hash": trip.completed_hash,
        "disputed": trip.disputed,
    }
