from __future__ import annotations

import datetime as dt
import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.bindings import enums
from finance.advance import (
    MOVES,
    OWING,
    SOLIDITY_ORDER,
    AdvanceState,
    EventKind,
    replay,
    require_applicable,
    require_move,
)
from finance.errors import AdvanceStateError, DuplicateError, InvalidAmountError
from finance.waterfall import Component
from tests.unit.finance.loans import DAY, TERMS, event, opening, paid


def play(*events, terms=TERMS, **more):
    return replay("0x01", terms, [*opening(), *events], **more)


def test_states_are_those_of_the_contract_in_its_order():
    assert [state.name for state in SOLIDITY_ORDER] == [s.name for s in enums.AdvanceState]


SOLIDITY_MOVES = {
    ("none", "requested"), ("requested", "approved"), ("requested", "declined"),
    ("approved", "releasable"), ("approved", "released"), ("approved", "voided"),
    ("releasable", "released"), ("releasable", "voided"),
    ("released", "repaid"), ("released", "defaulted"),
    ("defaulted", "written_off"), ("defaulted", "repaid"), ("written_off", "repaid"),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), list(itertools.product(AdvanceState, repeat=2)))
def test_every_pair_of_states_moves_or_refuses_as_the_published_table_says(one, other):
    if (one.value, other.value) in SOLIDITY_MOVES:
        assert require_move("0x01", one, other) is other
    else:
        with pytest.raises(AdvanceStateError) as refused:
            require_move("0x01", one, other)
        assert refused.value.facts["current"] == one.value
    assert (other in MOVES[one]) is ((one.value, other.value) in SOLIDITY_MOVES)


def test_early_repayment_in_full_costs_interest_to_the_day_and_closes():
    end = play(paid(17, 10_051_000))
    assert end.state is AdvanceState.REPAID
    assert (end.interest_paid, end.outstanding) == (51_000, 0)


def test_one_fen_less_leaves_one_fen_of_principal():
    end = play(paid(17, 10_050_999))
    assert (end.state, end.outstanding) == (AdvanceState.RELEASED, 1)


def test_repaid_on_the_release_day_it_costs_nothing_not_even_the_fee():
    end = play(paid(0, 10_000_000), terms=replace(TERMS, fee_bps=100))
    assert end.state is AdvanceState.REPAID
    assert (end.fee_paid, end.interest_paid) == (0, 0)


def test_what_is_above_the_debt_is_residue():
    end = play(paid(17, 10_051_500))
    assert end.steps[-1].shares.residue == 500


def test_a_payment_after_closing_is_all_residue_and_says_why():
    end = play(paid(17, 10_051_000), paid(18, 700))
    assert end.steps[-1].shares.residue == 700
    assert end.set_aside[-1] == ("paid-18", "nothing is owed on an advance that is repaid")


def test_penalty_counts_from_the_day_after_grace_and_not_on_penalty():
    def penalty(after):
        return play().due_on(DAY + after)[Component.PENALTY]

    assert [penalty(day) for day in (60, 63, 64, 65)] == [0, 0, 4_500, 9_000]
    assert (
        play().due_on(DAY + 65)[Component.INTEREST] == play().due_on(DAY + 63)[Component.INTEREST]
    )


def test_days_past_due_start_after_the_due_day_grace_or_not():
    assert [play().days_past_due(DAY + day) for day in (59, 60, 61, 64)] == [0, 0, 1, 4]


def test_a_back_dated_payment_ends_as_if_it_had_come_in_time():
    in_time = play(paid(10, 4_000_000), paid(30, 1_000_000))
    late_known = paid(10, 4_000_000, known=paid(40, 1).at)
    assert play(paid(30, 1_000_000), late_known) == in_time


def test_what_was_not_yet_known_is_left_out_of_how_it_looked_then():
    late = paid(10, 4_000_000, known=paid(40, 1).at)
    assert play(late, known_by=paid(39, 1).at).outstanding == 10_000_000
    assert play(late, known_by=paid(40, 1).at).outstanding < 10_000_000


def test_a_back_dated_payoff_turns_the_later_payment_into_residue():
    end = play(paid(20, 10_060_000), paid(5, 10_015_000))
    assert end.state is AdvanceState.REPAID
    assert end.steps[-1].shares.residue == 10_060_000


def test_the_same_event_twice_counts_once_and_other_content_under_its_id_is_refused():
    assert play(paid(5, 100), paid(5, 100)) == play(paid(5, 100))
    with pytest.raises(DuplicateError):
        play(paid(5, 100), paid(5, 101, name="paid-5"))


def test_a_reversal_takes_a_payment_back_as_if_it_never_counted():
    reversal = event(EventKind.REVERSED, 9, target="paid-5")
    end = play(paid(5, 3_000_000), reversal)
    assert end.outstanding == 10_000_000
    assert end.due_on(DAY + 17) == play().due_on(DAY + 17)


def test_default_write_off_and_recovery_keep_the_claim():
    end = play(
        event(EventKind.DEFAULTED, 70), event(EventKind.WRITTEN_OFF, 80), paid(90, 5_000_000)
    )
    assert end.state is AdvanceState.WRITTEN_OFF
    assert end.written_off == 10_000_000
    assert end.recovered == 5_000_000
    assert end.in_books == 0
    assert 0 < end.outstanding < 10_000_000
    assert (
        play(
            event(EventKind.DEFAULTED, 70), event(EventKind.WRITTEN_OFF, 80), paid(90, 20_000_000)
        ).state
        is AdvanceState.REPAID
    )


def test_restructuring_changes_rate_and_due_day_from_its_day_on_and_keeps_the_ceiling():
    calm = replace(TERMS, rate_ppm=36_500, penalty_ppm=36_500, grace_days=0)
    end = play(event(EventKind.RESTRUCTURED, 30, terms=calm, day=DAY + 200))
    assert end.due_day == DAY + 200
    assert end.due_on(DAY + 40)[Component.INTEREST] == 30 * 3_000 + 10 * 1_000
    dear = replace(TERMS, rate_ppm=240_001, penalty_ppm=240_001, ceiling_ppm=300_000)
    refused = play(event(EventKind.RESTRUCTURED, 30, terms=dear, day=DAY + 200))
    assert refused.set_aside[0][1] == "new rates above the ceiling frozen at release"


def test_an_extension_moves_the_due_day_and_lets_what_has_accrued_stand():
    late = TERMS.tenor_days + TERMS.grace_days + 10
    extended = event(EventKind.EXTENDED, late, day=DAY + 300)
    loan, plain = play(extended), play()
    assert (loan.due_day, loan.restructured) == (DAY + 300, True)
    assert loan.rates == replace(plain.rates, penalty_from=DAY + 300 + TERMS.grace_days)
    assert loan.due_on(DAY + late) == plain.due_on(DAY + late)
    a, b = (loan.due_on(DAY + late + days) for days in (0, 100))
    assert a[Component.PENALTY] == b[Component.PENALTY] > 0
    assert b[Component.INTEREST] - a[Component.INTEREST] == 100 * 3_000
    again = play(extended, event(EventKind.EXTENDED, late + 1, day=DAY + 400))
    assert again.rates.penalty_from == DAY + 400 + TERMS.grace_days  # the grace goes along


@pytest.mark.parametrize(
    ("after", "day", "events", "reason"),
    [
        (10, TERMS.tenor_days, (), "a later due day lies after the present one, by ten years at most"),
        (10, TERMS.tenor_days + 3_651, (), "a later due day lies after the present one, by ten years at most"),
        (100, 300, (event(EventKind.DEFAULTED, 90),), "an advance that is defaulted cannot be extended"),
    ],
)  # fmt: skip
def test_an_extension_that_gives_no_time_or_comes_too_late_is_set_aside(after, day, events, reason):
    made = event(EventKind.EXTENDED, after, day=DAY + day)
    assert play(*events, made).set_aside == ((made.id, reason),)
    edge = event(EventKind.EXTENDED, 10, day=DAY + TERMS.tenor_days + 3_650)
    assert play(edge).due_day == DAY + TERMS.tenor_days + 3_650


def test_interest_can_start_later_only_before_the_first_day_is_counted():
    later = play(event(EventKind.DEFERRED, 0, day=DAY + 2))
    assert later.due_on(DAY + 17)[Component.INTEREST] == 45_000
    paid_first = play(paid(1, 100), event(EventKind.DEFERRED, 2, day=DAY + 3))
    assert paid_first.set_aside


def test_waiving_charges_moves_no_principal():
    end = play(event(EventKind.WAIVED, 17, amount=51_000))
    assert (end.waived, end.outstanding, end.interest_paid) == (51_000, 10_000_000, 51_000)
    assert end.due_on(DAY + 17)[Component.INTEREST] == 0


def test_a_payee_paid_later_bears_interest_from_then():
    first, second = 6_000_000, 4_000_000
    start = [*opening()[:3], event(EventKind.DRAWN, 0, amount=first)]
    end = replay("x", TERMS, [*start, event(EventKind.DRAWN, 10, amount=second)])
    assert end.due_on(DAY + 20)[Component.INTEREST] == 20 * 1_800 + 10 * 1_200
    half = replay("x", TERMS, [*start, paid(5, 20_000_000)])
    assert half.state is AdvanceState.RELEASED  # the other payee may still be paid


def test_nothing_can_be_paid_or_waived_before_a_release_and_amounts_are_above_zero():
    fresh = replay("x", TERMS, opening()[:2])
    with pytest.raises(AdvanceStateError):
        require_applicable(fresh, paid(1, 100))
    with pytest.raises(InvalidAmountError):
        paid(1, 0)
    with pytest.raises(InvalidAmountError):
        paid(1, -5)


payments = st.lists(st.tuples(st.integers(0, 120), st.integers(1, 4_000_000)), max_size=8)
rare = st.lists(
    st.tuples(st.sampled_from([EventKind.DEFAULTED, EventKind.WRITTEN_OFF]), st.integers(50, 120)),
    max_size=2,
)


def story(rows, acts):
    events = [paid(day, amount, name=f"p{i}") for i, (day, amount) in enumerate(rows)]
    events += [event(kind, day, name=f"a{i}") for i, (kind, day) in enumerate(acts)]
    return events


@settings(max_examples=200)
@given(payments, rare, st.randoms(use_true_random=False))
def test_any_order_of_arrival_with_doubles_ends_the_same(rows, acts, chance):
    events = [*opening(), *story(rows, acts)]
    shuffled = events + chance.sample(events, k=len(events) // 2)
    chance.shuffle(shuffled)
    assert replay("x", TERMS, shuffled) == replay("x", TERMS, events)


@settings(max_examples=200)
@given(payments, rare)
def test_money_is_conserved_and_nothing_is_ever_negative(rows, acts):
    end = play(*story(rows, acts))
    received = sum(amount for _, amount in rows)
    shared = sum(step.shares.taken + step.shares.residue for step in end.steps)
    assert shared == received
    assert end.drawn == end.repaid + end.outstanding
    assert all(fen >= 0 for fen in end.due_on(DAY + 400).values())
    if end.state is AdvanceState.REPAID:
        assert sum(end.due_on(DAY + 400).values()) == 0


@given(st.integers(0, 200), st.integers(0, 200))
def test_early_repayment_never_costs_more_than_holding(one, other):
    def payoff(day):
        return sum(play().due_on(DAY + day).values())

    early, late = sorted((one, other))
    assert payoff(early) <= payoff(late)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6, unique=True), st.integers(1, 500_000))
def test_paying_charges_in_parts_costs_the_same_as_at_once(days, amount):
    parts = play(*[paid(day, 1 + amount // 1_000, name=f"p{day}") for day in sorted(days)])
    charged = parts.charges_on(DAY + 150)
    assert charged.total <= play().charges_on(DAY + 150).total
    assert parts.interest_paid + parts.due_on(DAY + 150)[Component.INTEREST] == charged.interest


@given(payments, rare)
def test_no_event_after_another_makes_a_state_outside_the_table(rows, acts):
    end = play(*story(rows, acts))
    seen = [AdvanceState.NONE, *(step.state for step in end.steps)]
    for before, after in itertools.pairwise(seen):
        assert before is after or after in MOVES[before]
    assert end.state in OWING or end.state is AdvanceState.REPAID


def test_a_thousand_shuffles_of_one_busy_loan():
    chance = random.Random(7)
    events = [
        *opening(),
        *[
            paid(chance.randrange(90), chance.randrange(1, 400_000), name=f"p{i}")
            for i in range(25)
        ],
    ]
    end = replay("x", TERMS, events)
    for _ in range(1_000):
        chance.shuffle(events)
        assert replay("x", TERMS, events) == end


def test_naive_instants_are_refused():
    with pytest.raises(ValueError, match="time zone"):
        replace(paid(1, 5), at=dt.datetime(2026, 1, 1))  # noqa: DTZ001  a time without a zone is what is refused
