"""Interest, penalty and the cost ceiling, exact in integers, rounded once, down.

THE FORMULAS (the contracts' ``Accrual.sol`` mirrors this page; equal to the fen)

Words: ``day`` is a Beijing calendar day, ``(unix seconds + 28,800) / 86,400`` rounded down.
All amounts are fen (uint128), rates are ppm a year (uint32), numerators are uint256.
``DEN = 365 * 1_000_000`` on chain (ACT/365F). Off chain other conventions have another DEN.

Frozen at release: ``rate_ppm, penalty_ppm, ceiling_ppm, fee, due_day, grace_days``, with
``rate_ppm <= ceiling_ppm`` and ``penalty_ppm <= ceiling_ppm`` (so that nothing below underflows);
``fee = floor(drawn * fee_bps / 10_000)``; ``penalty_from = due_day + grace_days``.

Moving, all zero at release: ``interest_num, penalty_num, ceiling_num`` (cumulative over the loan's
whole life, never reset), ``fee_paid, penalty_paid, interest_paid``; ``principal`` = outstanding;
``accrued_to = start_day`` = the release day, or the bank's value day where that is later. A payee whose
transfer failed is paid later: ``accrue(day)``, then ``principal`` and ``drawn`` grow by his amount.

accrue(day), before anything else in every settlement, on the day of payment::

    if day <= accrued_to: return                      # same day again: nothing happens
    if accrued_to < penalty_from:
        contract_days = min(day, penalty_from) - accrued_to
    else:
        contract_days = 0
    penalty_days = (day - accrued_to) - contract_days
    interest_num += principal * rate_ppm    * contract_days
    penalty_num  += principal * penalty_ppm * penalty_days     # in place of the contract rate
    ceiling_num  += principal * ceiling_ppm * (day - accrued_to)
    accrued_to = day

So the days from ``start_day`` (counted) to the day of payment (not counted) bear interest; a payment
on ``due_day + grace_days`` bears no penalty, one on the next day bears one day of it. Never interest
on interest, never penalty on penalty: only ``principal`` stands in the sums.

charges(), cumulative amounts charged so far, capped together by the ceiling (promise H)::

    fee_num  = min(fee * DEN,    ceiling_num)
    pen_num  = min(penalty_num,  ceiling_num - fee_num)
    int_num  = min(interest_num, ceiling_num - fee_num - pen_num)
    fee_charged      = fee_num / DEN      # floor, the only roundings there are
    penalty_charged  = pen_num / DEN
    interest_charged = int_num / DEN

    fee_due      = fee_charged      - fee_paid
    penalty_due  = penalty_charged  - penalty_paid
    interest_due = interest_charged - interest_paid

Each of the three cumulative amounts never falls, so no ``_due`` is ever negative; paying in parts
rounds no more than paying at once; what lies above the ceiling is not due, and is waived for good
when the loan closes. Then the payment goes through ``finance/waterfall.py`` (``Waterfall.sol``).

Three acts of the lender (``LenderAct``)::

    3 later start: only while accrued_to == start_day < value <= due_day;
                   start_day = accrued_to = value; due_day and penalty_from stay
    5 waive:       accrue(today); to_fee, to_penalty, to_interest as in the waterfall, with
                   payment = value and no principal; each is added to its ``_paid``; no money moves
    6 extend:      only while released, due_day < value <= due_day + 3,650; accrue(today); due_day = value,
                   penalty_from = value + grace_days

AdvanceRepaid.waived, 0 until the payment that closes the loan, is then what the ceiling kept away::

    waived = max(0, fee * DEN + penalty_num + interest_num - ceiling_num) / DEN      # floor

Accrual runs on through Defaulted and WrittenOff, for the claim stands until it is paid.
Repaid on the release day, a loan costs nothing. There is no compounding and no fee for paying early.
Sources: LENDING "Decisions taken", DESIGN 5 H, Civil Code 670, 676, 677.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from finance.errors import InvalidAmountError, InvalidDateError

if TYPE_CHECKING:
    from collections.abc import Iterable

PPM = 1_000_000
BPS = 10_000
_EPOCH = dt.date(1970, 1, 1).toordinal()


class DayCount(StrEnum):
    """How days become a share of a year (ISDA 2006 section 4.16 where it names one)."""

    ACT_360 = "ACT/360"
    ACT_365F = "ACT/365F"
    ACT_ACT_ISDA = "ACT/ACT-ISDA"
    THIRTY_E_360 = "30E/360"
    THIRTY_360_ISDA = "30/360-ISDA"


class Rounding(StrEnum):
    """How an exact amount becomes a booked one; the product's own is FLOOR, in the borrower's favour."""

    FLOOR = "FLOOR"
    DOWN = "DOWN"
    CEILING = "CEILING"
    UP = "UP"
    HALF_EVEN = "HALF_EVEN"
    HALF_UP = "HALF_UP"
    HALF_DOWN = "HALF_DOWN"


def day_number(date: dt.date) -> int:
    """Days since 1970-01-01, as ``chain.clock.beijing_day`` counts them."""
    return date.toordinal() - _EPOCH


def date_of(day: int) -> dt.date:
    """The calendar date of a day number."""
    return dt.date.fromordinal(day + _EPOCH)


# -- day count ------------------------------------------------------------------------------------


def count_days(convention: DayCount, start: dt.date, end: dt.date) -> int:
    """Days from start (counted) to end (not counted) under a convention.

    >>> count_days(DayCount.THIRTY_E_360, dt.date(2024, 1, 28), dt.date(2024, 1, 31))
    2

    Raises:
        InvalidDateError: start lies after end.
    """
    _require_order(start, end)
    if convention is DayCount.THIRTY_E_360:
        return _serial_30e(end) - _serial_30e(start)
    if convention is DayCount.THIRTY_360_ISDA:
        first = min(start.day, 30)
        second = 30 if end.day == 31 and first == 30 else end.day
        return (end.year - start.year) * 360 + (end.month - start.month) * 30 + second - first
    return (end - start).days


def year_fraction_parts(
    convention: DayCount, start: dt.date, end: dt.date
) -> tuple[tuple[int, int], ...]:
    """The share of a year as (days, basis) pairs to be added; exact, empty parts left out.

    Only ACT/ACT-ISDA has two bases: its days in years of 365 and its days in years of 366.

    Raises:
        InvalidDateError: start lies after end.
    """
    _require_order(start, end)
    if convention is not DayCount.ACT_ACT_ISDA:
        basis = 365 if convention is DayCount.ACT_365F else 360
        return ((count_days(convention, start, end), basis),)
    common, leap = _split_by_leap_year(start, end)
    parts = tuple(part for part in ((common, 365), (leap, 366)) if part[0])
    return parts or ((0, 365),)


def year_fraction(convention: DayCount, start: dt.date, end: dt.date) -> Fraction:
    """The exact share of a year between two dates."""
    return sum(
        (Fraction(days, basis) for days, basis in year_fraction_parts(convention, start, end)),
        Fraction(0),
    )


def units_per_year(convention: DayCount) -> int:
    """The common denominator of one day's share of a year: 365, 360 or 365 x 366.

    Raises:
        InvalidDateError: for 30/360-ISDA, whose days do not add up over neighbouring stretches, so
            that a loan accrued day by day would differ from one accrued at once.
    """
    if convention is DayCount.THIRTY_360_ISDA:
        raise InvalidDateError(
            "30/360-ISDA is not additive and cannot accrue day by day; use 30E/360",
            field="day_count",
        )
    return {DayCount.ACT_365F: 365, DayCount.ACT_ACT_ISDA: 365 * 366}.get(convention, 360)


def units_between(convention: DayCount, start_day: int, end_day: int) -> int:
    """The share of a year in units of ``units_per_year``; additive over neighbouring stretches."""
    if convention in (DayCount.ACT_365F, DayCount.ACT_360):
        return end_day - start_day
    start, end = date_of(start_day), date_of(end_day)
    if convention is DayCount.THIRTY_E_360:
        return _serial_30e(end) - _serial_30e(start)
    units_per_year(convention)
    common, leap = _split_by_leap_year(start, end)
    return common * 366 + leap * 365


# -- amounts --------------------------------------------------------------------------------------


def rounded(value: Fraction, rounding: Rounding) -> int:
    """A whole number from an exact one, by a named rule.

    >>> rounded(Fraction(5, 2), Rounding.HALF_EVEN), rounded(Fraction(5, 2), Rounding.HALF_UP)
    (2, 3)
    """
    below = value.numerator // value.denominator
    rest = value - below
    if rest == 0:
        return below
    towards_zero = below if value > 0 else below + 1
    away = below + 1 if value > 0 else below
    half = Fraction(1, 2)
    match rounding:
        case Rounding.FLOOR:
            return below
        case Rounding.CEILING:
            return below + 1
        case Rounding.DOWN:
            return towards_zero
        case Rounding.UP:
            return away
        case Rounding.HALF_EVEN:
            return round(value)
        case Rounding.HALF_UP:
            return away if rest == half else below + (rest > half)
        case Rounding.HALF_DOWN:
            return towards_zero if rest == half else below + (rest > half)


def simple_interest_down(
    principal_fen: int, rate_ppm: int, days: int, basis_days: int = 365
) -> int:
    """floor(principal x rate x days / (basis x 1,000,000)), in fen.

    >>> simple_interest_down(10_000_000, 109_500, 17)
    51000
    """
    if principal_fen < 0 or rate_ppm < 0 or days < 0:
        raise InvalidAmountError(
            "principal, rate and days are not negative",
            principal_fen=principal_fen,
            rate_ppm=rate_ppm,
            days=days,
        )
    return principal_fen * rate_ppm * days // (basis_days * PPM)


def segmented_interest(
    segments: Iterable[tuple[Fraction, Fraction]],
    annual_rate: Fraction,
    rounding: Rounding,
    *,
    round_each_segment: bool = False,
) -> int:
    """Interest of several principals over several shares of a year.

    Args:
        segments: (principal in the smallest unit, share of a year) pairs.
        annual_rate: 0.07 for 7% a year, exact.
        rounding: the rule by which the exact amount is booked.
        round_each_segment: book each stretch; otherwise round once, at the end.

    Returns:
        Interest in the smallest unit.
    """
    exact = [principal * annual_rate * share for principal, share in segments]
    if round_each_segment:
        return sum(rounded(amount, rounding) for amount in exact)
    return rounded(sum(exact, Fraction(0)), rounding)


def penal_interest(
    base: Fraction,
    annual_rate: Fraction,
    *,
    days_overdue: int,
    grace_days: int,
    basis_days: int,
    rounding: Rounding,
) -> int:
    """Base x rate x max(0, days overdue - grace) / basis, in the smallest unit of base."""
    days = max(0, days_overdue - grace_days)
    return rounded(base * annual_rate * days / basis_days, rounding)


# -- the accumulator of one loan ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rates:
    """What is frozen at release for the accumulator.

    Attributes:
        rate_ppm: contract rate, ppm a year.
        penalty_ppm: rate in its place after due day + grace, ppm a year.
        ceiling_ppm: most that all charges together may cost, ppm a year of outstanding principal.
        fee_fen: flat fee, due at the end.
        penalty_from: first Beijing day that bears the penalty rate: due day + grace days.
        day_count: the convention; on chain always ACT/365F.
    """

    rate_ppm: int
    penalty_ppm: int
    ceiling_ppm: int
    fee_fen: int
    penalty_from: int
    day_count: DayCount = DayCount.ACT_365F

    @property
    def denominator(self) -> int:
        """DEN of the formulas: units of a year x ppm."""
        return units_per_year(self.day_count) * PPM


@dataclass(frozen=True, slots=True)
class Charges:
    """Cumulative amounts charged so far, in fen, the ceiling applied."""

    fee: int
    penalty: int
    interest: int

    @property
    def total(self) -> int:
        """All three."""
        return self.fee + self.penalty + self.interest


NOTHING_CHARGED = Charges(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Accumulator:
    """Exact numerators of one loan up to a day (see the module's formulas).

    Attributes:
        accrued_to: Beijing day up to which (not including) days are counted.
        interest_num: sum of principal x rate x units.
        penalty_num: sum of principal x penalty rate x units.
        ceiling_num: sum of principal x ceiling x units.
    """

    accrued_to: int
    interest_num: int = 0
    penalty_num: int = 0
    ceiling_num: int = 0

    def accrue(self, rates: Rates, principal_fen: int, day: int) -> Accumulator:
        """The numerators up to a day; a day already counted changes nothing."""
        if day <= self.accrued_to:
            return self
        turn = max(self.accrued_to, min(day, rates.penalty_from))
        contract = units_between(rates.day_count, self.accrued_to, turn)
        penal = units_between(rates.day_count, turn, day)
        return replace(
            self,
            accrued_to=day,
            interest_num=self.interest_num + principal_fen * rates.rate_ppm * contract,
            penalty_num=self.penalty_num + principal_fen * rates.penalty_ppm * penal,
            ceiling_num=self.ceiling_num + principal_fen * rates.ceiling_ppm * (contract + penal),
        )

    def charges_down(self, rates: Rates) -> Charges:
        """Fee, penalty and interest charged so far, each rounded down, together under the ceiling."""
        unit = rates.denominator
        fee_num = min(rates.fee_fen * unit, self.ceiling_num)
        penalty_num = min(self.penalty_num, self.ceiling_num - fee_num)
        interest_num = min(self.interest_num, self.ceiling_num - fee_num - penalty_num)
        return Charges(
            fee=fee_num // unit, penalty=penalty_num // unit, interest=interest_num // unit
        )

    def charges(self, rates: Rates, rounding: Rounding) -> Charges:
        """As ``charges_down``, rounded by another rule; still never above the ceiling, rounded down."""
        if rounding in (Rounding.FLOOR, Rounding.DOWN):
            return self.charges_down(rates)
        unit = rates.denominator
        room = self.ceiling_num // unit
        fee = min(rates.fee_fen, room)
        penalty = min(rounded(Fraction(self.penalty_num, unit), rounding), room - fee)
        interest = min(rounded(Fraction(self.interest_num, unit), rounding), room - fee - penalty)
        return Charges(fee=fee, penalty=penalty, interest=interest)

    def waived_down(self, rates: Rates) -> int:
        """What the ceiling keeps from being charged, in fen, rounded down."""
        unit = rates.denominator
        asked = rates.fee_fen * unit + self.penalty_num + self.interest_num
        return max(0, asked - self.ceiling_num) // unit


def _require_order(start: dt.date, end: dt.date) -> None:
    if start > end:
        raise InvalidDateError(
            "the start lies after the end",
            field="start",
            start=start.isoformat(),
            end=end.isoformat(),
        )


def _serial_30e(date: dt.date) -> int:
    return date.year * 360 + date.month * 30 + min(date.day, 30)


def _split_by_leap_year(start: dt.date, end: dt.date) -> tuple[int, int]:
    """Actual days that lie in years of 365 and in years of 366."""
    common = leap = 0
    for year in range(start.year, end.year + 1):
        first, after = dt.date(year, 1, 1).toordinal(), dt.date(year, 12, 31).toordinal() + 1
        days = min(end.toordinal(), after) - max(start.toordinal(), first)
        if days > 0:
            if after - first == 366:
                leap += days
            else:
                common += days
    return common, leap
