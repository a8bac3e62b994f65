"""An advance as a pure replay of its events: the same events, in any order of arrival, end the same.

Each event has the time at which it happened and the time at which we came to know it. The replay sorts
by the first, and may leave out what was not yet known at an instant of the past. The contract's states
and moves stand here word for word (``contracts/types/States.sol``); a test walks all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from chain.clock import beijing_day, require_utc
from finance.accrual import Accumulator, Charges
from finance.errors import AdvanceStateError, DuplicateError, InvalidAmountError
from finance.terms import MAX_TENOR_DAYS
from finance.waterfall import Component, Shares, share_payment

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from finance.accrual import Rates
    from finance.terms import Terms


class AdvanceState(StrEnum):
    """Where an advance stands; the order is that of the contract's enum (0 is none)."""

    NONE = "none"
    REQUESTED = "requested"
    APPROVED = "approved"
    """Accepted by the lender; the cash is locked in his vault."""
    RELEASABLE = "releasable"
    """Delivered, but the release waits: the lender's gate, a shortage, a dispute, a failed transfer."""
    RELEASED = "released"
    """Paid out; interest runs."""
    REPAID = "repaid"
    DEFAULTED = "defaulted"
    WRITTEN_OFF = "written_off"
    """Out of the books; the claim stands until it is paid."""
    DECLINED = "declined"
    VOIDED = "voided"
    """The reserve is free again; no money moved."""


SOLIDITY_ORDER: Final = tuple(AdvanceState)
"""``SOLIDITY_ORDER[n]`` is the state that the contract calls n."""

MOVES: Final[Mapping[AdvanceState, frozenset[AdvanceState]]] = {
    AdvanceState.NONE: frozenset({AdvanceState.REQUESTED}),
    AdvanceState.REQUESTED: frozenset({AdvanceState.APPROVED, AdvanceState.DECLINED}),
    AdvanceState.APPROVED: frozenset(
        {AdvanceState.RELEASABLE, AdvanceState.RELEASED, AdvanceState.VOIDED}
    ),
    AdvanceState.RELEASABLE: frozenset({AdvanceState.RELEASED, AdvanceState.VOIDED}),
    AdvanceState.RELEASED: frozenset({AdvanceState.REPAID, AdvanceState.DEFAULTED}),
    AdvanceState.DEFAULTED: frozenset({AdvanceState.REPAID, AdvanceState.WRITTEN_OFF}),
    AdvanceState.WRITTEN_OFF: frozenset({AdvanceState.REPAID}),
    AdvanceState.REPAID: frozenset(),
    AdvanceState.DECLINED: frozenset(),
    AdvanceState.VOIDED: frozenset(),
}

OWING: Final = frozenset({AdvanceState.RELEASED, AdvanceState.DEFAULTED, AdvanceState.WRITTEN_OFF})
"""States in which something is owed, so that a payment is taken."""


def require_move(advance: str, current: AdvanceState, wanted: AdvanceState) -> AdvanceState:
    """The wanted state, if the table allows the move.

    Raises:
        AdvanceStateError: it does not; names advance, current and wanted.
    """
    if wanted not in MOVES[current]:
        raise AdvanceStateError(
            f"an advance that is {current.value} cannot become {wanted.value}",
            advance=advance,
            current=current.value,
            wanted=wanted.value,
        )
    return wanted


class EventKind(StrEnum):
    """What can happen to an advance, in the order in which one instant's events are read."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DECLINED = "declined"
    RELEASABLE = "releasable"
    VOIDED = "voided"
    RELEASED = "released"
    """Granted (``amount``); interest counts from this day on what was drawn of it."""
    DRAWN = "drawn"
    """A payee was paid (``amount``); one whose transfer failed is paid later, or never."""
    DEFERRED = "deferred"
    """Interest starts on a later day (``day``)."""
    EXTENDED = "extended"
    """The lender gives time: a later due day (``day``); rates and what has accrued stay."""
    RESTRUCTURED = "restructured"
    """New terms and due day (``terms``, ``day``) from now on; the ceiling stays that of the release. On paper."""
    PAID = "paid"
    """Money for the loan (``amount``); after a write-off it is a recovery."""
    WAIVED = "waived"
    """The lender lets go of charges (``amount``); no money moves."""
    DEFAULTED = "defaulted"
    WRITTEN_OFF = "written_off"
    REVERSED = "reversed"
    """The event named by ``target`` never counted."""


_PRECEDENCE: Final = {kind: index for index, kind in enumerate(EventKind)}
_WITH_AMOUNT: Final = frozenset(
    {EventKind.RELEASED, EventKind.DRAWN, EventKind.PAID, EventKind.WAIVED}
)


@dataclass(frozen=True, slots=True)
class AdvanceEvent:
    """One thing that happened.

    Attributes:
        id: names the event for ever, e.g. block hash and log index; the same id twice counts once.
        at: when it happened (a payment: when the money was there).
        known: when we came to know it; never before ``at`` by meaning, but not forced.
        amount: fen; principal for REQUESTED, APPROVED and RELEASED.
        day: Beijing day for DEFERRED, EXTENDED and RESTRUCTURED.
        terms: new terms, RESTRUCTURED only.
        target: id of the event that is taken back, REVERSED only.
        position: (block, log index) of a chain event, which orders events of one instant.
    """

    id: str
    kind: EventKind
    at: dt.datetime
    known: dt.datetime
    amount: int = 0
    day: int = 0
    terms: Terms | None = None
    target: str = ""
    position: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        require_utc(self.at)
        require_utc(self.known)
        if self.amount < 0:
            raise InvalidAmountError(
                "an amount is not negative", field="amount", given=self.amount, event=self.id
            )
        if self.kind in _WITH_AMOUNT and not self.amount:
            raise InvalidAmountError(
                f"{self.kind.value} needs an amount above zero", field="amount", event=self.id
            )


@dataclass(frozen=True, slots=True)
class Step:
    """What one event did to the money of an advance."""

    event: str
    kind: EventKind
    day: int
    shares: Shares
    state: AdvanceState


@dataclass(frozen=True, slots=True)
class Advance:
    """An advance after a replay. All amounts in fen.

    Attributes:
        principal: asked for, then approved.
        released: what was granted at delivery.
        drawn: what payees were paid of it.
        outstanding: principal still owed (after a write-off: still claimed).
        start_day: first day that bears interest.
        due_day: day on which it is to be repaid.
        written_off: principal taken out of the books.
        recovered: what came in after that, charges included.
        waived: charges that the lender let go.
        set_aside: events without effect, with the reason; a payment among them is all residue.
    """

    id: str
    terms: Terms
    state: AdvanceState = AdvanceState.NONE
    principal: int = 0
    released: int = 0
    drawn: int = 0
    outstanding: int = 0
    start_day: int = 0
    due_day: int = 0
    rates: Rates | None = None
    accumulator: Accumulator = field(default_factory=lambda: Accumulator(0))
    fee_paid: int = 0
    penalty_paid: int = 0
    interest_paid: int = 0
    waived: int = 0
    written_off: int = 0
    recovered: int = 0
    restructured: bool = False
    steps: tuple[Step, ...] = ()
    set_aside: tuple[tuple[str, str], ...] = ()

    @property
    def in_books(self) -> int:
        """Principal on the balance sheet: nothing once written off."""
        return 0 if self.state is AdvanceState.WRITTEN_OFF else self.outstanding

    @property
    def repaid(self) -> int:
        """Principal repaid so far, recoveries included."""
        return self.drawn - self.outstanding

    def accrued_to(self, day: int) -> Accumulator:
        """The numerators up to a day (not counted)."""
        if self.rates is None:
            return self.accumulator
        return self.accumulator.accrue(self.rates, self.outstanding, day)

    def charges_on(self, day: int) -> Charges:
        """Cumulative charges up to a day, the ceiling applied; paid ones included."""
        if self.rates is None:
            return Charges(0, 0, 0)
        return self.accrued_to(day).charges(self.rates, self.terms.rounding)

    def due_on(self, day: int) -> dict[Component, int]:
        """What would close the advance on a Beijing day."""
        charged = self.charges_on(day)
        return {
            Component.FEE: max(0, charged.fee - self.fee_paid),
            Component.PENALTY: max(0, charged.penalty - self.penalty_paid),
            Component.INTEREST: max(0, charged.interest - self.interest_paid),
            Component.PRINCIPAL: self.outstanding,
        }

    def days_past_due(self, day: int) -> int:
        """Whole days after the due day while something is owed; grace does not lessen them."""
        return max(0, day - self.due_day) if self.state in OWING and self.outstanding else 0


def replay(
    advance_id: str,
    terms: Terms,
    events: Iterable[AdvanceEvent],
    *,
    until: dt.datetime | None = None,
    known_by: dt.datetime | None = None,
) -> Advance:
    """The advance that these events make, whatever their order, doubles included.

    Args:
        advance_id: its id.
        terms: the terms frozen in its line.
        events: everything on record.
        until: leave out what happened later.
        known_by: leave out what was known later (how it looked then).

    Raises:
        DuplicateError: two events with one id and different content.
    """
    unique: dict[str, AdvanceEvent] = {}
    for event in events:
        if known_by is not None and event.known > known_by:
            continue
        if until is not None and event.at > until:
            continue
        held = unique.setdefault(event.id, event)
        if held is event:
            continue
        if replace(held, known=event.known) != event:
            raise DuplicateError(
                f"event {event.id} is on record with other content", event=event.id
            )
        if event.known < held.known:
            unique[event.id] = event
    reversals = {e.target: e for e in unique.values() if e.kind is EventKind.REVERSED}
    advance = Advance(id=advance_id, terms=terms)
    for event in sorted(unique.values(), key=order_of):
        if event.id in reversals and event.kind is not EventKind.REVERSED:
            advance = _set_aside(advance, event, "reversed")
        elif event.kind is EventKind.REVERSED and event.target not in unique:
            advance = _set_aside(advance, event, "nothing to reverse")
        else:
            advance = apply(advance, event)
    return advance


def order_of(event: AdvanceEvent) -> tuple[dt.datetime, tuple[int, int], int, str]:
    """The key by which events are read: instant, place on chain, kind, id."""
    return (event.at, event.position, _PRECEDENCE[event.kind], event.id)


def refusal_of(advance: Advance, event: AdvanceEvent) -> str:
    """Why an event cannot count for an advance as it stands; "" if it can."""
    wanted = _TARGETS.get(event.kind)
    if wanted is not None and wanted not in MOVES[advance.state]:
        return f"an advance that is {advance.state.value} cannot become {wanted.value}"
    if event.kind in (EventKind.PAID, EventKind.WAIVED) and advance.state not in OWING:
        return f"nothing is owed on an advance that is {advance.state.value}"
    if event.kind is EventKind.RELEASED and event.amount > advance.principal:
        return "a release above the approved principal"
    if event.kind is EventKind.DRAWN:
        if advance.state is not AdvanceState.RELEASED:
            return f"nothing is paid out of an advance that is {advance.state.value}"
        if advance.drawn + event.amount > advance.released:
            return "a payee paid above what was granted"
    if event.kind is EventKind.DEFERRED:
        untouched = advance.accumulator.accrued_to == advance.start_day
        if advance.state is not AdvanceState.RELEASED or not untouched:
            return "interest can start later only before the first day is counted"
        if not advance.start_day < event.day <= advance.due_day:
            return "a later start lies after the start and not after the due day"
    if event.kind is EventKind.EXTENDED:
        if advance.state is not AdvanceState.RELEASED:
            return f"an advance that is {advance.state.value} cannot be extended"
        if not advance.due_day < event.day <= advance.due_day + MAX_TENOR_DAYS:
            return "a later due day lies after the present one, by ten years at most"
    if event.kind is EventKind.RESTRUCTURED:
        if advance.state not in (AdvanceState.RELEASED, AdvanceState.DEFAULTED):
            return f"an advance that is {advance.state.value} cannot be restructured"
        if event.terms is None or advance.rates is None:
            return "a restructuring needs new terms"
        if max(event.terms.rate_ppm, event.terms.penalty_ppm) > advance.rates.ceiling_ppm:
            return "new rates above the ceiling frozen at release"
    return ""


def require_applicable(advance: Advance, event: AdvanceEvent) -> None:
    """Refuses an event that could not count now; for the door, where a person can still be told.

    Raises:
        AdvanceStateError: with the reason.
    """
    refusal = refusal_of(advance, event)
    if refusal:
        raise AdvanceStateError(
            refusal, advance=advance.id, current=advance.state.value, wanted=event.kind.value
        )


def apply(advance: Advance, event: AdvanceEvent) -> Advance:
    """The advance after one event; an event that cannot count is set aside with its reason."""
    refusal = refusal_of(advance, event)
    if refusal:
        return _set_aside(advance, event, refusal)
    day = beijing_day(event.at)
    shares = Shares()
    changes: dict[str, Any] = {}
    match event.kind:
        case EventKind.REQUESTED | EventKind.APPROVED:
            changes["principal"] = event.amount or advance.principal
        case EventKind.RELEASED:
            due_day = day + advance.terms.tenor_days
            changes = {
                "released": event.amount,
                "start_day": day,
                "due_day": due_day,
                "rates": advance.terms.rates(principal_fen=0, due_day=due_day),
                "accumulator": Accumulator(day),
            }
        case EventKind.DRAWN:
            changes = _draw(advance, event.amount, day)
        case EventKind.DEFERRED:
            changes = {"start_day": event.day, "accumulator": Accumulator(event.day)}
        case EventKind.EXTENDED:
            changes = _extend(advance, event, day)
        case EventKind.RESTRUCTURED:
            changes = _restructure(advance, event, day)
        case EventKind.PAID:
            shares = share_payment(event.amount, advance.due_on(day), advance.terms.order)
            changes = _book(advance, shares, day)
            if advance.state is AdvanceState.WRITTEN_OFF:
                changes["recovered"] = advance.recovered + shares.taken
        case EventKind.WAIVED:
            due = advance.due_on(day) | {Component.PRINCIPAL: 0}
            shares = share_payment(event.amount, due, advance.terms.order)
            changes = _book(advance, shares, day)
            changes["waived"] = advance.waived + shares.charges
        case EventKind.DEFAULTED:
            changes["released"] = advance.drawn  # unpaid parts go back to the vault
        case EventKind.WRITTEN_OFF:
            changes["written_off"] = advance.outstanding
        case _:
            pass
    wanted = _TARGETS.get(event.kind)
    closes = changes.get("outstanding") == 0 and advance.drawn == advance.released
    if event.kind is EventKind.PAID and closes:
        wanted = AdvanceState.REPAID
    state = advance.state if wanted is None else require_move(advance.id, advance.state, wanted)
    step = Step(event.id, event.kind, day, shares, state)
    return replace(advance, state=state, steps=(*advance.steps, step), **changes)


_TARGETS: Final = {
    EventKind.REQUESTED: AdvanceState.REQUESTED,
    EventKind.APPROVED: AdvanceState.APPROVED,
    EventKind.DECLINED: AdvanceState.DECLINED,
    EventKind.RELEASABLE: AdvanceState.RELEASABLE,
    EventKind.VOIDED: AdvanceState.VOIDED,
    EventKind.RELEASED: AdvanceState.RELEASED,
    EventKind.DEFAULTED: AdvanceState.DEFAULTED,
    EventKind.WRITTEN_OFF: AdvanceState.WRITTEN_OFF,
}


def _draw(advance: Advance, amount: int, day: int) -> dict[str, Any]:
    assert advance.rates is not None  # a release always sets them
    drawn = advance.drawn + amount
    return {
        "accumulator": advance.accrued_to(day),
        "drawn": drawn,
        "outstanding": advance.outstanding + amount,
        "rates": replace(advance.rates, fee_fen=advance.terms.fee_down(drawn)),
    }


def _book(advance: Advance, shares: Shares, day: int) -> dict[str, Any]:
    return {
        "accumulator": advance.accrued_to(day),
        "outstanding": advance.outstanding - shares.principal,
        "fee_paid": advance.fee_paid + shares.fee,
        "penalty_paid": advance.penalty_paid + shares.penalty,
        "interest_paid": advance.interest_paid + shares.interest,
    }


def _extend(advance: Advance, event: AdvanceEvent, day: int) -> dict[str, Any]:
    assert advance.rates is not None  # a release always sets them
    grace_days = advance.rates.penalty_from - advance.due_day
    return {
        "accumulator": advance.accrued_to(day),
        "rates": replace(advance.rates, penalty_from=event.day + grace_days),
        "due_day": event.day,
        "restructured": True,
    }


def _restructure(advance: Advance, event: AdvanceEvent, day: int) -> dict[str, Any]:
    assert event.terms is not None  # refusal_of has looked
    assert advance.rates is not None
    return {
        "accumulator": advance.accrued_to(day),
        "rates": replace(
            advance.rates,
            rate_ppm=event.terms.rate_ppm,
            penalty_ppm=event.terms.penalty_ppm,
            penalty_from=event.day + event.terms.grace_days,
        ),
        "due_day": event.day,
        "restructured": True,
    }


def _set_aside(advance: Advance, event: AdvanceEvent, reason: str) -> Advance:
    steps = advance.steps
    if event.kind is EventKind.PAID and reason != "reversed":
        residue = Shares(residue=event.amount)
        steps = (
            *steps,
            Step(event.id, event.kind, beijing_day(event.at), residue, advance.state),
        )
    return replace(advance, steps=steps, set_aside=(*advance.set_aside, (event.id, reason)))
