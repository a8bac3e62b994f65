"""What many drives tell together."""

from __future__ import annotations

from pydantic import Field

from api.schemas.values import Shown, TripRef


class AreaCrossed(Shown):
    """A trip that crossed an area."""

    area: str = Field(examples=["禁行区"])
    trip: TripRef
    inside_m: int = Field(description="metres driven inside")


class AreaPage(Shown):
    """Areas crossed by the trips of a page, by area and trip."""

    data: list[AreaCrossed]
    examined: int = Field(description="trips of this page that have a drive")
    has_more: bool
    next_cursor: TripRef | None


class PlaceStops(Shown):
    """Stops at a place."""

    place: str = Field(examples=["徐州北站"], description="`elsewhere`: at no place that is named")
    stops: int
    trips: int
    median_s: int
    longest_s: int


class StopPage(Shown):
    """Stops of the trips of a page by place, most stops first."""

    data: list[PlaceStops]
    examined: int = Field(description="trips of this page that have a drive")
    has_more: bool
    next_cursor: TripRef | None


class SectionLeft(Shown):
    """A section of a road that trips left."""

    section: int
    from_m: int = Field(description="metres along the planned road")
    to_m: int
    deviations: int
    trips: int
    farthest_m: int = Field(description="greatest distance from the road")


class DeviationPage(Shown):
    """Sections of a road that the trips of a page left, by place along it."""

    data: list[SectionLeft]
    route: str
    length_m: int
    examined: int = Field(description="trips of this page that drove this lane")
    has_more: bool
    next_cursor: TripRef | None


class StretchShown(Shown):
    """A stretch of a learned road with equal support."""

    from_m: int
    to_m: int
    drives: int = Field(description="drives that passed it within 60 m, the same way")


class LearnedRouteShown(Shown):
    """The road of a lane as it is driven."""

    name: str = Field(examples=["徐州北站"])
    drives: int = Field(description="drives it was learned from; 0: none has passed yet")
    least_support: int = Field(description="drives on its thinnest stretch")
    spread_m: int | None = Field(
        description="half width within which nine in ten passages lie: what a corridor needs at least"
    )
    planned_route: list[list[float]] = Field(
        description="[[lon, lat], ...] in WGS-84, in driving order", examples=[[[117.28, 34.3]]]
    )
    stretches: list[StretchShown]
    trips: list[TripRef] = Field(description="whose drives they were, the latest first")
