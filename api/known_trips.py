"""What ``yundan trips`` lists: every trip known here, and why money did not move where it did not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from chain.bindings.enums import TripState
from chain.delivery import HeldTrip
from finance.advance import AdvanceState
from finance.ports import Books
from finance.records import AdvanceRecord
from tracking.ports import Records as Tracks
from tracking.trip import VerdictRecord

PAGE = 500


class KnownTrips(Protocol):
    """The trips, page by page."""

    def list_trips(self, *, limit: int = 1000, after: str = "") -> list[HeldTrip]:
        """A page of trips by id."""
        ...


def list_known(records: KnownTrips, tracks: Tracks, books: Books) -> Iterator[dict[str, Any]]:
    """Every trip by id: ``trip_id, state, verdict, released_fen, reasons``; a fixed number of questions a page."""
    after = ""
    while page := records.list_trips(limit=PAGE, after=after):
        ids = [trip.id for trip in page]
        verdicts = tracks.list_verdicts(ids)
        advances = {one.trip: one for one in books.list_advances(trips=ids)}
        for trip in page:
            verdict, advance = verdicts.get(trip.id), advances.get(trip.id)
            yield {
                "trip_id": trip.id,
                "state": trip.state.name.lower(),
                "verdict": verdict.verdict if verdict else None,
                "released_fen": advance.released_fen if advance else 0,
                "reasons": list(_reasons(trip, verdict, advance)),
            }
        after = page[-1].id


def _reasons(
    trip: HeldTrip, verdict: VerdictRecord | None, advance: AdvanceRecord | None
) -> Iterator[str]:
    """Why nothing was released; empty where something was."""
    if advance is not None and advance.released_fen:
        return
    if advance is None or advance.state is AdvanceState.NONE:
        yield "no_advance"
    elif advance.state is AdvanceState.REQUESTED:
        yield "not_approved"
    elif advance.reason:
        yield advance.reason
    if trip.state in {TripState.OPEN, TripState.LOADED}:
        if trip.accepted is None:
            yield "not_confirmed"
        if verdict is None:
            yield "not_judged"
    if trip.disputed:
        yield "disputed"
    if verdict is not None and verdict.verdict != "pass":
        for finding in verdict.document.get("findings", []):
            if finding["severity"] != "info":
                yield f"{finding['severity']}:{finding['code']}"
