"""What happens when: each event of the chain and the use cases it sets in motion, in product order.

Read it as the story of a trip. The indexer calls these inside the transaction that moves its cursor, so an
event is handled once or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from api.object_ids import About
from api.sight import concerned_by
from api.timeline import facts_of
from api.trip_stories import note_on_board
from api.webhooks.events import Telling
from api.webhooks.happenings import HAPPENINGS
from chain.abi import Event, Occurred
from chain.bindings import events
from chain.bindings.enums import TripState
from chain.clock import beijing_day
from chain.errors import YundanError
from chain.ids import Hash32, PartyId, TripId
from chain.waybill import ZERO
from finance.payouts import account_of_party, collection_account
from finance.records import ReceivableRecord
from finance.relations import Link, LinkKind, party_name
from tracking.findings import Severity
from tracking.instants import instant

if TYPE_CHECKING:
    from api.bootstrap import Services
    from chain.waybill import HeldWaybill
    from tracking.ports import Raised

_log = structlog.get_logger(__name__)

UseCase = Callable[["Services", Occurred[Any]], None]

UseCaseOfMany = Callable[["Services", Sequence[Occurred[Any]]], None]

LATENESS_S = 12 * 3600
"""A truck may come this late after its window: its positions still belong to the trip."""


def read_ahead(to: Services, seen: Sequence[Occurred[Any]]) -> None:
    """What the events are about is read in few questions, so that each handler finds it at hand."""
    named: dict[str, set[Any]] = {"trip": set(), "waybill": set(), "advance": set()}
    for one in seen:
        for name, ids in named.items():
            if hasattr(one.event, name):
                ids.add(getattr(one.event, name))
    advances = to.books.read_ahead(named["advance"], named["trip"])
    trips = named["trip"] | {one.trip for one in advances}
    to.records.read_ahead(named["waybill"] | {one.waybill for one in advances}, trips)
    opened, terminals = set(), set()
    for one in seen:
        leaf = _leaf_of(to, one.event) if isinstance(one.event, events.WaybillIssued) else None
        if leaf is not None:
            opened.add(leaf.form.trip)
            terminals.add(str((leaf.plan or {}).get("terminal", "")))
    to.tracking.read_ahead(trips | opened, terminals)


def _leaf_of(to: Services, event: events.WaybillIssued) -> HeldWaybill | None:
    waybill = to.records.find_waybill(event.waybill)
    return waybill if waybill is not None and waybill.is_leaf else None


def file_away(to: Services, seen: Sequence[Occurred[Any]]) -> None:
    """Every event is filed under what it is about: the story of a trip, in the order of the chain."""
    to.timeline.file(seen)


def note_trips(to: Services, seen: Sequence[Occurred[Any]]) -> None:
    """What events say of trips, of their leaves or of their advances, goes on the boards."""
    trips: set[TripId] = set()
    for one in seen:
        if type(one.event) in NOTED:
            trip = _trip_of(to, one.event)
            if trip is not None:
                trips.add(trip)
    note_on_board(to, trips)


def _trip_of(to: Services, event: Any) -> TripId | None:
    if hasattr(event, "trip"):
        trip: TripId = event.trip
        if trip != ZERO:
            return trip
    if hasattr(event, "waybill"):
        waybill = to.records.find_waybill(event.waybill)
        return waybill.form.trip if waybill is not None and waybill.is_leaf else None
    advance = to.books.find_advance(event.advance)
    return None if advance is None else advance.trip


def tell(to: Services, seen: Sequence[Occurred[Any]]) -> None:
    """Whoever an event concerns is told of it, after everything that it set in motion."""
    concerned: dict[About, tuple[PartyId, ...]] = {}
    tellings = []
    for one in seen:
        happening = HAPPENINGS.get(type(one.event))
        if happening is None:
            continue
        about = About(happening.kind, happening.id_of(one.event))
        if about not in concerned:
            concerned[about] = tuple(concerned_by(to, about))
        facts = facts_of(one.event)
        tellings.append(
            Telling(
                happening.type,
                about,
                concerned[about],
                facts | {"transaction": one.transaction_hash, "block": one.block_number},
                source=f"{one.transaction_hash}:{one.log_index}",
                at=one.at,
            )
        )
    to.events.publish_all(tellings)


def watch_trip(to: Services, seen: Occurred[events.WaybillIssued]) -> None:
    """A leaf stands on chain: its vehicle's terminal is watched from now on."""
    leaf = _leaf_of(to, seen.event)
    if leaf is None or leaf.plan is None or leaf.vehicle is None:
        return
    try:
        terminal = str(leaf.plan.get("terminal", ""))
        to.tracking.register_terminal(terminal, leaf.vehicle)
        to.tracking.open_trip(
            leaf.form.trip,
            terminal=terminal,
            vehicle=leaf.vehicle,
            plan=leaf.plan,
            opens=leaf.form.load_from,
            closes=leaf.form.deliver_by + LATENESS_S,
            version=leaf.version,
            policy_hash=Hash32(leaf.form.policy),
        )
    except YundanError as error:
        # The waybill stands whatever its plan is worth; a trip nobody watches is never attested.
        _log.warning("trip_not_watched", trip=leaf.form.trip, code=error.code, why=str(error))


def open_collection(to: Services, seen: Occurred[events.WaybillIssued]) -> None:
    """A waybill stands on chain: its debtor gets a reference to pay under, always the same."""
    to.payouts.open_pay_in(collection_account(seen.event.waybill), seen.event.waybill)


def link_freight(to: Services, seen: Occurred[events.WaybillIssued]) -> None:
    """A waybill says who owes whom freight and who receives it: circles and new consignees are seen by it."""
    held = to.records.find_waybill(seen.event.waybill)
    if held is not None:
        to.books.add_link(
            Link(
                party_name(held.form.issuer),
                party_name(held.form.performer),
                LinkKind.FREIGHT,
                beijing_day(seen.at),
                held.form.freight,
                held.id,
            )
        )
        to.books.add_link(
            Link(
                party_name(held.form.performer),
                party_name(held.form.consignee),
                LinkKind.DELIVERS,
                beijing_day(seen.at),
                about=held.id,
            )
        )


def open_own_account(to: Services, seen: Occurred[events.PartyRegistered]) -> None:
    """A party is registered: money it pays in under its reference stands on its own account."""
    to.payouts.open_pay_in(account_of_party(seen.event.party), f"party:{seen.event.party}")


def amend_watch(to: Services, seen: Occurred[events.WaybillAmended]) -> None:
    """A leaf was amended: its trip is judged by the new version."""
    leaf = to.records.find_waybill(seen.event.waybill)
    if leaf is not None and leaf.is_leaf and to.tracks.find_trip(leaf.form.trip) is not None:
        to.tracking.amend_trip(leaf.form.trip, version=seen.event.version)


def trip_loaded(to: Services, seen: Occurred[events.TripLoaded]) -> None:
    """The truck is loaded: from now on its positions are committed while it drives."""
    to.tracking.on_trip_moved(seen.event.trip, TripState.LOADED)


def trip_delivered(to: Services, seen: Occurred[events.DeliveryCompleted]) -> None:
    """The delivery is complete: nothing more is committed."""
    to.tracking.on_trip_moved(seen.event.trip, TripState.DELIVERED)


def trip_held(to: Services, seen: Occurred[events.DeliveryDisputed]) -> None:
    """A dispute holds the delivery."""
    if not seen.event.after_completion:
        to.tracking.on_trip_moved(seen.event.trip, TripState.HELD)


def trip_freed(to: Services, seen: Occurred[events.DisputeResolved]) -> None:
    """A dispute has ended and the delivery goes on."""
    if seen.event.outcome == 1:
        to.tracking.on_trip_moved(seen.event.trip, TripState.LOADED)


def trip_void(to: Services, seen: Occurred[events.TripVoided]) -> None:
    """The trip has ended without delivery."""
    to.tracking.on_trip_moved(seen.event.trip, TripState.VOID)


def advance_requested(to: Services, seen: Occurred[events.AdvanceRequested]) -> None:
    """A request stands on chain: what its debtor owes is what the waybill says by now."""
    waybill = to.records.find_waybill(seen.event.waybill)
    owed = None
    if waybill is not None:
        owed = ReceivableRecord(
            waybill=waybill.id,
            debtor=waybill.form.issuer,
            owner=waybill.form.performer,
            freight_fen=waybill.freight,
            term_days=waybill.form.term_days,
        )
    to.finance.on_advance_requested(seen, owed)


ON: Mapping[type[Event], tuple[UseCase, ...]] = {
    # parties
    events.PartyRegistered: (
        lambda to, seen: to.registry.on_party_registered(seen),
        open_own_account,
    ),
    events.KeyRotated: (
        lambda to, seen: to.registry.on_key_rotated(seen),
        lambda to, seen: to.platform_keys.forget(seen.event.party, seen.event.new_key),
    ),
    events.KeyRevoked: (lambda to, seen: to.registry.on_key_revoked(seen),),
    # waybills
    events.WaybillIssued: (
        lambda to, seen: to.registry.on_waybill_issued(seen),
        open_collection,
        link_freight,
        watch_trip,
    ),
    events.WaybillAmended: (lambda to, seen: to.registry.on_waybill_amended(seen), amend_watch),
    events.WaybillMoved: (lambda to, seen: to.registry.on_waybill_moved(seen),),
    events.WaybillCancelled: (lambda to, seen: to.registry.on_waybill_cancelled(seen),),
    events.WaybillCredited: (lambda to, seen: to.registry.on_waybill_credited(seen),),
    # the road
    events.TripLoaded: (lambda to, seen: to.registry.on_trip_loaded(seen), trip_loaded),
    events.TrackCommitted: (lambda to, seen: to.tracking.on_track_committed(seen),),
    events.DriveAttested: (lambda to, seen: to.tracking.on_attested(seen),),
    events.DeliveryConfirmed: (lambda to, seen: to.registry.on_delivery_confirmed(seen),),
    events.DeliveryDisputed: (lambda to, seen: to.registry.on_delivery_disputed(seen), trip_held),
    events.DisputeResolved: (lambda to, seen: to.registry.on_dispute_resolved(seen), trip_freed),
    events.TripVoided: (lambda to, seen: to.registry.on_trip_voided(seen), trip_void),
    events.DeliveryCompleted: (
        lambda to, seen: to.registry.on_delivery_completed(seen),
        trip_delivered,
        lambda to, seen: to.finance.on_delivery_completed(seen),
    ),
    # lines
    events.LineOpened: (lambda to, seen: to.finance.on_line_opened(seen),),
    events.LineChanged: (lambda to, seen: to.finance.on_line_changed(seen),),
    events.LineRuleSet: (lambda to, seen: to.finance.on_line_rule_set(seen),),
    events.VaultMoved: (lambda to, seen: to.finance.on_vault_moved(seen),),
    events.LineReserved: (lambda to, seen: to.finance.on_line_reserved(seen),),
    events.LineReserveVoided: (lambda to, seen: to.finance.on_line_reserve_voided(seen),),
    events.LineDrawn: (lambda to, seen: to.finance.on_line_drawn(seen),),
    events.LineRepaid: (lambda to, seen: to.finance.on_line_repaid(seen),),
    events.LineWrittenOff: (lambda to, seen: to.finance.on_line_written_off(seen),),
    # the advance
    events.AdvanceRequested: (advance_requested,),
    events.DebtAcknowledged: (lambda to, seen: to.finance.on_debt_acknowledged(seen),),
    events.PayeeConsented: (lambda to, seen: to.finance.on_payee_consented(seen),),
    events.AdvanceApproved: (lambda to, seen: to.finance.on_advance_approved(seen),),
    events.AdvanceDeclined: (lambda to, seen: to.finance.on_advance_declined(seen),),
    events.AdvanceReleasable: (lambda to, seen: to.finance.on_advance_releasable(seen),),
    events.AdvanceReleased: (lambda to, seen: to.finance.on_advance_released(seen),),
    events.PayeePaid: (lambda to, seen: to.finance.on_payee_paid(seen),),
    events.PayeeFailed: (lambda to, seen: to.finance.on_payee_failed(seen),),
    events.AdvanceVoided: (lambda to, seen: to.finance.on_advance_voided(seen),),
    events.WaybillPaid: (lambda to, seen: to.registry.on_waybill_paid(seen),),
    # repayment
    events.FreightSettled: (lambda to, seen: to.finance.on_freight_settled(seen),),
    events.InterestDeferred: (lambda to, seen: to.finance.on_interest_deferred(seen),),
    events.AdvanceExtended: (lambda to, seen: to.finance.on_advance_extended(seen),),
    events.AdvanceRepaid: (lambda to, seen: to.finance.on_advance_repaid(seen),),
    events.AdvanceClosed: (lambda to, seen: to.finance.on_advance_closed(seen),),
    events.AdvanceDefaulted: (lambda to, seen: to.finance.on_advance_defaulted(seen),),
    events.AdvanceWrittenOff: (lambda to, seen: to.finance.on_advance_written_off(seen),),
    # the token and the bank
    events.Transfer: (lambda to, seen: to.finance.on_token_moved(seen),),
    events.Minted: (lambda to, seen: to.payouts.on_minted(seen),),
    events.PayoutQueued: (lambda to, seen: to.payouts.on_payout_queued(seen),),
    events.PayoutRedirected: (lambda to, seen: to.payouts.on_payout_redirected(seen),),
    events.PayoutPaid: (
        lambda to, seen: to.payouts.on_payout_paid(seen),
        lambda to, seen: to.finance.on_payout_paid(seen),
    ),
}
"""In product order: what is done for one event after the other."""

NOTED: frozenset[type[Event]] = frozenset(
    {
        events.WaybillIssued, events.WaybillAmended, events.WaybillCancelled, events.WaybillPaid,
        events.TripLoaded, events.DeliveryConfirmed, events.DeliveryCompleted, events.DeliveryDisputed,
        events.DisputeResolved, events.TripVoided, events.AdvanceRequested, events.AdvanceApproved,
        events.AdvanceDeclined, events.AdvanceReleasable, events.AdvanceReleased, events.AdvanceVoided,
        events.AdvanceClosed, events.AdvanceDefaulted, events.AdvanceWrittenOff,
    }
)  # fmt: skip
"""What changes where a trip stands."""

BEFORE: tuple[UseCaseOfMany, ...] = (read_ahead,)
"""Done for all events of a database transaction, before the first is handled."""

AFTER: tuple[UseCaseOfMany, ...] = (file_away, note_trips, tell)
"""Done for all of them when each has been handled; every event, named above or not, is filed."""


def tell_alert(to: Services, raised: Raised) -> None:
    """Whoever a trip concerns is told of its alert, and the log without a place."""
    alert = raised.alert
    if alert.severity is not Severity.INFO:
        _log.warning("trip_alert", trip=raised.trip, code=alert.code, at=alert.at)
    about = About("trip", raised.trip)
    numbers = {name: value for name, value in alert.detail.items() if name not in {"lat", "lon"}}
    to.events.publish(
        "trip.alerted",
        about,
        concerned_by(to, about),
        facts={"code": alert.code, "severity": alert.severity.value, "detail": numbers},
        source=f"alert:{raised.trip}:{alert.at}:{alert.code}",
        at=instant(alert.at),
    )


ON_ALERT: tuple[Callable[[Services, Raised], None], ...] = (tell_alert,)
"""What is done when a trip under way raises an alert; inside the transaction that keeps it."""
