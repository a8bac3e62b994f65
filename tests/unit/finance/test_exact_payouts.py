"""Every field of what payouts, loans and refusals say, exactly: what people read and programs act on.

The properties elsewhere say what must always hold; these say what stands there, so that no word, no fact of
an error and no edge may change unseen (the mutation gate of ``mutants.py`` leans on them).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak

from chain.ids import Hash32, PartyId, WaybillId
from finance.iso20022 import BankEntry, PaymentStatus
from finance.payout_errors import PayoutStateError
from finance.payouts import (
    Leg,
    Payout,
    PayoutState,
    Question,
    QuestionKind,
    Stage,
    account_of_party,
    begin_leg,
    book,
    collection_account,
    confirm,
    end_to_end_id,
    hand_over,
    hear,
    mint_reference,
    move,
    not_known,
    payment_sequence,
    stages_of,
    uetr_of,
)

S = PayoutState
AT = dt.datetime(2026, 1, 26, 16, tzinfo=dt.UTC)
LATER = AT + dt.timedelta(hours=1)
WALL = AT + dt.timedelta(minutes=3)
VALUE = dt.date(2026, 1, 27)
ID = Hash32("0x" + "5a" * 32)
NEW = Payout(ID, PartyId(7), Hash32("0x" + "ac" * 32), 123_456, AT, AT)
ONE = begin_leg(NEW, AT)
SENT = hand_over(ONE, WALL)


def status(code, reason="", text="", amount=None):
    return PaymentStatus("M", "E", code, AT, reason, text, amount)


def leg_of(payout, number=1):
    sequence = payment_sequence(payout.payout, number)
    return Leg(
        payout.payout, number, sequence, end_to_end_id(sequence), payout.account,
        payout.amount_fen, b"", AT,
    )  # fmt: skip


def entry(reference="B1", amount=123_456):
    return BankEntry(reference, "6222", amount, is_credit=False, value_day=VALUE, booked_at=AT)


def heard(payout, said, leg=1):
    return hear(payout, leg, said, at=LATER, wall=WALL)


ACCEPTED = heard(SENT, status("ACSP")).payout
REJECTED = heard(SENT, status("RJCT", "AC03", "no such account")).payout
PAID = book(ACCEPTED, leg_of(NEW), entry(), at=LATER, wall=WALL).payout
CONFIRMED = confirm(PAID, PAID.sequence, PAID.value_day, LATER)


# -- payouts ------------------------------------------------------------------------------------------


def test_names_are_derived_as_the_contracts_and_the_bank_know_them():
    first = payment_sequence(ID, 1)
    coded = encode(["string", "bytes32", "uint32"], ["yundan.payment", bytes.fromhex(ID[2:]), 1])
    assert first == "0x" + keccak(coded).hex()
    assert payment_sequence(ID, 2) != first
    assert end_to_end_id(first) == "YD" + first[2:34].upper()
    coded = encode(["string", "string"], ["yundan.credit", "B20260126000001"])
    assert mint_reference("B20260126000001") == "0x" + keccak(coded).hex()
    coded = encode(["string", "uint64"], ["yundan.party", 7])
    assert account_of_party(PartyId(7)).lower() == "0x" + keccak(coded)[-20:].hex()
    coded = encode(["string", "bytes32"], ["yundan.collection", bytes.fromhex(ID[2:])])
    assert collection_account(WaybillId(ID)).lower() == "0x" + keccak(coded)[-20:].hex()


@pytest.mark.parametrize(
    ("digit", "variant"), list(zip("0123456789abcdef", "89ab" * 4, strict=True))
)
def test_a_uetr_is_a_version_4_uuid_of_the_last_128_bits(digit, variant):
    half = "0123456789ab" + "cdef" + digit + "e7d" + "001122334455"
    assert len(half) == 32
    assert uetr_of("0x" + "77" * 16 + half) == f"01234567-89ab-4def-{variant}e7d-001122334455"


def test_the_first_leg_is_stored_whole_and_the_next_forgets_the_last():
    assert replace(ONE, sequence="") == replace(NEW, state=S.INSTRUCTED, leg=1, instructed_at=AT)
    assert ONE.sequence == payment_sequence(ID, 1)
    assert replace(ONE, state=S.UNKNOWN, attempts=1, asked_wall=WALL) == SENT
    again = begin_leg(REJECTED, LATER)
    assert again == replace(
        NEW, state=S.INSTRUCTED, leg=2, sequence=payment_sequence(ID, 2), instructed_at=LATER
    )


@pytest.mark.parametrize("payout", [ONE, SENT, ACCEPTED, PAID, CONFIRMED])
def test_a_leg_that_may_not_begin_says_why(payout):
    with pytest.raises(PayoutStateError, match="a new leg begins only when none has begun") as no:
        begin_leg(payout, AT)
    assert no.value.facts == {"payout": ID, "current": payout.state.value}


def test_a_move_outside_the_table_names_both_states():
    with pytest.raises(PayoutStateError, match="a payout that is paid cannot become queued") as no:
        move(PAID, S.QUEUED)
    assert no.value.facts == {"payout": ID, "current": "paid", "wanted": "queued"}


def question(step):
    assert step.question is not None
    return (step.question.kind, step.question.subject, step.question.text, step.question.payout)


def test_the_banks_words_move_a_payout_exactly_so():
    assert replace(SENT, state=S.ACCEPTED, accepted_at=LATER, accepted_wall=WALL) == ACCEPTED
    assert heard(SENT, status("ACSP")).question is None
    rejected = heard(SENT, status("RJCT", "AC03", "no such account"))
    assert rejected.payout == replace(
        SENT, state=S.REJECTED, rejected_at=LATER, reason="AC03", reason_text="no such account"
    )
    assert question(rejected) == (
        QuestionKind.REJECTED, SENT.sequence, "the bank rejects leg 1: AC03 no such account", ID,
    )  # fmt: skip
    bare = heard(SENT, status("RJCT"))
    assert question(bare)[2] == "the bank rejects leg 1: RJCT"
    assert heard(SENT, status("PDNG")) == replace(heard(SENT, status("PDNG")), payout=SENT)
    assert heard(REJECTED, status("RJCT")).payout is REJECTED
    assert heard(ACCEPTED, status("ACSC")).payout is ACCEPTED  # the first word's time stays


def test_a_word_that_contradicts_asks_and_moves_nothing():
    late = heard(REJECTED, status("ACSP"))
    assert late.payout is REJECTED
    assert question(late) == (
        QuestionKind.CONTRADICTION, f"{REJECTED.sequence}:rejected, then ACSP",
        "rejected, then ACSP", ID,
    )  # fmt: skip
    paid_then = heard(PAID, status("RJCT"))
    assert paid_then.payout is PAID
    assert question(paid_then)[2] == "leg 1 is paid, then rejected"
    second = begin_leg(REJECTED, AT)
    assert heard(second, status("RJCT"), leg=1) == replace(
        heard(second, status("RJCT"), leg=1), payout=second, question=None
    )
    assert question(heard(second, status("ACSP"), leg=1))[2] == "earlier leg 1 is now ACSP"
    unknown = not_known(ACCEPTED, 1)
    assert question(unknown)[2] == "the bank knows nothing of leg 1, which is accepted"
    assert unknown.payout is ACCEPTED
    long = replace(REJECTED, sequence="s" * 300)
    assert len(question(heard(long, status("ACSP")))[1]) == 200


def test_silence_of_a_bank_that_never_had_it_lets_the_same_order_go_again():
    assert not_known(SENT, 1).payout == replace(SENT, state=S.INSTRUCTED)
    assert not_known(ONE, 1) == replace(not_known(ONE, 1), payout=ONE, question=None)
    second = hand_over(begin_leg(REJECTED, AT), WALL)
    assert not_known(second, 1).payout is second
    assert not_known(second, 1).question is None


def test_another_amount_asks_and_moves_nothing():
    said = heard(SENT, status("ACSP", amount=123_457))
    assert said.payout is SENT
    assert question(said) == (
        QuestionKind.AMOUNT_DIFFERS, f"{SENT.sequence}:ACSP",
        "123456 fen were instructed, the bank speaks of 123457", ID,
    )  # fmt: skip
    assert heard(SENT, status("ACSP", amount=123_456)).payout == ACCEPTED
    booked = book(SENT, leg_of(NEW), entry(amount=1), at=LATER, wall=WALL)
    assert booked.payout is SENT
    assert question(booked) == (
        QuestionKind.AMOUNT_DIFFERS, "B1",
        "123456 fen were instructed, the bank speaks of 1", ID,
    )  # fmt: skip


def test_a_booking_pays_once_and_is_kept_whole():
    assert (
        replace(ACCEPTED, state=S.PAID, paid_at=LATER, value_day=20_480, bank_reference="B1")
        == PAID
    )
    fast = book(SENT, leg_of(NEW), entry(), at=LATER, wall=WALL).payout
    assert (fast.accepted_at, fast.accepted_wall) == (LATER, WALL)
    after = heard(replace(fast, accepted_at=None), status("ACSP")).payout
    assert (after.state, after.accepted_at, after.accepted_wall) == (S.PAID, LATER, WALL)
    assert book(PAID, leg_of(NEW), entry(), at=AT, wall=AT) == replace(
        book(PAID, leg_of(NEW), entry(), at=AT, wall=AT), payout=PAID, question=None
    )
    twice = book(PAID, leg_of(NEW), entry("B2"), at=LATER, wall=WALL)
    assert twice.payout is PAID
    assert question(twice) == (
        QuestionKind.PAID_TWICE, "B2", "booking B2 pays leg 1 again; B1 has paid it", ID,
    )  # fmt: skip
    chain_first = confirm(replace(NEW), payment_sequence(ID, 1), 20_480, AT)
    known = book(chain_first, leg_of(NEW), entry(), at=LATER, wall=WALL)
    assert known.payout == replace(chain_first, bank_reference="B1", paid_at=LATER, leg=1)
    foreign = replace(chain_first, sequence="0x" + "00" * 32)
    assert question(book(foreign, leg_of(NEW), entry("B9"), at=AT, wall=AT))[2] == (
        "booking B9 pays leg 1 again; the chain has paid it"
    )


def test_an_earlier_legs_booking_stands_only_while_nothing_newer_is_under_way():
    second = begin_leg(REJECTED, AT)
    adopted = book(second, leg_of(NEW, 1), entry(), at=LATER, wall=WALL).payout
    assert (adopted.state, adopted.leg, adopted.sequence) == (S.PAID, 1, payment_sequence(ID, 1))
    assert book(REJECTED, leg_of(NEW, 1), entry(), at=LATER, wall=WALL).payout.state is S.PAID
    under_way = hand_over(second, WALL)
    for busy in (under_way, replace(second, attempts=1)):
        asked = book(busy, leg_of(NEW, 1), entry(), at=LATER, wall=WALL)
        assert asked.payout is busy
        assert question(asked)[2] == "earlier leg 1 was booked after all"


def test_the_chains_word_confirms_once_and_keeps_the_first_day():
    assert replace(PAID, state=S.CONFIRMED, confirmed_at=LATER) == CONFIRMED
    assert confirm(CONFIRMED, "0x", 1, AT) is CONFIRMED
    early = confirm(SENT, SENT.sequence, 20_480, LATER)
    assert (early.paid_at, early.value_day, early.sequence) == (LATER, 20_480, SENT.sequence)


def test_a_payee_reads_every_stage_in_both_languages_with_its_time():
    assert stages_of(NEW) == (
        Stage("queued", "款项已放出", "Money released for you", AT),
        Stage("instructed", "已向银行发出付款指令", "Bank instructed", None),
        Stage("accepted", "银行已受理", "Bank has accepted", None),
        Stage("paid", "已入账", "Paid into the account", None),
        Stage("confirmed", "链上已确认", "Confirmed on the record", None),
    )
    assert stages_of(REJECTED)[:3] == (
        Stage("queued", "款项已放出", "Money released for you", AT),
        Stage("instructed", "已向银行发出付款指令", "Bank instructed", AT),
        Stage("rejected", "银行退回", "Bank could not pay", LATER, "AC03 no such account"),
    )
    assert stages_of(CONFIRMED)[2:] == (
        Stage("accepted", "银行已受理", "Bank has accepted", LATER),
        Stage("paid", "已入账", "Paid into the account", LATER, "B1"),
        Stage("confirmed", "链上已确认", "Confirmed on the record", LATER),
    )


def test_a_question_says_what_it_is_about():
    assert Question(QuestionKind.RETURNED, "s", "t").payout == ""
