"""A trip put together from what every package knows of it; the pages and /v1 tell the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from api.auth import Caller
from api.ports import Services
from api.timeline import Filed
from api.waybill_forms import parties_of
from chain.delivery import HeldTrip
from chain.errors import NotFoundError
from chain.ids import PartyId, TripId
from chain.party import Party
from chain.ports import Outgoing
from chain.waybill import HeldWaybill
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


def _sent(services: Services, ids: Collection[str]) -> list[Outgoing]:
    return [one for about in sorted(ids) for one in services.outbox.list_about(about)]
