"""A trip while it drives."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.schemas.values import (
    Instant,
    Shown,
    TripRef,
)


class ProgressShown(Shown):
    """Where a trip is."""

    along_m: int = Field(description="metres of the planned road behind it")
    length_m: int
    off_m: int = Field(description="distance from the road at its last position")
    on_route: bool
    at: Instant | None = Field(description="of its last position, by the device's clock")
    departed_at: Instant | None
    arrived_at: Instant | None
    eta: Instant | None = Field(description="at its pace of the last half hour")


class AlertShown(Shown):
    """Something a dispatcher should see."""

    code: str
    says: str
    severity: str = Field(description="info, review or fail")
    at: Instant = Field(description="by the device's clock")
    raised: Instant = Field(description="by ours")
    detail: dict[str, Any]


class TripLive(Shown):
    """A trip as its watcher sees it."""

    trip: TripRef
    progress: ProgressShown | None
    alerts: list[AlertShown]
