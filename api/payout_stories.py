"""A payout put together from what every package knows of it: from the consignee's signature to the bank's word."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.ports import Services
from chain.delivery import HeldTrip
from chain.ids import AdvanceId, Hash32, PartyId, TripId
from chain.ports import Outgoing
from finance.payouts import Payout, Question, Stage, stages_of
from finance.records import AdvanceRecord

SIGNATURE_CALL = "confirm"
"""DeliveryRegistry's function that takes the consignee's signature."""


@dataclass(frozen=True, slots=True)
class PayoutStory:
    """One payout as the payee sees it.

    Attributes:
        payout: amount, state, present leg.
        advance: the advance that paid it; None for money a party took out of its own balance.
        signed_at: the consignee's signature, by the chain's clock.
        signature_wall: when his signature reached us, by the machine's clock.
        stages: in order, with times; a time that is None is still to come.
        questions: what a person must settle before it goes on.
        concerned: who may see it.
    """

    payout: Payout
    advance: AdvanceId | None
    trip: TripId | None
    signed_at: dt.datetime | None
    signature_wall: dt.datetime | None
    stages: Sequence[Stage]
    questions: Sequence[Question]
    concerned: frozenset[PartyId]

    @property
    def bank_seconds(self) -> float | None:
        """Seconds from the consignee's signature to the bank's acceptance, by the machine's clock."""
        if self.signature_wall is None or self.payout.accepted_wall is None:
            return None
        return (self.payout.accepted_wall - self.signature_wall).total_seconds()


def tell_payout(services: Services, payout: Hash32) -> PayoutStory:
    """Everything known of a payout.

    Raises:
        UnknownPayoutError: there is none.
    """
    return tell_payouts(services, [services.payouts.get(payout)])[0]


def tell_payouts_of_advance(services: Services, advance: AdvanceId) -> list[PayoutStory]:
    """The payouts of an advance, in order of payment; none before its release."""
    payees = services.books.list_payees([advance])[advance]
    named = [Hash32(payee.payout) for payee in payees if payee.payout]
    found = services.payouts.find(named)
    return tell_payouts(services, [found[payout] for payout in named])


def tell_payouts(services: Services, payouts: Sequence[Payout]) -> list[PayoutStory]:
    """Everything known of some payouts, in as many questions as of one."""
    ids = [payout.payout for payout in payouts]
    payees = services.books.list_payees_of_payouts(ids)
    records = services.books.list_advances_by_id({one.advance for one in payees.values()})
    trips = services.records.list_trips_by_id({one.trip for one in records.values()})
    sent = services.outbox.list_about_each({one.trip for one in records.values()})
    asked = services.payouts.questions_of(ids)
    return [
        _story(
            payout,
            records[payees[payout.payout].advance] if payout.payout in payees else None,
            {trip: held for trip, (held, _) in trips.items()},
            sent,
            [one for one in asked if one.payout == payout.payout],
        )
        for payout in payouts
    ]


def _story(
    payout: Payout,
    record: AdvanceRecord | None,
    trips: Mapping[TripId, HeldTrip],
    sent: Mapping[str, Sequence[Outgoing]],
    questions: Sequence[Question],
) -> PayoutStory:
    trip = None if record is None else trips.get(record.trip)
    signed_at = None if trip is None else trip.confirmed_at
    stages = stages_of(payout)
    if trip is not None:
        signed = Stage("signed", "收货人已签收", "Consignee has signed", signed_at)
        stages = (signed, *stages)
    concerned = {payout.party}
    if record is not None:
        concerned |= {record.lender, record.borrower}
    return PayoutStory(
        payout=payout,
        advance=None if record is None else record.advance,
        trip=None if record is None else record.trip,
        signed_at=signed_at,
        signature_wall=None if record is None else _signature_wall(sent[record.trip]),
        stages=stages,
        questions=questions,
        concerned=frozenset(concerned),
    )


def _signature_wall(sent: Sequence[Outgoing]) -> dt.datetime | None:
    """When the consignee's signature was taken here; None if it reached the chain by another way."""
    times = [one.queued_at for one in sent if one.function == SIGNATURE_CALL and one.queued_at]
    return max(times, default=None)
