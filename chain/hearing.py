"""What the chain says of parties, waybills and deliveries: their rows move here and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chain.bindings.enums import TripState
from chain.delivery import HeldTrip
from chain.party import Party, PartyStage
from chain.waybill import STAGE_OF, ZERO, Stage

if TYPE_CHECKING:
    from typing import Any

    from chain.abi import Occurred
    from chain.bindings import events
    from chain.ids import WaybillId
    from chain.ports import Records


class Hearing:
    """One method an event; ``api.flow`` says which. One object serves one database transaction."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def on_party_registered(self, seen: Occurred[events.PartyRegistered]) -> None:
        """A party stands on chain."""
        event = seen.event
        known = self._records.find_party(event.party)
        if known is None:
            label = f"party {event.party}"
            known = Party(
                event.party, label, label, "unknown", PartyStage.PENDING, event.key, event.profile
            )
            self._records.add_party(known)
        self._records.save_party(
            replace(known, stage=PartyStage.REGISTERED, key=event.key, registered_at=seen.at)
        )

    def on_key_rotated(self, seen: Occurred[events.KeyRotated]) -> None:
        """A party has a new key."""
        known = self._records.get_party(seen.event.party)
        self._records.save_party(
            replace(known, stage=PartyStage.REGISTERED, key=seen.event.new_key)
        )

    def on_key_revoked(self, seen: Occurred[events.KeyRevoked]) -> None:
        """A party's key is out of use."""
        known = self._records.get_party(seen.event.party)
        self._records.save_party(replace(known, stage=PartyStage.REVOKED, key=None))

    def on_waybill_issued(self, seen: Occurred[events.WaybillIssued]) -> None:
        """A waybill stands on chain; a leaf opens its trip."""
        event = seen.event
        waybill = self._records.find_waybill(event.waybill)
        if waybill is None:
            return  # issued past us: its form is unknown here, the event log has what the chain tells
        self._records.save_waybill(waybill.move(Stage.ISSUED, declared=event.declared, refusal=""))
        if waybill.is_leaf and self._records.find_trip(waybill.form.trip) is None:
            self._records.add_trip(HeldTrip(waybill.form.trip, waybill.id, vehicle=waybill.vehicle))

    def on_waybill_amended(self, seen: Occurred[events.WaybillAmended]) -> None:
        """New terms stand."""
        event = seen.event
        waybill = self._records.find_waybill(event.waybill)
        if waybill is not None:
            self._records.save_waybill(
                replace(
                    waybill,
                    version=event.version,
                    freight=event.freight,
                    quantity=event.quantity,
                    vehicle=event.vehicle if event.vehicle != ZERO else None,
                )
            )

    def on_waybill_moved(self, seen: Occurred[events.WaybillMoved]) -> None:
        """A waybill is in transit, delivered or paid."""
        waybill = self._records.find_waybill(seen.event.waybill)
        if waybill is None:
            return
        stage = STAGE_OF[seen.event.to]
        changes: dict[str, Any] = {"delivered_at": seen.at} if stage is Stage.DELIVERED else {}
        self._records.save_waybill(waybill.move(stage, **changes))

    def on_waybill_cancelled(self, seen: Occurred[events.WaybillCancelled]) -> None:
        """A waybill has ended before loading."""
        waybill = self._records.find_waybill(seen.event.waybill)
        if waybill is not None:
            self._records.save_waybill(waybill.move(Stage.CANCELLED))

    def on_waybill_credited(self, seen: Occurred[events.WaybillCredited]) -> None:
        """Less is owed on a waybill."""
        waybill = self._records.find_waybill(seen.event.waybill)
        if waybill is not None:
            self._records.save_waybill(replace(waybill, credited=seen.event.credited))

    def on_waybill_paid(self, seen: Occurred[events.WaybillPaid]) -> None:
        """The performer of a waybill has received freight."""
        waybill = self._records.find_waybill(seen.event.waybill)
        if waybill is not None:
            self._records.save_waybill(replace(waybill, paid=seen.event.paid))

    def on_trip_loaded(self, seen: Occurred[events.TripLoaded]) -> None:
        """A truck is loaded."""
        event = seen.event
        trip = self._records.find_trip(event.trip)
        if trip is not None:
            self._records.save_trip(
                trip.move(
                    TripState.LOADED,
                    vehicle=event.vehicle,
                    loaded=event.quantity,
                    loaded_at=seen.at,
                )
            )

    def on_delivery_confirmed(self, seen: Occurred[events.DeliveryConfirmed]) -> None:
        """A receipt stands on chain."""
        event = seen.event
        trip = self._records.find_trip(event.trip)
        if trip is not None:
            self._records.save_trip(
                replace(
                    trip,
                    accepted=event.accepted,
                    condition=event.condition,
                    confirmed_by=event.by,
                    confirmed_at=seen.at,
                    receipt=event.document,
                )
            )

    def on_delivery_completed(self, seen: Occurred[events.DeliveryCompleted]) -> None:
        """Confirmation and attestations agree: the delivery is complete."""
        event = seen.event
        trip = self._records.find_trip(event.trip)
        if trip is None:
            return
        self._records.save_trip(
            trip.move(
                TripState.DELIVERED,
                accepted=event.accepted,
                completed_at=seen.at,
                completed_hash=seen.transaction_hash,
            )
        )
        leaf = self._records.get_waybill(trip.leaf)
        above = self._records.list_ancestors(leaf.form.parent) if leaf.form.parent != ZERO else []
        for waybill in (leaf, *above):
            self._records.save_waybill(replace(waybill, accepted=waybill.accepted + event.accepted))

    def on_delivery_disputed(self, seen: Occurred[events.DeliveryDisputed]) -> None:
        """A delivery is held, or its receivable marked."""
        trip = self._records.find_trip(seen.event.trip)
        if trip is not None:
            held = trip if seen.event.after_completion else trip.move(TripState.HELD)
            self._records.save_trip(replace(held, disputed=True))

    def on_dispute_resolved(self, seen: Occurred[events.DisputeResolved]) -> None:
        """A dispute has ended; a void trip is told by its own event."""
        trip = self._records.find_trip(seen.event.trip)
        if trip is not None:
            freed = (
                trip.move(TripState.LOADED)
                if trip.state is TripState.HELD and seen.event.outcome == 1
                else trip
            )
            self._records.save_trip(replace(freed, disputed=False))

    def on_trip_voided(self, seen: Occurred[events.TripVoided]) -> None:
        """A trip has ended without delivery."""
        trip = self._records.find_trip(seen.event.trip)
        if trip is not None:
            self._records.save_trip(trip.move(TripState.VOID))

    def on_issue_refused(self, wid: WaybillId, reason: str) -> None:
        """The chain refused to issue a waybill; called for a reverted outgoing transaction."""
        waybill = self._records.find_waybill(wid)
        if waybill is not None and waybill.stage is Stage.SIGNED:
            self._records.save_waybill(waybill.move(Stage.REFUSED, refusal=reason))
