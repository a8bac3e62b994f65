"""Waybills as we hold them, and the rules under which the chain takes one (promise A, closure).

The contract decides; these checks run first so that a firm hears of a mistake when it submits, with the
field at fault, and not a block later. They are the checks of ``WaybillRegistry.issue``, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chain.bindings.enums import WaybillState
from chain.errors import ChainError, InvalidValueError, UnexpectedStateError
from chain.ids import WaybillId
from chain.typed_data import struct_hash

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from chain.bindings.structs import Waybill
    from chain.ids import Hash32, PartyId, TripId

MOST_TIERS = 9
"""``WaybillRegistry.MAX_TIER`` is 8: a root is tier 0, the last tier is 8."""

ZERO = "0x" + "00" * 32

CHAIN_MOVES: dict[WaybillState, frozenset[WaybillState]] = {
    WaybillState.NONE: frozenset({WaybillState.ISSUED}),
    WaybillState.ISSUED: frozenset({WaybillState.IN_TRANSIT, WaybillState.CANCELLED}),
    WaybillState.IN_TRANSIT: frozenset({WaybillState.DELIVERED, WaybillState.CANCELLED}),
    WaybillState.DELIVERED: frozenset({WaybillState.PAID}),
    WaybillState.PAID: frozenset(),
    WaybillState.CANCELLED: frozenset(),
}
"""The table of ``States.sol``; a test walks all pairs on both sides."""


class ClosureError(ChainError):
    """The waybill does not close with its parent."""

    code = "waybill_does_not_close"


class Stage(StrEnum):
    """Where a waybill stands for the people who handle it."""

    DRAFT = "draft"
    """Submitted; signatures are missing."""
    SIGNED = "signed"
    """Both sides have signed; it is on its way to the chain."""
    REFUSED = "refused"
    """The chain refused it; the reason is with it. A new draft can be submitted."""
    ISSUED = "issued"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    PAID = "paid"
    CANCELLED = "cancelled"


MOVES: dict[Stage, frozenset[Stage]] = {
    Stage.DRAFT: frozenset({Stage.SIGNED, Stage.ISSUED, Stage.CANCELLED}),
    Stage.SIGNED: frozenset({Stage.ISSUED, Stage.REFUSED}),
    Stage.REFUSED: frozenset({Stage.ISSUED}),
    Stage.ISSUED: frozenset({Stage.IN_TRANSIT, Stage.CANCELLED}),
    Stage.IN_TRANSIT: frozenset({Stage.DELIVERED, Stage.CANCELLED}),
    Stage.DELIVERED: frozenset({Stage.PAID}),
    Stage.PAID: frozenset(),
    Stage.CANCELLED: frozenset(),
}
"""From ISSUED on only an event of the chain moves a waybill; REFUSED becomes ISSUED when another sender got it in."""

STAGE_OF = {
    WaybillState.ISSUED: Stage.ISSUED,
    WaybillState.IN_TRANSIT: Stage.IN_TRANSIT,
    WaybillState.DELIVERED: Stage.DELIVERED,
    WaybillState.PAID: Stage.PAID,
    WaybillState.CANCELLED: Stage.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class HeldWaybill:
    """A waybill with all that is known of it.

    Attributes:
        form: what the parties sign.
        papers: what people read of it (numbers, plate, goods, places); its salted hash is in the form.
        plan: what the judge will use, on a leaf; its hash is in the form.
        version: 1 when issued, one more with each amendment.
        freight: fen, after amendments. paid: fen the performer has received.
        credited: fen taken off by credit notes. accepted: quantity the consignee accepted below.
    """

    id: WaybillId
    form: Waybill
    root: WaybillId
    tier: int
    stage: Stage
    papers: Mapping[str, Any]
    plan: Mapping[str, Any] | None = None
    issuer_signature: bytes | None = None
    performer_signature: bytes | None = None
    declared: bool = False
    version: int = 1
    freight: int = 0
    quantity: int = 0
    vehicle: Hash32 | None = None
    paid: int = 0
    credited: int = 0
    accepted: int = 0
    delivered_at: dt.datetime | None = None
    refusal: str = ""

    @property
    def is_leaf(self) -> bool:
        """Whether it names a trip and a vehicle."""
        return self.form.trip != ZERO

    @property
    def missing(self) -> tuple[PartyId, ...]:
        """Who still has to sign."""
        waiting = []
        if self.issuer_signature is None and not self.declared:
            waiting.append(self.form.issuer)
        if self.performer_signature is None:
            waiting.append(self.form.performer)
        return tuple(waiting)

    def move(self, to: Stage, **changes: Any) -> HeldWaybill:
        """The waybill in another stage; the same stage again changes nothing but the rest.

        Raises:
            UnexpectedStateError: the table does not allow the move.
        """
        if to is not self.stage and to not in MOVES[self.stage]:
            raise UnexpectedStateError(
                f"waybill {self.id} is {self.stage.value} and cannot become {to.value}",
                waybill=self.id,
                current=self.stage.value,
                wanted=to.value,
            )
        return replace(self, stage=to, **changes)


def waybill_id(form: Waybill) -> WaybillId:
    """The id of a waybill: the EIP-712 struct hash of what is signed."""
    return WaybillId(struct_hash(form))


def check_fields(form: Waybill, *, now: int) -> None:
    """The rules that need nothing but the waybill itself.

    Raises:
        InvalidValueError: names the field.
    """
    if form.freight <= 0:
        raise InvalidValueError("freight must be more than 0 fen", field="freight")
    if form.quantity <= 0:
        raise InvalidValueError("quantity must be more than 0", field="quantity")
    if form.load_from >= form.deliver_by:
        raise InvalidValueError("deliver_by must lie after load_from", field="deliver_by")
    if form.expires <= now:
        raise InvalidValueError(
            "expires lies in the past: nobody could sign in time", field="expires"
        )
    for field in ("issuer", "performer", "consignee"):
        if getattr(form, field) == 0:
            raise InvalidValueError(f"{field} must be a registered party", field=field)
    if form.issuer == form.performer:
        raise InvalidValueError("issuer and performer must be two parties", field="performer")
    if form.performer == form.consignee:
        raise InvalidValueError("the performer cannot confirm his own delivery", field="consignee")
    if form.shipping_note == ZERO:
        raise InvalidValueError("the shipping note number is missing", field="shipping_note")
    leaf_fields = ("trip", "vehicle", "plan", "policy")
    given = [field for field in leaf_fields if getattr(form, field) != ZERO]
    if given and len(given) != len(leaf_fields):
        missing = next(field for field in leaf_fields if field not in given)
        raise InvalidValueError(
            "a leaf names trip, vehicle, plan and policy; any other waybill names none of them",
            field=missing,
        )


def check_closure(
    form: Waybill, ancestors: Sequence[HeldWaybill], siblings: Sequence[HeldWaybill]
) -> None:
    """Whether a child closes with the chain above it.

    Args:
        form: the child.
        ancestors: its parent first, then upwards to the root.
        siblings: the parent's other live children.

    Raises:
        ClosureError: names the rule, the field and both numbers.
    """
    if not ancestors:
        return
    parent, root = ancestors[0], ancestors[-1]
    if parent.is_leaf:
        raise ClosureError("a waybill that names a vehicle has no children", field="parent")
    if len(ancestors) >= MOST_TIERS:
        raise ClosureError(f"a chain has at most {MOST_TIERS} tiers", field="parent")
    if form.issuer != parent.form.performer:
        raise ClosureError(
            "the issuer must be the performer of the parent waybill",
            field="issuer",
            expected=str(parent.form.performer),
            given=str(form.issuer),
        )
    if form.consignee != root.form.consignee:
        raise ClosureError(
            "the consignee must be the same in the whole chain",
            field="consignee",
            expected=str(root.form.consignee),
            given=str(form.consignee),
        )
    if form.shipping_note != root.form.shipping_note:
        raise ClosureError(
            "the shipping note must be the same in the whole chain", field="shipping_note"
        )
    for above in ancestors:
        if form.performer in {above.form.issuer, above.form.performer}:
            raise ClosureError(
                "nobody stands twice in one chain", field="performer", given=str(form.performer)
            )
    if form.load_from < parent.form.load_from or form.deliver_by > parent.form.deliver_by:
        raise ClosureError("the window must lie inside the parent's", field="load_from")
    freight = form.freight + sum(other.freight for other in siblings)
    if freight > parent.freight:
        raise ClosureError(
            "the children's freight comes to more than the parent's",
            field="freight",
            sum_fen=freight,
            parent_fen=parent.freight,
        )
    quantity = form.quantity + sum(other.quantity for other in siblings)
    if quantity > parent.quantity:
        raise ClosureError(
            "the children's quantity comes to more than the parent's",
            field="quantity",
            sum=quantity,
            parent=parent.quantity,
        )


def trips_of(waybills: Sequence[HeldWaybill]) -> list[TripId]:
    """The trips that the leaves among some waybills name."""
    return [one.form.trip for one in waybills if one.is_leaf]
