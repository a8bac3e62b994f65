"""The use cases of payouts with a real bank: accounts, redirects, money that comes in, what asks a person."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import replace

import pytest
from sqlmodel import select

from chain.abi import hash32
from chain.bindings.events import Minted, PayoutRedirected
from chain.clock import FixedClock
from chain.errors import InvalidValueError, YundanError
from chain.ids import Address, Hash32, PartyId, WaybillId
from chain.outbox import SqlOutbox
from chain.signers import LocalSigner
from chain.storage import Storage
from chain.tables import OutgoingTransactionRow
from chain.typed_data import struct_hash
from finance.bank import HttpBank
from finance.iso20022 import (
    BankAccount,
    BankEntry,
    Notice,
    Outcome,
    read_status,
    write_notice,
)
from finance.payout_accounts import CONSENT_HASH, AccountConsent, Relation, account_hash
from finance.payout_errors import (
    AccountRefusedError,
    BankRefusedError,
    BankUnavailableError,
    EntryRefusedError,
    MessageInvalidError,
    PayoutStateError,
    UnknownPayoutError,
)
from finance.payout_jobs import (
    ask_bank,
    confirm_and_mint,
    instruct_payouts,
    run_payouts,
    send_payouts,
    take_notices,
)
from finance.payout_ports import EntryState
from finance.payouts import (
    PayoutState,
    QuestionKind,
    account_of_party,
    collection_account,
    end_to_end_id,
)
from finance.tables import PayoutAccountRow, PayoutLegRow
from tests.integration.finance.bank_rig import (
    BANK,
    CUSTODIAN,
    HOUSE,
    KEYRING,
    START,
    BankProcess,
    Rig,
)

NOW = dt.timedelta(0)
WAYBILL = WaybillId("0x" + "0b" * 32)


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    bank = BankProcess(tmp_path_factory.mktemp("bank"))
    yield bank
    bank.stop()


@pytest.fixture
def rig(tmp_path, process):
    storage = Storage(f"sqlite:///{tmp_path / 'yundan.db'}", keyring=KEYRING)
    storage.create_all()
    made = Rig(storage, process, clock=FixedClock(START))
    with made.begin() as payouts:  # what other tests left at the bank is not ours
        while page := made.bank.fetch_notices(HOUSE.number, payouts.cursor()).notices:
            payouts._desk.save_cursor(HOUSE.number, page[-1][0])
    yield made
    made.close()
    storage.close()


def turn(rig, custodian=None):
    run_payouts(rig.begin, rig.bank, rig.wall, custodian, patience=NOW)


def asked(rig):
    with rig.begin() as payouts:
        return [question.kind for question in payouts.questions()]


def sent(rig, function):
    with rig.storage.read() as session:
        rows = session.exec(select(OutgoingTransactionRow)).all()
        return [row for row in rows if row.function == function]


def bank_id(rig, payout):
    return end_to_end_id(Hash32(rig.find(payout).sequence))


def test_a_payout_goes_through_every_stage_in_one_round(rig):
    payout = rig.queue(123_456)
    turn(rig, CUSTODIAN)
    assert rig.find(payout).state is PayoutState.PAID
    (call,) = sent(rig, "confirmPayout")
    assert call.key.startswith("confirm:")
    rig.confirm(payout)
    with rig.begin() as payouts:
        stages = payouts.stages(payout)
        held = payouts.get(payout)
    assert [stage.name for stage in stages if stage.at is None] == []
    assert dt.timedelta(0) <= held.accepted_wall - held.queued_wall < dt.timedelta(minutes=2)
    assert rig.process.admin.balances()[rig.accounts[payout].number] == 123_456
    turn(rig, CUSTODIAN)
    assert len(sent(rig, "confirmPayout")) == 1


def test_no_number_and_no_name_lies_readable_in_the_database(rig, tmp_path):
    payout = rig.queue(5)
    turn(rig)
    account = rig.accounts[payout]
    with rig.storage.read() as session:
        kept = (
            session.exec(select(PayoutAccountRow)).one().sealed
            + session.exec(select(PayoutLegRow)).one().sealed_order
        )
    everything = b"".join(path.read_bytes() for path in tmp_path.glob("yundan.db*"))
    assert kept[:40] in everything
    assert account.number.encode() not in everything


def test_a_payee_without_an_account_is_asked_about_and_paid_once_it_is_there(rig):
    payee = rig.payee(next(rig.numbers))
    unknown = Hash32("0x" + "ee" * 32)
    payout = rig.queue(100, (payee[0], payee[1], unknown))
    turn(rig)
    turn(rig)
    assert rig.find(payout).state is PayoutState.QUEUED
    assert asked(rig) == [QuestionKind.NO_ACCOUNT]
    with rig.begin() as payouts:  # the payee signs for an account that is in the book
        payouts.on_payout_redirected(rig.seen(PayoutRedirected(payout, payee[2])))
    turn(rig)
    assert rig.find(payout).state is PayoutState.PAID
    assert asked(rig) == []


def test_an_account_in_another_name_is_refused_unless_a_person_vouches_for_the_owner(rig):
    party, _, _ = rig.payee(next(rig.numbers))
    owners = BankAccount("车主王", f"6222{next(rig.numbers):010d}", BANK)
    given = {"salt": Hash32("0x" + "07" * 32), "consent": "0xc0", "consented_at": START}
    with rig.begin_book() as book:
        with pytest.raises(AccountRefusedError, match="name"):
            book.register_account(party, owners, **given)
        with pytest.raises(AccountRefusedError, match="vouch"):
            book.register_account(party, owners, relation=Relation.VEHICLE_OWNER, **given)
        with pytest.raises(AccountRefusedError, match="agreed"):
            book.register_account(party, owners, **given | {"consent": ""})
        with pytest.raises(AccountRefusedError, match="party"):
            book.register_account(PartyId(99), owners, **given)
        book.register_account(
            party, owners, relation=Relation.VEHICLE_OWNER, vouched_by="clerk Wu", **given
        )


def test_a_payees_own_signature_enters_his_account_and_a_forged_or_late_one_does_not(rig):
    key, stranger = LocalSigner("0x" + "33" * 32), LocalSigner("0x" + "44" * 32)
    party = rig.party(next(rig.numbers), key=key.address)
    account, salt = BankAccount("张 师傅", f"6222{next(rig.numbers):010d}", BANK), hash32(b"s" * 32)
    form = AccountConsent(
        party, account_hash(account, salt), "self", CONSENT_HASH, int(START.timestamp()) + 60, salt
    )
    late = replace(form, expires=form.expires - 61)
    domain = CUSTODIAN.domain
    with rig.begin_book() as book:
        for signer, given, salted, code in (
            (stranger, form, salt, "signature_refused"),
            (key, late, salt, "signature_refused"),
            (key, form, hash32(b"t" * 32), "payout_account_refused"),
        ):
            with pytest.raises(YundanError) as refused:
                book.enter(given, signer.sign_typed_data(given, domain), account, salt=salted)
            assert refused.value.code == code
        assert book.list_of(party) == []
        entered = book.enter(form, key.sign_typed_data(form, domain), account, salt=salt)
        assert entered.consent == struct_hash(form)
        assert book.enter(form, key.sign_typed_data(form, domain), account, salt=salt) == entered
        assert book.list_of(party) == [(entered, account.number[-4:])]


def test_the_account_of_a_vehicles_owner_is_paid_only_once_a_person_has_seen_the_papers(rig):
    key = LocalSigner("0x" + "33" * 32)
    party = rig.party(next(rig.numbers), key=key.address)
    account = BankAccount("车主王", f"6222{next(rig.numbers):010d}", BANK)
    rig.process.admin.open_account(account)
    salt = hash32(b"v" * 32)
    hashed = account_hash(account, salt)
    form = AccountConsent(
        party, hashed, "vehicle_owner", CONSENT_HASH, int(START.timestamp()) + 60, salt
    )
    with rig.begin_book() as book:
        book.enter(form, key.sign_typed_data(form, CUSTODIAN.domain), account, salt=salt)
    payout = rig.queue(500, (party, account, hashed))
    turn(rig)
    assert rig.find(payout).state is PayoutState.QUEUED
    assert asked(rig) == [QuestionKind.OWNER_ACCOUNT, QuestionKind.NO_ACCOUNT]
    with rig.begin_book() as book:
        with pytest.raises(AccountRefusedError, match="who has seen"):
            book.vouch(hashed, by=" ")
        book.vouch(hashed, by="clerk Wu")
    turn(rig)
    assert rig.find(payout).state is PayoutState.PAID
    assert asked(rig) == []


def test_an_account_of_another_party_is_never_paid(rig):
    mine, other = rig.payee(next(rig.numbers)), rig.payee(next(rig.numbers))
    payout = rig.queue(100, (mine[0], mine[1], other[2]))
    turn(rig)
    assert rig.find(payout).state is PayoutState.QUEUED
    assert asked(rig) == [QuestionKind.NO_ACCOUNT]


def test_a_forgotten_account_is_unreadable_and_one_in_use_is_not_forgotten(rig):
    payout = rig.queue(100)
    hashed = rig.find(payout).account
    turn(rig)
    with rig.begin_book() as book, pytest.raises(AccountRefusedError, match="on its way"):
        book.forget_account(hashed)
    rig.confirm(payout)
    with rig.begin_book() as book:
        book.forget_account(hashed)
    again = rig.queue(100, (rig.find(payout).party, rig.accounts[payout], hashed))
    turn(rig)
    assert rig.find(again).state is PayoutState.QUEUED
    assert asked(rig) == [QuestionKind.NO_ACCOUNT]


def test_a_rejected_payout_goes_to_the_account_the_payee_names_next(rig):
    payee = rig.payee(next(rig.numbers), open_at_bank=False)
    payout = rig.queue(777, payee)
    turn(rig)
    rejected = rig.find(payout)
    assert (rejected.state, rejected.reason) == (PayoutState.REJECTED, "AC03")
    turn(rig)
    assert rig.find(payout).leg == 1  # nothing goes again by itself
    better = BankAccount("张师傅", f"6222{next(rig.numbers):010d}", BANK)
    rig.process.admin.open_account(better)
    with rig.begin_book() as book:
        hashed = book.register_account(
            payee[0], better, salt=Hash32("0x" + "09" * 32), consent="0xc1", consented_at=START
        )
    with rig.begin() as payouts:
        payouts.on_payout_redirected(rig.seen(PayoutRedirected(payout, hashed)))
        with pytest.raises(InvalidValueError):
            payouts.approve_new_leg(payout, by=" ")
        payouts.approve_new_leg(payout, by="cashier Li")
        with pytest.raises(PayoutStateError):
            payouts.approve_new_leg(payout, by="cashier Li")
    turn(rig)
    paid = rig.find(payout)
    assert (paid.state, paid.leg) == (PayoutState.PAID, 2)
    assert rig.process.admin.balances()[better.number] == 777
    assert asked(rig) == []


def test_a_payment_that_comes_back_stands_on_the_payees_account_again(rig):
    payout = rig.queue(900)
    turn(rig, CUSTODIAN)
    rig.process.admin.send_back(bank_id(rig, payout))
    turn(rig, CUSTODIAN)
    assert asked(rig) == [QuestionKind.RETURNED]
    (entry,) = rig.at_desk(lambda desk: desk.list_entries(states=[EntryState.MATCHED]))
    assert (entry.amount_fen, entry.target) == (900, account_of_party(rig.find(payout).party))
    assert len(sent(rig, "mint")) == 1
    with rig.begin() as payouts:
        payouts.on_minted(
            rig.seen(Minted(Hash32(entry.mint_reference), Address(entry.target), 900, 20479))
        )
    assert rig.at_desk(lambda desk: desk.find_entry(entry.reference)).state is EntryState.MINTED


def test_a_wrong_amount_blocks_until_the_bank_has_put_it_right(rig):
    payout = rig.queue(5_000)
    rig.process.admin.fault("wrong_amount", account=rig.accounts[payout].number, delta_fen=1)
    turn(rig, CUSTODIAN)
    assert asked(rig) == [QuestionKind.AMOUNT_DIFFERS]
    assert rig.find(payout).state is PayoutState.ACCEPTED
    assert sent(rig, "confirmPayout") == []
    rig.process.admin.correct(bank_id(rig, payout))
    turn(rig, CUSTODIAN)
    assert asked(rig) == []
    assert rig.find(payout).state is PayoutState.PAID
    assert len(sent(rig, "confirmPayout")) == 1


def test_freight_paid_in_under_its_reference_is_minted_once_for_its_collection_account(rig):
    target = collection_account(WAYBILL)
    with rig.begin() as payouts:
        reference = payouts.open_pay_in(target, WAYBILL)
        assert payouts.open_pay_in(target, WAYBILL) == reference
    given = {"account": HOUSE.number, "amount_fen": 864_000, "payer_name": "海港糖业"}
    key = os.urandom(8).hex()
    rig.process.admin.deposit(key=key, remittance=f"运费 {reference[:6]} {reference[6:]}", **given)
    rig.process.admin.deposit(key=key, remittance=f"运费 {reference[:6]} {reference[6:]}", **given)
    turn(rig, CUSTODIAN)
    turn(rig, CUSTODIAN)
    (entry,) = rig.at_desk(lambda desk: desk.list_entries(states=[EntryState.MATCHED]))
    assert (entry.amount_fen, entry.target, entry.about) == (864_000, target, reference)
    assert len(sent(rig, "mint")) == 1


def test_money_without_a_reference_waits_in_suspense_for_a_person(rig):
    reference = rig.process.admin.deposit(
        key=os.urandom(8).hex(), account=HOUSE.number, amount_fen=5, remittance="?", payer_name="x"
    )
    turn(rig, CUSTODIAN)
    assert asked(rig) == [QuestionKind.UNMATCHED_CREDIT]
    assert sent(rig, "mint") == []
    target = account_of_party(PartyId(7))
    with rig.begin() as payouts:
        with pytest.raises(EntryRefusedError):
            payouts.assign_credit("BK404", target, by="clerk Wu")
        with pytest.raises(InvalidValueError):
            payouts.assign_credit(reference, target, by="")
        payouts.assign_credit(reference, target, by="clerk Wu")
        with pytest.raises(EntryRefusedError):
            payouts.assign_credit(reference, target, by="clerk Wu")
    turn(rig, CUSTODIAN)
    assert asked(rig) == []
    assert len(sent(rig, "mint")) == 1


def fail_last(rig, function, error):
    """The chain refuses what was sent last."""
    with rig.storage.write() as session:
        found = select(OutgoingTransactionRow).where(OutgoingTransactionRow.function == function)
        rows = session.exec(found).all()
        rows[-1].state, rows[-1].error, rows[-1].message = "reverted", error, f"{error} says no"
        session.add(rows[-1])


def test_a_mint_over_the_days_cap_is_tried_again_the_next_day_alone(rig):
    with rig.begin() as payouts:
        reference = payouts.open_pay_in(collection_account(WAYBILL), WAYBILL)
    rig.process.admin.deposit(
        key=os.urandom(8).hex(), account=HOUSE.number, amount_fen=9, remittance=reference,
        payer_name="x",
    )  # fmt: skip
    turn(rig, CUSTODIAN)
    fail_last(rig, "mint", "TokenDailyCapExceeded")
    turn(rig, CUSTODIAN)
    assert len(sent(rig, "mint")) == 1
    rig.clock.advance_to(START + dt.timedelta(days=1))
    turn(rig, CUSTODIAN)
    assert len(sent(rig, "mint")) == 2
    fail_last(rig, "mint", "TokenBankReferenceUsed")
    turn(rig, CUSTODIAN)
    assert rig.at_desk(lambda desk: desk.list_entries(states=[EntryState.MATCHED])) == []


def test_a_confirmation_that_the_chain_refuses_asks_before_it_is_sent_again(rig):
    rig.queue(50)
    turn(rig, CUSTODIAN)
    fail_last(rig, "confirmPayout", "PartyRegistrySignatureInvalid")
    turn(rig, CUSTODIAN)
    turn(rig, CUSTODIAN)
    assert asked(rig) == [QuestionKind.CHAIN_REFUSED]
    assert len(sent(rig, "confirmPayout")) == 1
    with rig.begin() as payouts:
        (question,) = payouts.questions()
        with pytest.raises(EntryRefusedError):
            payouts.close_question(QuestionKind.REJECTED, question.subject, by="Wu")
        payouts.close_question(question.kind, question.subject, by="clerk Wu")
    turn(rig, CUSTODIAN)
    assert len(sent(rig, "confirmPayout")) == 2


# -- the bank's bad words -------------------------------------------------------------------------

BOOKED = BankEntry(
    "BAD1", HOUSE.number, 100, is_credit=False, value_day=dt.date(2026, 1, 27), booked_at=START
)


def notice(*entries):
    return write_notice(Notice("N", START, entries))


def test_a_debit_that_nobody_ordered_asks_a_person(rig):
    with rig.begin() as payouts:
        payouts.take_notice(notice(replace(BOOKED, end_to_end_id="ELSE")), 10**6)
    assert asked(rig) == [QuestionKind.UNKNOWN_DEBIT]


def test_one_reference_for_two_bookings_counts_the_first_and_asks(rig):
    credit = replace(BOOKED, is_credit=True)
    with rig.begin() as payouts:
        payouts.take_notice(notice(credit, credit), 10**6)
        payouts.take_notice(notice(replace(credit, amount_fen=101)), 10**6 + 1)
    assert set(asked(rig)) == {QuestionKind.UNMATCHED_CREDIT, QuestionKind.REFERENCE_REUSED}
    (entry,) = rig.at_desk(lambda desk: desk.list_entries())
    assert entry.amount_fen == 100


def test_an_announced_booking_is_not_a_booking(rig):
    with rig.begin() as payouts:
        payouts.take_notice(notice(replace(BOOKED, booked=False)), 10**6)
    assert rig.at_desk(lambda desk: desk.list_entries()) == []


def test_a_notice_about_an_account_that_is_not_ours_is_refused_whole(rig):
    with pytest.raises(MessageInvalidError), rig.begin() as payouts:
        payouts.take_notice(notice(BOOKED, replace(BOOKED, reference="B2", account="1")), 10**6)
    assert rig.at_desk(lambda desk: desk.list_entries()) == []


class OneBadNotice:
    """A bank whose next notice is broken, then as it is."""

    def __init__(self, bank):
        self.bank = bank

    def fetch_notices(self, account, after):
        page = self.bank.fetch_notices(account, after)
        broken = tuple((place, text[:-9]) for place, text in page.notices[:1])
        return replace(page, notices=broken + page.notices[1:])


def test_a_broken_notice_is_recorded_and_the_next_one_still_counts(rig):
    first, second = rig.queue(10), rig.queue(20)
    instruct_payouts(rig.begin)
    send_payouts(rig.begin, rig.bank)
    bad = OneBadNotice(rig.bank)
    take_notices(rig.begin, bad)
    assert asked(rig) == [QuestionKind.BAD_MESSAGE]
    states = sorted(rig.find(payout).state.value for payout in (first, second))
    assert states == ["accepted", "paid"]


def test_an_answer_about_another_payment_moves_nothing(rig):
    first, second = rig.queue(10), rig.queue(20)
    turn(rig)
    answer = rig.bank.fetch_status(bank_id(rig, first))
    with rig.begin() as payouts:
        with pytest.raises(MessageInvalidError, match="another payment"):
            payouts.take_answer(bank_id(rig, second), answer)
        with pytest.raises(UnknownPayoutError):
            payouts.take_silence("YD404")


def test_a_sequence_that_the_bank_has_for_something_else_blocks_and_asks(rig):
    payout = rig.queue(10)
    instruct_payouts(rig.begin)

    class Refusing:
        def send_order(self, order):
            raise BankRefusedError("409: used for another payment")

    send_payouts(rig.begin, Refusing())
    assert asked(rig) == [QuestionKind.BANK_REFUSED]
    turn(rig)  # the bank has never heard of it, but a person must look first
    assert rig.find(payout).state is PayoutState.INSTRUCTED
    with rig.begin() as payouts:
        (question,) = payouts.questions()
        payouts.close_question(question.kind, question.subject, by="clerk Wu")
    turn(rig)
    assert rig.find(payout).state is PayoutState.PAID


def test_two_workers_do_not_hand_the_same_order_over_twice(rig):
    payout = rig.queue(10)
    instruct_payouts(rig.begin)
    with rig.begin() as payouts:
        assert payouts.hand_over(bank_id(rig, payout)) is not None
    with rig.begin() as payouts:
        assert payouts.hand_over(bank_id(rig, payout)) is None
        assert payouts.list_to_send() == []


class SilentAboutOne:
    """A bank that never answers about one payment and knows nothing of the others."""

    def __init__(self, silent):
        self.silent = silent
        self.asked = []

    def fetch_status(self, end_to_end_id):
        self.asked.append(end_to_end_id)
        if end_to_end_id == self.silent:
            raise BankUnavailableError("504")


def test_one_payment_the_bank_is_silent_about_does_not_hold_up_the_others(rig):
    payouts_queued = [rig.queue(amount) for amount in (10, 20, 30)]
    instruct_payouts(rig.begin)
    ids = [bank_id(rig, payout) for payout in payouts_queued]
    for one in ids:
        with rig.begin() as payouts:
            payouts.hand_over(one)
    bank = SilentAboutOne(ids[0])
    for _ in range(3):
        ask_bank(rig.begin, bank, rig.wall, NOW)
    assert set(bank.asked) == set(ids)
    states = [rig.find(payout).state for payout in payouts_queued]
    assert states == [PayoutState.UNKNOWN, PayoutState.INSTRUCTED, PayoutState.INSTRUCTED]


def test_nobody_at_the_door_is_silence_and_not_an_answer(rig):
    with HttpBank("http://127.0.0.1:9", timeout_s=1) as nobody:
        for ask in (
            lambda: nobody.send_order(b"x"),
            lambda: nobody.fetch_status("YD1"),
            lambda: nobody.fetch_notices("1", 0),
        ):
            with pytest.raises(BankUnavailableError):
                ask()
    with (
        HttpBank(rig.process.url + "/wrong", timeout_s=5) as wrong,
        pytest.raises(BankRefusedError),
    ):
        wrong.fetch_status("YD1")  # a wrong path is not "never heard of it"
    with pytest.raises(BankRefusedError):
        rig.bank.send_order(b"<a/>")


# -- both databases -------------------------------------------------------------------------------


def test_rows_and_use_cases_are_the_same_on_both_databases(empty_storage, process):
    empty_storage.create_all()
    rig = Rig(empty_storage, process)
    payout = rig.queue(4_321)
    instruct_payouts(rig.begin)
    send_payouts(rig.begin, rig.bank)
    assert rig.find(payout).state is PayoutState.ACCEPTED
    held = replace(rig.find(payout), attempts=9)
    with pytest.raises(PayoutStateError), rig.begin() as payouts:
        payouts._desk.save_payout(held, before=PayoutState.QUEUED)
    entry = replace(BOOKED, end_to_end_id=bank_id(rig, payout), amount_fen=4_321, reference="BOTH1")
    with rig.begin() as payouts:
        payouts.take_notice(notice(entry), 1)
        assert payouts.cursor() == 1
    confirm_and_mint(rig.begin, CUSTODIAN)
    with rig.storage.read() as session:
        outbox = SqlOutbox(session, signer=CUSTODIAN.first.address, clock=rig.wall)
        assert [one.function for one in outbox.list_about(payout)] == ["confirmPayout"]
    assert rig.find(payout).state is PayoutState.PAID
    rig.close()


def test_the_answers_of_the_bank_are_kept_sealed_for_the_auditor(rig):
    payout = rig.queue(10)
    for _ in range(3):
        turn(rig)
    with rig.begin() as payouts:
        told = payouts.told(payout)
    (answers,) = told.answers
    heard = [read_status(answer) for answer in answers]
    assert {one.end_to_end_id for one in heard} == {told.legs[0].end_to_end_id}
    assert all(one.outcome is Outcome.ACCEPTED for one in heard)
    assert len({one.code for one in heard}) == len(heard) >= 1, "one of each status"
