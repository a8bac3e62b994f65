"""The watch over all trips under way: what each looks like now, and alerts within a second of the fix.

The live view is held in memory and made again from the stored fixes after a restart; an alert told before is
known by trip, instant and code, so that it is not told twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from chain.bindings.enums import TripState
from chain.errors import YundanError
from tracking.plan import Plan
from tracking.ports import Raised
from tracking.stream import LiveTrip
from tracking.trip import CLOCK_TOLERANCE_S

if TYPE_CHECKING:
    from chain.ids import TripId
    from tracking.alerts import Alert
    from tracking.fix import Fix
    from tracking.policy import Policy
    from tracking.ports import Records, TripOnRoad
    from tracking.stream import Progress

log = structlog.get_logger("tracking")

UNDER_WAY = (TripState.OPEN, TripState.LOADED, TripState.HELD)
MOST_ALERTS = 200
"""Told of one trip; beyond it a device is broken, and a person has been called long before."""


MOST_NEW = 50
"""Trips taken up in one look."""


@dataclass(slots=True)
class _Watched:
    facts: tuple[int, str, int, int]
    live: LiveTrip
    seen: int
    told: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found.

    Attributes:
        alerts: raised now; some may be known already after a restart.
        progress: of the trips from which something was heard.
    """

    alerts: tuple[Raised, ...]
    progress: dict[TripId, Progress]


class Watch:
    """The trips that one process watches.

    Args:
        policy: the judge's rules; the shipped ones unless given.
    """

    def __init__(self, *, policy: Policy | None = None) -> None:
        self._policy = policy
        self._trips: dict[TripId, _Watched] = {}

    def __len__(self) -> int:
        return len(self._trips)

    def look(self, records: Records, *, now: int) -> Seen:
        """Takes what has come in since the last look: one question for the trips, one for their fixes.

        What is found must be written down, or `forget` be called: it is not found again.
        """
        trips = {
            trip.trip: trip
            for trip in records.list_on_road(UNDER_WAY, now - CLOCK_TOLERANCE_S, now)
        }
        for gone in self._trips.keys() - trips.keys():
            del self._trips[gone]
        fresh_trips = 0
        for trip in trips.values():
            if trip.trip not in self._trips:
                fresh_trips += 1
                if fresh_trips > MOST_NEW:
                    continue  # their whole record is read: a few at a time after a restart
            self._follow(records, trip)
        # Two trips of one terminal overlap in time now and then: each takes its own part.
        since: dict[str, int] = {}
        for name, watched in self._trips.items():
            terminal = trips[name].terminal
            since[terminal] = min(since.get(terminal, watched.seen), watched.seen)
        fresh = records.list_newer(since, now + CLOCK_TOLERANCE_S) if since else {}
        alerts: list[Raised] = []
        progress: dict[TripId, Progress] = {}
        for name, watched in self._trips.items():
            trip = trips[name]
            fixes = [
                fix
                for fix in fresh.get(trip.terminal, ())
                if watched.seen < fix.time and trip.opens <= fix.time <= trip.closes
            ]
            found = self._take(watched, fixes, now)
            alerts += [Raised(name, one, now) for one in found]
            if fixes or found:
                progress[name] = watched.live.progress()
        return Seen(tuple(alerts), progress)

    def forget(self) -> None:
        """Begins anew from the records: after what was found could not be written down."""
        self._trips.clear()

    def _follow(self, records: Records, trip: TripOnRoad) -> None:
        facts = (trip.version, trip.plan_hash, trip.opens, trip.closes)
        known = self._trips.get(trip.trip)
        if known is not None and known.facts == facts:
            return
        whole = records.find_trip(trip.trip)
        if whole is None:
            return
        try:
            plan = Plan.from_json(whole.plan)
            live = LiveTrip(plan, policy=self._policy, for_verdict=False)
        except YundanError as error:
            if known is None:  # told once
                log.warning("trip_not_followed", trip=trip.trip, code=error.code, why=str(error))
            return
        self._trips[trip.trip] = _Watched(facts, live, trip.opens - 1)

    @staticmethod
    def _take(watched: _Watched, fixes: list[Fix], now: int) -> list[Alert]:
        alerts = watched.live.feed(fixes)
        if fixes:
            watched.seen = fixes[-1].time
        alerts += watched.live.tick(now)
        alerts = alerts[: max(0, MOST_ALERTS - watched.told)]
        watched.told += len(alerts)
        return alerts
