"""The saga of a payout, move by move: never twice, never lost, never another amount."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from dataclasses import replace

import pytest
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain.ids import Hash32, PartyId, WaybillId
from finance.iso20022 import BankEntry, PaymentStatus
from finance.payout_errors import PayoutStateError
from finance.payouts import (
    MOVES,
    Leg,
    Payout,
    PayoutState,
    QuestionKind,
    account_of_party,
    begin_leg,
    book,
    collection_account,
    confirm,
    end_to_end_id,
    hand_over,
    hear,
    move,
    not_known,
    payment_sequence,
    stages_of,
    uetr_of,
)

S = PayoutState
AT = dt.datetime(2026, 1, 26, 16, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 27)
ID = Hash32("0x" + "5a" * 32)
NEW = Payout(ID, PartyId(7), Hash32("0x" + "ac" * 32), 123_456, AT, AT)
WHEN = {"at": AT, "wall": AT}


def status(code, reason="", amount=None):
    return PaymentStatus("M", "E", code, AT, reason, amount_fen=amount)


def leg_of(payout, number):
    sequence = payment_sequence(payout.payout, number)
    return Leg(
        payout.payout, number, sequence, end_to_end_id(sequence), payout.account,
        payout.amount_fen, b"", AT,
    )  # fmt: skip


def entry(reference, amount):
    return BankEntry(reference, "6222", amount, is_credit=False, value_day=DAY, booked_at=AT)


def in_state(state):
    """A payout brought into a state by its own moves."""
    sent = hand_over(begin_leg(NEW, AT), AT)
    made = {
        S.QUEUED: NEW,
        S.INSTRUCTED: begin_leg(NEW, AT),
        S.UNKNOWN: sent,
        S.ACCEPTED: hear(sent, 1, status("ACSP"), **WHEN).payout,
        S.REJECTED: hear(sent, 1, status("RJCT", "AC01"), **WHEN).payout,
        S.PAID: book(sent, leg_of(NEW, 1), entry("B1", NEW.amount_fen), **WHEN).payout,
    }
    made[S.CONFIRMED] = confirm(made[S.PAID], made[S.PAID].sequence, 20480, AT)
    return made[state]


def test_every_state_has_its_row_and_confirmed_is_the_end():
    assert set(MOVES) == set(PayoutState)
    assert MOVES[S.CONFIRMED] == frozenset()
    assert MOVES[S.PAID] == {S.CONFIRMED}
    assert S.QUEUED not in set().union(*MOVES.values())


@pytest.mark.parametrize(("now", "wanted"), list(itertools.product(PayoutState, PayoutState)))
def test_only_the_published_moves_are_made(now, wanted):
    payout = in_state(now)
    assert payout.state is now
    if wanted in MOVES[now]:
        assert move(payout, wanted).state is wanted
    else:
        with pytest.raises(PayoutStateError) as refused:
            move(payout, wanted)
        assert refused.value.facts["current"] == now.value


@pytest.mark.parametrize(
    "state", [state for state in PayoutState if state not in {S.QUEUED, S.REJECTED}]
)
def test_a_new_leg_begins_only_after_a_rejection(state):
    with pytest.raises(PayoutStateError):
        begin_leg(in_state(state), AT)


def test_a_rejected_payout_goes_again_under_a_new_sequence_with_the_same_amount():
    rejected = in_state(S.REJECTED)
    again = begin_leg(rejected, AT)
    assert (again.leg, again.amount_fen, again.party) == (2, NEW.amount_fen, NEW.party)
    assert again.sequence == payment_sequence(ID, 2) != rejected.sequence
    assert (again.reason, again.attempts, again.accepted_at) == ("", 0, None)


def test_a_rejection_asks_a_person_and_names_the_reason():
    step = hear(in_state(S.ACCEPTED), 1, status("RJCT", "AC04"), **WHEN)
    assert step.payout.state is S.REJECTED
    assert step.question.kind is QuestionKind.REJECTED
    assert "AC04" in step.question.text


@pytest.mark.parametrize("state", [S.UNKNOWN, S.ACCEPTED, S.INSTRUCTED, S.REJECTED])
def test_a_booking_of_the_exact_amount_pays(state):
    step = book(in_state(state), leg_of(NEW, 1), entry("B1", NEW.amount_fen), **WHEN)
    assert (step.payout.state, step.payout.bank_reference) == (S.PAID, "B1")
    assert step.payout.value_day == 20480  # 2026-01-27
    assert step.question is None


@pytest.mark.parametrize("difference", [-1, 1, 10**6])
def test_a_booking_of_another_amount_moves_nothing_and_asks(difference):
    payout = in_state(S.ACCEPTED)
    step = book(payout, leg_of(NEW, 1), entry("B1", NEW.amount_fen + difference), **WHEN)
    assert step.payout == payout
    assert step.question.kind is QuestionKind.AMOUNT_DIFFERS


@pytest.mark.parametrize("state", [S.PAID, S.CONFIRMED])
def test_a_second_booking_is_told_and_a_repeated_one_is_not(state):
    payout = in_state(state)
    again = book(payout, leg_of(NEW, 1), entry("B1", NEW.amount_fen), **WHEN)
    assert (again.payout, again.question) == (payout, None)
    other = book(payout, leg_of(NEW, 1), entry("B2", NEW.amount_fen), **WHEN)
    assert other.payout == payout
    assert other.question.kind is QuestionKind.PAID_TWICE


def test_an_earlier_leg_that_is_booked_after_all_stands_in_for_one_not_yet_sent():
    second = begin_leg(in_state(S.REJECTED), AT)
    step = book(second, leg_of(NEW, 1), entry("B1", NEW.amount_fen), **WHEN)
    assert (step.payout.state, step.payout.leg) == (S.PAID, 1)
    assert step.payout.sequence == payment_sequence(ID, 1)


@pytest.mark.parametrize("then", ["unknown", "not known"])
def test_an_earlier_leg_that_is_booked_beside_one_that_was_sent_asks_a_person(then):
    second = hand_over(begin_leg(in_state(S.REJECTED), AT), AT)
    if then == "not known":
        second = not_known(second, 2).payout
    step = book(second, leg_of(NEW, 1), entry("B1", NEW.amount_fen), **WHEN)
    assert step.payout == second
    assert step.question.kind is QuestionKind.CONTRADICTION


def test_a_rejection_after_the_booking_is_a_contradiction():
    for state in (S.PAID, S.CONFIRMED):
        step = hear(in_state(state), 1, status("RJCT"), **WHEN)
        assert step.payout == in_state(state)
        assert step.question.kind is QuestionKind.CONTRADICTION


def test_an_acceptance_after_a_rejection_is_a_contradiction():
    step = hear(in_state(S.REJECTED), 1, status("ACSP"), **WHEN)
    assert step.payout.state is S.REJECTED
    assert step.question.kind is QuestionKind.CONTRADICTION


def test_an_answer_with_another_amount_moves_nothing():
    step = hear(in_state(S.UNKNOWN), 1, status("ACSP", amount=NEW.amount_fen + 1), **WHEN)
    assert step.payout.state is S.UNKNOWN
    assert step.question.kind is QuestionKind.AMOUNT_DIFFERS
    fine = hear(in_state(S.UNKNOWN), 1, status("ACSP", amount=NEW.amount_fen), **WHEN)
    assert fine.payout.state is S.ACCEPTED


@pytest.mark.parametrize("code", ["PDNG", "RCVD"])
def test_a_bank_that_has_not_decided_leaves_the_payout_unknown(code):
    assert hear(in_state(S.UNKNOWN), 1, status(code), **WHEN).payout == in_state(S.UNKNOWN)


def test_the_answer_that_comes_after_the_booking_only_dates_the_acceptance():
    paid = replace(in_state(S.PAID), accepted_at=None)
    step = hear(paid, 1, status("ACSC"), **WHEN)
    assert (step.payout.state, step.payout.accepted_at, step.question) == (S.PAID, AT, None)


def test_what_the_bank_never_heard_of_goes_again_under_the_same_sequence():
    unknown = in_state(S.UNKNOWN)
    back = not_known(unknown, 1).payout
    assert (back.state, back.sequence, back.leg) == (S.INSTRUCTED, unknown.sequence, 1)
    assert hand_over(back, AT).attempts == 2


@pytest.mark.parametrize("state", [S.ACCEPTED, S.PAID])
def test_a_bank_that_forgets_what_it_accepted_asks_a_person(state):
    step = not_known(in_state(state), 1)
    assert step.payout == in_state(state)
    assert step.question.kind is QuestionKind.CONTRADICTION


def test_the_bank_may_tell_of_a_booking_that_the_chain_knew_first():
    known = confirm(NEW, payment_sequence(ID, 1), 20480, AT)
    assert known.state is S.CONFIRMED
    step = book(known, leg_of(NEW, 1), entry("B1", NEW.amount_fen), **WHEN)
    assert (step.payout.bank_reference, step.question) == ("B1", None)


def test_stages_tell_the_payee_where_his_money_is():
    stages = stages_of(in_state(S.PAID))
    assert [stage.name for stage in stages] == [
        "queued", "instructed", "accepted", "paid", "confirmed",
    ]  # fmt: skip
    assert [stage.at is not None for stage in stages] == [True, True, True, True, False]
    assert all(stage.zh and stage.en for stage in stages)
    rejected = {stage.name: stage for stage in stages_of(in_state(S.REJECTED))}
    assert rejected["rejected"].at == AT
    assert "AC01" in rejected["rejected"].note


# -- names ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 2**32 - 1))
def test_a_sequence_is_fixed_by_payout_and_leg_and_fits_the_bank(payout, leg):
    sequence = payment_sequence(Hash32("0x" + payout.hex()), leg)
    packed = (96).to_bytes(32) + payout + leg.to_bytes(32) + (14).to_bytes(32)
    packed += b"yundan.payment".ljust(32, b"\0")
    assert sequence == "0x" + keccak(packed).hex()
    known_as = end_to_end_id(sequence)
    assert re.fullmatch(r"YD[0-9A-F]{32}", known_as)
    assert len(known_as) <= 35
    form = r"[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}"
    assert re.fullmatch(form, uetr_of(sequence))


def test_token_accounts_are_those_of_the_contracts():
    """Accounts.sol: address(uint160(uint256(keccak256(abi.encode(name, id)))))."""

    def derived(name, word):
        text = name.ljust(-(-len(name) // 32) * 32, b"\0")
        packed = (64).to_bytes(32) + word + len(name).to_bytes(32) + text
        return "0x" + keccak(packed)[-20:].hex()

    assert account_of_party(PartyId(7)).lower() == derived(b"yundan.party", (7).to_bytes(32))
    waybill = WaybillId("0x" + "0b" * 32)
    assert collection_account(waybill).lower() == derived(b"yundan.collection", b"\x0b" * 32)


# -- any order of anything ------------------------------------------------------------------------


class AnyOrder(RuleBasedStateMachine):
    """An honest bank whose words come late, twice and in any order; a worker that acts at will."""

    @initialize()
    def begin(self):
        self.payout = NEW
        self.bank = {}  # leg: "accepted" | "rejected" | "booked"
        self.moved = 0
        self.asked = []

    def take(self, step):
        self.payout = step.payout
        if step.question is not None:
            self.asked.append(step.question.kind)

    @precondition(lambda self: self.payout.state in (S.QUEUED, S.REJECTED))
    @rule()
    def new_leg(self):
        self.payout = begin_leg(self.payout, AT)

    @precondition(lambda self: self.payout.state is S.INSTRUCTED)
    @rule(arrives=st.booleans())
    def send(self, arrives):
        self.payout = hand_over(self.payout, AT)
        if arrives:
            self.bank.setdefault(self.payout.leg, "accepted")

    @precondition(lambda self: "accepted" in self.bank.values())
    @rule()
    def bank_books(self):
        leg = next(leg for leg, state in self.bank.items() if state == "accepted")
        self.bank[leg] = "booked"
        self.moved += self.payout.amount_fen

    @precondition(lambda self: "accepted" in self.bank.values())
    @rule()
    def bank_rejects(self):
        leg = next(leg for leg, state in self.bank.items() if state == "accepted")
        self.bank[leg] = "rejected"

    @precondition(lambda self: self.payout.leg > 0)
    @rule(data=st.data())
    def word_arrives(self, data):
        leg = data.draw(st.integers(1, self.payout.leg))
        known = self.bank.get(leg)
        if known is None:
            if leg == self.payout.leg:
                self.take(not_known(self.payout, leg))
            return
        code = {"accepted": "ACSP", "booked": "ACSC", "rejected": "RJCT"}[known]
        self.take(hear(self.payout, leg, status(code), **WHEN))

    @rule(data=st.data())
    def booking_is_told(self, data):
        booked = [leg for leg, state in self.bank.items() if state == "booked"]
        if booked:
            leg = data.draw(st.sampled_from(booked))
            told = entry(f"B{leg}", self.payout.amount_fen)
            self.take(book(self.payout, leg_of(NEW, leg), told, **WHEN))

    @precondition(lambda self: self.payout.state is S.PAID)
    @rule()
    def chain_confirms(self):
        self.payout = confirm(self.payout, self.payout.sequence, 20480, AT)

    @invariant()
    def never_twice_and_never_another(self):
        assert self.moved in (0, NEW.amount_fen)
        assert (self.payout.amount_fen, self.payout.party) == (NEW.amount_fen, NEW.party)
        if self.payout.state in (S.PAID, S.CONFIRMED):
            assert self.moved == NEW.amount_fen
        if self.payout.state is S.REJECTED:
            assert self.bank[self.payout.leg] == "rejected"

    @invariant()
    def an_honest_bank_raises_no_alarm(self):
        assert set(self.asked) <= {QuestionKind.REJECTED}


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
