"""Money in and out through the doors, with the sandbox bank as its own process and the custodian's job."""

from __future__ import annotations

import datetime as dt
import secrets

import pytest

from api.client import ClientError, plain
from api.jobs import carry_out_payouts
from chain.bindings.events import Minted
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import PayoutReceipt
from chain.clock import beijing_day
from chain.ids import Hash32, PartyId
from chain.typed_data import typed_message
from finance.bank import HttpBank
from finance.iso20022 import BankAccount
from finance.payout_jobs import Custodian
from finance.payouts import account_of_party
from tests.integration.api.system import key
from tests.integration.finance.bank_rig import BANK, HOUSE, BankProcess


@pytest.fixture(scope="module")
def bank(system, tmp_path_factory):
    process = BankProcess(tmp_path_factory.mktemp("bank"))
    process.admin.open_account(HOUSE)
    process.admin.set_clock(system.now())
    one, two = (system.party(name, "custodian") for name in ("bank one", "bank two"))
    system.send(SettlementToken.set_custodian(one.party, two.party), "custodian")
    joined = system.container.__dict__
    joined["bank"] = HttpBank(process.url, timeout_s=5)
    joined["house"] = HOUSE
    domain = system.container.client.domain("SettlementToken")
    joined["custodian"] = Custodian(key("bank one"), key("bank two"), domain)
    process.clerk = one
    yield process
    process.stop()


def turn(system) -> None:
    """What worker and custodian do by the clock."""
    for _ in range(2):
        carry_out_payouts(system.container)
        system.settle()


def pay_in(system, bank, who, amount) -> None:
    told = who.get("/v1/pay-in")
    bank.admin.deposit(
        key=secrets.token_hex(8),
        account=told["number"],
        amount_fen=amount,
        remittance=f"先前 {told['reference']} 款",
        payer_name="somebody",
    )
    turn(system)


def enter(who, account, relation="self") -> dict:
    named = {
        "holder": account.holder,
        "number": account.number,
        "bank": account.bank,
        "relation": relation,
        "salt": "0x" + secrets.token_hex(32),
    }
    form = who.post("/v1/payout-accounts/form", named)
    assert "同意" in form["consent"]["zh"]
    return who.post("/v1/payout-accounts", named | who.sign(form["to_sign"]))


def take_out(system, who, account, amount) -> str:
    form = who.post("/v1/payouts/form", {"account": account, "amount_fen": amount})
    who.post("/v1/payouts", who.sign(form["to_sign"]))
    system.settle()
    return next(one["id"] for one in who.get("/v1/payouts")["data"] if one["state"] == "queued")


def test_money_paid_in_under_a_reference_goes_out_again_and_every_stage_has_its_time(system, bank):
    who = system.party("wang", "driver")
    pay_in(system, bank, who, 50_000)
    assert system.container.client.fetch(SettlementToken.free_balance(who.party)) == 50_000
    account = BankAccount("wang公司", "6222000000000001", BANK)
    bank.admin.open_account(account)
    entered = enter(who, account)
    assert (entered["usable"], entered["tail"]) == (True, "0001")
    payout = take_out(system, who, entered["account"], 30_000)
    (open_,) = bank.clerk.get("/v1/custody/payouts")["data"]
    assert (open_["payout"], open_["state"], open_["value_day"]) == (payout, "queued", None)
    turn(system)
    told = who.get(f"/v1/payouts/{payout}")
    assert told["state"] == "confirmed"
    assert [stage["name"] for stage in told["stages"]] == [
        "queued", "instructed", "accepted", "paid", "confirmed"
    ]  # fmt: skip
    assert all(stage["at"] for stage in told["stages"])
    assert told["bank_seconds"] is None  # no receipt stands behind it
    assert bank.admin.balances()[account.number] == 30_000
    assert system.container.client.fetch(SettlementToken.free_balance(who.party)) == 20_000
    turn(system)
    assert bank.admin.balances()[account.number] == 30_000
    stranger = system.party("stranger", "driver")
    with pytest.raises(ClientError) as hidden:
        stranger.get(f"/v1/payouts/{payout}")
    assert hidden.value.status == 404


def test_an_account_in_another_name_needs_a_person_and_can_be_forgotten(system, bank):
    who = system.party("hired", "driver")
    owners = BankAccount("车主赵", "6222000000000002", BANK)
    bank.admin.open_account(owners)
    with pytest.raises(ClientError) as refused:
        enter(who, owners)
    assert refused.value.reason == "payout_account_refused"
    entered = enter(who, owners, "vehicle_owner")
    assert not entered["usable"]
    pay_in(system, bank, who, 900)
    payout = take_out(system, who, entered["account"], 900)
    turn(system)
    assert who.get(f"/v1/payouts/{payout}")["state"] == "queued"
    asked = {one["kind"] for one in bank.clerk.get("/v1/custody/questions")["data"]}
    assert {"owner_account", "no_account"} <= asked
    with pytest.raises(ClientError) as stranger:
        who.post(f"/v1/custody/accounts/{entered['account']}/vouch", {})
    assert stranger.value.status == 403
    assert bank.clerk.post(f"/v1/custody/accounts/{entered['account']}/vouch", {})["usable"]
    turn(system)
    assert who.get(f"/v1/payouts/{payout}")["state"] == "confirmed"
    assert bank.admin.balances()[owners.number] == 900
    answer = system.http.delete(
        f"/v1/payout-accounts/{entered['account']}",
        headers={"authorization": f"Bearer {who._token}", "idempotency-key": "forget"},
    )
    assert (answer.status_code, answer.json()["tail"], answer.json()["usable"]) == (200, "", False)


def test_a_rejected_account_asks_a_person_who_lets_a_new_leg_begin(system, bank):
    who = system.party("late", "driver")
    account = BankAccount("late公司", "6222000000000003", BANK)  # not opened yet
    entered = enter(who, account)
    pay_in(system, bank, who, 700)
    payout = take_out(system, who, entered["account"], 700)
    turn(system)
    told = who.get(f"/v1/payouts/{payout}")
    assert told["state"] == "rejected"
    assert [one["kind"] for one in told["questions"]] == ["rejected"]
    assert told["stages"][2]["name"] == "rejected"
    assert "AC03" in told["stages"][2]["note"]
    first = told["sequence"]
    bank.admin.open_account(account)
    turn(system)
    assert who.get(f"/v1/payouts/{payout}")["state"] == "rejected"  # nothing goes again by itself
    bank.clerk.post(f"/v1/custody/payouts/{payout}/leg", {})
    turn(system)
    told = who.get(f"/v1/payouts/{payout}")
    assert (told["state"], told["leg"], told["questions"]) == ("confirmed", 2, [])
    assert told["sequence"] != first
    assert bank.admin.balances()[account.number] == 700


def test_the_custodian_burns_nothing_that_the_bank_has_not_paid(system, bank):
    who = system.party("early", "driver")
    account = BankAccount("early公司", "6222000000000004", BANK)
    entered = enter(who, account)
    pay_in(system, bank, who, 300)
    payout = take_out(system, who, entered["account"], 300)
    form = PayoutReceipt(Hash32(plain(payout)), Hash32("0x" + "5e" * 32), 20_480)
    domain = system.container.client.domain("SettlementToken")
    body = {
        "message": typed_message(form, domain)["message"],
        "first_signature": "0x" + key("bank one").sign_typed_data(form, domain).hex(),
        "second_signature": "0x" + key("bank two").sign_typed_data(form, domain).hex(),
    }
    with pytest.raises(ClientError) as refused:
        bank.clerk.post("/v1/custody/payouts", body)
    assert (refused.value.status, refused.value.reason) == (409, "payout_unexpected_state")


def test_money_without_a_reference_waits_in_suspense_until_a_person_says_whose_it_is(system, bank):
    who = system.party("nameless", "driver")
    reference = bank.admin.deposit(
        key="nameless", account=HOUSE.number, amount_fen=1_234, remittance="运费", payer_name="x"
    )
    turn(system)
    asked = bank.clerk.get("/v1/custody/questions")["data"]
    assert [one["subject"] for one in asked if one["kind"] == "unmatched_credit"] == [reference]
    bank.clerk.post(f"/v1/custody/credits/{reference}", {"party": str(who.party)})
    turn(system)
    assert system.container.client.fetch(SettlementToken.free_balance(who.party)) == 1_234


def test_chain_ledger_and_bank_agree_and_what_does_not_is_kept_with_its_owner(system, bank):
    with system.container.write() as services:
        block = system.container.find_handled_in(services.session)
        compared = services.reconciliation.compare(block)
        assert compared.matched >= 8  # every mint and burn of this module
        kinds = {one.kind.value for one in compared.breaks}
    assert kinds <= {"bank_timing"}
    lost = bank.admin.deposit(
        key="lost", account=HOUSE.number, amount_fen=77, remittance="?", payer_name="x"
    )
    turn(system)
    with system.container.write() as services:
        block = system.container.find_handled_in(services.session)
        services.reconciliation.compare(block)
        (kept,) = [one for one in services.books.list_differences() if one.subject == lost]
        assert (kept.kind, kept.owner, kept.bank_fen) == ("bank_suspense", "operations", 77)
        services.finance.reconcile(block)  # the other comparison closes none of these
        assert any(one.subject == lost for one in services.books.list_differences())
        services.payouts.assign_credit(lost, account_of_party(PartyId(4711)), by="clerk Wu")
    turn(system)
    with system.container.write() as services:
        block = system.container.find_handled_in(services.session)
        services.reconciliation.compare(block)
        assert not [one for one in services.books.list_differences() if one.subject == lost]


def test_events_since_an_instant_are_those_of_all_that_came_then_or_later(system, bank):
    client = system.container.client
    every = client.fetch_events(Minted)
    instants = sorted({one.at for one in every})
    assert len(instants) > 2
    second = dt.timedelta(seconds=1)
    for at in (*instants, instants[0] - second, instants[1] + second, instants[-1] + second):
        asked = client.fetch_events(Minted, since=at)
        assert asked == [one for one in every if one.at >= at], at
    assert client.fetch_events(Minted, since=instants[-1] + dt.timedelta(days=9)) == []


def test_the_banks_statement_of_a_day_that_is_over_is_taken_once(system, bank):
    now = system.now()
    system.later(now + dt.timedelta(days=1))
    bank.admin.set_clock(system.now())
    turn(system)
    turn(system)
    with system.container.read() as services:
        held = services.reconciliation._desk.last_statement(HOUSE.number)
    assert held.day == beijing_day(now)
    assert held.fault == ""
    assert held.closing_fen == bank.admin.balances()[HOUSE.number]
