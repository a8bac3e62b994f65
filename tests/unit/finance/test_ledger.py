from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.audit import (
    CUSTODIAN,
    ChainFacts,
    DiscrepancyKind,
    LedgerFacts,
    audit,
    book_of,
    token_account,
)
from finance.errors import InvalidAmountError, InvalidDateError, UnbalancedEntryError
from finance.ledger import (
    RULES,
    Booking,
    Entry,
    Line,
    TrialBalance,
    lines_of,
    to_beancount,
    trial_balance,
)

AT = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)


def entry(name="e", lines=None, *, day=1, known=AT, book="lender:7", kind="TEST"):
    both = lines or (Line("vault_free", 5), Line("lender_funds", -5))
    return Entry(id=name, book=book, kind=kind, day=day, at=AT, known=known, lines=tuple(both))


@given(st.lists(st.integers(-(10**12), 10**12).filter(bool), min_size=1, max_size=6))
def test_an_entry_exists_if_and_only_if_it_balances(amounts):
    lines = tuple(Line("vault_free", fen) for fen in amounts)
    if sum(amounts) == 0:
        assert entry(lines=lines).lines == lines
    else:
        with pytest.raises(UnbalancedEntryError) as refused:
            entry(lines=lines)
        assert refused.value.facts["difference_fen"] == sum(amounts)


def test_an_entry_without_lines_or_without_a_name_is_refused():
    with pytest.raises(UnbalancedEntryError):
        Entry("e", "b", "k", 1, AT, AT, ())
    with pytest.raises(InvalidDateError):
        entry(name="")


@pytest.mark.parametrize("amount", [0, 1.0, True, "5"])
def test_a_line_has_a_whole_amount_other_than_zero(amount):
    with pytest.raises(InvalidAmountError):
        Line("vault_free", amount)


def test_an_account_outside_the_chart_is_refused():
    with pytest.raises(InvalidAmountError, match="chart"):
        Line("petty_cash", 5)
    assert Line("token:0xabc", 5).account == "token:0xabc"


@given(st.sampled_from(Booking), st.data())
def test_every_booking_balances_and_sums_to_its_components(booking, data):
    components = data.draw(
        st.fixed_dictionaries({name: st.integers(0, 10**12) for name in RULES[booking]})
    )
    if not any(components.values()):
        with pytest.raises(InvalidAmountError):
            lines_of(booking, components)
        return
    lines = lines_of(booking, components)
    assert sum(line.amount for line in lines) == 0
    assert sum(line.amount for line in lines if line.amount > 0) == sum(components.values())


def test_an_unknown_component_and_a_negative_amount_are_refused():
    with pytest.raises(InvalidAmountError, match="no component"):
        lines_of(Booking.REPAYMENT, {"tip": 1})
    with pytest.raises(InvalidAmountError, match="negative"):
        lines_of(Booking.REPAYMENT, {"interest": -1})


def test_a_chargeback_is_a_repayment_the_other_way_round():
    paid = {"principal": 90, "interest": 5, "overpaid": 3}
    there = {line.account: line.amount for line in lines_of(Booking.REPAYMENT, paid)}
    back = {line.account: -line.amount for line in lines_of(Booking.CHARGEBACK, paid)}
    assert there == back


def test_a_reversal_takes_an_entry_back_and_says_which():
    made = entry()
    taken = made.reversal("e:reversed", day=2, at=AT, known=AT)
    assert taken.reverses == "e"
    assert trial_balance([made, taken], "lender:7").balances == {}


def test_a_trial_balance_of_a_date_as_known_at_an_instant():
    late = AT + dt.timedelta(days=3)
    entries = [entry("a"), entry("b", day=2), entry("c", known=late), entry("d", book="lender:8")]
    assert trial_balance(entries, "lender:7").of("vault_free") == 15
    assert trial_balance(entries, "lender:7", until_day=1).of("vault_free") == 10
    assert trial_balance(entries, "lender:7", known_by=AT).of("vault_free") == 10
    assert trial_balance(entries, "lender:7").total == 0


def test_an_account_on_the_wrong_side_is_named():
    assert TrialBalance("b", {"vault_free": -5, "interest_income": -5}).wrong_signs() == [
        "vault_free"
    ]
    assert TrialBalance("b", {"interest_income": 5, "lender_funds": 7}).wrong_signs() == [
        "interest_income"
    ]


def test_a_beancount_file_opens_its_accounts_and_writes_yuan():
    text = to_beancount([entry(day=20_479)])
    assert "2026-01-26 open Assets:Lender:7:Vault-free CNY" in text
    assert "  Assets:Lender:7:Vault-free  0.05 CNY" in text
    assert "  Equity:Lender:7:Lender-funds  -0.05 CNY" in text


@pytest.mark.parametrize("reverse", [False, True])
def test_bean_check_accepts_the_export_of_every_booking_and_its_sums_are_ours(tmp_path, reverse):
    from beancount import loader
    from beancount.core import data

    entries = []
    for number, booking in enumerate(Booking):
        components = dict.fromkeys(RULES[booking], 0) | {
            name: 101 + place for place, name in enumerate(RULES[booking])
        }
        lines = lines_of(booking, components, about="0xa")
        for book in ("lender:7", "lender:8"):
            made = entry(f'{booking} "{number}" {book}', lines, day=20_479 + number, book=book)
            entries.append(made)
            if reverse:
                entries.append(made.reversal(f"r:{made.id}", at=AT, known=AT, day=20_600))
    file = tmp_path / "books.beancount"
    file.write_text(to_beancount(entries), "utf-8")
    command = [Path(sys.executable).with_name("bean-check"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    parsed, errors, _ = loader.load_file(str(file))
    assert errors == []
    sums = {}
    for one in parsed:
        for posting in one.postings if isinstance(one, data.Transaction) else ():
            fen = int(posting.units.number * 100)
            sums[posting.account] = sums.get(posting.account, 0) + fen
    ours = {}
    for book in ("lender:7", "lender:8"):
        for account, fen in trial_balance(entries, book).balances.items():
            ours[(book, account)] = fen
    assert sorted(fen for fen in sums.values() if fen) == sorted(ours.values())
    file.write_text(to_beancount(entries).replace(" 1.01 CNY", " 1.02 CNY", 1), "utf-8")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


# -- audit ------------------------------------------------------------------------------------------

ADDRESS = "0xAbC0000000000000000000000000000000000001"


def facts(**change):
    values = {
        "block": 9, "supply": 100, "balances": {ADDRESS: 100}, "vault_free": {"7": 40},
        "vault_reserved": {"7": 10}, "outstanding": {"0xa": 50}, "drawn": {"0xl": 50},
        "line_of": {"0xa": "0xl"},
    }  # fmt: skip
    return ChainFacts(**values | change)


def books(**change):
    lender = book_of(7)
    balances = {
        (CUSTODIAN, "bank"): 100,
        (CUSTODIAN, token_account(ADDRESS)): -100,
        (lender, "vault_free"): 40,
        (lender, "vault_reserved"): 10,
        (lender, "loan_principal"): 50,
        (lender, "lender_funds"): -100,
    }
    return LedgerFacts(
        balances | change.pop("balances", {}), change.pop("principal", {"0xa": 50}), **change
    )


def kinds(found):
    return [one.kind for one in found]


def test_books_that_agree_with_the_chain_have_no_difference():
    assert audit(facts(), books()) == []


@pytest.mark.parametrize(
    ("chain", "ledger", "expected"),
    [
        (facts(supply=101), books(), [DiscrepancyKind.SUPPLY]),
        (facts(balances={ADDRESS: 99}), books(), [DiscrepancyKind.TOKEN_BALANCE]),
        (facts(balances={}), books(), [DiscrepancyKind.TOKEN_BALANCE]),
        (facts(vault_free={"7": 41}), books(), [DiscrepancyKind.VAULT_FREE]),
        (facts(vault_reserved={"7": 11}), books(), [DiscrepancyKind.VAULT_RESERVED]),
        (facts(), books(principal={"0xa": 49}), [DiscrepancyKind.PRINCIPAL]),
        (facts(), books(principal={"0xa": 50, "0xb": 1}), [DiscrepancyKind.PRINCIPAL]),
        (facts(drawn={"0xl": 51}), books(), [DiscrepancyKind.DRAWN]),
        (
            facts(),
            books(balances={("lender:7", "loan_principal"): 51}),
            [DiscrepancyKind.UNBALANCED],
        ),
    ],
)
def test_each_difference_has_its_name(chain, ledger, expected):
    assert kinds(audit(chain, ledger)) == expected


def test_events_without_booking_bookings_without_event_and_other_amounts_are_named():
    found = audit(facts(events={"a": 1, "b": 2}), books(events={"b": 3, "c": 4}))
    assert [(one.kind.value, one.subject) for one in found] == [
        ("missing_in_ledger", "a"),
        ("amount", "b"),
        ("missing_on_chain", "c"),
    ]
    assert found[1].difference_fen == 1
