"""Reports over the caller's drives, and the road of a lane as it is driven."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.dependencies import Reader, TheContainer
from api.planned_routes import PlannedRoute
from api.road_reports import (
    MOST_SHAPES,
    Page,
    is_same_lane,
    learn_lane,
    places_of,
    read_page,
    read_shapes,
)
from api.schemas.road_reports import (
    AreaCrossed,
    AreaPage,
    DeviationPage,
    LearnedRouteShown,
    PlaceStops,
    SectionLeft,
    StopPage,
    StretchShown,
)
from api.schemas.values import NameText, TripText
from api.validators import tagged
from tracking.plan import Plan

router = APIRouter(tags=["road reports"])

Limit = Annotated[int, Query(ge=1, le=100, description="trips on a page, not rows")]
After = Annotated[TripText | None, Query(description="the last trip of the page before")]
Shape = Annotated[str, Field(min_length=8, max_length=2_100, examples=["禁行区:117.28,34.30,800"])]
_FORM = "`NAME:LON,LAT,RADIUS_M`, or `NAME:LON,LAT LON,LAT LON,LAT ...` (a polygon); WGS-84"


@router.get("/reports/areas")
def report_areas(
    *,
    caller: Reader,
    container: TheContainer,
    area: Annotated[
        list[Shape],
        Query(
            min_length=1,
            max_length=MOST_SHAPES,
            description=f"areas asked about, {_FORM}",
            examples=[["禁行区:117.28,34.30,800"]],
        ),
    ],
    limit: Limit = 50,
    starting_after: After = None,
) -> AreaPage:
    """Which trips crossed which areas, and how far they drove inside."""
    from tracking import fleet  # noqa: PLC0415  geopandas takes a second to load

    areas = read_shapes(area, "area")
    with container.read() as services:
        page = read_page(services, caller, after=starting_after or "", limit=limit)
    found = fleet.areas_crossed(fleet.trip_lines(page.trips), areas)
    return AreaPage(
        data=[AreaCrossed.model_validate(row) for row in _rows(found)],
        examined=len(page.trips),
        has_more=page.has_more,
        next_cursor=_cursor(page),
    )


@router.get("/reports/stops")
def report_stops(
    *,
    caller: Reader,
    container: TheContainer,
    place: Annotated[
        list[Shape] | None,
        Query(
            max_length=MOST_SHAPES,
            description=f"places beside those of your planned routes, {_FORM}",
            examples=[["服务区:117.28,34.30,300"]],
        ),
    ] = None,
    least_s: Annotated[int, Query(ge=60, le=86_400, description="shorter is traffic")] = 300,
    limit: Limit = 50,
    starting_after: After = None,
) -> StopPage:
    """Where trucks stood and for how long, by the place they were nearest to (within 300 m)."""
    from tracking import fleet  # noqa: PLC0415  as above

    given = place or []
    read_shapes(given, "place")  # told before anything is read
    with container.read() as services:
        routes = [] if caller.party_id is None else services.routes.list_of(caller.party_id)
        page = read_page(services, caller, after=starting_after or "", limit=limit)
    places = read_shapes([*given, *places_of(routes)][:MOST_SHAPES], "place")
    found = fleet.stops_by_place(fleet.stops(page.trips, least_s=least_s), places)
    return StopPage(
        data=[PlaceStops.model_validate(row) for row in _rows(found)],
        examined=len(page.trips),
        has_more=page.has_more,
        next_cursor=_cursor(page),
    )


@router.get("/reports/deviations")
def report_deviations(
    *,
    caller: Reader,
    container: TheContainer,
    route: Annotated[NameText, Query(description="one of your planned routes")],
    section_m: Annotated[int, Query(ge=200, le=50_000, description="length of a section")] = 1_000,
    limit: Limit = 50,
    starting_after: After = None,
) -> DeviationPage:
    """On which sections of a planned road drives left it, how often, by how many trips and how far."""
    from tracking import fleet  # noqa: PLC0415  as above

    with container.read() as services:
        road = _plan(services.routes.get(caller.require_self(), route))
        page = read_page(services, caller, after=starting_after or "", limit=limit)
    trips = [one for one in page.trips if is_same_lane(one.plan, road)]
    sections = fleet.deviations_by_section(trips, fleet.road_sections(road, section_m=section_m))
    left = sections[sections["deviations"] > 0].drop(columns="geometry")
    return DeviationPage(
        data=[SectionLeft.model_validate(row) for row in _rows(left)],
        route=route,
        length_m=int(sections["to_m"].max()),
        examined=len(trips),
        has_more=page.has_more,
        next_cursor=_cursor(page),
    )


@router.get("/routes/{name}/learned", response_model=LearnedRouteShown)
def get_learned(
    name: NameText,
    request: Request,
    caller: Reader,
    container: TheContainer,
    drives: Annotated[int, Query(ge=1, le=50, description="learn from so many at most")] = 20,
) -> Response:
    """The road of a planned route as it is driven, learned from your latest drives there that passed.

    Each stretch tells how many drives bear it out, so that a person can refuse a thin one.
    """
    with container.read() as services:
        lane = _plan(services.routes.get(caller.require_self(), name))
        learned = learn_lane(services, caller, lane, most=drives)
    road = learned.route
    shown = LearnedRouteShown(
        name=name,
        drives=0 if road is None else road.drives,
        least_support=0 if road is None else road.least_support,
        spread_m=None if road is None else road.spread_m,
        planned_route=[] if road is None else [list(point) for point in road.route],
        stretches=[]
        if road is None
        else [StretchShown.model_validate(stretch) for stretch in road.stretches],
        trips=list(learned.trips),
    )
    return tagged(request, shown)


def _plan(route: PlannedRoute) -> Plan:
    return Plan.from_json(route.plan)


def _cursor(page: Page) -> str | None:
    return page.seen[-1] if page.has_more else None


def _rows(table: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in table.to_dict("records")]
