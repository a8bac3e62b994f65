"""Whatever dies, is lost, repeated or refused between us and the bank: paid once, to the fen, or still queued."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

from chain.ids import Hash32
from chain.storage import Storage
from finance.payout_jobs import run_payouts
from finance.payout_ports import EntryState
from finance.payouts import PayoutState, QuestionKind, end_to_end_id
from tests.integration.finance.bank_rig import (
    CUSTODIAN,
    HOUSE,
    KEYRING,
    OPENING,
    ROOT,
    BankProcess,
    Crash,
    Rig,
    StormyBank,
    StormyRig,
    Weather,
)

NOW = dt.timedelta(0)


@pytest.fixture
def process(tmp_path):
    bank = BankProcess(tmp_path)
    yield bank
    bank.stop()


@pytest.fixture
def rig(tmp_path, process):
    storage = Storage(f"sqlite:///{tmp_path / 'yundan.db'}", keyring=KEYRING)
    storage.create_all()
    made = Rig(storage, process)
    yield made
    made.close()
    storage.close()


def plan_bank_faults(rig, weather, dice, payout):
    """What goes wrong inside the bank for this payee's payments."""
    admin, account = rig.process.admin, rig.accounts[payout].number
    plans = {
        "order_lost": {},
        "answer_lost": {},
        "duplicate_notice": {},
        "reject": {"reason": "AC04"},
        "reject_later": {"reason": "AC06"},
        "wrong_amount": {"delta_fen": dice.choice([-7, -1, 1, 1000])},
        "delay": {"seconds": 1},
        "status_lost": {},
        "notices_lost": {},
    }
    for kind, how in plans.items():
        if dice.random() < 0.2:
            anywhere = kind in {"status_lost", "notices_lost"}
            admin.fault(kind, account="" if anywhere else account, **how)
            weather.faults[f"bank: {kind}"] = weather.faults.get(f"bank: {kind}", 0) + 1


def person_decides(rig, told):
    """What people do: let rejected payouts be tried again, have wrong bookings put right."""
    with rig.begin() as payouts:
        questions = payouts.questions()
    for question in questions:
        if question.kind is QuestionKind.REJECTED:
            with rig.begin() as payouts:
                payouts.approve_new_leg(Hash32(question.payout), by="cashier Li")
        elif question.kind is QuestionKind.AMOUNT_DIFFERS and question.subject not in told:
            told.add(question.subject)
            sequence = Hash32(rig.find(Hash32(question.payout)).sequence)
            rig.process.admin.correct(end_to_end_id(sequence))


def settle(rig, told, rounds=2000):
    """In calm weather everything ends: with a person, all payouts are paid."""
    for _ in range(rounds):
        run_payouts(rig.begin, rig.bank, rig.wall, patience=NOW)
        person_decides(rig, told)
        left = rig.at_desk(
            lambda desk: desk.list_payouts(
                states=set(PayoutState) - {PayoutState.PAID, PayoutState.CONFIRMED}
            )
        )
        if not left:
            return
    raise AssertionError([(one.state, one.reason, one.attempts) for one in left])


def storm(rig, *, seed, faults, kills):
    """Payouts in bad weather until so many faults have struck; gives the weather."""
    weather, dice = Weather(seed, 0.25), random.Random(seed)
    stormy, bank = StormyRig(rig, weather), StormyBank(rig.bank, weather)
    told, killed = set(), 0
    while weather.count < faults:
        for _ in range(10):
            plan_bank_faults(rig, weather, dice, rig.queue(dice.randint(1, 2_000_000)))
        enough = weather.count + 20
        for _ in range(30):
            if weather.count >= enough:
                break
            with contextlib.suppress(Crash):
                run_payouts(stormy.begin, bank, rig.wall, patience=NOW)
        run_payouts(rig.begin, rig.bank, rig.wall, patience=NOW)  # a worker that lives this once
        if weather.count * kills // faults > killed:
            rig.process.kill()
            run_payouts(rig.begin, rig.bank, rig.wall, patience=NOW)  # nobody answers
            rig.process.start()
            killed += 1
        person_decides(rig, told)
    weather.faults["bank killed"] = killed
    weather.calm = True
    settle(rig, told)
    return weather


def require_all_paid_once(rig):
    """The bank's own books are the judge."""
    balances = rig.process.admin.balances()
    assert sum(balances.values()) == 0
    assert balances["CLEARING"] == 0
    got = {payout: balances[account.number] for payout, account in rig.accounts.items()}
    assert got == rig.amounts  # each payee holds exactly his amount: no double, no loss
    assert balances[HOUSE.number] == OPENING - sum(rig.amounts.values())

    entries = rig.at_desk(lambda desk: desk.list_entries(states=[EntryState.PAID]))
    paid = Counter(entry.about for entry in entries)
    legs = {p: rig.at_desk(lambda desk, p=p: desk.list_legs(p)) for p in rig.amounts}
    for payout, tries in legs.items():
        assert rig.find(payout).state is PayoutState.PAID
        assert [leg.leg for leg in tries] == list(range(1, len(tries) + 1))
        assert sum(paid[leg.sequence] for leg in tries) == 1
        assert all(leg.approved_by for leg in tries[1:])  # no second leg without a person

    with rig.begin() as payouts:
        signers = {"first": CUSTODIAN.first, "second": CUSTODIAN.second}
        assert payouts.confirm_due(**signers, domain=CUSTODIAN.domain) == len(rig.amounts)
        assert payouts.confirm_due(**signers, domain=CUSTODIAN.domain) == 0
        assert payouts.mint_due(**signers, domain=CUSTODIAN.domain) == 0


def test_no_payment_is_doubled_or_lost_in_bad_weather(rig):
    weather = storm(rig, seed=20260126, faults=60, kills=1)
    require_all_paid_once(rig)
    assert len(weather.faults) >= 12, weather.faults  # kinds


@pytest.mark.deep
@pytest.mark.parametrize("seed", [7, 8, 9, 10])
def test_no_payment_is_doubled_or_lost_in_ten_thousand_faults(rig, seed):
    weather = storm(rig, seed=seed, faults=2_500, kills=5)
    figures = {"payouts": len(rig.amounts), "faults": weather.count, "by_kind": weather.faults}
    print(json.dumps(figures, indent=1))
    require_all_paid_once(rig)


WORKER = """
import sys
from chain.storage import Storage
from finance.payout_jobs import run_payouts
from tests.integration.finance.bank_rig import *
class Known:
    url = sys.argv[2]
    class admin:
        open_account = staticmethod(lambda *_: None)
rig = Rig(Storage(sys.argv[1], keyring=KEYRING), Known)
print("up", flush=True)
while True:
    run_payouts(rig.begin, rig.bank, rig.wall, patience=dt.timedelta(0))
"""


def kill_workers(rig, times, seed):
    """SIGKILL of a real worker process at random moments, with work always at hand."""
    dice = random.Random(seed)
    for _ in range(times):
        for _ in range(4):
            rig.queue(dice.randint(1, 10**6))
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rig.storage.url), rig.process.url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        worker.stdout.readline()
        time.sleep(dice.uniform(0.0, 0.25))
        worker.kill()
        worker.wait()
        worker.stdout.close()
    settle(rig, set())


def test_a_worker_killed_at_any_moment_pays_once(rig):
    kill_workers(rig, 2, seed=1)
    require_all_paid_once(rig)


@pytest.mark.deep
def test_a_worker_killed_a_hundred_times_pays_once(rig):
    kill_workers(rig, 100, seed=2)
    require_all_paid_once(rig)
