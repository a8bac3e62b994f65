from __future__ import annotations

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finance.accrual import (
    Accumulator,
    DayCount,
    Rates,
    Rounding,
    count_days,
    date_of,
    day_number,
    penal_interest,
    rounded,
    segmented_interest,
    simple_interest_down,
    units_between,
    units_per_year,
    year_fraction,
)
from finance.errors import InvalidAmountError, InvalidDateError

ADDITIVE = [c for c in DayCount if c is not DayCount.THIRTY_360_ISDA]
START = day_number(dt.date(2026, 1, 26))

principals = st.integers(1, 10**12)
ppm = st.integers(0, 360_000)
days = st.integers(0, 3_650)


def rates(rate=109_500, penalty=164_250, ceiling=240_000, fee=0, penalty_from=START + 60, **more):
    return Rates(rate, penalty, ceiling, fee, penalty_from, **more)


def test_one_hundred_thousand_yuan_for_seventeen_days_costs_510_yuan():
    assert simple_interest_down(10_000_000, 109_500, 17) == 51_000


@given(principals, ppm, days)
def test_interest_is_the_exact_fraction_rounded_down(principal, rate, length):
    exact = Fraction(principal * rate * length, 365 * 1_000_000)
    assert simple_interest_down(principal, rate, length) == exact.__floor__()


@pytest.mark.parametrize("wrong", [(-1, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_negative_principal_rate_or_days_are_refused(wrong):
    with pytest.raises(InvalidAmountError):
        simple_interest_down(*wrong)


@given(
    st.sampled_from(ADDITIVE),
    st.dates(dt.date(1999, 1, 1), dt.date(2040, 1, 1)),
    st.integers(0, 800),
    st.integers(0, 800),
)
def test_units_add_up_over_neighbouring_stretches_and_equal_the_year_fraction(
    convention, start, first, second
):
    a = day_number(start)
    b, c = a + first, a + first + second
    whole = units_between(convention, a, c)
    assert units_between(convention, a, b) + units_between(convention, b, c) == whole
    share = year_fraction(convention, start, date_of(c))
    assert Fraction(whole, units_per_year(convention)) == share


def test_a_convention_that_does_not_add_up_cannot_accrue():
    with pytest.raises(InvalidDateError, match="not additive"):
        units_per_year(DayCount.THIRTY_360_ISDA)


def test_a_start_after_the_end_is_refused():
    with pytest.raises(InvalidDateError):
        count_days(DayCount.ACT_360, dt.date(2026, 1, 2), dt.date(2026, 1, 1))


def test_a_leap_day_counts_in_the_leap_year_alone():
    share = year_fraction(DayCount.ACT_ACT_ISDA, dt.date(2023, 12, 31), dt.date(2024, 1, 2))
    assert share == Fraction(1, 365) + Fraction(1, 366)


@given(st.fractions(-1000, 1000, max_denominator=64))
def test_every_rounding_stays_within_one_and_halves_go_where_they_say(value):
    for rule in Rounding:
        assert abs(rounded(value, rule) - value) < 1
    assert rounded(value, Rounding.FLOOR) <= value <= rounded(value, Rounding.CEILING)
    assert abs(rounded(value, Rounding.DOWN)) <= abs(value) <= abs(rounded(value, Rounding.UP))
    for rule in (Rounding.HALF_EVEN, Rounding.HALF_UP, Rounding.HALF_DOWN):
        assert abs(rounded(value, rule) - value) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("value", "even", "up", "down"), [(Fraction(5, 2), 2, 3, 2), (Fraction(-5, 2), -2, -3, -2), (Fraction(7, 2), 4, 4, 3)]
)  # fmt: skip
def test_exact_halves(value, even, up, down):
    assert rounded(value, Rounding.HALF_EVEN) == even
    assert rounded(value, Rounding.HALF_UP) == up
    assert rounded(value, Rounding.HALF_DOWN) == down


def test_rounding_each_stretch_differs_from_rounding_once():
    parts = [(Fraction(100), Fraction(1, 3))] * 3
    assert segmented_interest(parts, Fraction(1, 100), Rounding.FLOOR) == 1
    assert segmented_interest(parts, Fraction(1, 100), Rounding.FLOOR, round_each_segment=True) == 0


def test_penal_interest_is_zero_through_the_grace_days():
    def after(overdue):
        return penal_interest(
            Fraction(36_500), Fraction(1, 10), days_overdue=overdue, grace_days=5, basis_days=365, rounding=Rounding.FLOOR
        )  # fmt: skip

    assert [after(day) for day in (0, 5, 6, 7)] == [0, 0, 10, 20]


# -- the accumulator --------------------------------------------------------------------------------


@given(principals, st.lists(st.integers(0, 200), max_size=8))
def test_accruing_day_by_day_equals_accruing_at_once(principal, steps):
    stepped, day = Accumulator(START), START
    for step in steps:
        day += step
        stepped = stepped.accrue(rates(), principal, day)
        stepped = stepped.accrue(rates(), principal, day)  # the same day again changes nothing
    assert stepped == Accumulator(START).accrue(rates(), principal, day)


def test_a_day_already_counted_changes_nothing():
    accrued = Accumulator(START).accrue(rates(), 1_000_000, START + 10)
    assert accrued.accrue(rates(), 9_000_000, START + 10) is accrued
    assert accrued.accrue(rates(), 9_000_000, START + 3) is accrued


def test_the_first_day_counts_and_the_last_does_not():
    principal, charged = 365_000_000, []
    for length in range(3):
        accrued = Accumulator(START).accrue(rates(rate=100_000), principal, START + length)
        charged.append(accrued.charges_down(rates(rate=100_000)).interest)
    assert charged == [0, 100_000, 200_000]


def test_penalty_stands_in_place_of_the_contract_rate_from_the_first_day_after_grace():
    frozen = rates(rate=100_000, penalty=150_000, penalty_from=START + 3)
    found = []
    for length in (3, 4, 5):
        charged = Accumulator(START).accrue(frozen, 365_000_000, START + length)
        found.append((charged.charges_down(frozen).interest, charged.charges_down(frozen).penalty))
    assert found == [(300_000, 0), (300_000, 150_000), (300_000, 300_000)]


@settings(max_examples=300)
@given(
    st.integers(0, 10**9), ppm, ppm, ppm, st.integers(0, 10**8), st.integers(0, 90),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 10**9)), max_size=8),
)  # fmt: skip
def test_charges_never_fall_and_never_pass_the_ceiling_day_by_day(  # noqa: PLR0917  drawn
    principal, rate, penalty, more, fee, penalty_after, steps
):
    ceiling = max(rate, penalty) + more
    frozen = rates(rate, penalty, ceiling, fee, START + penalty_after)
    accrued, day, spent = Accumulator(START), START, Fraction(0)
    before = accrued.charges_down(frozen)
    for length, repaid in steps:
        day += length
        accrued = accrued.accrue(frozen, principal, day)
        spent += Fraction(principal * ceiling * length, 365_000_000)
        charged = accrued.charges_down(frozen)
        assert charged.fee >= before.fee
        assert charged.penalty >= before.penalty
        assert charged.interest >= before.interest
        assert charged.total <= spent
        for rule in Rounding:
            assert accrued.charges(frozen, rule).total <= spent
        before, principal = charged, max(0, principal - repaid)


def test_what_the_ceiling_cuts_is_named():
    frozen = rates(rate=100_000, ceiling=100_000, fee=1_000)
    accrued = Accumulator(START).accrue(frozen, 365_000, START + 5)
    assert accrued.charges_down(frozen).fee == 500
    assert accrued.charges_down(frozen).interest == 0
    assert accrued.waived_down(frozen) == 1_000


@given(st.sampled_from(ADDITIVE), principals, st.integers(0, 720))
def test_other_conventions_round_once_too(convention, principal, length):
    frozen = rates(day_count=convention, ceiling=360_000, penalty_from=START + 10_000)
    accrued = Accumulator(START).accrue(frozen, principal, START + length)
    share = year_fraction(convention, date_of(START), date_of(START + length))
    exact = principal * Fraction(109_500, 1_000_000) * share
    assert accrued.charges_down(frozen).interest == exact.__floor__()
