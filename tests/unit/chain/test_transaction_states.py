"""The published table of an outgoing transaction's states, every pair of it."""

from __future__ import annotations

import itertools

import pytest

from chain.abi import ContractCall
from chain.clock import ChainClock, SystemClock
from chain.errors import ChainUnavailableError, InvalidValueError, UnexpectedStateError
from chain.ids import Address
from chain.intents import require_move
from chain.outbox import SqlOutbox, hash_of
from chain.ports import TRANSACTION_MOVES, TransactionState
from chain.raw_transaction import sign_transaction
from chain.signers import LocalSigner
from chain.storage import Storage

ALLOWED = {
    ("queued", "sent"),
    ("queued", "reverted"),
    ("queued", "dropped"),
    ("sent", "mined"),
    ("sent", "reverted"),
    ("sent", "replaced"),
    ("sent", "dropped"),
    ("mined", "final"),
    ("mined", "sent"),
    ("final", "sent"),
    ("reverted", "sent"),
    ("dropped", "sent"),
    ("replaced", "queued"),
    ("replaced", "sent"),
}


@pytest.mark.parametrize(
    ("current", "wanted"), list(itertools.product(TransactionState, TransactionState))
)
def test_a_transaction_moves_along_the_table_and_nowhere_else(current, wanted):
    if (current.value, wanted.value) in ALLOWED:
        require_move("k", current, wanted)
    else:
        with pytest.raises(UnexpectedStateError) as caught:
            require_move("k", current, wanted)
        assert caught.value.facts["current"] == current.value


def test_the_table_names_every_state():
    assert set(TRANSACTION_MOVES) == set(TransactionState)


def test_the_signed_bytes_are_those_eth_account_makes():
    from eth_account import Account

    signer = LocalSigner("44" * 32)
    to = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
    for target in (to, None):
        raw, transaction_hash = sign_transaction(
            signer, chain_id=20_260_126, nonce=9, gas_price=7, gas=90_000, to=target, data=b"\x01"
        )
        body = {"nonce": 9, "gasPrice": 7, "gas": 90_000, "value": 0, "data": b"\x01"}
        if target:
            body["to"] = target
        theirs = Account.sign_transaction({**body, "chainId": 20_260_126}, "44" * 32)
        assert raw == bytes(theirs.raw_transaction)
        assert transaction_hash == theirs.hash.to_0x_hex()


def test_a_key_has_its_limits(tmp_path):
    storage = Storage(f"sqlite:///{tmp_path}/a.sqlite")
    storage.create_all()
    with storage.write() as session:
        outbox = SqlOutbox(session, signer=Address("0x00"), clock=SystemClock())
        for key in ("", "x" * 201, "batch:mine"):
            with pytest.raises(InvalidValueError):
                outbox.queue(ContractCall("A", "b", b""), key=key)
        assert outbox.find("none") is None
        assert outbox.list_about("none") == []
    storage.close()


def test_what_a_call_does_is_in_its_hash_and_its_gas_is_not():
    call = ContractCall("A", "b", b"\x01")
    assert hash_of(call) == hash_of(call.with_gas(5))
    assert hash_of(call) != hash_of(ContractCall("A", "b", b"\x02"))
    assert hash_of(call) != hash_of(call.at(Address("0x01")))


def test_a_clock_that_never_heard_of_the_chain_says_so():
    def away():
        raise ChainUnavailableError

    with pytest.raises(ChainUnavailableError):
        ChainClock(away).now()
    now = SystemClock().now()
    clock = ChainClock(away)
    clock.observe(now)
    assert clock.now() == now
    with pytest.raises(UnexpectedStateError):
        clock.advance_to(now)
