"""The till contract of the tests: calls, its event and its error, written by hand."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from eth_abi.abi import decode, encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from sqlmodel import col, select

from chain.abi import ContractCall, Event, Read, hash32
from chain.clock import SystemClock
from chain.compiler import compile_contracts
from chain.deployments import Deployed, Deployment
from chain.ids import Address, Hash32
from chain.outbox import CREATION, SqlOutbox
from chain.signers import LocalSigner
from chain.storage import Storage
from chain.tables import OutgoingTransactionRow
from chain.transactions import TransactionWriter, WriterSettings

ROOT = Path(__file__).resolve().parents[3]
FIRST_BLOCK = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Paid(Event):
    SIGNATURE: ClassVar[str] = "Paid(bytes32,uint256,uint256)"
    TOPIC: ClassVar[bytes] = keccak(text="Paid(bytes32,uint256,uint256)")
    id: Hash32
    amount: int
    times: int

    @classmethod
    def decode(cls, topics, data):
        amount, times = decode(["uint256", "uint256"], data)
        return cls(hash32(topics[1]), amount, times)


EVENTS = {Paid.TOPIC: Paid}


def _data(signature: str, *values: Any) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak(text=signature)[:4] + encode([t for t in types if t], list(values))


def name(number: int) -> bytes:
    return number.to_bytes(32, "big")


def pay(number: int, amount: int = 5, **more: Any) -> ContractCall:
    return ContractCall("Till", "pay", _data("pay(bytes32,uint256)", name(number), amount), **more)


def pay_after(number: int, before: int, amount: int = 5) -> ContractCall:
    data = _data("payAfter(bytes32,bytes32,uint256)", name(number), name(before), amount)
    return ContractCall("Till", "payAfter", data)


def pay_not_before(number: int, at: int) -> ContractCall:
    data = _data("payNotBefore(bytes32,uint256)", name(number), at)
    return ContractCall("Till", "payNotBefore", data)


def set_open(value, **more: Any) -> ContractCall:
    return ContractCall("Till", "setOpen", _data("setOpen(bool)", value), **more)


def times(number: int) -> Read[int]:
    data = _data("times(bytes32)", name(number))
    return Read("Till", "times", data, lambda raw: decode(["uint256"], raw)[0])


def total() -> Read[int]:
    return Read("Till", "total", _data("total()"), lambda raw: decode(["uint256"], raw)[0])


def artifact():
    return compile_contracts(ROOT, "tests/integration/chain/fixtures").artifacts["Till"]


class Desk:
    """A database, a client, a key and a writer, as a process of the product has them."""

    def __init__(
        self, chain, url: str, key: bytes = b"\x17" * 32, local=None, **settings: Any
    ) -> None:
        self.chain = chain
        self.client = chain.client()
        self.storage = Storage(url)
        self.storage.create_all()
        self.signer = LocalSigner(key)
        self.clock = SystemClock()
        self.settings = WriterSettings(**settings)
        self.local = local
        self.writer = self.make_writer()

    def make_writer(self) -> TransactionWriter:
        return TransactionWriter(
            client=self.client,
            storage=self.storage,
            signer=self.signer,
            clock=self.clock,
            settings=self.settings,
            local=self.local,
        )

    def queue(self, call: ContractCall, key: str, about: str = "") -> None:
        with self.storage.write() as session:
            SqlOutbox(session, signer=self.signer.address, clock=self.clock).queue(
                call, key=key, about=about
            )

    def find(self, key: str):
        with self.storage.read() as session:
            return SqlOutbox(session, signer=self.signer.address, clock=self.clock).find(key)

    def row(self, key: str) -> OutgoingTransactionRow:
        with self.storage.read() as session:
            return session.exec(
                select(OutgoingTransactionRow).where(col(OutgoingTransactionRow.key) == key)
            ).one()

    def run(self, rounds: int = 20) -> None:
        """Rounds until nothing moves and nothing waits."""
        for _ in range(rounds):
            done = self.writer.send_once()
            assert done.is_writer
            if not done.moved and not done.waiting:
                return

    def deploy(self) -> Address:
        made = artifact()
        self.queue(ContractCall("Till", CREATION, made.bytecode, gas=3_000_000), "deploy:Till")
        self.run()
        row = self.row("deploy:Till")
        assert row.state == "final", (row.state, row.message)
        receipt = self.client.request("eth_getTransactionReceipt", [row.transaction_hash])
        where = Address(to_checksum_address(receipt["contractAddress"]))
        self.client.use(
            Deployment(
                self.client.chain_id,
                self.client.fetch_genesis_hash(),
                {
                    "Till": Deployed(
                        where,
                        row.block_number,
                        row.transaction_hash,
                        made.version,
                        hash32(keccak(self.client.fetch_code(where))),
                    )
                },
            )
        )
        return where
