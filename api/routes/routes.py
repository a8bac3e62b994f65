"""Planned routes: a road, its corridor and its two places, by name."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.dependencies import Drafter, OnceOnly, Reader, TheContainer
from api.paging import ThePage
from api.planned_routes import PlannedRoute
from api.ports import Services
from api.schemas.deliveries import RouteGiven, RouteList, RouteShown
from api.schemas.values import NameText
from api.validators import IfMatch, require_match, tagged
from tracking.plan import Plan

router = APIRouter(prefix="/routes", tags=["routes"])


@router.post("", status_code=201, response_model=RouteShown)
def save(given: RouteGiven, caller: Drafter, once: OnceOnly, if_match: IfMatch = None) -> Response:
    """Keeps a route; one of the same name is replaced, signed waybills keep the old one.

    With If-Match it is replaced only where it is as you have read it.
    """
    form = Plan.from_json(given.plan).to_json()
    plan = {name: form[name] for name in ("planned_route", "corridor_half_width_m")}
    for place in ("pickup", "delivery"):
        plan[place] = {
            name: value for name, value in form[place].items() if not name.endswith("_utc")
        }
    route = PlannedRoute(given.name, plan, given.origin, given.destination)

    def work(services: Services) -> RouteShown:
        own = caller.require_self()
        if if_match is not None:
            held = services.routes.get(own, given.name)
            require_match(if_match, RouteShown.model_validate(held))
        return RouteShown.model_validate(services.routes.save(own, route))

    return once.run(caller.name, work)


@router.get("/{name}", response_model=RouteShown)
def get_route(
    name: NameText, request: Request, caller: Reader, container: TheContainer
) -> Response:
    """One of the caller's routes."""
    with container.read() as services:
        held = services.routes.get(caller.require_self(), name)
    return tagged(request, RouteShown.model_validate(held))


@router.get("")
def list_routes(caller: Reader, container: TheContainer, asked: ThePage) -> RouteList:
    """The caller's routes, by name."""
    with container.read() as services:
        found = services.routes.list_of(caller.require_self())
    page = asked.cut(found, lambda route: route.name)
    return RouteList(data=[RouteShown.model_validate(route) for route in page.rows], **page.ends)
