"""A trip while it drives: progress, time of arrival and alerts fix by fix, and in the end the batch verdict.

The live view follows the road with a pointer: each fix is looked for near the place where the way driven
since the last one leads. It is quick and forgetful on purpose; what counts for money is `verdict()`, which is
the judge itself on every fix received, so that both always agree in the end.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracking.alerts import BLIND_S, LATE_S, Alert, Heading, Spot, Standing
from tracking.corridor import corridor_of
from tracking.findings import Severity
from tracking.judge import OtherTrack, judge
from tracking.policy import default_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tracking.fix import Fix
    from tracking.plan import Gate, Plan
    from tracking.policy import Policy
    from tracking.verdict import Verdict

_AXIS = 6378137.0
_ECCENTRICITY = 0.0818191908426215
_ECCENTRICITY_2 = _ECCENTRICITY**2
_PACE_S = 1800
_LEAST_PACE_M_S = 3.0
_TYPICAL_PACE_M_S = 15.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a trip is.

    Attributes:
        along_m: metres of the road behind it.
        length_m: metres of the road.
        off_m: distance from the road at the last fix, metres.
        on_route: inside the corridor.
        at: unix seconds of the last fix, None before the first.
        departed_at: when it left the loading place.
        arrived_at: when it reached the unloading place.
        eta: unix seconds at which it should reach the end at its pace of the last half hour.
    """

    along_m: int
    length_m: int
    off_m: int
    on_route: bool
    at: int | None
    departed_at: int | None
    arrived_at: int | None
    eta: int | None


class LiveTrip:
    """Follows one trip. Feed fixes as they come; fixes older than the last count for the verdict only.

    Args:
        plan: what was promised.
        policy: the judge's rules; the shipped ones unless given.
        for_verdict: keep every fix, so that `verdict()` can be asked; a watcher of thousands does not.
    """

    def __init__(
        self, plan: Plan, *, policy: Policy | None = None, for_verdict: bool = True
    ) -> None:
        self.plan = plan
        self.policy = default_policy() if policy is None else policy
        corridor = corridor_of(plan)
        self._corridor = corridor
        self._x, self._y, self._along = corridor.road.lists
        self._length = corridor.length_mm / 1000.0
        self._width = float(plan.corridor_m)
        self._middle = (float(corridor.lon.min()) + float(corridor.lon.max())) / 2.0
        self._fixes: list[Fix] = []
        self._loading = _Place(plan.loading, self._project)
        self._unloading = _Place(plan.unloading, self._project)
        self._time: int | None = None
        self._place = (0.0, 0.0)
        self._segment = 0
        self._done = 0.0
        self._off = 0.0
        self._near = False
        self._left_at: int | None = None
        self._left_told = False
        self._away_most = 0.0
        self._driven_off = 0.0
        self._loaded = False
        self._departed: int | None = None
        self._arrived: int | None = None
        self._silent_told: int | None = None
        self._pace: list[tuple[int, float]] = []
        off, speed = self.policy.rule("off_route"), self.policy.rule("impossible_speed")
        self._off_limits = (off["longest_s"], float(off["length_m"]), float(off["away_m"]))
        self._off_severity = off.severity
        self._cap = speed["cap_kmh"] / 3.6
        self._slack = float(speed["slack_m"])
        self._future = self.policy.rule("clock_future")
        self._gap = self.policy.rule("gap")
        self._window = self.policy.rule("off_window")
        self._for_verdict = for_verdict
        self._standing, self._heading = Standing(), Heading()
        self._told: set[str] = set()
        self._blind_since: int | None = None

    # --------------------------------------------------------------- what comes in
    def feed(self, fixes: Iterable[Fix]) -> list[Alert]:
        """Takes fixes in the order of their arrival and says what happened."""
        alerts: list[Alert] = []
        for fix in fixes:
            if self._for_verdict:
                self._fixes.append(fix)
            if fix.terminal and self.plan.terminal and fix.terminal != self.plan.terminal:
                continue
            if fix.valid:
                self._take(fix, alerts)
            else:
                self._watch_blindness(fix, alerts)
        return alerts

    def tick(self, now: int) -> list[Alert]:
        """Says what only time tells: nothing heard for too long, loading not left. Once each."""
        alerts: list[Alert] = []
        closes = self.plan.loading.closes
        if closes is not None and self._departed is None and self._arrived is None:
            late = now - closes
            if late > self._window["grace_s"]:
                detail = {"place": "loading", "off_s": late, "early": False}
                self._once("off_window", self._window.severity, closes, detail, alerts)
        if self._time is None or self._arrived is not None or self._silent_told == self._time:
            return alerts
        silent = now - self._time
        if silent > self._gap["silence_s"]:
            self._silent_told = self._time
            stood = self._time - self._standing.since > self._gap["unseen_s"]
            code, severity = ("silence", Severity.INFO) if stood else ("gap", self._gap.severity)
            alerts.append(Alert(code, severity, self._time, {"silence_s": silent}))
        return alerts

    # --------------------------------------------------------------- what is known
    def progress(self) -> Progress:
        """Where it is now."""
        eta = None
        if self._time is not None and self._arrived is None:
            eta = self._time + round((self._length - self._done) / self._pace_m_s())
        return Progress(
            along_m=round(self._done),
            length_m=round(self._length),
            off_m=round(self._off),
            on_route=self._near,
            at=self._time,
            departed_at=self._departed,
            arrived_at=self._arrived,
            eta=self._arrived if self._arrived is not None else eta,
        )

    def verdict(self, *, others: Sequence[OtherTrack] = ()) -> Verdict:
        """The judge's verdict on every fix so far.

        Raises:
            ValueError: fixes were not kept for it.
        """
        if not self._for_verdict:
            raise ValueError("this trip is watched only; its verdict is made from its evidence")
        return judge(self.plan, self._fixes, policy=self.policy, others=others)

    # --------------------------------------------------------------- inside
    def _take(self, fix: Fix, alerts: list[Alert]) -> None:
        time = fix.time
        if fix.received is not None and time - fix.received > self._future["tolerance_s"]:
            detail = {"ahead_s": time - fix.received}
            self._once("clock_future", self._future.severity, time, detail, alerts)
            return
        self._told.discard("clock_future")
        self._told.discard("no_position")
        self._blind_since = None
        if self._time is not None and time <= self._time:
            return
        lon, lat = fix.lon_e6 / 1e6, fix.lat_e6 / 1e6
        if not -85.0 <= lat <= 85.0 or not -180.0 <= lon <= 180.0:
            return
        x, y, scale = self._project(lon, lat)
        moved = seconds = 0.0
        if self._time is not None:
            seconds = float(time - self._time)
            moved = math.hypot(x - self._place[0], y - self._place[1]) / scale
            if moved > self._cap * seconds + self._slack:
                # It is not followed there: either it comes back at once, or the judge will name it.
                detail = {"kmh": round(moved / seconds * 3.6), "m": round(moved)}
                self._once("impossible_speed", Severity.REVIEW, time, detail, alerts)
                if moved < self._cap * 60:
                    return
            else:
                self._told.discard("impossible_speed")
        if self._silent_told is not None and self._silent_told == self._time:
            detail = {"silence_s": round(seconds), "moved_m": round(moved)}
            alerts.append(Alert("heard_again", Severity.INFO, time, detail))
        self._follow(x, y, scale, moved)
        if self._time is not None and self._near:
            self._pace.append((time, self._done))
            if time - self._pace[0][0] > _PACE_S:
                self._pace.pop(0)
        self._watch_road(time, moved, lat, lon, alerts)
        self._time, self._place = time, (x, y)
        self._watch_gates(time, (x, y, scale), alerts)
        if self._arrived is None:
            self._watch_manner(fix, (x, y, scale), alerts)

    def _once(
        self, code: str, severity: Severity, at: int, detail: dict[str, Any], alerts: list[Alert]
    ) -> None:
        """Tells a thing that may last for hours when it begins."""
        if code not in self._told:
            self._told.add(code)
            alerts.append(Alert(code, severity, at, detail))

    def _watch_blindness(self, fix: Fix, alerts: list[Alert]) -> None:
        if self._blind_since is None:
            self._blind_since = fix.time
        blind = fix.time - self._blind_since
        if blind >= BLIND_S and self._arrived is None:
            detail = {"seconds": blind}
            self._once("no_position", Severity.REVIEW, fix.time, detail, alerts)

    def _watch_manner(
        self, fix: Fix, place: tuple[float, float, float], alerts: list[Alert]
    ) -> None:
        """How it drives: standing, turning back, passing by, coming late."""
        x, y, scale = place
        spot = Spot(
            fix,
            x,
            y,
            scale,
            done_m=self._done,
            left_m=self._length - self._done,
            to_gate_m=self._unloading.off_m(place),
            in_gate=self._loaded or self._loading.holds(place),
        )
        self._standing.take(spot, alerts)
        if self._departed is not None:
            self._heading.take(spot, alerts)
        closes = self.plan.unloading.closes
        if closes is None or self._departed is None or fix.time - self._departed < LATE_S:
            return
        late = fix.time + round((self._length - self._done) / self._pace_m_s()) - closes
        if late > LATE_S:
            detail = {"late_s": late, "left_m": round(self._length - self._done)}
            self._once("eta_miss", Severity.REVIEW, fix.time, detail, alerts)
        elif late < 0:
            self._told.discard("eta_miss")

    def _project(self, lon: float, lat: float) -> tuple[float, float, float]:
        """Ellipsoidal Mercator metres as the corridor has them, and the scale there."""
        lon += 360.0 * round((self._middle - lon) / 360.0)
        phi = math.radians(lat)
        sine = math.sin(phi)
        x = _AXIS * math.radians(lon - self._corridor.lon_0)
        y = _AXIS * (math.atanh(sine) - _ECCENTRICITY * math.atanh(_ECCENTRICITY * sine))
        return x, y, math.sqrt(1 - _ECCENTRICITY_2 * sine * sine) / math.cos(phi)

    def _follow(self, x: float, y: float, scale: float, moved: float) -> None:
        """Moves the pointer to the pass of the road that agrees best with the way driven."""
        done, along, xs, ys, width = self._done, self._along, self._x, self._y, self._width
        low, high, aim = done - 150.0 - moved, done + 1.5 * moved + 400.0, done + moved
        last = len(along) - 2
        middle = min(max(bisect_right(along, aim) - 1, 0), last)
        best, best_at, best_off, best_segment = math.inf, done, math.inf, middle
        # From the aim forwards, then backwards, until what is left lies too far to be better.
        ways = ((range(middle, last + 1), 0, 1.0), (range(middle - 1, -1, -1), 1, -1.0))
        for segments, near, sign in ways:
            for segment in segments:
                begins = along[segment + near]
                if sign * (begins - aim) > 100.0 * best or (
                    begins > high if sign > 0 else begins <= low
                ):
                    break
                ax, ay = xs[segment], ys[segment]
                dx, dy = xs[segment + 1] - ax, ys[segment + 1] - ay
                square = dx * dx + dy * dy
                part = ((x - ax) * dx + (y - ay) * dy) / square if square > 0 else 0.0
                part = 0.0 if part < 0.0 else min(part, 1.0)
                off = math.hypot(x - ax - part * dx, y - ay - part * dy) / scale
                at = along[segment] + part * (along[segment + 1] - along[segment])
                ahead = at - done
                cost = abs(ahead - moved) / 100.0  # alone no more than the whole: see the break
                cost = (off / 30.0) ** 2 + cost + (2.0 if ahead < -30.0 else 0.0)
                if off > width:
                    cost += 1e6 + off
                if cost < best or (cost == best and segment < best_segment):
                    best, best_at, best_off, best_segment = cost, at, off, segment
        if best_off > self._width:
            found = self._corridor.nearest_after(x, y, scale, self._done)
            if found is not None:
                best_off, best_at, best_segment = found
        self._off, self._near = best_off, best_off <= self._width
        if self._near:
            self._done, self._segment = best_at, best_segment

    def _watch_road(
        self, time: int, moved: float, lat: float, lon: float, alerts: list[Alert]
    ) -> None:
        if self._near:
            if self._left_told:
                alerts.append(
                    Alert("back_on_route", Severity.INFO, time, {"at_m": round(self._done)})
                )
            self._left_at, self._left_told, self._away_most, self._driven_off = (
                None,
                False,
                0.0,
                0.0,
            )
            return
        if self._arrived is not None or self._departed is None:
            return
        if self._left_at is None:
            self._left_at = self._time if self._time is not None else time
        self._driven_off += moved
        self._away_most = max(self._away_most, self._off)
        longest, length, away = self._off_limits
        grave = (
            (time - self._left_at > longest and self._driven_off > 200)
            or self._driven_off >= length
            or self._away_most >= away
        )
        if grave and not self._left_told:
            self._left_told = True
            alerts.append(
                Alert(
                    "off_route",
                    self._off_severity,
                    time,
                    {
                        "away_m": round(self._away_most),
                        "since": self._left_at,
                        "left_at_m": round(self._done),
                        "lat": round(lat, 6),
                        "lon": round(lon, 6),
                    },
                )
            )

    def _watch_gates(
        self, time: int, spot: tuple[float, float, float], alerts: list[Alert]
    ) -> None:
        loading, unloading = self.plan.loading, self.plan.unloading
        start = 2.0 * max(loading.radius_m, 100) + self._width
        if self._departed is None or self._done <= start:
            inside = self._done <= start and self._loading.holds(spot)
            if inside and not self._loaded:
                self._loaded, self._departed = True, None
                alerts.append(Alert("loading_reached", Severity.INFO, time))
            elif self._loaded and not inside:
                self._loaded, self._departed = False, time
                alerts.append(Alert("departed", Severity.INFO, time))
        if self._departed is None and not self._loaded and self._done > start:
            self._departed = time
        left = self._length - self._done
        near_end = (
            left <= self._length / 10 or left <= 2.0 * max(unloading.radius_m, 100) + self._width
        )
        if self._arrived is None and near_end and self._unloading.holds(spot):
            self._arrived = time
            alerts.append(Alert("arrived", Severity.INFO, time))

    def _pace_m_s(self) -> float:
        if len(self._pace) >= 2 and self._pace[-1][0] - self._pace[0][0] >= 120:
            (begin, from_m), (end, to_m) = self._pace[0], self._pace[-1]
            return max(_LEAST_PACE_M_S, (to_m - from_m) / (end - begin))
        return _TYPICAL_PACE_M_S


class _Place:
    """A gate in Mercator metres, asked for every fix."""

    def __init__(self, gate: Gate, project: Callable[[float, float], tuple[float, ...]]) -> None:
        self._ring = [project(*one)[:2] for one in gate.polygon or ((gate.lon, gate.lat),)]
        self._radius_m = gate.radius_m

    def holds(self, spot: tuple[float, float, float]) -> bool:
        """Whether a place (Mercator metres and scale) is inside."""
        x, y, scale = spot
        ring = self._ring
        if len(ring) == 1:
            return math.hypot(x - ring[0][0], y - ring[0][1]) <= self._radius_m * scale
        inside = False
        for (ax, ay), (bx, by) in zip(ring, (*ring[1:], ring[0]), strict=True):
            if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
                inside = not inside
        return inside

    def off_m(self, spot: tuple[float, float, float]) -> float:
        """About how far its edge is, 0 inside; of a polygon its nearest corner."""
        if self.holds(spot):
            return 0.0
        x, y, scale = spot
        nearest = min([math.hypot(x - a, y - b) for a, b in self._ring]) / scale
        return max(0.0, nearest - self._radius_m)
