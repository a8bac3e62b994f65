"""The order in which freight paid in is shared, exact to the fen.

THE FORMULAS (the contracts' ``Waterfall.sol`` mirrors this page)

One payment on one loan, after ``accrue(day of payment)`` of ``finance/accrual.py``; uint128 fen::

    to_fee       = min(payment,                  fee_due)       ; rest  = payment - to_fee
    to_penalty   = min(rest,                     penalty_due)   ; rest -= to_penalty
    to_interest  = min(rest,                     interest_due)  ; rest -= to_interest
    to_principal = min(rest,                     principal)     ; rest -= to_principal
    residue      = rest                                         # to the receivable's owner

    payment == to_fee + to_penalty + to_interest + to_principal + residue      (promise G)
    fee_paid += to_fee; penalty_paid += to_penalty; interest_paid += to_interest
    principal -= to_principal; drawn of the line -= to_principal                (fees free no room)
    closed if and only if principal == 0

A later bucket gets something only if all earlier ones are empty after it; so principal 0 means that
all charges due are 0, and residue > 0 means that the debt is 0 (promise I).

Splitting an amount by weights (shares of a fee, claims of equal rank): largest remainder::

    share[i] = amount * weight[i] / sum(weights)      # floor
    the missing fen go one each to the largest (amount * weight[i]) % sum(weights), earlier index first

Shortage among payees cuts the last first: payee i gets min(asked[i], what is left after 0..i-1).

The contract order is fees, penalty, interest, principal, which must stand in the contract because the
law's default differs (Civil Code 561: costs, interest, principal). Orders, scopes and instalments are
parameters here, so that other books can be replayed too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from finance.errors import InvalidAmountError, InvalidTermsError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence


class Component(StrEnum):
    """What a debt is made of."""

    FEE = "fee"
    PENALTY = "penalty"
    INTEREST = "interest"
    PRINCIPAL = "principal"


CONTRACT_ORDER = (Component.FEE, Component.PENALTY, Component.INTEREST, Component.PRINCIPAL)
"""The order of every freight advance, the same in ``Waterfall.sol``."""

STATUTORY_ORDER = (Component.FEE, Component.INTEREST, Component.PENALTY, Component.PRINCIPAL)
"""Where nothing is agreed: costs, interest (the penal kind too), principal (Civil Code 561)."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How one payment was shared; all in the smallest unit, none negative."""

    fee: int = 0
    penalty: int = 0
    interest: int = 0
    principal: int = 0
    residue: int = 0

    @property
    def taken(self) -> int:
        """What the debt took: everything but the residue."""
        return self.fee + self.penalty + self.interest + self.principal

    @property
    def charges(self) -> int:
        """Fee, penalty and interest together."""
        return self.fee + self.penalty + self.interest

    def of(self, component: Component) -> int:
        """The share of one component."""
        return int(getattr(self, component.value))


def share_payment(
    payment_fen: int,
    due: Mapping[Component, int],
    order: Sequence[Component] = CONTRACT_ORDER,
) -> Shares:
    """Shares a payment over what is due, in the given order; what is left is the residue.

    Raises:
        InvalidAmountError: a negative payment or due amount.
        InvalidTermsError: the order does not name every component once.
    """
    _require_order(order)
    if payment_fen < 0:
        raise InvalidAmountError("a payment is not negative", field="amount", given=payment_fen)
    rest = payment_fen
    taken: dict[Component, int] = {}  # the order names each once
    for component in order:
        owed = due.get(component, 0)
        if owed < 0:
            raise InvalidAmountError("what is due is not negative", field=component, given=owed)
        taken[component] = min(rest, owed)
        rest -= taken[component]
    return Shares(
        fee=taken[Component.FEE],
        penalty=taken[Component.PENALTY],
        interest=taken[Component.INTEREST],
        principal=taken[Component.PRINCIPAL],
        residue=rest,
    )


def split_by_weight(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Splits an amount in proportion to weights by largest remainder; the sum is the amount.

    >>> split_by_weight(100, (1, 1, 1))
    (34, 33, 33)

    Raises:
        InvalidAmountError: a negative amount or weight, or no weight at all.
    """
    whole = sum(weights)
    if amount < 0 or whole <= 0 or min(weights) < 0:
        raise InvalidAmountError(
            "a split needs an amount and weights that are not negative, one above zero",
            amount=amount,
            weights=list(weights),
        )
    shares = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(amount * weights[i] % whole))
    for i in by_remainder[: amount - sum(shares)]:
        shares[i] += 1
    return tuple(shares)


def split_in_turn(amount: int, asked: Sequence[int]) -> tuple[int, ...]:
    """Serves each in turn, the first in full first; a shortage cuts the last (promise D).

    >>> split_in_turn(90, (60, 50))
    (60, 30)
    """
    shares, rest = [], amount
    for want in asked:
        shares.append(min(want, rest))
        rest -= shares[-1]
    return tuple(shares)


# -- instalments, scopes and phases: the orders of other books -------------------------------------


class Scope(StrEnum):
    """Which instalments a phase looks at, by due date against the payment date."""

    ANY = "any"
    PAST_DUE = "past_due"
    DUE_TODAY = "due_today"
    DUE_OR_PAST = "due_or_past"
    IN_ADVANCE = "in_advance"


class Iterate(StrEnum):
    """Whether a phase clears instalment by instalment or component by component."""

    INSTALMENT_FIRST = "instalment_first"
    COMPONENT_FIRST = "component_first"


class Pick(StrEnum):
    """From which end a phase walks the instalments in scope."""

    FIRST_FIRST = "first_first"
    LAST_FIRST = "last_first"


@dataclass(frozen=True, slots=True)
class Phase:
    """One pass of a payment over the instalments in its scope.

    An order may leave components out; what it leaves out this pass does not pay.
    """

    scope: Scope
    order: tuple[Component, ...]
    iterate: Iterate = Iterate.INSTALMENT_FIRST
    pick: Pick = Pick.FIRST_FIRST

    def __post_init__(self) -> None:
        if not self.order or len(set(self.order)) != len(self.order):
            raise InvalidTermsError(
                "a phase names each component at most once, and one at least",
                field="order",
                given=[str(component) for component in self.order],
            )


@dataclass(frozen=True, slots=True)
class Instalment:
    """What falls due on a date, by component, in the smallest unit."""

    due: dt.date
    amounts: Mapping[Component, int]

    @property
    def total(self) -> int:
        """All components."""
        return sum(self.amounts.values())


@dataclass(frozen=True, slots=True)
class Payment:
    """Money received; its own phases, where given, replace those of the terms."""

    date: dt.date
    amount: int
    phases: tuple[Phase, ...] = ()


@dataclass(frozen=True, slots=True)
class Replay:
    """The end of a replay: one Shares a payment, and the instalments still open."""

    shares: tuple[Shares, ...]
    instalments: tuple[Instalment, ...]

    @property
    def overpaid(self) -> int:
        """What all payments left over."""
        return sum(share.residue for share in self.shares)


def replay_payments(
    instalments: Iterable[Instalment], payments: Iterable[Payment], phases: Sequence[Phase]
) -> Replay:
    """Applies payments in the given order against instalments; sums are kept to the last unit.

    Raises:
        InvalidAmountError: a negative payment or instalment.
    """
    schedule = list(instalments)
    open_amounts = [dict.fromkeys(Component, 0) | dict(item.amounts) for item in schedule]
    if any(amount < 0 for amounts in open_amounts for amount in amounts.values()):
        raise InvalidAmountError("an instalment is not negative", field="instalments")
    by_due = sorted(range(len(schedule)), key=lambda i: schedule[i].due)
    shares = []
    for payment in payments:
        if payment.amount < 0:
            raise InvalidAmountError(
                "a payment is not negative", field="amount", given=payment.amount
            )
        rest, taken = payment.amount, dict.fromkeys(Component, 0)
        for phase in payment.phases or phases:
            for i, component in _walk(phase, schedule, by_due, payment.date):
                part = min(rest, open_amounts[i][component])
                open_amounts[i][component] -= part
                taken[component] += part
                rest -= part
        shares.append(
            Shares(
                fee=taken[Component.FEE],
                penalty=taken[Component.PENALTY],
                interest=taken[Component.INTEREST],
                principal=taken[Component.PRINCIPAL],
                residue=rest,
            )
        )
    after = tuple(
        Instalment(item.due, amounts) for item, amounts in zip(schedule, open_amounts, strict=True)
    )
    return Replay(tuple(shares), after)


def _walk(
    phase: Phase, schedule: Sequence[Instalment], by_due: Sequence[int], on: dt.date
) -> list[tuple[int, Component]]:
    """The (instalment, component) pairs that a phase visits, in order."""
    found = [i for i in by_due if _in_scope(phase.scope, schedule[i].due, on)]
    if phase.pick is Pick.LAST_FIRST:
        found.reverse()
    if phase.iterate is Iterate.INSTALMENT_FIRST:
        return [(i, component) for i in found for component in phase.order]
    return [(i, component) for component in phase.order for i in found]


def _in_scope(scope: Scope, due: dt.date, on: dt.date) -> bool:
    match scope:
        case Scope.ANY:
            return True
        case Scope.PAST_DUE:
            return due < on
        case Scope.DUE_TODAY:
            return due == on
        case Scope.DUE_OR_PAST:
            return due <= on
        case Scope.IN_ADVANCE:
            return due > on


def _require_order(order: Sequence[Component]) -> None:
    if sorted(order) != sorted(Component):
        raise InvalidTermsError(
            "an order names fee, penalty, interest and principal, each once",
            field="order",
            given=[str(component) for component in order],
        )
