from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.classification import FiveTier, classify, delinquency, five_tier_floor
from finance.cost import all_in_ppm_up, ceiling_down, promised_ppm_up
from finance.credit import (
    STEP_FEN,
    DebtorHistory,
    LimitPolicy,
    Line,
    earned_limit,
    most_to_advance_down,
    receivable_down,
)
from finance.errors import (
    HeadroomError,
    InvalidAmountError,
    InvalidDateError,
    InvalidTermsError,
    LineStateError,
)
from finance.law import Claim, assignment_priority, concentration, parameter, sme_payment
from finance.terms import Terms

AT = dt.datetime(2026, 1, 26, tzinfo=dt.UTC)


# -- lines ------------------------------------------------------------------------------------------


@given(
    st.integers(0, 1_000),
    st.lists(st.tuples(st.sampled_from("rvdp"), st.integers(1, 400)), max_size=30),
)
def test_no_sequence_of_moves_overdraws_a_line_or_makes_a_part_negative(limit, moves):
    line = Line(limit)
    for act, amount in moves:
        try:
            match act:
                case "r":
                    line = line.reserve(amount)
                case "v":
                    line = line.void(amount)
                case "d":
                    line = line.draw(amount, amount - amount // 3)
                case _:
                    line = line.repay(amount)
        except (HeadroomError, InvalidAmountError):
            continue
        assert 0 <= line.reserved + line.drawn <= limit
        assert min(line.reserved, line.drawn) >= 0
        assert line.headroom == limit - line.reserved - line.drawn


def test_repaid_principal_adds_exactly_that_room():
    line = Line(100).reserve(60).draw(60, 50)
    assert (line.headroom, line.repay(20).headroom) == (50, 70)


def test_a_lowered_limit_takes_headroom_only():
    line = Line(limit=10, reserved=40, drawn=30)
    assert line.headroom == 0
    with pytest.raises(HeadroomError):
        line.reserve(1)


def test_a_frozen_or_ended_line_takes_no_new_use():
    Line(1, valid_until=AT).require_open(AT)
    with pytest.raises(LineStateError, match="ended"):
        Line(1, valid_until=AT).require_open(AT + dt.timedelta(seconds=1))
    with pytest.raises(LineStateError, match="frozen"):
        Line(1, frozen=True).require_open(AT)


def test_a_receivable_shrinks_with_what_was_accepted_and_credited():
    assert receivable_down(1_000_001, 2, 3) == 666_667
    assert receivable_down(1_000, 1, 1, credit_notes_fen=1_001) == 0
    assert most_to_advance_down(1_001, 8_000) == 800
    with pytest.raises(InvalidAmountError):
        receivable_down(1_000, 2, 1)


# -- the earned limit -------------------------------------------------------------------------------


def history(*freights, days=45, short=0):
    return [DebtorHistory(str(i), freight, days, short) for i, freight in enumerate(freights)]


def test_the_limit_of_the_lending_page_step_by_step():
    found = earned_limit(history(900_000_000, 900_000_000, 900_000_000), tenure_days=365)
    # each debtor 9m x 45/90 = 4.5m, none above 40% of 13.5m, 80% of it, full tenure; then the caps
    assert [(step.code, step.amount_fen) for step in found.steps] == [
        ("expected_receivables", 1_350_000_000),
        ("debtor_share_cap", 1_350_000_000),
        ("lend_tenure_behaviour", 1_080_000_000),
        ("policy_cap", 1_000_000_000),
        ("whole_steps", 1_000_000_000),
    ]


def test_one_large_debtor_counts_for_forty_percent_and_short_payers_for_less():
    whole = earned_limit(history(900_000_000), tenure_days=365).steps
    assert whole[1].amount_fen == whole[0].amount_fen * 4 // 10
    short = earned_limit(history(900_000_000, short=100_000), tenure_days=365).steps
    assert short[0].amount_fen == whole[0].amount_fen * 85 // 100


@given(
    st.lists(st.integers(0, 10**10), max_size=5), st.integers(0, 800), st.integers(0, 20_000),
    st.one_of(st.none(), st.integers(0, 10**9)), st.booleans(),
)  # fmt: skip
def test_a_limit_is_whole_steps_under_every_cap_and_rises_by_a_quarter_at_most(
    freights, tenure, behaviour, present, warned
):
    room = [("borrower_room", 300_000_000)]
    found = earned_limit(
        history(*freights), tenure_days=tenure, behaviour_bps=behaviour, room_fen=room,
        present_fen=present, warned=warned,
    )  # fmt: skip
    assert found.amount_fen % STEP_FEN == 0
    assert 0 <= found.amount_fen <= 300_000_000
    if present:
        assert found.amount_fen <= present * 5 // 4


def test_a_firm_without_history_starts_small_unless_it_is_warned():
    assert earned_limit([], tenure_days=0).amount_fen == LimitPolicy().starter_fen
    assert earned_limit([], tenure_days=0, warned=True).amount_fen == 0


def test_tenure_opens_the_limit_in_steps():
    amounts = [
        earned_limit(history(*[90_000_000] * 3), tenure_days=days).steps[2].amount_fen
        for days in (0, 90, 180, 365)
    ]
    assert amounts == [27_000_000, 64_800_000, 86_400_000, 108_000_000]


# -- terms, cost, law -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rate_ppm": -1}, "rate_ppm"),
        ({"rate_ppm": 240_001}, "rate_ppm"),
        ({"penalty_ppm": 240_001}, "penalty_ppm"),
        ({"ceiling_ppm": 1_000_001}, "ceiling_ppm"),
        ({"fee_bps": 10_001}, "fee_bps"),
        ({"tenor_days": 3_651}, "tenor_days"),
        ({"grace_days": -1}, "grace_days"),
        ({"order": ()}, "order"),
    ],
)
def test_terms_that_contradict_themselves_are_refused_with_the_field(change, field):
    with pytest.raises(InvalidTermsError) as refused:
        Terms(**{"rate_ppm": 100_000, "penalty_ppm": 150_000, "ceiling_ppm": 240_000} | change)
    assert refused.value.field == field


def test_the_yearly_cost_counts_fees_and_rounds_against_the_lender():
    terms = Terms(
        rate_ppm=100_000, penalty_ppm=100_000, ceiling_ppm=240_000, fee_bps=10, tenor_days=73
    )
    assert promised_ppm_up(terms) == 105_000
    assert promised_ppm_up(terms, other_fees_bps=10) == 110_000
    assert all_in_ppm_up(1, 365_000_000) == 1
    assert all_in_ppm_up(1, 365_000_001) == 1
    assert all_in_ppm_up(5, 0) is None
    assert ceiling_down(365, 240_000) == 0


def test_law_parameters_are_dated_and_an_unknown_one_is_an_error():
    assert parameter("yearly_cost_cap_ppm", dt.date(2026, 1, 1)) == 240_000
    with pytest.raises(KeyError):
        parameter("moon")


@pytest.mark.parametrize(
    ("borrower", "group", "new", "expected"),
    [
        (0, 0, 200_000_000, ""),
        (0, 0, 200_000_001, "SINGLE_BORROWER_10PCT"),
        (0, 250_000_000, 50_000_001, "GROUP_15PCT"),
        (999_999_999, 0, 2, "ONLINE_BUSINESS_CAP"),
    ],
)
def test_concentration_names_the_cap(borrower, group, new, expected):
    found = concentration(
        net_assets_fen=2_000_000_000, borrower_balance_fen=borrower, group_balance_fen=group,
        new_loan_fen=new,
    )  # fmt: skip
    assert found.reason == expected


def test_a_registered_claim_comes_before_an_earlier_notice():
    claims = [
        Claim("notified", 60, notified_at=AT),
        Claim("registered", 70, registered_at=AT + dt.timedelta(days=9)),
    ]
    found = assignment_priority(claims, 100)
    assert found.winner == "registered"
    assert found.split_fen == {"registered": 70, "notified": 30}


@given(st.integers(0, 10**9), st.lists(st.integers(1, 10**9), min_size=1, max_size=5))
def test_claims_share_the_receivable_to_the_last_fen_and_none_gets_more_than_he_gave(
    amount, advances
):
    claims = [Claim(str(i), fen) for i, fen in enumerate(advances)]
    split = assignment_priority(claims, amount).split_fen
    assert sum(split.values()) == min(amount, sum(advances))
    assert all(split[claim.id] <= claim.advance_fen for claim in claims)


def test_a_term_beyond_sixty_days_falls_back_to_what_the_law_allows():
    found = sme_payment(buyer="LARGE", delivered_on=dt.date(2026, 1, 10), agreed_term_days=90)
    assert (found.due_on, found.term_valid) == (dt.date(2026, 3, 11), False)
    with pytest.raises(InvalidDateError):
        sme_payment(buyer="SMALL", delivered_on=dt.date(2026, 1, 10))


# -- classes ----------------------------------------------------------------------------------------


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_floor_never_falls_as_days_grow(one, other):
    early, late = sorted((one, other))
    assert five_tier_floor(early) <= five_tier_floor(late)


def test_edges_of_the_five_tiers():
    edges = {
        0: "正常",
        1: "关注",
        90: "关注",
        91: "次级",
        270: "次级",
        271: "可疑",
        360: "可疑",
        361: "损失",
    }
    assert {days: five_tier_floor(days).zh for days in edges} == edges


def test_facts_only_make_a_class_worse_and_a_cure_waits_for_clean_days():
    worse = classify(0, facts=[(FiveTier.SUBSTANDARD, "another loan in default")])
    assert (worse.tier, worse.reasons) == (FiveTier.SUBSTANDARD, ("another loan in default",))
    assert classify(400, facts=[(FiveTier.NORMAL, "x")]).tier is FiveTier.LOSS
    held = classify(0, previous=FiveTier.DOUBTFUL, clean_days=179)
    assert held.tier is FiveTier.DOUBTFUL
    assert classify(0, previous=FiveTier.DOUBTFUL, clean_days=180).tier is FiveTier.NORMAL
    assert classify(5, previous=FiveTier.DOUBTFUL, clean_days=999).tier is FiveTier.DOUBTFUL


def test_a_pause_that_ends_before_it_starts_is_refused_and_overlaps_count_once():
    due = [(dt.date(2026, 1, 1), 5)]
    with pytest.raises(InvalidDateError):
        delinquency(due, AT.date(), pauses=[(dt.date(2026, 1, 5), dt.date(2026, 1, 4))])
    both = [
        (dt.date(2026, 1, 5), dt.date(2026, 1, 10)),
        (dt.date(2026, 1, 8), dt.date(2026, 1, 12)),
    ]
    assert delinquency(due, dt.date(2026, 1, 20), pauses=both).days == 12
