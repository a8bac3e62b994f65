from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.business_days import business_days_after, is_announced, is_business_day


@pytest.mark.parametrize(
    ("date", "works"),
    [
        ("2026-01-26", True),  # a Monday
        ("2026-01-25", False),  # a Sunday
        ("2026-02-16", False),  # spring festival, a Monday
        ("2026-02-14", True),  # a Saturday worked for it
        ("2026-10-01", False),
        ("2026-10-10", True),  # a Saturday worked for the national day
        ("2027-10-01", True),  # not announced yet: a Friday
        ("2027-10-02", False),
    ],
)
def test_announced_days_off_and_worked_weekends(date, works):
    assert is_business_day(dt.date.fromisoformat(date)) is works


def test_the_table_says_where_it_ends():
    assert [is_announced(year) for year in (2023, 2026, 2027)] == [False, True, False]


def test_two_business_days_after_reach_over_the_spring_festival():
    assert business_days_after(dt.date(2026, 2, 13), 2) == dt.date(2026, 2, 24)
    assert business_days_after(dt.date(2026, 1, 23), 2) == dt.date(2026, 1, 27)
    assert business_days_after(dt.date(2026, 1, 25), 0) == dt.date(2026, 1, 25)


@given(st.dates(dt.date(2024, 1, 1), dt.date(2030, 1, 1)), st.integers(1, 30))
def test_a_deadline_is_a_business_day_with_so_many_business_days_before_it(date, days):
    end = business_days_after(date, days)
    between = [date + dt.timedelta(days=i) for i in range(1, (end - date).days + 1)]
    assert sum(map(is_business_day, between)) == days
    assert is_business_day(end)
