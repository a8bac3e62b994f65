"""A trip between loading and delivery as we hold it, and the table its state moves along."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chain.bindings.enums import TripState
from chain.errors import UnexpectedStateError

if TYPE_CHECKING:
    import datetime as dt

    from chain.ids import Hash32, PartyId, TripId, WaybillId

MOVES: dict[TripState, frozenset[TripState]] = {
    TripState.NONE: frozenset({TripState.OPEN}),
    TripState.OPEN: frozenset({TripState.LOADED, TripState.VOID}),
    TripState.LOADED: frozenset({TripState.HELD, TripState.DELIVERED, TripState.VOID}),
    TripState.HELD: frozenset({TripState.LOADED, TripState.VOID}),
    TripState.DELIVERED: frozenset(),
    TripState.VOID: frozenset(),
}
"""The table of ``States.sol``; a test walks all pairs on both sides."""


@dataclass(frozen=True, slots=True)
class HeldTrip:
    """A trip with all that the chain has said of it.

    Attributes:
        leaf: the waybill that names it.
        loaded: quantity loaded. accepted: quantity accepted; None until confirmed.
        completed_hash: the transaction that completed the delivery.
    """

    id: TripId
    leaf: WaybillId
    state: TripState = TripState.OPEN
    vehicle: Hash32 | None = None
    loaded: int = 0
    loaded_at: dt.datetime | None = None
    accepted: int | None = None
    condition: int = 0
    confirmed_by: PartyId | None = None
    confirmed_at: dt.datetime | None = None
    receipt: Hash32 | None = None
    completed_at: dt.datetime | None = None
    completed_hash: Hash32 | None = None
    disputed: bool = False

    def move(self, to: TripState, **changes: object) -> HeldTrip:
        """The trip in another state.

        Raises:
            UnexpectedStateError: the table does not allow the move.
        """
        if to is not self.state and to not in MOVES[self.state]:
            raise UnexpectedStateError(
                f"trip {self.id} is {self.state.name.lower()} and cannot become {to.name.lower()}",
                trip=self.id,
                current=self.state.name.lower(),
                wanted=to.name.lower(),
            )
        return replace(self, state=to, **changes)  # type: ignore[arg-type]  # names checked by replace
