"""A payout that came back goes to another account of its payee, by his and the custodian's signatures."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from chain.clock import FixedClock
from chain.errors import InvalidValueError, NotFoundError, SignatureRefusedError
from chain.ids import Hash32, PartyId
from chain.outbox import SqlOutbox
from chain.party import Party, PartyStage
from chain.repository import SqlRecords
from chain.signers import LocalSigner
from chain.storage import Storage
from finance.account_book import AccountBook
from finance.iso20022 import BankAccount
from finance.payout_errors import AccountRefusedError, PayoutStateError
from finance.payout_repository import SqlPayoutDesk
from finance.payout_seal import RecordSeal
from finance.payouts import Payout, PayoutState
from finance.redirects import Redirects
from finance.repository import SqlBooks
from tests.integration.finance.bank_rig import BANK, CUSTODIAN, KEYRING, START, Keys

DRIVER, OTHER, HOUSE = PartyId(7), PartyId(8), PartyId(9)
KEY = LocalSigner("0x" + "33" * 32)
PAYOUT = Hash32("0x" + "05" * 32)
CLOCK = FixedClock(START)
LATER = int(START.timestamp()) + 3_600


def account(book, party, number):
    return book.register_account(
        party, BankAccount("张师傅", number, BANK), salt=Hash32("0x" + number * 4), consent="0xc1",
        consented_at=START,
    )  # fmt: skip


class Desk:
    """One database with a driver, his accounts, and a payout that the bank has rejected."""

    def __init__(self, storage):
        self.storage = storage
        with storage.write() as session:
            for party, key in ((DRIVER, KEY), (OTHER, CUSTODIAN.second), (HOUSE, CUSTODIAN.first)):
                SqlRecords(session).add_party(
                    Party(
                        id=party, name_zh="张师傅", name_en=f"P {party}", kind="driver",
                        stage=PartyStage.PENDING, key=key.address,
                        profile=Hash32("0x" + "00" * 32),
                    )
                )  # fmt: skip
            book = AccountBook(
                desk=SqlPayoutDesk(session), parties=SqlRecords(session), seal=RecordSeal(KEYRING),
                signatures=Keys(SqlRecords(session)), clock=CLOCK, links=SqlBooks(session),
                blind=lambda text: hashlib.sha256(text.encode()).hexdigest(),
            )  # fmt: skip
            self.closed = account(book, DRIVER, "6222000000000001")
            self.better = account(book, DRIVER, "6222000000000002")
            self.foreign = account(book, OTHER, "6222000000000003")
            SqlPayoutDesk(session).add_payout(
                Payout(
                    payout=PAYOUT, party=DRIVER, account=self.closed, amount_fen=777,
                    queued_at=START, queued_wall=START, state=PayoutState.REJECTED, leg=1,
                )
            )  # fmt: skip

    def do(self, work):
        with self.storage.write() as session:
            return work(
                Redirects(
                    desk=SqlPayoutDesk(session),
                    outbox=SqlOutbox(session, signer=CUSTODIAN.first.address, clock=CLOCK),
                    signatures=Keys(SqlRecords(session)),
                    clock=CLOCK,
                )
            )

    def form(self, wanted, party=DRIVER, expires=LATER):
        return self.do(lambda r: r.prepare(PAYOUT, party, wanted, expires))

    def ask(self, form, key=KEY, party=DRIVER):
        signed = key.sign_typed_data(form, CUSTODIAN.domain)
        return self.do(lambda r: r.ask(form, signed, party))

    def approve(self, form, key=CUSTODIAN.first, by="cashier Li"):
        signed = key.sign_typed_data(form, CUSTODIAN.domain)
        return self.do(lambda r: r.approve(PAYOUT, signed, custodian=HOUSE, by=by))

    def queued(self):
        with self.storage.read() as session:
            return SqlOutbox(session, signer=CUSTODIAN.first.address, clock=CLOCK).list_about(
                PAYOUT
            )

    def state(self, state):
        with self.storage.write() as session:
            desk = SqlPayoutDesk(session)
            held = desk.find_payout(PAYOUT)
            desk.save_payout(replace(held, state=state), before=held.state)


@pytest.fixture
def desk(tmp_path):
    storage = Storage(f"sqlite:///{tmp_path / 'redirects.db'}", keyring=KEYRING)
    storage.create_all()
    yield Desk(storage)
    storage.close()


def test_both_signatures_send_it_elsewhere_and_the_wish_is_told_until_then(desk):
    form = desk.form(desk.better)
    assert desk.do(lambda r: r.list_open()) == []
    desk.ask(form)
    (waiting,) = desk.do(lambda r: r.list_open())
    assert (waiting.form, waiting.party, waiting.asked_at) == (form, DRIVER, START)
    agreed = desk.approve(form)
    assert (agreed.approved_by, agreed.approved_at) == ("cashier Li", START)
    assert desk.do(lambda r: r.list_open()) == []
    (call,) = desk.queued()
    assert call.function == "redirectPayout"
    desk.approve(form)  # said twice, sent once
    assert len(desk.queued()) == 1


@pytest.mark.parametrize("state", [s for s in PayoutState if s is not PayoutState.REJECTED])
def test_only_a_returned_payout_goes_elsewhere(desk, state):
    form = desk.form(desk.better)
    desk.state(state)
    with pytest.raises(PayoutStateError, match="rejected"):
        desk.ask(form)
    assert desk.do(lambda r: r.list_open()) == []


def test_a_payout_whose_account_was_forgotten_before_it_left_goes_elsewhere_too(desk):
    desk.state(PayoutState.QUEUED)
    with desk.storage.write() as session:
        held = SqlPayoutDesk(session).find_account(desk.closed)
        SqlPayoutDesk(session).save_account(replace(held, forgotten_at=START))
    desk.ask(desk.form(desk.better))
    assert len(desk.do(lambda r: r.list_open())) == 1


def test_only_another_usable_account_of_the_payee_himself_is_taken(desk):
    for wanted in (desk.foreign, desk.closed, Hash32("0x" + "77" * 32)):
        with pytest.raises(AccountRefusedError):
            desk.form(wanted)
    with pytest.raises(NotFoundError):
        desk.form(desk.foreign, party=OTHER)  # another's payout is not there for him


def test_a_wrong_signature_or_a_late_one_changes_nothing(desk):
    form = desk.form(desk.better)
    with pytest.raises(SignatureRefusedError, match="payee"):
        desk.ask(form, key=CUSTODIAN.second)
    late = desk.form(desk.better, expires=int(START.timestamp()) - 1)
    with pytest.raises(SignatureRefusedError, match="expired"):
        desk.ask(late)
    with pytest.raises(NotFoundError):
        desk.approve(form)
    desk.ask(form)
    with pytest.raises(SignatureRefusedError, match="custodian"):
        desk.approve(form, key=CUSTODIAN.second)
    with pytest.raises(InvalidValueError):
        desk.approve(form, by=" ")
    assert desk.queued() == []
