"""The sandbox bank: money only moves, a sequence is one payment, and bad requests change nothing."""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chain.clock import FixedClock
from deploy.bank import house
from deploy.bank.app import create_bank
from deploy.bank.errors import BankAccountError, BankDoorError, SequenceReusedError
from deploy.bank.faults import Fault, FaultKind
from deploy.bank.run import parse_start, read_token, run_bank
from deploy.bank.store import BankStore
from finance.iso20022 import (
    BankAccount,
    Outcome,
    PaymentOrder,
    read_notice,
    read_status,
    write_order,
)

AT = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)
BANK = "102100099996"
HOUSE = BankAccount("存管银行", "6001", BANK)
DRIVER = BankAccount("张师傅", "7001", BANK)
UETR = "12345678-1234-4123-8123-123456789abc"


def order(number, amount, payee=DRIVER, payer=HOUSE):
    return PaymentOrder(
        f"YD{number:032d}", UETR, payer, payee, amount, AT, dt.date(2026, 1, 26), "运费"
    )


@pytest.fixture
def store(tmp_path):
    made = BankStore(tmp_path / "bank.db", FixedClock(AT))
    made.open_account(HOUSE, 1_000_000)
    made.open_account(DRIVER)
    yield made
    made.close()


@pytest.fixture
def door(store):
    with TestClient(create_bank(store)) as client:
        yield client


def said(answer):
    return read_status(answer)


def test_a_payment_moves_the_exact_amount_and_both_sides_are_told(store):
    status = said(store.take_order(order(1, 12_345)))
    assert (status.outcome, status.amount_fen) == (Outcome.ACCEPTED, 12_345)
    balances = store.balances()
    assert (balances["7001"], balances["6001"]) == (12_345, 1_000_000 - 12_345)
    ((_, message),) = store.list_notices("6001", 0, 10)
    (entry,) = read_notice(message.encode()).entries
    assert (entry.amount_fen, entry.is_credit, entry.end_to_end_id) == (
        12_345,
        False,
        f"YD{1:032d}",
    )
    ((_, message),) = store.list_notices("7001", 0, 10)
    assert read_notice(message.encode()).entries[0].is_credit


def test_the_same_order_again_is_the_same_payment(store):
    first = said(store.take_order(order(1, 500)))
    again = said(store.take_order(replace(order(1, 500), created_at=AT + dt.timedelta(days=1))))
    assert (first.bank_reference, first.code) == (again.bank_reference, again.code)
    assert store.balances()["7001"] == 500


@pytest.mark.parametrize(
    "other",
    [order(1, 501), order(1, 500, payee=HOUSE), replace(order(1, 500), remittance="other")],
)
def test_a_sequence_with_other_content_is_refused(store, other):
    store.take_order(order(1, 500))
    with pytest.raises(SequenceReusedError):
        store.take_order(other)
    assert store.balances()["7001"] == 500


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (order(1, 1, payee=replace(DRIVER, number="7999")), "AC03"),
        (order(1, 1, payee=replace(DRIVER, bank="103100000026")), "AC03"),
        (order(1, 1, payee=replace(DRIVER, holder="李师傅")), "BE01"),
        (order(1, 1, payer=replace(HOUSE, number="6999")), "AC02"),
        (order(1, 1, payer=replace(HOUSE, holder="别人")), "AC02"),
        (order(1, 1, payee=BankAccount("OUTSIDE", "OUTSIDE", BANK)), "AC03"),
        (order(1, 1_000_001), "AM04"),
    ],
)
def test_what_cannot_be_paid_is_rejected_with_its_reason(store, bad, reason):
    before = store.balances()
    status = said(store.take_order(bad))
    assert (status.outcome, status.reason) == (Outcome.REJECTED, reason)
    assert store.balances() == before


def test_a_closed_account_is_not_paid(store):
    store.close_account("7001")
    assert said(store.take_order(order(1, 1))).reason == "AC04"


def test_a_delayed_payment_is_booked_in_its_time_and_a_closed_payee_sends_it_back(store):
    store.add_fault(Fault(FaultKind.DELAY, seconds=60, times=2))
    assert said(store.take_order(order(1, 10))).code == "ACSP"
    store.take_order(order(2, 20))
    assert store.balances()["CLEARING"] == 30
    assert store.list_notices("6001", 0, 10) == []
    store.close_account("7001")
    store.set_clock(AT + dt.timedelta(seconds=61))
    assert said(store.find_status(f"YD{1:032d}")).reason == "AC04"
    assert store.balances()["6001"] == 1_000_000


def test_a_late_rejection_gives_the_money_back(store):
    store.add_fault(Fault(FaultKind.REJECT_LATER, reason="AC06"))
    status = said(store.take_order(order(1, 10)))
    assert (status.outcome, status.reason) == (Outcome.REJECTED, "AC06")
    assert store.balances()["6001"] == 1_000_000


def test_a_wrong_amount_is_put_right_by_reversal(store):
    store.add_fault(Fault(FaultKind.WRONG_AMOUNT, delta_fen=7))
    store.take_order(order(1, 100))
    assert store.balances()["7001"] == 107
    store.correct(f"YD{1:032d}")
    assert store.balances()["7001"] == 100
    entries = [read_notice(m.encode()).entries[0] for _, m in store.list_notices("6001", 0, 10)]
    assert [(e.amount_fen, e.is_credit, e.is_reversal) for e in entries] == [
        (107, False, False), (107, True, True), (100, False, False),
    ]  # fmt: skip
    assert len({e.reference for e in entries}) == 3


def test_a_duplicate_notice_repeats_the_same_booking(store):
    store.add_fault(Fault(FaultKind.DUPLICATE_NOTICE))
    store.take_order(order(1, 100))
    first, second = store.list_notices("6001", 0, 10)
    assert first[0] < second[0]
    assert first[1] == second[1]


def test_a_deposit_counts_once_by_its_key(store):
    given = {"account": "6001", "amount_fen": 500, "remittance": "YDABC", "payer_name": "海港糖业"}
    first = store.deposit(key="d1", **given)
    assert store.deposit(key="d1", **given) == first
    assert store.balances()["6001"] == 1_000_500
    with pytest.raises(SequenceReusedError):
        store.deposit(key="d1", **given | {"amount_fen": 501})
    with pytest.raises(BankAccountError):
        store.deposit(key="d2", **given, payer_account="7001")  # it holds nothing


def test_the_books_outlive_the_process(store, tmp_path):
    store.take_order(order(1, 100))
    store.close()
    again = BankStore(tmp_path / "bank.db", FixedClock(AT))
    assert again.balances()["7001"] == 100
    assert said(again.take_order(order(1, 100))).code == "ACSC"
    assert again.balances()["7001"] == 100
    again.close()


def test_the_banks_time_moves_forward_only(store):
    later = AT + dt.timedelta(days=3)
    assert store.set_clock(later) == later
    assert store.set_clock(AT) == later
    assert store.set_clock(AT, anyway=True) == AT  # nothing is booked yet
    store.take_order(order(1, 1))
    store.set_clock(later)
    assert store.set_clock(AT, anyway=True) == later


class Conserved(RuleBasedStateMachine):
    """Any orders, deposits, corrections and returns: no fen appears or vanishes."""

    @initialize()
    def open(self):
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FixedClock(AT)
        self.store = BankStore(Path(self.folder.name) / "bank.db", self.clock)
        self.store.open_account(HOUSE, 10_000)
        self.store.open_account(DRIVER, 50)
        self.numbers = 0

    @rule(
        amount=st.integers(1, 6_000),
        kind=st.sampled_from([None, *FaultKind]),
        delta=st.integers(-9, 9),
    )
    def pay(self, amount, kind, delta):
        if kind is not None:
            self.store.add_fault(Fault(kind, seconds=5, delta_fen=delta, reason="AC06"))
        self.numbers += 1
        self.store.take_order(order(self.numbers, amount))

    @rule(amount=st.integers(1, 6_000))
    def deposit(self, amount):
        self.numbers += 1
        self.store.deposit(
            key=str(self.numbers), account="6001", amount_fen=amount, remittance="", payer_name="x"
        )

    @rule(back=st.integers(0, 9), how=st.sampled_from(["correct", "send_back"]))
    def undo(self, back, how):
        with contextlib.suppress(BankDoorError):
            getattr(self.store, how)(f"YD{max(0, self.numbers - back):032d}")

    @rule(seconds=st.integers(1, 10))
    def time_passes(self, seconds):
        self.clock.advance_to(self.clock.now() + dt.timedelta(seconds=seconds))

    @invariant()
    def all_is_zero(self):
        balances = self.store.balances()
        assert sum(balances.values()) == 0
        assert all(fen >= 0 for number, fen in balances.items() if number != "OUTSIDE")

    def teardown(self):
        self.store.close()
        self.folder.cleanup()


TestConserved = Conserved.TestCase
TestConserved.settings = settings(deadline=None, max_examples=15, stateful_step_count=20)


# -- the doors ------------------------------------------------------------------------------------


def test_an_order_over_http_is_answered_and_told(door):
    answer = door.post("/payments", content=write_order(order(1, 700)))
    assert answer.status_code == 200
    assert said(answer.content).outcome is Outcome.ACCEPTED
    assert said(door.get(f"/payments/YD{1:032d}").content).code == "ACSC"
    notices = door.get("/notices", params={"account": "6001"}).json()["notices"]
    assert [sorted(one) for one in notices] == [["cursor", "message"]]
    assert door.get("/notices", params={"account": "6001", "after": 99}).json() == {"notices": []}


def test_a_payment_that_nobody_knows_is_said_to_be_unknown(door):
    answer = door.get("/payments/YD0")
    assert (answer.status_code, answer.headers["bank-answer"]) == (404, "unknown-payment")
    assert "bank-answer" not in door.get("/nowhere").headers


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"<a/>", 422),
        (write_order(order(1, 700)).replace(b"CNY", b"USD"), 422),
        (write_order(order(1, 700)).replace(b"<Document", b"<!DOCTYPE x><Document"), 422),
        (b"x" * 70_000, 413),
    ],
)
def test_a_bad_order_is_refused_and_changes_nothing(door, store, content, status):
    before = store.balances()
    answer = door.post("/payments", content=content)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert store.balances() == before


def test_a_sequence_reused_over_http_is_a_conflict(door):
    door.post("/payments", content=write_order(order(1, 700)))
    assert door.post("/payments", content=write_order(order(1, 701))).status_code == 409


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/admin/accounts", {"holder": "a", "number": "1", "bank": BANK, "opening_fen": -1}),
        ("/admin/accounts", {"holder": "a", "number": "1", "bank": BANK, "opening_fen": 1.5}),
        ("/admin/accounts", {"holder": "a", "number": "1", "bank": "12"}),
        ("/admin/accounts", {"holder": "b", "number": "7001", "bank": BANK}),
        ("/admin/deposits", {"key": "k", "account": "6001", "amount_fen": 0, "payer_name": "x"}),
        ("/admin/deposits", {"key": "k", "account": "6999", "amount_fen": 5, "payer_name": "x"}),
        ("/admin/deposits", {"key": "k", "account": "OUTSIDE", "amount_fen": 5, "payer_name": "x"}),
        ("/admin/faults", {"kind": "earthquake"}),
        ("/admin/faults", {"kind": "delay", "times": 0}),
        ("/admin/clock", {"at": "2026-01-26T15:50:00"}),
        ("/admin/accounts", {"holder": "a", "number": "1", "bank": BANK, "more": 1}),
    ],
)
def test_a_bad_form_is_refused(door, store, path, form):
    before = store.balances()
    assert door.post(path, json=form).status_code == 422
    assert store.balances() == before


def test_lost_answers_are_lost_after_the_order_was_taken(door, store):
    store.add_fault(Fault(FaultKind.ANSWER_LOST))
    assert door.post("/payments", content=write_order(order(1, 700))).status_code == 504
    assert store.balances()["7001"] == 700
    store.add_fault(Fault(FaultKind.ORDER_LOST))
    assert door.post("/payments", content=write_order(order(2, 700))).status_code == 504
    assert store.balances()["7001"] == 700
    assert door.post("/payments", content=write_order(order(2, 700))).status_code == 200


def test_a_bank_with_a_token_answers_nobody_else(store):
    with TestClient(create_bank(store, token="t" * 32)) as client:
        for path in ("/health", "/admin/balances", "/notices?account=6001"):
            assert client.get(path).status_code == 401
            good = {"Authorization": f"Bearer {'t' * 32}"}
            assert client.get(path, headers=good).status_code == 200
            assert (
                client.get(path, headers={"Authorization": "Bearer é".encode()}).status_code == 401
            )


def test_a_bank_open_to_other_machines_needs_a_token(tmp_path):
    with pytest.raises(BankDoorError, match="token"):
        run_bank("0.0.0.0", 0, tmp_path / "bank.db")
    assert not (tmp_path / "bank.db").exists()
    assert read_token(None) == ""
    (tmp_path / "short").write_text("abc")
    for bad in (tmp_path / "short", tmp_path / "nothing"):
        with pytest.raises(BankDoorError):
            read_token(bad)


def test_a_start_is_an_instant_with_its_zone():
    assert parse_start("") is None
    assert parse_start("2026-01-26T15:50Z") == AT
    for bad in ("yesterday", "2026-01-26T15:50", "2026-02-30T00:00Z"):
        with pytest.raises(BankDoorError):
            parse_start(bad)


def test_a_new_bank_tells_how_a_system_joins_it_and_opens_the_custodians_account_where_asked(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("deploy.bank.run.uvicorn.run", lambda *_, **__: None)
    for opens, name in ((True, "open.db"), (False, "bare.db")):
        for _ in range(2):  # a bank that starts again opens nothing twice
            run_bank("127.0.0.1", 8123, tmp_path / name, opens_house=opens)
        said = capsys.readouterr().out
        assert "YUNDAN_BANK_URL=http://127.0.0.1:8123" in said
        assert f"YUNDAN_HOUSE_NUMBER={house.HOUSE.number}" in said
        books = BankStore(tmp_path / name, FixedClock(AT))
        held = books.balances()
        books.close()
        assert (house.HOUSE.number in held) is opens
