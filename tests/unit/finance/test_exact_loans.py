"""Loans, shares and interest, field by field and edge by edge, as ``test_exact_payouts`` has payouts."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from fractions import Fraction

import pytest

from finance.accrual import (
    Accumulator,
    Charges,
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
    year_fraction_parts,
)
from finance.advance import (
    Advance,
    AdvanceState,
    EventKind,
    apply,
    refusal_of,
    replay,
    require_applicable,
    require_move,
)
from finance.errors import (
    AdvanceStateError,
    DuplicateError,
    InvalidAmountError,
    InvalidDateError,
    InvalidTermsError,
)
from finance.waterfall import (
    CONTRACT_ORDER,
    Component,
    Instalment,
    Iterate,
    Payment,
    Phase,
    Pick,
    Scope,
    Shares,
    replay_payments,
    share_payment,
    split_by_weight,
)
from tests.unit.finance.loans import DAY, TERMS, event, noon, opening, paid

# -- loans --------------------------------------------------------------------------------------------


def play(*more, terms=TERMS, principal=10_000_000):
    return replay("a", terms, [*opening(principal), *more])


def test_days_past_due_count_only_while_something_is_owed():
    open_loan = play()
    assert open_loan.due_day == DAY + 60
    assert [open_loan.days_past_due(DAY + day) for day in (0, 60, 61, 75)] == [0, 0, 1, 15]
    assert play(paid(17, 10_051_000)).days_past_due(DAY + 99) == 0
    assert replace(open_loan, outstanding=0).days_past_due(DAY + 99) == 0
    assert replace(open_loan, state=AdvanceState.APPROVED).days_past_due(DAY + 99) == 0


def test_an_event_that_cannot_count_names_loan_state_and_wish():
    loan = play(paid(17, 10_051_000))
    late = paid(18, 1)
    with pytest.raises(AdvanceStateError) as no:
        require_applicable(loan, late)
    assert str(no.value) == "nothing is owed on an advance that is repaid"
    assert no.value.facts == {"advance": "a", "current": "repaid", "wanted": "paid"}
    require_applicable(play(), paid(17, 1))
    with pytest.raises(AdvanceStateError) as no:
        require_move("a", AdvanceState.REPAID, AdvanceState.RELEASED)
    assert no.value.facts == {"advance": "a", "current": "repaid", "wanted": "released"}


def restructured(after=30, day=200, **terms):
    changed = replace(TERMS, rate_ppm=36_500, penalty_ppm=73_000, grace_days=5) if not terms else (
        replace(TERMS, **terms)
    )  # fmt: skip
    return event(EventKind.RESTRUCTURED, after, terms=changed, day=DAY + day)


def test_a_restructured_loan_bears_the_new_rates_from_its_day_and_the_new_grace():
    loan = play(restructured())
    assert (loan.due_day, loan.restructured, loan.rates.penalty_from) == (
        DAY + 200,
        True,
        DAY + 205,
    )
    assert (loan.rates.rate_ppm, loan.rates.penalty_ppm) == (36_500, 73_000)
    assert loan.rates.ceiling_ppm == TERMS.ceiling_ppm  # frozen at release
    due = loan.due_on(DAY + 215)
    assert due[Component.INTEREST] == 30 * 3_000 + 175 * 1_000
    assert due[Component.PENALTY] == 10 * 2_000
    assert not play().restructured


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (restructured(rate_ppm=240_001, ceiling_ppm=300_000), "new rates above the ceiling frozen at release"),
        (restructured(penalty_ppm=240_001, ceiling_ppm=300_000), "new rates above the ceiling frozen at release"),
        (event(EventKind.RESTRUCTURED, 30, day=DAY + 200), "a restructuring needs new terms"),
        (event(EventKind.DEFERRED, 0, day=DAY), "a later start lies after the start and not after the due day"),
        (event(EventKind.DEFERRED, 0, day=DAY + 61), "a later start lies after the start and not after the due day"),
        (event(EventKind.DRAWN, 5, amount=1), "a payee paid above what was granted"),
        (event(EventKind.APPROVED, 5), "an advance that is released cannot become approved"),
        (event(EventKind.REVERSED, 5, target="x"), "nothing to reverse"),
    ],
)  # fmt: skip
def test_what_cannot_count_is_set_aside_with_its_reason_and_moves_nothing(made, reason):
    loan = play(made)
    assert loan.set_aside == ((made.id, reason),)
    plain = play()
    assert replace(loan, set_aside=(), steps=()) == replace(plain, set_aside=(), steps=())


def test_before_and_after_its_life_a_loan_takes_nothing():
    requested = replay("a", TERMS, opening()[:1])
    for made, reason in (
        (paid(1, 5), "nothing is owed on an advance that is requested"),
        (event(EventKind.WAIVED, 1, amount=5), "nothing is owed on an advance that is requested"),
        (event(EventKind.DRAWN, 1, amount=5), "nothing is paid out of an advance that is requested"),
        (event(EventKind.DEFERRED, 1, day=DAY + 3), "interest can start later only before the first day is counted"),
        (restructured(), "an advance that is requested cannot be restructured"),
    ):  # fmt: skip
        assert refusal_of(requested, made) == reason
        assert apply(requested, made).set_aside == ((made.id, reason),)
    approved = replay("a", TERMS, opening()[:2])
    above = event(EventKind.RELEASED, 0, amount=10_000_001)
    assert refusal_of(approved, above) == "a release above the approved principal"
    assert requested.charges_on(DAY + 9) == Charges(0, 0, 0)
    assert requested.accrued_to(DAY + 9) == requested.accumulator
    assert requested.due_on(DAY + 9) == dict.fromkeys(Component, 0)


def test_the_first_word_of_two_equal_events_counts_and_the_past_is_seen_as_it_was_known():
    late = paid(10, 500, name="p", known=noon(DAY + 20))
    early = paid(10, 500, name="p", known=noon(DAY + 12))
    events = [*opening(), late, early]
    for told in (events, events[::-1]):
        assert replay("a", TERMS, told, known_by=noon(DAY + 12)).repaid == 0
        assert replay("a", TERMS, told, known_by=noon(DAY + 12)).interest_paid == 500
        assert replay("a", TERMS, told, known_by=noon(DAY + 11)).interest_paid == 0
        assert replay("a", TERMS, told, until=noon(DAY + 10)).interest_paid == 500
        assert replay("a", TERMS, told, until=noon(DAY + 9)).interest_paid == 0
    with pytest.raises(DuplicateError) as no:
        replay("a", TERMS, [*events, paid(10, 501, name="p")])
    assert str(no.value) == "event p is on record with other content"
    assert no.value.facts == {"event": "p"}


def test_a_written_off_loan_keeps_its_claim_and_what_comes_in_is_a_recovery():
    loan = play(event(EventKind.DEFAULTED, 70), event(EventKind.WRITTEN_OFF, 80), paid(90, 600_000))
    assert (loan.state, loan.written_off, loan.recovered) == (
        AdvanceState.WRITTEN_OFF, 10_000_000, 600_000,
    )  # fmt: skip
    assert loan.in_books == 0
    assert loan.outstanding == 10_000_000 - loan.repaid
    assert loan.steps[-1].shares.taken == 600_000
    assert play().in_books == 10_000_000


def test_a_waiver_takes_charges_alone():
    loan = play(event(EventKind.WAIVED, 17, amount=60_000))
    assert (loan.waived, loan.interest_paid, loan.outstanding) == (51_000, 51_000, 10_000_000)
    assert loan.steps[-1].shares == Shares(interest=51_000, residue=9_000)


def test_a_default_gives_unpaid_parts_back_and_a_reversal_is_named():
    partly = [*opening()[:3], event(EventKind.DRAWN, 0, amount=4_000_000)]
    loan = replay("a", TERMS, [*partly, event(EventKind.DEFAULTED, 70)])
    assert (loan.released, loan.drawn, loan.state) == (4_000_000, 4_000_000, AdvanceState.DEFAULTED)
    whole = replay("a", TERMS, [*partly, paid(1, 4_001_200)])
    assert (whole.outstanding, whole.state) == (0, AdvanceState.RELEASED)  # a payee still waits
    reversed_ = play(paid(17, 100, name="p"), event(EventKind.REVERSED, 18, target="p"))
    assert reversed_.set_aside == (("p", "reversed"),)
    assert reversed_.interest_paid == 0


# -- shares -------------------------------------------------------------------------------------------


def test_an_order_or_an_amount_that_cannot_be_says_which():
    due = dict.fromkeys(Component, 5)
    with pytest.raises(InvalidTermsError) as no:
        share_payment(1, due, (Component.FEE, Component.FEE))
    assert str(no.value) == "an order names fee, penalty, interest and principal, each once"
    assert (no.value.field, no.value.facts) == ("order", {"given": ["fee", "fee"]})
    with pytest.raises(InvalidAmountError) as no:
        share_payment(-1, due)
    assert (str(no.value), no.value.field) == ("a payment is not negative", "amount")
    assert no.value.facts == {"given": -1}
    with pytest.raises(InvalidAmountError) as no:
        share_payment(9, due | {Component.INTEREST: -2})
    assert (str(no.value), no.value.field) == ("what is due is not negative", "interest")
    assert no.value.facts == {"given": -2}
    assert share_payment(7, {Component.PRINCIPAL: 3}) == Shares(principal=3, residue=4)
    assert share_payment(18, due) == Shares(fee=5, penalty=5, interest=5, principal=3)


def test_a_split_that_cannot_be_says_so_and_ties_go_to_the_first():
    for amount, weights in ((-1, (1,)), (1, (0, 0)), (1, (2, -1))):
        with pytest.raises(InvalidAmountError) as no:
            split_by_weight(amount, weights)
        assert str(no.value) == (
            "a split needs an amount and weights that are not negative, one above zero"
        )
        assert no.value.facts == {"amount": amount, "weights": list(weights)}
    assert split_by_weight(10, (3, 3, 1)) == (4, 4, 2)
    assert split_by_weight(2, (1, 1, 1)) == (1, 1, 0)
    assert split_by_weight(0, (1, 0)) == (0, 0)


TODAY = dt.date(2026, 1, 10)
PARTS = (Component.INTEREST, Component.PRINCIPAL, Component.FEE, Component.PENALTY)


def schedule():
    return [
        Instalment(dt.date(2026, 1, day), {Component.PRINCIPAL: 10, Component.INTEREST: 1})
        for day in (20, 5, 10)  # not in order: the walk sorts by due date
    ]


@pytest.mark.parametrize(
    ("scope", "pick", "iterate", "left"),
    [
        (Scope.ANY, Pick.FIRST_FIRST, Iterate.INSTALMENT_FIRST, [11, 0, 10]),
        (Scope.ANY, Pick.LAST_FIRST, Iterate.INSTALMENT_FIRST, [0, 11, 10]),
        (Scope.ANY, Pick.FIRST_FIRST, Iterate.COMPONENT_FIRST, [10, 1, 10]),
        (Scope.PAST_DUE, Pick.FIRST_FIRST, Iterate.INSTALMENT_FIRST, [11, 0, 11]),
        (Scope.DUE_TODAY, Pick.FIRST_FIRST, Iterate.INSTALMENT_FIRST, [11, 11, 0]),
        (Scope.DUE_OR_PAST, Pick.LAST_FIRST, Iterate.INSTALMENT_FIRST, [11, 10, 0]),
        (Scope.IN_ADVANCE, Pick.FIRST_FIRST, Iterate.INSTALMENT_FIRST, [0, 11, 11]),
    ],
)
def test_each_scope_end_and_walk_clears_what_it_names(scope, pick, iterate, left):
    phase = Phase(scope, PARTS, iterate, pick)
    played = replay_payments(schedule(), [Payment(TODAY, 12)], [phase])
    assert [one.total for one in played.instalments] == left
    (share,) = played.shares
    assert share.taken == 33 - sum(left)
    assert played.overpaid == share.residue == 12 - share.taken
    assert share.charges == share.interest


def test_every_component_is_told_apart_and_due_days_stay():
    owed = {Component.FEE: 1, Component.PENALTY: 2, Component.INTEREST: 4, Component.PRINCIPAL: 8}
    played = replay_payments(
        [Instalment(TODAY, owed)], [Payment(TODAY, 16)], [Phase(Scope.ANY, CONTRACT_ORDER)]
    )
    assert played.shares == (Shares(fee=1, penalty=2, interest=4, principal=8, residue=1),)
    assert played.instalments == (Instalment(TODAY, dict.fromkeys(Component, 0)),)


def test_a_payments_own_phases_replace_those_of_the_terms_and_wrong_amounts_are_named():
    own = Payment(TODAY, 5, (Phase(Scope.IN_ADVANCE, PARTS),))
    played = replay_payments(schedule(), [own], [Phase(Scope.PAST_DUE, PARTS)])
    assert [one.total for one in played.instalments] == [6, 11, 11]
    with pytest.raises(InvalidAmountError) as no:
        replay_payments(schedule(), [Payment(TODAY, -1)], [Phase(Scope.ANY, PARTS)])
    assert (str(no.value), no.value.field, no.value.facts) == (
        "a payment is not negative", "amount", {"given": -1},
    )  # fmt: skip
    bad = [Instalment(TODAY, {Component.FEE: -1})]
    with pytest.raises(InvalidAmountError) as no:
        replay_payments(bad, [], [])
    assert (str(no.value), no.value.field) == ("an instalment is not negative", "instalments")
    with pytest.raises(InvalidTermsError) as no:
        Phase(Scope.ANY, ())
    assert (no.value.field, no.value.facts) == ("order", {"given": []})
    with pytest.raises(InvalidTermsError) as no:
        Phase(Scope.ANY, (Component.FEE, Component.FEE))
    assert str(no.value) == "a phase names each component at most once, and one at least"
    assert no.value.facts == {"given": ["fee", "fee"]}
    assert CONTRACT_ORDER == (
        Component.FEE, Component.PENALTY, Component.INTEREST, Component.PRINCIPAL,
    )  # fmt: skip
    assert Advance(id="a", terms=TERMS).accumulator == Accumulator(0)


# -- interest -----------------------------------------------------------------------------------------


def test_days_are_numbered_from_1970_and_back():
    assert [day_number(dt.date(1970, 1, day)) for day in (1, 2)] == [0, 1]
    assert (day_number(dt.date(2026, 1, 26)), date_of(20_479)) == (20_479, dt.date(2026, 1, 26))


D = dt.date


@pytest.mark.parametrize(
    ("convention", "start", "end", "days", "parts"),
    [
        (DayCount.ACT_360, D(2024, 2, 28), D(2024, 3, 1), 2, ((2, 360),)),
        (DayCount.ACT_365F, D(2024, 2, 28), D(2024, 3, 1), 2, ((2, 365),)),
        (DayCount.ACT_ACT_ISDA, D(2023, 12, 30), D(2024, 1, 3), 4, ((2, 365), (2, 366))),
        (DayCount.ACT_ACT_ISDA, D(2024, 12, 31), D(2025, 1, 2), 2, ((1, 365), (1, 366))),
        (DayCount.ACT_ACT_ISDA, D(2024, 3, 1), D(2024, 3, 1), 0, ((0, 365),)),
        (DayCount.ACT_ACT_ISDA, D(2022, 6, 1), D(2025, 6, 1), 1096, ((730, 365), (366, 366))),
        (DayCount.ACT_ACT_ISDA, D(2019, 6, 1), D(2025, 6, 1), 2192, ((1460, 365), (732, 366))),
        (DayCount.THIRTY_E_360, D(2024, 1, 30), D(2024, 3, 31), 60, ((60, 360),)),
        (DayCount.THIRTY_E_360, D(2024, 1, 31), D(2025, 2, 28), 388, ((388, 360),)),
        (DayCount.THIRTY_E_360, D(2024, 1, 28), D(2024, 1, 31), 2, ((2, 360),)),
        (DayCount.THIRTY_360_ISDA, D(2024, 1, 29), D(2024, 3, 31), 62, ((62, 360),)),
        (DayCount.THIRTY_360_ISDA, D(2024, 1, 30), D(2024, 3, 31), 60, ((60, 360),)),
        (DayCount.THIRTY_360_ISDA, D(2024, 1, 31), D(2025, 3, 31), 420, ((420, 360),)),
        (DayCount.THIRTY_360_ISDA, D(2024, 1, 31), D(2024, 2, 29), 29, ((29, 360),)),
    ],
)
def test_each_convention_counts_its_days_and_its_share_of_a_year(
    convention, start, end, days, parts
):
    assert count_days(convention, start, end) == days
    assert year_fraction_parts(convention, start, end) == parts
    assert year_fraction(convention, start, end) == sum(Fraction(*part) for part in parts)
    for swapped in (count_days, year_fraction_parts):
        with pytest.raises(InvalidDateError) as no:
            swapped(convention, end + dt.timedelta(days=1), start)
        assert (str(no.value), no.value.field) == ("the start lies after the end", "start")
        assert no.value.facts == {
            "start": (end + dt.timedelta(days=1)).isoformat(), "end": start.isoformat(),
        }  # fmt: skip


def test_a_loan_accrues_in_units_that_add_up_and_not_by_a_convention_that_does_not():
    per_year = {
        DayCount.ACT_365F: 365, DayCount.ACT_360: 360, DayCount.THIRTY_E_360: 360,
        DayCount.ACT_ACT_ISDA: 133_590,
    }  # fmt: skip
    assert {one: units_per_year(one) for one in per_year} == per_year
    with pytest.raises(InvalidDateError) as no:
        units_per_year(DayCount.THIRTY_360_ISDA)
    assert str(no.value) == (
        "30/360-ISDA is not additive and cannot accrue day by day; use 30E/360"
    )
    assert no.value.field == "day_count"
    start, end = day_number(D(2023, 12, 30)), day_number(D(2024, 1, 3))
    assert units_between(DayCount.ACT_365F, start, end) == 4
    assert units_between(DayCount.ACT_360, start, end) == 4
    assert units_between(DayCount.ACT_ACT_ISDA, start, end) == 2 * 366 + 2 * 365
    assert units_between(DayCount.THIRTY_E_360, start, end) == 3
    with pytest.raises(InvalidDateError):
        units_between(DayCount.THIRTY_360_ISDA, start, end)


@pytest.mark.parametrize(
    ("value", "floor", "down", "ceiling", "up", "even", "half_up", "half_down"),
    [
        (Fraction(5, 2), 2, 2, 3, 3, 2, 3, 2),
        (Fraction(7, 2), 3, 3, 4, 4, 4, 4, 3),
        (Fraction(-5, 2), -3, -2, -2, -3, -2, -3, -2),
        (Fraction(9, 4), 2, 2, 3, 3, 2, 2, 2),
        (Fraction(11, 4), 2, 2, 3, 3, 3, 3, 3),
        (Fraction(-9, 4), -3, -2, -2, -3, -2, -2, -2),
        (Fraction(-11, 4), -3, -2, -2, -3, -3, -3, -3),
        (Fraction(1, 3), 0, 0, 1, 1, 0, 0, 0),
        (Fraction(-1, 3), -1, 0, 0, -1, 0, 0, 0),
        (Fraction(4), 4, 4, 4, 4, 4, 4, 4),
        (Fraction(0), 0, 0, 0, 0, 0, 0, 0),
    ],
)
def test_each_rounding_rounds_as_it_is_called(  # noqa: PLR0917  one column a rounding
    value, floor, down, ceiling, up, even, half_up, half_down
):
    told = {
        Rounding.FLOOR: floor, Rounding.DOWN: down, Rounding.CEILING: ceiling, Rounding.UP: up,
        Rounding.HALF_EVEN: even, Rounding.HALF_UP: half_up, Rounding.HALF_DOWN: half_down,
    }  # fmt: skip
    assert {one: rounded(value, one) for one in Rounding} == told


def test_interest_of_one_stretch_of_several_and_for_lateness():
    assert simple_interest_down(10_000_000, 109_500, 17) == 51_000
    assert simple_interest_down(10_000_000, 120_000, 30, 360) == 100_000
    assert simple_interest_down(0, 0, 0) == 0
    with pytest.raises(InvalidAmountError) as no:
        simple_interest_down(5, -1, 2)
    assert str(no.value) == "principal, rate and days are not negative"
    assert no.value.facts == {"principal_fen": 5, "rate_ppm": -1, "days": 2}
    two = [(Fraction(10), Fraction(1, 4)), (Fraction(10), Fraction(1, 4))]
    rate = Fraction(1, 10)  # 0.25 and 0.25
    assert segmented_interest(two, rate, Rounding.HALF_UP) == 1
    assert segmented_interest(two, rate, Rounding.HALF_UP, round_each_segment=True) == 0
    assert segmented_interest(two, rate, Rounding.CEILING, round_each_segment=True) == 2
    assert segmented_interest([], rate, Rounding.CEILING) == 0

    def penal(days, grace, rounding=Rounding.HALF_EVEN):
        return penal_interest(
            Fraction(1_109_589), Fraction(1, 4), days_overdue=days, grace_days=grace,
            basis_days=365, rounding=rounding,
        )  # fmt: skip

    assert (penal(10, 5), penal(5, 5), penal(4, 5), penal(6, 5)) == (3_800, 0, 0, 760)
    assert penal(6, 5, Rounding.FLOOR) == 759


RATES = Rates(
    rate_ppm=100_000, penalty_ppm=200_000, ceiling_ppm=240_000, fee_fen=50, penalty_from=70
)


def test_the_accumulator_turns_to_the_penalty_rate_on_its_day_and_counts_no_day_twice():
    start = Accumulator(60)
    assert start.accrue(RATES, 1_000, 60) is start
    assert start.accrue(RATES, 1_000, 59) is start
    assert start.accrue(RATES, 1_000, 70) == Accumulator(70, 10 * 10**8, 0, 10 * 24 * 10**7)
    assert start.accrue(RATES, 1_000, 73) == Accumulator(
        73, 10 * 10**8, 3 * 2 * 10**8, 13 * 24 * 10**7
    )
    late = Accumulator(80).accrue(RATES, 1_000, 81)
    assert late == Accumulator(81, 0, 2 * 10**8, 24 * 10**7)
    assert RATES.denominator == 365_000_000
    assert replace(RATES, day_count=DayCount.ACT_360).denominator == 360_000_000


def held(interest, penalty, ceiling, **more):
    unit = RATES.denominator
    numbers = [int(Fraction(one) * unit) for one in (interest, penalty, ceiling)]
    return Accumulator(60, *numbers), replace(RATES, **more)


@pytest.mark.parametrize(
    ("interest", "penalty", "ceiling", "told"),
    [
        ("100", "20", "1000", Charges(50, 20, 100)),
        ("100.9", "20.9", "1000", Charges(50, 20, 100)),
        ("100", "20", "100", Charges(50, 20, 30)),
        ("100", "20", "60", Charges(50, 10, 0)),
        ("100", "20", "49.5", Charges(49, 0, 0)),
        ("0", "0", "0", Charges(0, 0, 0)),
    ],
)
def test_charges_stand_under_the_ceiling_fee_first_then_penalty_then_interest(
    interest, penalty, ceiling, told
):
    numbers, rates = held(interest, penalty, ceiling)
    assert numbers.charges_down(rates) == told
    assert numbers.charges(rates, Rounding.FLOOR) == told
    assert numbers.charges(rates, Rounding.DOWN) == told
    assert told.total == told.fee + told.penalty + told.interest


def test_other_roundings_of_charges_never_pass_the_ceiling():
    numbers, rates = held("100.5", "20.5", "1000")
    assert numbers.charges(rates, Rounding.CEILING) == Charges(50, 21, 101)
    assert numbers.charges(rates, Rounding.HALF_EVEN) == Charges(50, 20, 100)
    numbers, rates = held("100.5", "20.5", "120.9")
    assert numbers.charges(rates, Rounding.CEILING) == Charges(50, 21, 49)
    numbers, rates = held("100.5", "20.5", "60.9")
    assert numbers.charges(rates, Rounding.CEILING) == Charges(50, 10, 0)
    numbers, rates = held("1", "1", "40.9")
    assert numbers.charges(rates, Rounding.UP) == Charges(40, 0, 0)


@pytest.mark.parametrize(
    ("interest", "penalty", "ceiling", "waived"),
    [("100", "20", "1000", 0), ("100", "20", "170", 0), ("100", "20", "169", 1), ("100.9", "20", "100", 70)],
)  # fmt: skip
def test_what_the_ceiling_keeps_away_is_told_rounded_down(interest, penalty, ceiling, waived):
    numbers, rates = held(interest, penalty, ceiling)
    assert numbers.waived_down(rates) == waived


# -- what the gate of mutants let through ---------------------------------------------------------------


def test_penalty_that_was_paid_is_not_asked_again():
    late = 60 + 3 + 20
    whole = play().due_on(DAY + late)[Component.PENALTY]
    part = play(paid(late, 1_000))
    assert (part.penalty_paid, part.due_on(DAY + late)[Component.PENALTY]) == (1_000, whole - 1_000)
    again = play(paid(late, 1_000), paid(late, 500, name="again"))
    assert (again.penalty_paid, again.due_on(DAY + late)[Component.PENALTY]) == (
        1_500,
        whole - 1_500,
    )


def test_a_payment_and_a_waiver_follow_the_order_of_the_terms():
    terms = replace(
        TERMS, order=(Component.PRINCIPAL, Component.INTEREST, Component.PENALTY, Component.FEE)
    )
    loan = replay("a", terms, [*opening(), paid(90, 5_000)])
    assert (loan.outstanding, loan.penalty_paid, loan.interest_paid) == (9_995_000, 0, 0)
    waived = replay("a", terms, [*opening(), event(EventKind.WAIVED, 90, amount=5_000)])
    assert (waived.outstanding, waived.penalty_paid, waived.interest_paid) == (10_000_000, 0, 5_000)


def test_the_edges_of_a_later_start_and_of_new_rates_count():
    assert play(event(EventKind.DEFERRED, 0, day=DAY + 60)).start_day == DAY + 60
    ceiling = TERMS.ceiling_ppm
    at_the_edge = play(restructured(rate_ppm=ceiling, penalty_ppm=ceiling))
    assert (at_the_edge.set_aside, at_the_edge.rates.rate_ppm) == ((), ceiling)


def test_what_was_known_later_hides_nothing_that_was_known_before():
    late = paid(5, 700, known=noon(DAY + 9))
    seen = replay("a", TERMS, [late, *opening()], known_by=noon(DAY + 6))
    assert (seen.drawn, seen.interest_paid) == (10_000_000, 0)
    assert replay("a", TERMS, [late, *opening()], known_by=noon(DAY + 9)).interest_paid == 700


def test_a_refused_payment_is_a_step_of_residue_and_nothing_else_that_is_set_aside_is_one():
    closed = play(paid(17, 10_051_000), paid(20, 33, name="too late"))
    last = closed.steps[-1]
    assert (last.event, last.kind, last.shares.residue, last.shares.taken) == (
        "too late", EventKind.PAID, 33, 0,
    )  # fmt: skip
    taken_back = event(EventKind.REVERSED, 6, target="paid-5")
    assert [
        one.event for one in play(paid(5, 700), taken_back).steps if one.kind is EventKind.PAID
    ] == []
    refused = play(event(EventKind.DEFERRED, 0, day=DAY))
    assert [one.kind for one in refused.steps] == [one.kind for one in play().steps]
