"""Where a trip stands for people, and why its money has not moved: pure, without words.

The order of ``Stage`` is that of a good day. What the pages say of a code is in their catalogue.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from chain.bindings.enums import TripState
from chain.waybill import Stage as WaybillStage
from finance.advance import AdvanceState

if TYPE_CHECKING:
    from chain.delivery import HeldTrip
    from chain.waybill import HeldWaybill
    from finance.records import AdvanceRecord


class Stage(StrEnum):
    """Where a trip stands for people; the order is that of a good day."""

    DRAFTED = "drafted"
    SIGNED = "signed"
    APPROVED = "approved"
    LOADED = "loaded"
    ARRIVED = "arrived"
    DELIVERED = "delivered"
    PAID = "paid"
    REPAID = "repaid"
    HELD = "held"
    """Nothing moves until a person decides; the reasons say what."""
    VOID = "void"


OPEN = (Stage.SIGNED, Stage.APPROVED, Stage.LOADED, Stage.ARRIVED, Stage.DELIVERED)
"""Stages of a trip that is under way."""


class Hold(StrEnum):
    """Why a trip's money has not moved, the gravest first."""

    VOID = "void"
    DISPUTED = "disputed"
    ROAD_FAILED = "road_failed"
    ROAD_UNCLEAR = "road_unclear"
    SHORT = "short"
    DECLINED = "declined"
    LAPSED = "lapsed"


def holds_of(
    trip: HeldTrip, verdict: str, advance: AdvanceRecord | None, *, tolerance_bps: int = 0
) -> list[Hold]:
    """Why nothing moves, as far as trip, verdict and advance tell; empty while all goes its way.

    Args:
        trip: as the chain has it.
        verdict: pass, review, fail, or "" before.
        advance: on this trip.
        tolerance_bps: shortage that still releases by itself.
    """
    if advance is not None and advance.released_fen:
        return []
    found = []
    if trip.state is TripState.VOID:
        found.append(Hold.VOID)
    if trip.disputed:
        found.append(Hold.DISPUTED)
    if verdict in {"fail", "review"}:
        found.append(Hold.ROAD_FAILED if verdict == "fail" else Hold.ROAD_UNCLEAR)
    if trip.accepted is not None and trip.accepted * 10_000 < trip.loaded * (
        10_000 - tolerance_bps
    ):
        found.append(Hold.SHORT)
    if advance is not None and advance.state is AdvanceState.DECLINED:
        found.append(Hold.DECLINED)
    if advance is not None and advance.state is AdvanceState.VOIDED:
        found.append(Hold.LAPSED)
    return found


def stage_of(
    trip: HeldTrip, leaf: HeldWaybill, verdict: str, advance: AdvanceRecord | None, *, held: bool
) -> Stage:
    """Where a trip stands for people.

    Args:
        trip: as the chain has it.
        leaf: the driver's waybill.
        verdict: "" before there is one.
        advance: on this trip.
        held: whether there is a reason why nothing moves.
    """
    if advance is not None and advance.state is AdvanceState.REPAID:
        return Stage.REPAID
    if advance is not None and advance.released_fen:
        return Stage.PAID
    if trip.state is TripState.VOID:
        return Stage.VOID
    if held:
        return Stage.HELD
    if trip.state is TripState.DELIVERED:
        return Stage.PAID if leaf.stage is WaybillStage.PAID else Stage.DELIVERED
    if trip.state is TripState.LOADED:
        return Stage.ARRIVED if verdict else Stage.LOADED
    if advance is not None and advance.state is AdvanceState.APPROVED:
        return Stage.APPROVED
    return Stage.SIGNED
