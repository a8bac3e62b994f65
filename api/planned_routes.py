"""Planned routes by name: a firm draws a road once and names it in every waybill that uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlmodel
from sqlmodel import Session, col

from api.tables import PlannedRouteRow
from chain.clock import Clock
from chain.errors import NotFoundError
from chain.ids import PartyId


@dataclass(frozen=True, slots=True)
class PlannedRoute:
    """A named road.

    Attributes:
        plan: route, corridor and gates in the form that ``tracking.plan.Plan`` reads, without windows.
        origin: name of the place of loading.
        destination: name of the place of unloading.
    """

    name: str
    plan: Mapping[str, Any]
    origin: str
    destination: str


class PlannedRoutes:
    """The planned routes in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def save(self, party: PartyId, route: PlannedRoute) -> PlannedRoute:
        """Keeps a route; one of the same name is replaced (waybills hold their own copy)."""
        self._session.merge(
            PlannedRouteRow(
                party_id=str(party),
                name=route.name,
                plan=dict(route.plan),
                origin=route.origin,
                destination=route.destination,
                created_at=self._clock.now(),
            )
        )
        self._session.flush()
        return route

    def get(self, party: PartyId, name: str) -> PlannedRoute:
        """A route of a party.

        Raises:
            NotFoundError: the party has none of that name.
        """
        row = self._session.get(PlannedRouteRow, (str(party), name))
        if row is None:
            raise NotFoundError(f"you have no route named {name!r}", field="route", given=name)
        return _route(row)

    def list_of(self, party: PartyId) -> list[PlannedRoute]:
        """Every route of a party, by name."""
        query = sqlmodel.select(PlannedRouteRow).where(col(PlannedRouteRow.party_id) == str(party))
        return [
            _route(row) for row in self._session.exec(query.order_by(col(PlannedRouteRow.name)))
        ]


def _route(row: PlannedRouteRow) -> PlannedRoute:
    return PlannedRoute(row.name, row.plan, row.origin, row.destination)
