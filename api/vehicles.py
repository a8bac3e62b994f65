"""The vehicles that a party uses again and again; plate and terminal are sealed at rest."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlmodel
from sqlmodel import Session, col

from api.errors import ApiError
from api.object_ids import new_id
from api.paging import newest_first
from api.tables import VehicleRow
from chain.clock import Clock
from chain.errors import NotFoundError
from chain.ids import Hash32, PartyId


class VehicleKnownError(ApiError):
    """You have this vehicle already."""

    code = "vehicle_known"


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle of a party.

    Attributes:
        vehicle: keyed hash of its plate, as it stands in waybills.
        retired_at: since when it is no longer used.
    """

    id: str
    number: int
    party: PartyId
    vehicle: Hash32
    plate: str
    terminal: str
    kind: str
    load_kg: int | None
    note: str
    retired_at: dt.datetime | None
    created_at: dt.datetime
    changed_at: dt.datetime


class Vehicles:
    """The vehicles in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def add(
        self,
        party: PartyId,
        vehicle: Hash32,
        plate: str,
        *,
        kind: str,
        terminal: str = "",
        load_kg: int | None = None,
        note: str = "",
    ) -> Vehicle:
        """A new vehicle.

        Raises:
            VehicleKnownError: the party has one of this plate.
        """
        known = sqlmodel.select(VehicleRow.number).where(
            col(VehicleRow.party_id) == str(party), col(VehicleRow.vehicle_hash) == vehicle
        )
        if self._session.exec(known).first() is not None:
            raise VehicleKnownError(field="plate")
        now = self._clock.now()
        row = VehicleRow(
            vehicle_id=new_id("vehicle"),
            party_id=str(party),
            vehicle_hash=vehicle,
            plate=plate,
            terminal=terminal,
            kind=kind,
            load_kg=load_kg,
            note=note,
            created_at=now,
            changed_at=now,
        )
        self._session.add(row)
        self._session.flush()
        return _vehicle(row)

    def change(
        self,
        vehicle: str,
        party: PartyId,
        *,
        kind: str | None = None,
        terminal: str | None = None,
        load_kg: int | None = None,
        note: str | None = None,
        retired: bool | None = None,
    ) -> Vehicle:
        """Changes what is given.

        Raises:
            NotFoundError: the party has no such vehicle.
        """
        row = self._row(vehicle, party)
        given = {"kind": kind, "terminal": terminal, "load_kg": load_kg, "note": note}
        for name, value in given.items():
            if value is not None:
                setattr(row, name, value)
        now = self._clock.now()
        if retired is not None:
            row.retired_at = (row.retired_at or now) if retired else None
        row.changed_at = now
        self._session.add(row)
        self._session.flush()
        return _vehicle(row)

    def get(self, vehicle: str, party: PartyId) -> Vehicle:
        """A vehicle of a party.

        Raises:
            NotFoundError: the party has no such vehicle.
        """
        return _vehicle(self._row(vehicle, party))

    def list_of(
        self, party: PartyId, *, before: int | None = None, after: int | None = None, limit: int
    ) -> list[Vehicle]:
        """A page of a party's vehicles, newest first; ``after`` gives the page before a cursor."""
        query = sqlmodel.select(VehicleRow).where(col(VehicleRow.party_id) == str(party))
        rows = newest_first(
            self._session, query, col(VehicleRow.number), before=before, after=after, limit=limit
        )
        return [_vehicle(row) for row in rows]

    def _row(self, vehicle: str, party: PartyId) -> VehicleRow:
        row = self._session.exec(
            sqlmodel.select(VehicleRow).where(
                col(VehicleRow.vehicle_id) == vehicle, col(VehicleRow.party_id) == str(party)
            )
        ).first()
        if row is None:
            raise NotFoundError("there is no such vehicle")
        return row


def _vehicle(row: VehicleRow) -> Vehicle:
    return Vehicle(
        id=row.vehicle_id,
        number=row.number or 0,
        party=PartyId(int(row.party_id)),
        vehicle=Hash32(row.vehicle_hash),
        plate=row.plate,
        terminal=row.terminal,
        kind=row.kind,
        load_kg=row.load_kg,
        note=row.note,
        retired_at=row.retired_at,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )
