"""What tracking keeps of a trip: frozen values, and the states that only the chain moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from chain.bindings.enums import TripState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chain.ids import Hash32, PartyId, TripId
    from tracking.fix import Fix

MOVES: Mapping[TripState, frozenset[TripState]] = {
    TripState.NONE: frozenset({TripState.OPEN}),
    TripState.OPEN: frozenset({TripState.LOADED, TripState.VOID}),
    TripState.LOADED: frozenset({TripState.HELD, TripState.DELIVERED, TripState.VOID}),
    TripState.HELD: frozenset({TripState.LOADED, TripState.VOID}),
    TripState.DELIVERED: frozenset(),
    TripState.VOID: frozenset(),
}
"""The table of ``contracts/types/States.sol``; a test walks all pairs."""

OVER = frozenset({TripState.DELIVERED, TripState.VOID})
"""States in which no more batch is committed."""

MARGIN_S = 6 * 3600
"""Raw frames this long before and after the window go into the evidence: late uploads, wrong clocks."""

CLOCK_TOLERANCE_S = 300
SLIP_S = 8 * 3600


@dataclass(frozen=True, slots=True)
class Terminal:
    """A positioning terminal and the vehicle it is fixed to.

    Attributes:
        number: its short number in our tables.
        terminal: phone without leading zeros, what it is known by.
        vehicle: keyed hash of the plate, as on chain.
        auth_hash: SHA-256 of the authentication code in force, "" before the first registration.
        device_hash: SHA-256 of (manufacturer, model, terminal id) of the device registered first, ""
            before; another device under the same phone is refused until an operator releases it.
        owner: the party that alone is given codes for it; None until one has asked.
    """

    number: int
    terminal: str
    vehicle: Hash32
    auth_hash: str = ""
    device_hash: str = ""
    owner: PartyId | None = None


@dataclass(frozen=True, slots=True)
class Trip:
    """A trip under watch.

    Attributes:
        trip: its id on chain.
        terminal: phone of the terminal whose fixes count, normalised.
        vehicle: keyed hash of the plate.
        plan: route, corridor, gates and windows, the form that ``tracking.plan.Plan`` reads.
        plan_hash: keccak of the plan's RFC 8785 bytes, as signed in the waybill.
        policy_hash: of the judge's policy, as signed in the waybill.
        version: version of the waybill signed last.
        opens: unix seconds from which fixes count.
        closes: unix seconds until which fixes count.
        state: as the chain has it.
        verdict: the outcome recorded last, "" before.
    """

    trip: TripId
    terminal: str
    vehicle: Hash32
    plan: Mapping[str, Any]
    plan_hash: Hash32
    policy_hash: Hash32
    version: int
    opens: int
    closes: int
    state: TripState = TripState.OPEN
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A fix as a batch holds it: the leaf's numbers and the digest that names the fix."""

    time: int
    lat_e6: int
    lon_e6: int
    digest: int


@dataclass(frozen=True, slots=True)
class TrackBatchRecord:
    """Fixes committed together while the truck drives.

    Attributes:
        index: from 0, without gaps.
        root: of the tree over the members in their order (time, latitude, longitude, digest).
        late_fixes: members received more than ``CLOCK_TOLERANCE_S`` after their own time.
        built: unix seconds at which the batch was closed.
        committed: unix seconds of the block that holds it, None before.
        attestor: who signed it, 0 before.
    """

    trip: TripId
    index: int
    root: Hash32
    count: int
    first_time: int
    last_time: int
    late_fixes: int
    built: int
    committed: int | None = None
    attestor: int = 0


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """What our own judge said of a trip, as it said it.

    Attributes:
        verdict: pass, review or fail.
        document: the canonical JSON (``Verdict.to_json``) whose hash is ``findings``.
        findings: keccak of the document's RFC 8785 bytes.
        root: trajectory root.
        late_bps: share of the distance committed late, 1/10,000.
        judged: unix seconds.
    """

    trip: TripId
    verdict: str
    document: Mapping[str, Any]
    findings: Hash32
    root: Hash32
    policy_hash: Hash32
    late_bps: int
    judged: int


@dataclass(frozen=True, slots=True)
class AttestationRecord:
    """A signed verdict of an attestor; ``attested`` is the block's time once the chain has it."""

    trip: TripId
    attestor: PartyId
    verdict: str
    root: Hash32
    findings: Hash32
    queued: int
    attested: int | None = None


class RawFrame(NamedTuple):
    """Bytes as they came in, the ground of every verdict.

    Attributes:
        source: how to read them: ``jt808``, ``osmand``, ``traccar`` or ``fixes``.
        received: unix seconds UTC of receipt.
        data: a frame between its flags (escaped), or the request.
    """

    source: str
    received: int
    data: bytes


def belongs(fix: Fix, opens: int, closes: int) -> bool:
    """Whether a fix is of a trip with this window.

    By the device's clock; and where that clock is plainly wrong (ahead of receipt, or exactly eight
    hours behind it and not sent late), by receipt, so that a wrong clock is judged and not overlooked.
    """
    if opens <= fix.time <= closes:
        return True
    received = fix.received
    if received is None or not opens <= received <= closes:
        return False
    ahead = fix.time - received > CLOCK_TOLERANCE_S
    slipped = abs(received - fix.time - SLIP_S) <= CLOCK_TOLERANCE_S and not fix.late
    return ahead or slipped
