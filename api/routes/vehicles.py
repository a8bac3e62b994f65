"""Vehicles that a party uses again and again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.dependencies import Drafter, OnceOnly, Reader, TheContainer
from api.naming import Names
from api.ports import Services
from api.schemas.records import (
    VehicleChange,
    VehicleGiven,
    VehiclePage,
    VehicleShown,
    VehicleText,
)
from api.validators import IfMatch, require_match, tagged
from api.vehicles import Vehicle

router = APIRouter(prefix="/vehicles", tags=["vehicles"])


def show_vehicle(one: Vehicle) -> VehicleShown:
    """A vehicle as its party sees it."""
    return VehicleShown.model_validate(one)


@router.post("", status_code=201, response_model=VehicleShown)
def add(asked: VehicleGiven, caller: Drafter, container: TheContainer, once: OnceOnly) -> Response:
    """A new vehicle; each plate once."""
    names = Names(container.hash_key)

    def work(services: Services) -> VehicleShown:
        added = services.vehicles.add(
            caller.require_self(),
            names.vehicle(asked.plate),
            asked.plate,
            kind=asked.kind,
            terminal=asked.terminal or "",
            load_kg=asked.load_kg,
            note=asked.note,
        )
        return show_vehicle(added)

    return once.run(caller.name, work)


@router.get("")
def list_vehicles(
    *,
    caller: Reader,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: Annotated[VehicleText | None, Query()] = None,
    ending_before: Annotated[VehicleText | None, Query()] = None,
) -> VehiclePage:
    """The caller's vehicles, newest first."""
    own = caller.require_self()
    with container.read() as services:
        before = services.vehicles.get(starting_after, own).number if starting_after else None
        after = services.vehicles.get(ending_before, own).number if ending_before else None
        rows = services.vehicles.list_of(own, before=before, after=after, limit=limit + 1)
    more = len(rows) > limit
    page = rows[-limit:] if after is not None else rows[:limit]
    return VehiclePage(
        data=[show_vehicle(one) for one in page],
        has_more=more,
        next_cursor=page[-1].id if more else None,
    )


@router.get("/{car}", response_model=VehicleShown)
def get_vehicle(
    car: VehicleText, request: Request, caller: Reader, container: TheContainer
) -> Response:
    """A vehicle."""
    with container.read() as services:
        return tagged(request, show_vehicle(services.vehicles.get(car, caller.require_self())))


@router.patch("/{car}", response_model=VehicleShown)
def change(
    *,
    car: VehicleText,
    asked: VehicleChange,
    caller: Drafter,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Changes a vehicle, or retires it."""
    own = caller.require_self()

    def work(services: Services) -> VehicleShown:
        require_match(if_match, show_vehicle(services.vehicles.get(car, own)))
        return show_vehicle(services.vehicles.change(car, own, **asked.model_dump()))

    return once.run(caller.name, work, 200)
