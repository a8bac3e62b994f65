"""What a dispatcher should see now: alerts of a trip under way, each told once while it lasts.

An alert never touches a verdict, so its limits stand here and not in the policy that attestors sign.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tracking.findings import Severity

if TYPE_CHECKING:
    from tracking.fix import Fix

LONG_STOP_S = 1800
"""Standing still this long outside both gates."""

WAIT_S, WAIT_M = 600, 3000
"""Standing still this long, this near the unloading place, yet outside it: it waits, or unloads elsewhere."""

STILL_M = 80
"""A truck within so many metres stands: receivers wander, and queues creep."""

FROZEN_S, FROZEN_N, FROZEN_KMH = 60, 3, 10
BACK_M = 1000
PASSED_M, PASSED_BY_M = 1000, 150
LATE_S = 900
"""Expected this long after the unloading place has closed."""

BLIND_S = 600
"""Without a position of its own for so long."""

CODES: dict[str, str] = {
    "loading_reached": "it is at the loading place",
    "departed": "it has left the loading place",
    "off_route": "outside the corridor beyond the limits of the rule",
    "back_on_route": "on the road again",
    "impossible_speed": "a step that no truck can make; it is not followed there",
    "clock_future": "the device's clock runs ahead of ours",
    "gap": "nothing was heard for too long while it was moving",
    "silence": "nothing was heard for too long while it stood",
    "heard_again": "it is heard again after a silence, with how far it came meanwhile",
    "no_position": "it reports, and has no position of its own",
    "long_stop": "it stands outside both gates for too long",
    "moving_again": "it moves again after a long stop",
    "short_of_gate": "it stands near the unloading place, yet outside",
    "drive_past": "it came by the unloading place and drove on",
    "reversed": "it drives against the planned direction",
    "frozen_position": "one place to the last digit while its speed says that it moves",
    "off_window": "it has not left the loading place long after it should have",
    "eta_miss": "at this pace it comes after the unloading place has closed",
    "arrived": "it is at the unloading place",
}
"""Every code of an alert, and what it says."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a dispatcher should see now.

    Attributes:
        code: one of ``CODES``; where a rule of the judge has the same name, it is the live form of it.
        severity: as the rule's findings have it; info for events of a normal trip.
        at: unix seconds by the device's clock.
        detail: numbers behind it.
    """

    code: str
    severity: Severity
    at: int
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a trip is, for those who watch it.

    Attributes:
        fix: as it came.
        x: Mercator metres.
        y: Mercator metres.
        scale: of the map there.
        done_m: metres of the road behind it.
        left_m: metres of the road before it.
        to_gate_m: distance to the unloading place's edge, 0 inside.
        in_gate: inside either gate.
    """

    fix: Fix
    x: float
    y: float
    scale: float
    done_m: float
    left_m: float
    to_gate_m: float
    in_gate: bool


class Standing:
    """Watches a truck that stands: too long, short of its gate, or frozen."""

    def __init__(self) -> None:
        self._since = 0
        self._x = self._y = 0.0
        self._told: set[str] = set()
        self._same: tuple[int, int] = (0, 0)
        self._same_since, self._same_n, self._hot_n = 0, 0, 0
        self._frozen_told = False

    @property
    def since(self) -> int:
        """Unix seconds from which it stands at its last place."""
        return self._since

    def take(self, spot: Spot, alerts: list[Alert]) -> None:
        """Looks at the next place."""
        self._watch_digits(spot, alerts)
        time = spot.fix.time
        away = math.hypot(spot.x - self._x, spot.y - self._y) / spot.scale
        if self._since == 0 or away > STILL_M:
            if "long_stop" in self._told:
                detail = {"seconds": time - self._since}
                alerts.append(Alert("moving_again", Severity.INFO, time, detail))
            self._since, self._x, self._y = time, spot.x, spot.y
            self._told.clear()
            return
        stood = time - self._since
        if spot.in_gate:
            return
        if stood >= WAIT_S and spot.to_gate_m <= WAIT_M and spot.left_m <= 2 * WAIT_M:
            self._tell("short_of_gate", spot, stood, alerts)
        if stood >= LONG_STOP_S:
            self._tell("long_stop", spot, stood, alerts)

    def _tell(self, code: str, spot: Spot, stood: int, alerts: list[Alert]) -> None:
        if code in self._told:
            return
        self._told.add(code)
        detail = {
            "seconds": stood,
            "at_m": round(spot.done_m),
            "to_gate_m": round(spot.to_gate_m),
            "lat": spot.fix.lat_e6 / 1e6,
            "lon": spot.fix.lon_e6 / 1e6,
        }
        alerts.append(Alert(code, Severity.REVIEW, spot.fix.time, detail))

    def _watch_digits(self, spot: Spot, alerts: list[Alert]) -> None:
        fix = spot.fix
        place = (fix.lat_e6, fix.lon_e6)
        if place != self._same:
            self._same, self._same_since, self._same_n, self._hot_n = place, fix.time, 1, 0
            self._frozen_told = False
            return
        self._same_n += 1
        self._hot_n += (fix.speed_dkmh or 0) >= FROZEN_KMH * 10
        lasted = fix.time - self._same_since
        if self._hot_n >= FROZEN_N and lasted >= FROZEN_S and not self._frozen_told:
            self._frozen_told = True
            detail = {"seconds": lasted, "fixes": self._same_n}
            alerts.append(Alert("frozen_position", Severity.REVIEW, fix.time, detail))


class Heading:
    """Watches whether a truck makes for its unloading place: not backwards, and not past it."""

    def __init__(self) -> None:
        self._furthest = 0.0
        self._back_told = self._past_told = False
        self._nearest = math.inf

    def take(self, spot: Spot, alerts: list[Alert]) -> None:
        """Looks at the next place on the road or beside it."""
        time = spot.fix.time
        lost = self._furthest - spot.done_m
        if lost <= 0:
            self._furthest, self._back_told = spot.done_m, False
        elif lost > BACK_M and not self._back_told:
            self._back_told = True
            detail = {"back_m": round(lost), "at_m": round(spot.done_m)}
            alerts.append(Alert("reversed", Severity.REVIEW, time, detail))
        if spot.left_m > 2 * WAIT_M:
            return
        self._nearest = min(self._nearest, spot.to_gate_m)
        if self._nearest <= PASSED_BY_M and spot.to_gate_m > PASSED_M and not self._past_told:
            self._past_told = True
            detail = {"nearest_m": round(self._nearest), "away_m": round(spot.to_gate_m)}
            alerts.append(Alert("drive_past", Severity.REVIEW, time, detail))
