"""Chain, ledger and bank against one another, movement by movement; pure.

A movement is money that came in (minted) or went out (burned), known on each side by one key: the bank
reference that mints, or the payment sequence that burns. What does not agree is a break with a named class,
an owner and a day from which it ages; young one-sided breaks are timing, and old ones are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from finance.accrual import date_of
from finance.business_days import business_days_after

if TYPE_CHECKING:
    from collections.abc import Iterable


class Side(StrEnum):
    """Who says so."""

    CHAIN = "chain"
    LEDGER = "ledger"
    BANK = "bank"


class BreakKind(StrEnum):
    """The named classes of difference."""

    TIMING = "bank_timing"
    """One side has not heard of it yet, and is not late."""
    AMOUNT = "bank_amount"
    MISSING_ON_CHAIN = "bank_not_on_chain"
    MISSING_IN_LEDGER = "bank_not_in_ledger"
    MISSING_AT_BANK = "not_at_bank"
    DUPLICATE = "bank_duplicate"
    """One side has it more than once."""
    SUSPENSE = "bank_suspense"
    """The bank took money in and nobody knows for what."""
    DISPUTED = "bank_disputed"
    """The bank booked what fits no order of ours."""
    STATEMENT = "bank_statement"
    """A statement of the bank does not add up, or not to what its notices told."""


OWNERS: Final = {
    BreakKind.TIMING: "operations",
    BreakKind.AMOUNT: "custodian",
    BreakKind.MISSING_ON_CHAIN: "custodian",
    BreakKind.MISSING_IN_LEDGER: "finance",
    BreakKind.MISSING_AT_BANK: "custodian",
    BreakKind.DUPLICATE: "custodian",
    BreakKind.SUSPENSE: "operations",
    BreakKind.DISPUTED: "custodian",
    BreakKind.STATEMENT: "custodian",
}
"""Who must clear it away."""

TIMING_DAYS: Final = 1
"""Business days for which a one-sided movement counts as timing (T+1)."""

OLD_DAYS: Final = 2
"""A break older than T+2, in business days, stops new releases."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Money in (positive) or out (negative), as one side has it.

    Attributes:
        key: the same on every side; a reference of that side's own where the others have none.
        day: Beijing day.
        state: ``suspense`` or ``disputed`` for bank entries that have no counterpart by nature.
    """

    side: Side
    key: str
    amount_fen: int
    day: int
    state: str = ""


@dataclass(frozen=True, slots=True)
class Break:
    """One difference. Amounts in fen; None where a side does not know of it."""

    kind: BreakKind
    key: str
    day: int
    chain_fen: int | None = None
    ledger_fen: int | None = None
    bank_fen: int | None = None

    @property
    def owner(self) -> str:
        """Who must clear it away."""
        return OWNERS[self.kind]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found.

    Attributes:
        matched: keys on which all three agree.
        matched_fen: their amounts without sign.
    """

    matched: int
    matched_fen: int
    breaks: tuple[Break, ...]


_SIDES: Final = tuple(Side)
_MISSING: Final = {
    Side.CHAIN: BreakKind.MISSING_ON_CHAIN,
    Side.LEDGER: BreakKind.MISSING_IN_LEDGER,
    Side.BANK: BreakKind.MISSING_AT_BANK,
}
_ALONE: Final = {"suspense": BreakKind.SUSPENSE, "disputed": BreakKind.DISPUTED}


def compare(movements: Iterable[Movement], today: int) -> Compared:
    """Matches the movements of the three sides by key; linear in their number, one row a key in memory.

    Args:
        movements: of a span of days, in any order.
        today: Beijing day on which they are compared.
    """
    # by key: amount and count of each side in the order of Side, then the first day
    kept: dict[str, list[int]] = {}
    breaks: list[Break] = []
    place = {side: 2 * index for index, side in enumerate(_SIDES)}
    for one in movements:
        alone = _ALONE.get(one.state)
        if alone is not None:
            breaks.append(Break(alone, one.key, one.day, bank_fen=one.amount_fen))
            continue
        row = kept.get(one.key)
        if row is None:
            row = kept[one.key] = [0, 0, 0, 0, 0, 0, one.day]
        at = place[one.side]
        row[at] += one.amount_fen
        row[at + 1] += 1
        row[6] = min(row[6], one.day)
    matched = matched_fen = 0
    for key, row in kept.items():
        chain, chain_n, ledger, ledger_n, bank, bank_n, day = row
        if chain_n == ledger_n == bank_n == 1 and chain == ledger == bank:
            matched += 1
            matched_fen += abs(chain)
            continue
        breaks.append(_break_of(key, row, day, today))
    breaks.sort(key=lambda one: (one.day, one.key, one.kind))
    return Compared(matched, matched_fen, tuple(breaks))


def _break_of(key: str, row: list[int], day: int, today: int) -> Break:
    amounts = [row[at] if row[at + 1] else None for at in (0, 2, 4)]
    told = {"chain_fen": amounts[0], "ledger_fen": amounts[1], "bank_fen": amounts[2]}
    if max(row[1], row[3], row[5]) > 1:
        return Break(BreakKind.DUPLICATE, key, day, **told)
    known = {amount for amount in amounts if amount is not None}
    if len(known) > 1:
        return Break(BreakKind.AMOUNT, key, day, **told)
    if is_young(day, today):
        return Break(BreakKind.TIMING, key, day, **told)
    missing = next(side for side, amount in zip(_SIDES, amounts, strict=True) if amount is None)
    return Break(_MISSING[missing], key, day, **told)


def is_young(day: int, today: int, days: int = TIMING_DAYS) -> bool:
    """Whether something of a day is not older than so many business days."""
    return business_days_after(date_of(day), days) >= date_of(today)


def is_old(day: int, today: int) -> bool:
    """Whether a break that was first seen on a day stops new releases."""
    return not is_young(day, today, OLD_DAYS)
