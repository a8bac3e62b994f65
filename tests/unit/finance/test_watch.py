from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.classification import FiveTier
from finance.portfolio import AGEING, LoanRow, portfolio
from finance.watch import (
    PLAN,
    SIGNALS,
    Action,
    Contact,
    dunning_step,
    next_contact,
    used_bps,
    warnings_of,
)


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda one: one.code)
def test_each_signal_fires_above_its_threshold_and_not_at_it(signal):
    assert warnings_of({signal.fact: signal.above}, 100) == []
    found = warnings_of({signal.fact: signal.above + 1}, 100)
    assert [one.signal for one in found] == [signal]
    assert found[0].due_day == 100 + signal.deadline_days


def test_a_missing_fact_fires_nothing_and_the_gravest_comes_first():
    assert warnings_of({"overdue_days": None}, 1) == []
    facts = {"debtor_p75_days_rise": 99, "overdue_days": 5, "third_party_payments": 1}
    assert [one.signal.action for one in warnings_of(facts, 1)] == [
        Action.CALL,
        Action.FREEZE,
        Action.WATCH,
    ]


def test_every_signal_and_step_has_an_owner_and_two_languages():
    for one in (*SIGNALS, *PLAN):
        assert one.owner
        assert one.en
        assert any("\u4e00" <= letter <= "\u9fff" for letter in one.zh)


@pytest.mark.parametrize(
    ("days", "code"),
    [(-4, None), (-3, "REMIND"), (0, "DUE_TODAY"), (1, "LATE"), (3, "LATE"), (4, "CALL"), (15, "DEBTOR_DIRECT"), (31, "DEMAND"), (91, "LEGAL"), (900, "LEGAL")],
)  # fmt: skip
def test_the_step_that_days_past_due_have_reached(days, code):
    step = dunning_step(days)
    assert (step.code if step else None) == code


@given(st.integers(1, 120), st.integers(0, 60))
def test_no_week_has_more_contacts_of_a_step_than_the_plan_allows(first, length):
    made = []
    for day in range(first, first + length):
        step = next_contact(day, 1_000 + day, made)
        if step is not None:
            made.append(Contact(step.code, 1_000 + day))
    for step in PLAN:
        days = [one.day for one in made if one.code == step.code]
        assert all(later > earlier for earlier, later in itertools.pairwise(days))
        for start in days:
            assert sum(start <= day < start + 7 for day in days) <= step.at_most_a_week


def test_a_limit_of_nothing_in_use_is_full():
    assert (used_bps(100, 95), used_bps(0, 1), used_bps(0, 0)) == (9_500, 10_000, 0)


def row(number, outstanding, **change):
    values = {
        "lane": "A → B" if number < 3 else "A → C",
        "advance": f"0x{number}", "borrower": "8", "debtor": str(number % 2), "released_day": 20_480,
        "released_fen": 1_000, "outstanding_fen": outstanding, "days_past_due": 0,
        "tier": FiveTier.NORMAL, "month": "2026-01",
    }  # fmt: skip
    return LoanRow(**values | change)


def test_the_first_screen_outstanding_where_and_at_risk():
    rows = [
        row(1, 600),
        row(2, 300, days_past_due=31, tier=FiveTier.SPECIAL_MENTION),
        row(3, 100, days_past_due=100, tier=FiveTier.SUBSTANDARD, month="2026-02"),
        row(4, 0, received_income_fen=10, principal_days=365_000),
        row(5, 0, written_off_fen=500, month="2026-02"),
    ]
    found = portfolio(rows, limit_fen=4_000, used_fen=1_000)
    assert (found.outstanding_fen, found.loans, found.overdue_fen, found.at_risk_fen) == (
        1_000,
        3,
        400,
        400,
    )
    assert found.utilisation_bps == 2_500
    assert found.yield_ppm == 10_000
    assert [(one.name, one.bps) for one in found.debtors] == [("1", 7_000), ("0", 3_000)]
    assert found.top_debtor_bps == 7_000
    assert [(one.name, one.bps) for one in found.lanes] == [("A → B", 9_000), ("A → C", 1_000)]
    assert found.top_lane_bps == 9_000
    ageing = {one.name: one.outstanding_fen for one in found.ageing}
    assert ageing["current"] == 600
    assert ageing["31-90"] == 300
    assert ageing["91-270"] == 100
    assert [(one.month, one.late_bps, one.lost_bps) for one in found.vintages] == [
        ("2026-01", 1_000, 0),
        ("2026-02", 500, 2_500),
    ]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 500)), max_size=20))
def test_every_breakdown_adds_up_to_the_whole(loans):
    rows = [row(i, fen, days_past_due=days) for i, (fen, days) in enumerate(loans)]
    found = portfolio(rows, limit_fen=0, used_fen=0)
    for parts in (
        found.ageing,
        found.classes,
        found.debtors,
        found.lanes,
        found.borrowers,
    ):
        assert sum(one.outstanding_fen for one in parts) == found.outstanding_fen
        assert sum(one.loans for one in parts) == found.loans
    assert len(found.ageing) == len(AGEING)


def test_an_empty_portfolio_has_no_shares_to_divide():
    found = portfolio([], limit_fen=0, used_fen=0)
    assert (found.outstanding_fen, found.utilisation_bps, found.yield_ppm) == (0, 0, None)
