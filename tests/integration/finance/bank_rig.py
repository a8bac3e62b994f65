"""A real bank process, a real database and the use cases of payouts between them."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

from chain.abi import Occurred
from chain.bindings.events import PayoutPaid, PayoutQueued
from chain.clock import FixedClock, SystemClock
from chain.ids import Address, Hash32, PartyId
from chain.outbox import SqlOutbox
from chain.party import Party, PartyStage
from chain.ports import Domain
from chain.repository import SqlRecords
from chain.sealing import Keyring
from chain.signers import LocalSigner
from chain.typed_data import recover
from deploy.bank.client import BankAdmin
from finance.account_book import AccountBook
from finance.bank import HttpBank
from finance.iso20022 import BankAccount
from finance.payout_errors import BankUnavailableError
from finance.payout_jobs import Custodian
from finance.payout_repository import SqlPayoutDesk
from finance.payout_seal import RecordSeal
from finance.payout_service import PayoutService
from finance.repository import SqlBooks

ROOT = Path(__file__).resolve().parents[3]
BANK = "102100099996"
HOUSE = BankAccount("存管银行", "6222999900000001", BANK)
OPENING = 10**12
START = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)
TOKEN = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
SECRET = bytes(range(32))
KEYRING = Keyring([SECRET])
CUSTODIAN = Custodian(
    LocalSigner("0x" + "11" * 32), LocalSigner("0x" + "22" * 32), Domain(31337, TOKEN)
)


class BankProcess:
    """``yundan bank`` as the operating system sees it; it may be killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin = BankAdmin(self.url)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "deploy.cli", "bank", "--port", str(self.port),
                "--store", str(self.folder / "bank.db"), "--starts-at", START.isoformat(), "--no-house",
            ],
            cwd=ROOT,
        )  # fmt: skip
        self.admin.wait_until_up(60)

    def kill(self):
        """SIGKILL: nothing is tidied up."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.admin.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


class Keys:
    """Whose key signed, without a chain: the party's own row says which key is his."""

    def __init__(self, records):
        self.records = records

    def is_signed(self, party, contract, form, signature):
        assert contract == "SettlementToken"
        held = self.records.find_party(party)
        return held is not None and recover(form, CUSTODIAN.domain, signature) == held.key


NUMBERS = itertools.count(1)
"""Of payees and payouts: no two tests that share a bank share an account."""


class Rig:
    """Payees with accounts, and ``begin()`` as a worker has it."""

    def __init__(self, storage, bank, *, clock=None):
        self.storage = storage
        self.process = bank
        self.clock = clock or FixedClock(START)
        self.wall = SystemClock()
        self.seal = RecordSeal(KEYRING)
        self.bank = HttpBank(bank.url, timeout_s=5)
        self.numbers = NUMBERS
        self.blocks = itertools.count(1)
        self.amounts = {}
        self.accounts = {}
        bank.admin.open_account(HOUSE, OPENING)

    def close(self):
        self.bank.close()

    def service(self, session):
        return PayoutService(
            desk=SqlPayoutDesk(session),
            outbox=SqlOutbox(session, signer=CUSTODIAN.first.address, clock=self.wall),
            seal=self.seal,
            clock=self.clock,
            wall=self.wall,
            house=HOUSE,
        )

    def book(self, session):
        return AccountBook(
            desk=SqlPayoutDesk(session),
            parties=SqlRecords(session),
            seal=self.seal,
            signatures=Keys(SqlRecords(session)),
            clock=self.clock,
            links=SqlBooks(session),
            blind=lambda text: hashlib.sha256(SECRET + text.encode()).hexdigest(),
        )

    @contextlib.contextmanager
    def begin_book(self):
        with self.storage.write() as session:
            yield self.book(session)

    @contextlib.contextmanager
    def begin(self):
        with self.storage.write() as session:
            yield self.service(session)

    def at_desk(self, work):
        with self.storage.read() as session:
            return work(SqlPayoutDesk(session))

    def party(self, number, *, name="张师傅", key=None):
        """A driver without an account."""
        party = PartyId(2**63 + number)
        with self.storage.write() as session:
            SqlRecords(session).add_party(
                Party(
                    id=party,
                    name_zh=name,
                    name_en=f"Driver {number}",
                    kind="driver",
                    stage=PartyStage.PENDING,
                    key=key,
                    profile=Hash32("0x" + "00" * 32),
                )
            )
        return party

    def payee(self, number, *, name="张师傅", holder=None, open_at_bank=True):
        """A driver with an account in the book; gives (party, account, hash)."""
        party = self.party(number, name=name)
        account = BankAccount(holder or name, f"62220000{number:08d}", BANK)
        if open_at_bank:
            self.process.admin.open_account(account)
        with self.storage.write() as session:
            hashed = self.book(session).register_account(
                party,
                account,
                salt=Hash32("0x" + os.urandom(32).hex()),
                consent="0x" + "c0" * 32,
                consented_at=START,
            )
        return party, account, hashed

    def queue(self, amount, payee=None):
        """The chain queues an amount; gives the payout's id."""
        number = next(self.numbers)
        party, account, hashed = payee or self.payee(number)
        payout = Hash32("0x" + random.Random(number).randbytes(32).hex())
        event = PayoutQueued(payout, party, hashed, amount)
        with self.begin() as payouts:
            payouts.on_payout_queued(self.seen(event))
        self.amounts[payout] = amount
        self.accounts[payout] = account
        return payout

    def seen(self, event):
        block = next(self.blocks)
        return Occurred(
            event=event,
            contract="SettlementToken",
            address=TOKEN,
            at=self.clock.now(),
            block_number=block,
            block_hash=Hash32(f"0x{block:064x}"),
            transaction_hash=Hash32(f"0x{block:064x}"),
            log_index=0,
        )

    def confirm(self, payout):
        """What the chain says once it has the custodian's word."""
        held = self.find(payout)
        with self.begin() as payouts:
            payouts.on_payout_paid(
                self.seen(PayoutPaid(payout, Hash32(held.sequence), held.value_day or 0))
            )

    def find(self, payout):
        return self.at_desk(lambda desk: desk.find_payout(payout))


class Crash(BaseException):
    """The worker dies here: what was not committed is gone, and nobody tidies up."""


class Weather:
    """Dies, forgets and repeats at random, and counts each time that it did."""

    def __init__(self, seed, chance):
        self.dice = random.Random(seed)
        self.chance = chance
        self.faults = {}
        self.calm = False

    def strikes(self, kind):
        if self.calm or self.dice.random() >= self.chance:
            return False
        self.faults[kind] = self.faults.get(kind, 0) + 1
        return True

    @property
    def count(self):
        return sum(self.faults.values())


class StormyBank:
    """The real bank behind a wire that a worker dies on, that loses answers and repeats messages."""

    def __init__(self, bank, weather):
        self.bank = bank
        self.weather = weather

    def _crash(self, kind):
        if self.weather.strikes(kind):
            raise Crash(kind)

    def _lose(self, kind):
        if self.weather.strikes(kind):
            raise BankUnavailableError(kind)

    def send_order(self, order):
        self._crash("crash after storing, before sending")
        self._lose("order lost on the wire")
        answer = self.bank.send_order(order)
        if self.weather.strikes("order sent twice"):
            answer = self.bank.send_order(order)
        self._crash("crash after sending, before the answer is stored")
        self._lose("answer lost on the wire")
        return answer

    def fetch_status(self, end_to_end_id):
        self._lose("question lost on the wire")
        answer = self.bank.fetch_status(end_to_end_id)
        self._crash("crash after asking")
        return answer

    def fetch_notices(self, account, after):
        self._lose("notices lost on the wire")
        if self.weather.strikes("old notices again"):
            after = max(0, after - self.weather.dice.randint(1, 5))
        page = self.bank.fetch_notices(account, after)
        self._crash("crash after fetching notices")
        return page


class StormyRig:
    """``begin()`` of a worker that dies just before or just after a commit."""

    def __init__(self, rig, weather):
        self.rig = rig
        self.weather = weather

    @contextlib.contextmanager
    def begin(self):
        with self.rig.begin() as payouts:
            yield payouts
            if self.weather.strikes("crash before commit"):
                raise Crash("before commit")
        if self.weather.strikes("crash after commit"):
            raise Crash("after commit")
