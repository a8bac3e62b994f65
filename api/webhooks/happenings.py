"""Which events of the chain firms are told, under which name, and what each is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from api.object_ids import AboutKind
from chain.abi import Event
from chain.bindings import events


@dataclass(frozen=True, slots=True)
class Happening:
    """How an event of the chain is told.

    Attributes:
        type: its name for subscribers, ``noun.past``.
        kind: what it is about; the field of that name in the event is the id.
        field: that field, where it is not named as the kind.
    """

    type: str
    kind: AboutKind
    field: str = ""

    def id_of(self, event: Event) -> str:
        """The id of what an event is about."""
        return str(getattr(event, self.field or self.kind))


HAPPENINGS: Mapping[type[Event], Happening] = {
    events.PartyRegistered: Happening("party.registered", "party"),
    events.KeyRotated: Happening("party.key_rotated", "party"),
    events.KeyRevoked: Happening("party.key_revoked", "party"),
    events.KeyRecoveryProposed: Happening("party.key_recovery_proposed", "party"),
    events.KeyRecoveryCancelled: Happening("party.key_recovery_cancelled", "party"),
    events.WaybillIssued: Happening("waybill.issued", "waybill"),
    events.WaybillAmended: Happening("waybill.amended", "waybill"),
    events.WaybillMoved: Happening("waybill.moved", "waybill"),
    events.WaybillCancelled: Happening("waybill.cancelled", "waybill"),
    events.WaybillCredited: Happening("waybill.credited", "waybill"),
    events.WaybillPaid: Happening("waybill.paid", "waybill"),
    events.FreightSettled: Happening("waybill.settled", "waybill"),
    events.TripLoaded: Happening("trip.loaded", "trip"),
    events.DriveAttested: Happening("trip.attested", "trip"),
    events.DeliveryConfirmed: Happening("trip.confirmed", "trip"),
    events.DeliveryDisputed: Happening("trip.disputed", "trip"),
    events.DisputeResolved: Happening("trip.dispute_resolved", "trip"),
    events.DeliveryCompleted: Happening("trip.delivered", "trip"),
    events.TripVoided: Happening("trip.voided", "trip"),
    events.LineOpened: Happening("line.opened", "line"),
    events.LineChanged: Happening("line.changed", "line"),
    events.LineRuleSet: Happening("line.rule_set", "line"),
    events.AdvanceRequested: Happening("advance.requested", "advance"),
    events.DebtAcknowledged: Happening("advance.acknowledged", "advance"),
    events.PayeeConsented: Happening("advance.consented", "advance"),
    events.AdvanceApproved: Happening("advance.approved", "advance"),
    events.AdvanceDeclined: Happening("advance.declined", "advance"),
    events.AdvanceReleasable: Happening("advance.releasable", "advance"),
    events.AdvanceReleased: Happening("advance.released", "advance"),
    events.PayeePaid: Happening("advance.payee_paid", "advance"),
    events.PayeeFailed: Happening("advance.payee_failed", "advance"),
    events.AdvanceVoided: Happening("advance.voided", "advance"),
    events.AdvanceExtended: Happening("advance.extended", "advance"),
    events.AdvanceRepaid: Happening("advance.repaid", "advance"),
    events.AdvanceClosed: Happening("advance.closed", "advance"),
    events.AdvanceDefaulted: Happening("advance.defaulted", "advance"),
    events.AdvanceWrittenOff: Happening("advance.written_off", "advance"),
    events.PayoutQueued: Happening("payout.queued", "party"),
}
"""In product order; an event that is not here concerns the platform alone."""

OWN_TYPES = (
    "trip.alerted",
    "job.finished",
    "webhook_endpoint.test",
)
"""What happens here and not on chain."""

TYPES = tuple(sorted({one.type for one in HAPPENINGS.values()} | set(OWN_TYPES)))
"""Every type that can be subscribed to."""
