"""Chain, ledger and bank against one another: every difference gets its class, owner and age."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from finance.accrual import day_number
from finance.iso20022 import BankEntry
from finance.payout_errors import MessageInvalidError
from finance.reconciliation import (
    OWNERS,
    BreakKind,
    Movement,
    Side,
    compare,
    is_old,
    is_young,
)
from finance.statements import Statement, read_statement, write_statement

FRIDAY = day_number(dt.date(2026, 1, 23))
MONDAY = FRIDAY + 3


def sides(key, chain=None, ledger=None, bank=None, day=FRIDAY):
    told = {Side.CHAIN: chain, Side.LEDGER: ledger, Side.BANK: bank}
    return [Movement(side, key, amount, day) for side, amount in told.items() if amount is not None]


@pytest.mark.parametrize(
    ("told", "today", "kind"),
    [
        ({"chain": 5, "ledger": 5}, MONDAY, BreakKind.TIMING),
        ({"chain": 5, "ledger": 5}, MONDAY + 1, BreakKind.MISSING_AT_BANK),
        ({"ledger": -5, "bank": -5}, MONDAY + 1, BreakKind.MISSING_ON_CHAIN),
        ({"chain": -5, "bank": -5}, MONDAY + 1, BreakKind.MISSING_IN_LEDGER),
        ({"chain": 5, "ledger": 5, "bank": 4}, FRIDAY, BreakKind.AMOUNT),
        ({"chain": 5, "bank": 4}, FRIDAY, BreakKind.AMOUNT),
    ],
)
def test_a_difference_is_named(told, today, kind):
    found = compare(sides("k", **told), today)
    assert [(one.kind, one.owner) for one in found.breaks] == [(kind, OWNERS[kind])]
    assert found.matched == 0


def test_what_agrees_is_counted_in_any_order_and_twice_is_no_agreement():
    told = [move for n in range(50) for move in sides(f"k{n}", n + 1, n + 1, n + 1)]
    random.Random(1).shuffle(told)
    found = compare(told, FRIDAY)
    assert (found.matched, found.matched_fen, found.breaks) == (50, 1275, ())
    (double,) = compare([*told, Movement(Side.BANK, "k7", 8, FRIDAY)], FRIDAY).breaks
    assert (double.kind, double.key, double.bank_fen) == (BreakKind.DUPLICATE, "k7", 16)


def test_money_that_nobody_knows_waits_in_suspense_and_ages():
    lost = Movement(Side.BANK, "BK1", 700, FRIDAY, state="suspense")
    odd = Movement(Side.BANK, "BK2", -700, FRIDAY, state="disputed")
    found = compare([lost, odd], FRIDAY)
    assert [one.kind for one in found.breaks] == [BreakKind.SUSPENSE, BreakKind.DISPUTED]
    # T+2 over a weekend: Tuesday is the second business day, Wednesday is late
    assert [is_old(FRIDAY, MONDAY + n) for n in range(3)] == [False, False, True]
    assert is_young(FRIDAY, MONDAY)


def entry(number, amount, *, credit=True):
    return BankEntry(
        reference=f"BK{number}",
        account="6222",
        amount_fen=amount,
        is_credit=credit,
        value_day=dt.date(2026, 1, 26),
        booked_at=dt.datetime(2026, 1, 26, 3, tzinfo=dt.UTC),
        remittance="运费",
        other_name="somebody",
        other_account="1",
    )


def statement(**changes):
    told = {
        "message_id": "S1",
        "created_at": dt.datetime(2026, 1, 26, 16, tzinfo=dt.UTC),
        "account": "6222",
        "day": dt.date(2026, 1, 26),
        "opening_fen": 1_000,
        "closing_fen": 1_150,
        "entries": (entry(1, 200), entry(2, 50, credit=False)),
    }
    return Statement(**told | changes)


def test_a_statement_comes_back_as_it_was_written():
    assert read_statement(write_statement(statement())) == statement()


@pytest.mark.parametrize(
    "bad",
    [
        statement(closing_fen=1_151),
        statement(entries=(entry(1, 200),)),
        statement(opening_fen=999),
    ],
)
def test_a_statement_whose_bookings_do_not_lead_to_its_closing_balance_is_refused(bad):
    with pytest.raises(MessageInvalidError, match="lead from the opening"):
        read_statement(write_statement(bad))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"CLBD", b"OPBD"),
        (b'Ccy="CNY">10.00', b'Ccy="USD">10.00'),
        (b'Ccy="CNY">2.00', b'Ccy="CNY">2.005'),
        (b"2026-01-26</Dt>", b"2026-02-30</Dt>"),
        (b"</Document>", b""),
        (b"<Document", b"<!DOCTYPE x [<!ENTITY a 'b'>]><Document"),
    ],
)
def test_a_statement_that_breaks_its_form_is_refused(old, new):
    message = write_statement(statement())
    assert old in message
    with pytest.raises(MessageInvalidError):
        read_statement(message.replace(old, new))
