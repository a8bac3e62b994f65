"""Python and Solidity are asked the same questions about random loans; every answer is equal to the fen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import solcx
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from chain.compiler import read_settings
from deploy.node import LocalChain
from finance.accrual import Accumulator, Rates
from finance.waterfall import Component, share_payment
from tests.integration.finance.town import FIRST_BLOCK

ROOT = Path(__file__).parents[3]
CASE = "(uint32,uint32,uint32,uint32,uint32,uint128,uint128,uint32[3],uint128[3])[]"
HARNESS = "0x00000000000000000000000000000000000f00d5"
A_CALL = 400


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Plays cases on a node; the harness is compiled from the libraries as they stand."""
    names = {
        "LoanHarness.sol": Path(__file__).parent / "fixtures" / "LoanHarness.sol",
        "contracts/libraries/Accrual.sol": ROOT / "contracts/libraries/Accrual.sol",
        "contracts/libraries/Waterfall.sol": ROOT / "contracts/libraries/Waterfall.sol",
    }
    order = {
        "language": "Solidity",
        "sources": {name: {"content": path.read_text("utf-8")} for name, path in names.items()},
        "settings": read_settings(ROOT),
    }
    made = solcx.compile_standard(order, solc_binary=ROOT / "chain" / "solc-npm")
    code = made["contracts"]["LoanHarness.sol"]["LoanHarness"]["evm"]["deployedBytecode"]["object"]
    selector = keccak(text=f"play({CASE})")[:4]
    folder = tmp_path_factory.mktemp("node")
    with LocalChain(folder, first_block_at=FIRST_BLOCK, keep_state=False) as chain:
        client = chain.client(timeout_s=60)

        def play(cases):
            data = selector + encode([CASE], [cases])
            answer = client.request(
                "eth_call",
                [
                    {"to": HARNESS, "data": "0x" + data.hex()},
                    "latest",
                    {HARNESS: {"code": "0x" + code}},
                ],
            )
            return decode(["uint128[20][]"], bytes.fromhex(answer[2:]))[0]

        yield play
        client.close()


def draw(chance):
    """One loan with three payments; small, large and edge figures about equally often."""
    rate, penalty = (chance.choice([0, 1, chance.randrange(360_001)]) for _ in range(2))
    ceiling = max(rate, penalty) + chance.choice([0, 1, chance.randrange(200_000)])
    start = chance.randrange(20_000, 21_000)
    principal = chance.choice([1, chance.randrange(1, 1_000), chance.randrange(1, 10**12)])
    fee = chance.choice([0, principal * chance.randrange(200) // 10_000])
    day, days = start, []
    for _ in range(3):
        day += chance.choice([0, 1, chance.randrange(120), chance.randrange(1_300)])
        days.append(day)
    payments = [
        chance.choice(
            [1, chance.randrange(1, principal + 2), chance.randrange(1, 2 * principal + 2)]
        )
        for _ in range(3)
    ]
    penalty_from = start + chance.choice([0, chance.randrange(200)])
    return (rate, penalty, ceiling, start, penalty_from, principal, fee, days, payments)


def play_here(case):
    rate, penalty, ceiling, start, penalty_from, principal, fee, days, payments = case
    rates = Rates(rate, penalty, ceiling, fee, penalty_from)
    account = Accumulator(start)
    paid = dict.fromkeys(("fee", "penalty", "interest"), 0)
    parts = []

    def debt():
        charged = account.charges_down(rates)
        return {Component(name): getattr(charged, name) - paid[name] for name in paid} | {
            Component.PRINCIPAL: principal
        }

    for day, payment in zip(days, payments, strict=True):
        account = account.accrue(rates, principal, day)
        shares = share_payment(payment, debt())
        for name in paid:
            paid[name] += getattr(shares, name)
        principal -= shares.principal
        parts += [shares.fee, shares.penalty, shares.interest, shares.principal, shares.residue]
    left = debt()
    return (
        *parts, account.waived_down(rates),
        left[Component.FEE], left[Component.PENALTY], left[Component.INTEREST], principal,
    )  # fmt: skip


def compare(ask, count, seed):
    chance = random.Random(seed)
    for _ in range(count // A_CALL):
        cases = [draw(chance) for _ in range(A_CALL)]
        for case, there in zip(cases, ask(cases), strict=True):
            assert there == play_here(case), case


def test_four_thousand_random_loans_are_equal_to_the_fen(ask):
    compare(ask, 4_000, seed=20_260_126)


@pytest.mark.deep
def test_a_hundred_thousand_random_loans_are_equal_to_the_fen(ask):
    compare(ask, 100_000, seed=6)


def test_a_loan_of_the_largest_amount_at_the_highest_rate_for_ten_years(ask):
    case = (
        360_000,
        360_000,
        1_000_000,
        20_000,
        20_030,
        2**53 - 1,
        0,
        [23_650] * 3,
        [2**53 - 1, 1, 1],
    )
    assert ask([case])[0] == play_here(case)
