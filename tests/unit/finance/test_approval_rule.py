"""A lender's rule: when it is in force, and which new rule lets more through."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from chain.bindings.structs import ApprovalRule
from chain.clock import LAST_INSTANT, instant_of
from chain.ids import Hash32, LineId, PartyId
from finance.approval_rule import LineRule, widens

NOW = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)
LINE = LineId("0x" + "11" * 32)
ZERO = Hash32("0x" + "00" * 32)
HELD = LineRule(LINE, PartyId(12), 500_000, NOW + dt.timedelta(days=30), 604_800, NOW)
SAME = ApprovalRule(
    LINE, PartyId(12), 500_000, int(HELD.until.timestamp()), 604_800, ZERO, 2_000_000_000, ZERO
)


def test_a_rule_is_in_force_to_its_last_second_and_not_once_it_is_ended():
    assert HELD.is_in_force(HELD.until)
    assert not HELD.is_in_force(HELD.until + dt.timedelta(seconds=1))
    assert not replace(HELD, most_fen=0).is_in_force(NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"most": 500_001},
        {"until": SAME.until + 1},
        {"valid_for": 604_801},
        {"debtor": PartyId(13)},
        {"debtor": PartyId(0)},
    ],
)
def test_one_number_more_widens_a_rule(change):
    assert widens(HELD, replace(SAME, **change), NOW)


def test_the_same_less_or_nothing_widens_no_rule():
    assert not widens(HELD, SAME, NOW)
    assert not widens(HELD, replace(SAME, most=1, until=1, valid_for=1), NOW)
    anybody = replace(HELD, debtor=None)
    assert not widens(anybody, SAME, NOW)
    assert not widens(None, replace(SAME, most=0), NOW)


def test_whatever_follows_no_rule_or_one_that_is_over_widens():
    assert widens(None, replace(SAME, most=1), NOW)
    assert widens(replace(HELD, most_fen=0), SAME, NOW)
    assert widens(HELD, SAME, HELD.until + dt.timedelta(seconds=1))


def test_a_term_without_end_is_an_instant_that_every_calendar_can_name():
    assert instant_of(2**64 - 1) == instant_of(2**48 - 1) == LAST_INSTANT
    assert instant_of(0) == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    beijing = dt.timezone(dt.timedelta(hours=8))
    assert instant_of(2**64 - 1).astimezone(beijing).year == 9999
