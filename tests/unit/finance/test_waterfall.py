from __future__ import annotations

import datetime as dt
import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.errors import InvalidAmountError, InvalidTermsError
from finance.waterfall import (
    CONTRACT_ORDER,
    Component,
    Instalment,
    Iterate,
    Payment,
    Phase,
    Pick,
    Scope,
    replay_payments,
    share_payment,
    split_by_weight,
    split_in_turn,
)

fen = st.integers(0, 10**12)
dues = st.fixed_dictionaries(dict.fromkeys(Component, fen))
orders = st.permutations(list(Component))
DAY = dt.date(2026, 2, 1)


@given(fen, dues, orders)
def test_shares_and_residue_are_the_payment_and_later_buckets_wait_for_earlier_ones(
    payment, due, order
):
    shares = share_payment(payment, due, order)
    assert shares.taken + shares.residue == payment
    for earlier, later in itertools.pairwise(order):
        assert shares.of(later) == 0 or shares.of(earlier) == due[earlier]
    assert shares.residue == 0 or shares.taken == sum(due.values())


def test_the_contract_pays_fees_then_penalty_then_interest_then_principal():
    due = dict.fromkeys(Component, 10)
    assert CONTRACT_ORDER == ("fee", "penalty", "interest", "principal")
    shares = share_payment(35, due)
    assert (shares.fee, shares.penalty, shares.interest, shares.principal) == (10, 10, 10, 5)


def test_a_negative_payment_or_debt_and_an_order_with_a_gap_are_refused():
    with pytest.raises(InvalidAmountError):
        share_payment(-1, {})
    with pytest.raises(InvalidAmountError):
        share_payment(1, {Component.FEE: -1})
    with pytest.raises(InvalidTermsError):
        share_payment(
            1, {}, (Component.FEE, Component.FEE, Component.INTEREST, Component.PRINCIPAL)
        )


@given(fen, st.lists(st.integers(0, 10**9), min_size=1, max_size=9).filter(sum))
def test_a_split_adds_up_and_each_share_is_within_one_fen(amount, weights):
    shares = split_by_weight(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(amount * weight, sum(weights))) < 1
        assert weight or not share


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1]])
def test_a_split_without_weights_is_refused(weights):
    with pytest.raises(InvalidAmountError):
        split_by_weight(10, weights)


def test_a_shortage_cuts_the_last_payee_first():
    assert split_in_turn(100, (60, 30, 30)) == (60, 30, 10)
    assert split_in_turn(50, (60, 30)) == (50, 0)


def instalment(days, **amounts):
    return Instalment(
        DAY + dt.timedelta(days=days), {Component(name): fen for name, fen in amounts.items()}
    )


def phase(scope, **more):
    return Phase(scope, tuple(CONTRACT_ORDER), **more)


def test_component_first_clears_all_interest_before_any_principal():
    both = [instalment(0, interest=5, principal=10), instalment(1, interest=5, principal=10)]
    paid = [Payment(DAY + dt.timedelta(days=1), 12)]
    by_component = replay_payments(
        both, paid, [phase(Scope.DUE_OR_PAST, iterate=Iterate.COMPONENT_FIRST)]
    )
    by_instalment = replay_payments(both, paid, [phase(Scope.DUE_OR_PAST)])
    assert by_component.shares[0].interest == 10
    assert by_instalment.shares[0].interest == 5


def test_scopes_look_at_due_dates_and_last_first_takes_the_newest():
    three = [instalment(offset, principal=10) for offset in (-1, 0, 1)]
    on = [Payment(DAY, 10)]
    for scope, place in ((Scope.PAST_DUE, 0), (Scope.DUE_TODAY, 1), (Scope.IN_ADVANCE, 2)):
        after = replay_payments(three, on, [phase(scope)])
        assert [item.total for item in after.instalments] == [
            0 if i == place else 10 for i in range(3)
        ]
    after = replay_payments(three, on, [phase(Scope.ANY, pick=Pick.LAST_FIRST)])
    assert [item.total for item in after.instalments] == [10, 10, 0]


@given(
    st.lists(st.tuples(st.integers(-5, 5), dues), max_size=4),
    st.lists(st.tuples(st.integers(-5, 5), fen), max_size=5),
)
def test_a_replay_loses_no_fen(rows, payments):
    schedule = [Instalment(DAY + dt.timedelta(days=d), due) for d, due in rows]
    paid = [Payment(DAY + dt.timedelta(days=d), amount) for d, amount in payments]
    end = replay_payments(schedule, paid, [phase(Scope.DUE_OR_PAST), phase(Scope.IN_ADVANCE)])
    owed = sum(item.total for item in schedule)
    left = sum(item.total for item in end.instalments)
    assert owed - left + end.overpaid == sum(payment.amount for payment in paid)
    assert all(item.total >= 0 for item in end.instalments)
