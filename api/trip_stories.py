"""A trip put together from what every package knows of it; the pages and /v1 tell the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from api.auth import Caller
from api.board import Standing
from api.ports import Services
from api.timeline import Filed
from api.waybill_forms import parties_of
from chain.delivery import HeldTrip
from chain.errors import NotFoundError
from chain.ids import PartyId, TripId
from chain.party import Party
from chain.ports import Outgoing
from chain.waybill import HeldWaybill
from finance.records import AdvanceRecord
from tracking.trip import AttestationRecord, TrackBatchRecord, VerdictRecord


@dataclass(frozen=True, slots=True)
class TripStory:
    """Everything known of one trip.

    Attributes:
        chain: the waybills above it, the root first, the leaf last.
        parties: every party that stands in it, by id.
    """

    trip: HeldTrip
    leaf: HeldWaybill
    chain: Sequence[HeldWaybill]
    parties: dict[PartyId, Party]
    verdict: VerdictRecord | None
    batches: Sequence[TrackBatchRecord]
    attestations: Sequence[AttestationRecord]
    filed: Sequence[Filed]
    sent: Sequence[Outgoing]

    def name(self, party: int | str, lang: str) -> str:
        """What people call a party; its number where nobody knows it."""
        found = self.parties.get(PartyId(int(party)))
        return str(party) if found is None else party_name(found, lang)


def party_name(party: Party, lang: str) -> str:
    """What people call a party."""
    return party.name_zh if lang == "zh" else party.name_en


def concerned_by(services: Services, leaf: HeldWaybill) -> set[PartyId]:
    """Who may see a trip: the parties of its chain and the lender of its advance."""
    path = services.records.list_ancestors(leaf.id)
    parties = {party for one in path for party in parties_of(one)}
    advance = services.books.find_advance_of_trip(leaf.form.trip)
    if advance is not None:
        parties.add(advance.lender)
    return parties


def get_trip(services: Services, trip: str, caller: Caller) -> tuple[HeldTrip, HeldWaybill]:
    """A trip and its leaf, if the caller may see them.

    Raises:
        NotFoundError: there is none, or it is none of his business.
    """
    held = services.records.find_trip(TripId(trip))
    if held is None:
        raise NotFoundError("there is no such trip")
    leaf = services.records.get_waybill(held.leaf)
    caller.require_sight(concerned_by(services, leaf), "trip")
    return held, leaf


def list_visible(
    services: Services, caller: Caller, *, after: str = "", before: str = "", limit: int
) -> list[tuple[HeldTrip, list[HeldWaybill]]]:
    """Trips that the caller may see, by id, each with its waybills from the leaf up; two questions.

    Args:
        services: the transaction.
        caller: whose board is read.
        after: only trips after this id.
        before: only trips before it, the last of them (the page before a cursor).
        limit: most of them.
    """
    party = None if caller.sees_all else caller.require_self()
    ids = services.board.list_ids(party, after=after, before=before, limit=limit)
    found = services.records.list_trips_by_id(ids)
    return [found[trip] for trip in ids if trip in found]


def tell_briefly(
    services: Services, trips: Sequence[tuple[HeldTrip, list[HeldWaybill]]]
) -> list[tuple[TripStory, AdvanceRecord | None]]:
    """What a list shows of trips, in a fixed number of questions: no timeline, no attestations."""
    ids = [trip.id for trip, _ in trips]
    parties = services.records.list_parties(
        sorted({side for _, path in trips for one in path for side in parties_of(one)})
    )
    verdicts = services.tracks.list_verdicts(ids)
    asked = services.books.list_advances(trips=ids) if ids else []
    # A trip may have been asked for twice; the later request counts.
    advances = {one.trip: one for one in sorted(asked, key=lambda one: one.submitted_at)}
    return [
        (
            TripStory(
                trip=trip,
                leaf=path[0],
                chain=path[::-1],
                parties=parties,
                verdict=verdicts.get(trip.id),
                batches=(),
                attestations=(),
                filed=(),
                sent=(),
            ),
            advances.get(trip.id),
        )
        for trip, path in trips
    ]


def tell(services: Services, trip: HeldTrip, leaf: HeldWaybill) -> TripStory:
    """Everything known of a trip, in a fixed number of questions."""
    chain = list(reversed(services.records.list_ancestors(leaf.id)))
    attestations = services.tracks.list_attestations(trip.id)
    advance = services.books.find_advance_of_trip(trip.id)
    ids: set[str] = {trip.id, *(waybill.id for waybill in chain)}
    concerned = {party for waybill in chain for party in parties_of(waybill)}
    concerned |= {one.attestor for one in attestations}
    if advance is not None:
        ids.add(advance.advance)
        concerned |= {advance.lender, advance.borrower}
    return TripStory(
        trip=trip,
        leaf=leaf,
        chain=chain,
        parties=services.records.list_parties(sorted(concerned)),
        verdict=services.tracks.find_verdict(trip.id),
        batches=services.tracks.list_batches(trip.id),
        attestations=attestations,
        filed=services.timeline.list_about(ids),
        sent=_sent(services, ids),
    )


def note_on_board(services: Services, trips: Collection[TripId]) -> None:
    """Brings the boards up to date with what is known of some trips."""
    paths = services.records.list_trips_by_id(trips)
    outcomes = services.tracks.list_outcomes(list(paths))
    asked = services.books.list_advances(trips=list(paths)) if paths else []
    # A trip may have been asked for twice; the later request counts.
    advances = {one.trip: one for one in sorted(asked, key=lambda one: one.submitted_at)}
    lines = {one: services.books.find_line(one) for one in {a.line for a in advances.values()}}
    standings = []
    for trip, path in paths.values():
        advance = advances.get(trip.id)
        line = None if advance is None else lines[advance.line]
        standings.append(
            Standing(
                trip,
                path,
                outcomes.get(trip.id, ""),
                advance,
                tolerance_bps=line.tolerance_bps if line else 0,
            )
        )
    services.board.note(standings)


def _sent(services: Services, ids: Collection[str]) -> list[Outgoing]:
    return [one for about in sorted(ids) for one in services.outbox.list_about(about)]
