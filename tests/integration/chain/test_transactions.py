"""The writer against a real node and a real database."""

from __future__ import annotations

import dataclasses
import time

import pytest

from chain.abi import ContractCall
from chain.errors import (
    ChainUnavailableError,
    KeyReusedError,
    UnexpectedStateError,
    WrongChainError,
)
from chain.outbox import CREATION
from chain.ports import TransactionState
from chain.transactions import TransactionWriter
from deploy.node import LocalChain
from tests.integration.chain.till import (
    Desk,
    artifact,
    pay,
    pay_after,
    pay_not_before,
    set_open,
    times,
    total,
)


def test_a_queued_call_lands_once_and_becomes_final(desk):
    desk.queue(pay(1), "pay:1", about="trip-1")
    desk.run()
    found = desk.find("pay:1")
    assert found.state is TransactionState.FINAL
    assert found.block_time is not None
    assert found.gas_used > 21_000
    assert desk.client.fetch(times(1)) == 1


def test_the_same_key_twice_is_one_call_and_another_body_is_refused(desk):
    desk.queue(pay(1), "pay:1")
    desk.queue(pay(1), "pay:1")
    with pytest.raises(KeyReusedError):
        desk.queue(pay(1, 6), "pay:1")
    desk.run()
    assert desk.client.fetch(times(1)) == 1


def test_a_refusal_at_simulation_names_the_error_and_costs_no_nonce(desk):
    desk.queue(set_open(False), "shut")
    desk.queue(pay(1), "pay:1")
    desk.run()
    found = desk.find("pay:1")
    assert found.state is TransactionState.REVERTED
    assert desk.row("pay:1").nonce is None
    assert found.transaction_hash is None
    assert "0x" in found.message
    desk.queue(set_open(True), "open")
    desk.queue(pay(2), "pay:2")
    desk.run()
    assert desk.find("pay:2").state is TransactionState.FINAL
    assert desk.row("pay:2").nonce == desk.row("shut").nonce + 2


def test_calls_that_depend_on_queued_ones_land_in_order(desk):
    desk.queue(pay(1), "pay:1")
    for number in range(2, 40):
        desk.queue(pay_after(number, number - 1), f"pay:{number}")
    desk.run()
    assert [desk.find(f"pay:{n}").state for n in range(1, 40)] == [TransactionState.FINAL] * 39
    nonces = [desk.row(f"pay:{n}").nonce for n in range(1, 40)]
    assert nonces == sorted(nonces)


def test_a_node_that_cannot_simulate_is_served_by_estimates(desk):
    desk.writer.planner.can_simulate = False
    desk.queue(pay(1), "pay:1")
    desk.queue(pay_after(2, 1), "pay:2")
    desk.queue(pay_after(4, 3), "pay:4")
    desk.run(rounds=30)
    assert desk.find("pay:2").state is TransactionState.FINAL
    assert desk.find("pay:4").state is TransactionState.REVERTED


def test_a_call_with_its_own_gas_limit_that_fails_in_its_block_is_reverted_with_its_reason(desk):
    desk.queue(set_open(False), "shut")
    desk.run()
    desk.queue(pay(1, gas=200_000), "pay:1")
    desk.run()
    found = desk.find("pay:1")
    assert found.state is TransactionState.REVERTED
    assert found.block_hash is not None
    assert desk.row("pay:1").nonce is not None
    assert found.error == "Unknown"  # the till's error is not in the bindings
    assert found.error_facts["data"].startswith("0xe438df14")


def test_a_crash_between_storing_and_sending_sends_the_same_bytes(desk, monkeypatch):
    monkeypatch.setattr(desk.writer, "_broadcast", lambda *_: False)
    desk.queue(pay(1), "pay:1")
    desk.writer.send_once()
    stored = desk.row("pay:1")
    assert stored.state == "sent"
    assert desk.client.fetch(times(1)) == 0
    desk.writer.close()
    desk.writer = desk.make_writer()  # the new process
    desk.run()
    assert desk.row("pay:1").raw == stored.raw
    assert desk.find("pay:1").state is TransactionState.FINAL
    assert desk.client.fetch(times(1)) == 1


def test_a_crash_between_sending_and_noting_does_not_pay_twice(desk, monkeypatch):
    monkeypatch.setattr(desk.writer, "_await_blocks", lambda done: None)
    desk.queue(pay(1), "pay:1")
    desk.writer.send_once()  # sent and mined, but the row says sent
    assert desk.row("pay:1").state == "sent"
    desk.writer.close()
    desk.writer = desk.make_writer()
    desk.run()
    assert desk.find("pay:1").state is TransactionState.FINAL
    assert desk.client.fetch(times(1)) == 1


def test_a_final_row_whose_block_is_reorganised_away_is_sent_again(desk):
    for number in range(1, 6):
        desk.queue(pay(number), f"pay:{number}")
        desk.run()
    raws = [desk.row(f"pay:{n}").raw for n in range(1, 6)]
    desk.client.request("anvil_reorg", [3, []])
    assert desk.client.fetch(total()) < 25
    desk.writer.send_once()
    desk.run()
    assert [desk.find(f"pay:{n}").state for n in range(1, 6)] == [TransactionState.FINAL] * 5
    assert [desk.row(f"pay:{n}").raw for n in range(1, 6)] == raws
    assert desk.client.fetch(total()) == 25
    assert [desk.client.fetch(times(n)) for n in range(1, 6)] == [1] * 5


def test_confirmations_hold_a_row_at_mined_until_it_is_deep_enough(chain, tmp_path):
    desk = Desk(chain, f"sqlite:///{tmp_path}/deep.sqlite")
    desk.deploy()
    desk.writer.close()
    desk.settings = type(desk.settings)(confirmations=2)
    desk.writer = desk.make_writer()
    desk.queue(pay(1), "pay:1")
    desk.run(rounds=3)
    assert desk.find("pay:1").state is TransactionState.MINED
    desk.client.request("evm_mine", [])
    desk.run(rounds=3)
    assert desk.find("pay:1").state is TransactionState.MINED
    desk.client.request("evm_mine", [])
    desk.run(rounds=3)
    assert desk.find("pay:1").state is TransactionState.FINAL
    desk.storage.close()


def test_a_nonce_used_by_a_foreign_transaction_gives_the_call_a_new_one(desk, monkeypatch):
    from chain.raw_transaction import sign_transaction

    monkeypatch.setattr(desk.writer, "_broadcast", lambda *_: False)
    desk.queue(pay(1), "pay:1")
    desk.writer.send_once()
    taken = desk.row("pay:1").nonce
    raw, _ = sign_transaction(
        desk.signer,
        chain_id=desk.client.chain_id,
        nonce=taken,
        gas_price=0,
        gas=50_000,
        to=desk.signer.address,
        data=b"",
    )
    desk.client.request("eth_sendRawTransaction", ["0x" + raw.hex()])
    monkeypatch.undo()
    desk.run(rounds=12)
    assert desk.find("pay:1").state is TransactionState.FINAL
    assert desk.row("pay:1").nonce > taken
    assert desk.client.fetch(times(1)) == 1


def test_another_worker_waits_while_one_holds_the_key(desk):
    other = desk.make_writer()
    assert not other.send_once().is_writer
    desk.writer.close()
    assert other.send_once().is_writer
    assert not desk.writer.send_once().is_writer


def test_a_writer_that_lost_its_lease_cannot_give_out_a_nonce(desk):
    from chain.lease import LeaseLostError
    from chain.tables import WriterLeaseRow

    desk.queue(pay(1), "pay:1")
    with desk.storage.write() as session:
        row = session.get(WriterLeaseRow, desk.signer.address)
        row.holder, row.token = "somewhere/else", row.token + 1
    with pytest.raises(LeaseLostError):
        desk.writer.send_once()
    assert desk.row("pay:1").nonce is None


class SlowSigner:
    """A key behind a service, during whose answer others use the database."""

    def __init__(self, desk):
        self.desk, self.asked = desk, 0

    @property
    def address(self):
        return self.desk.signer.address

    def sign_digest(self, digest):
        self.asked += 1
        self.desk.queue(pay(100 + self.asked), f"meanwhile:{self.asked}")  # needs the write lock
        return self.desk.signer.sign_digest(digest)


def with_signer(desk, signer):
    desk.writer.close()
    return TransactionWriter(
        client=desk.client, storage=desk.storage, signer=signer, clock=desk.clock
    )


def test_a_signing_service_is_asked_outside_every_database_transaction(desk):
    signer = SlowSigner(desk)
    writer = with_signer(desk, signer)
    desk.queue(pay(1), "pay:1")
    writer.send_once()
    assert signer.asked == 1
    assert desk.find("pay:1").state is TransactionState.FINAL
    assert desk.find("meanwhile:1").state is TransactionState.QUEUED
    writer.close()


def test_a_call_taken_back_while_it_is_signed_leaves_no_gap(desk, monkeypatch):
    signer = SlowSigner(desk)
    writer = with_signer(desk, signer)
    monkeypatch.setattr(
        desk, "queue", lambda *_: writer.drop("pay:1") if signer.asked == 1 else None
    )
    real = Desk.queue
    for number in (1, 2, 3):
        real(desk, pay(number), f"pay:{number}")
    for _ in range(4):
        writer.send_once()
    assert desk.find("pay:1").state is TransactionState.DROPPED
    assert [desk.find(f"pay:{n}").state for n in (2, 3)] == [TransactionState.FINAL] * 2
    assert [desk.client.fetch(times(n)) for n in (1, 2, 3)] == [0, 1, 1]
    nonces = [desk.row(f"pay:{n}").nonce for n in (2, 3)]
    assert nonces == [nonces[0], nonces[0] + 1]
    writer.close()


def test_a_signing_service_that_is_away_costs_no_nonce(desk):
    class Away(SlowSigner):
        def sign_digest(self, digest):
            raise ChainUnavailableError("the signing service does not answer")

    writer = with_signer(desk, Away(desk))
    desk.queue(pay(1), "pay:1")
    with pytest.raises(ChainUnavailableError):
        writer.send_once()
    assert desk.row("pay:1").nonce is None
    writer.close()
    desk.writer = desk.make_writer()
    desk.run()
    assert desk.find("pay:1").state is TransactionState.FINAL


def test_a_queued_call_can_be_taken_back_and_a_signed_one_cannot(desk):
    desk.queue(pay(1), "pay:1")
    desk.writer.drop("pay:1")
    desk.queue(pay(2), "pay:2")
    desk.run()
    assert desk.find("pay:1").state is TransactionState.DROPPED
    assert desk.client.fetch(times(1)) == 0
    with pytest.raises(UnexpectedStateError):
        desk.writer.drop("pay:2")


def test_another_chain_behind_the_same_address_stops_the_writer(desk, tmp_path):
    desk.queue(pay(1), "pay:1")
    desk.run()
    with LocalChain(tmp_path / "other", keep_state=False) as other:
        desk.client = other.client()
        desk.writer.close()
        desk.writer = desk.make_writer()
        with pytest.raises(WrongChainError):
            desk.writer.send_once()
    assert desk.find("pay:1").state is TransactionState.FINAL


def held_back(chain, tmp_path, **settings):
    """A desk with a funded key on a node that mines only when told."""
    desk = Desk(chain, f"sqlite:///{tmp_path}/held.sqlite")
    desk.client.request("anvil_setBalance", [desk.signer.address, hex(10**20)])
    desk.deploy()
    desk.writer.close()
    desk.settings = type(desk.settings)(gas_price=1_000_000_000, **settings)
    desk.writer = desk.make_writer()
    desk.client.request("evm_setAutomine", [False])
    return desk


def attempts_of(desk, key):
    from sqlmodel import col, select

    from chain.tables import TransactionAttemptRow

    with desk.storage.read() as session:
        return session.exec(
            select(TransactionAttemptRow)
            .where(col(TransactionAttemptRow.outgoing_id) == desk.row(key).id)
            .order_by(col(TransactionAttemptRow.signed_at))
        ).all()


def test_a_transaction_no_block_takes_pays_more_under_the_same_nonce(chain, tmp_path):
    desk = held_back(chain, tmp_path, bump_after_s=0.2, resend_s=0.05)
    desk.queue(pay(1), "pay:1")
    desk.queue(pay(2), "pay:2")
    desk.writer.send_once()
    nonce = desk.row("pay:1").nonce
    time.sleep(0.3)
    desk.writer.send_once()
    tried = attempts_of(desk, "pay:1")
    assert [one.nonce for one in tried] == [nonce] * 2
    assert tried[1].gas_price * 100 >= tried[0].gas_price * 110
    assert len(attempts_of(desk, "pay:2")) == 1  # only the next one is in the way
    desk.client.request("evm_mine", [])
    desk.run()
    assert desk.find("pay:1").transaction_hash == tried[1].hash
    assert desk.find("pay:1").state is TransactionState.FINAL
    assert [desk.client.fetch(times(n)) for n in (1, 2)] == [1, 1]
    desk.storage.close()


def test_whichever_attempt_lands_counts(chain, tmp_path, monkeypatch):
    desk = held_back(chain, tmp_path, bump_after_s=0.2)
    desk.queue(pay(1), "pay:1")
    desk.writer.send_once()
    first = attempts_of(desk, "pay:1")[0]
    time.sleep(0.3)
    monkeypatch.setattr(desk.writer, "_broadcast", lambda *_: False)
    desk.writer.send_once()  # a second attempt is signed and stored, and never sent
    assert len(attempts_of(desk, "pay:1")) == 2
    desk.client.request("evm_mine", [])
    monkeypatch.undo()
    desk.run()
    assert desk.find("pay:1").transaction_hash == first.hash
    assert desk.find("pay:1").state is TransactionState.FINAL
    assert desk.client.fetch(times(1)) == 1
    desk.storage.close()


def test_a_call_given_up_is_dropped_or_mined_and_never_both(chain, tmp_path):
    desk = held_back(chain, tmp_path, resend_s=0.05)
    desk.queue(pay(1), "pay:1")
    desk.queue(pay(2), "pay:2")
    desk.writer.send_once()
    desk.writer.give_up("pay:1")
    desk.writer.send_once()
    desk.client.request("evm_mine", [])
    desk.run()
    assert desk.find("pay:1").state is TransactionState.DROPPED
    assert desk.find("pay:2").state is TransactionState.FINAL
    assert [desk.client.fetch(times(n)) for n in (1, 2)] == [0, 1]
    with pytest.raises(UnexpectedStateError):
        desk.writer.give_up("pay:2")
    desk.storage.close()


def test_a_gap_before_our_nonces_is_filled(desk, monkeypatch):
    real = desk.writer._settler.look

    def lying(held):
        view = real(held)
        return dataclasses.replace(view, nonce=view.nonce + 2)

    monkeypatch.setattr(desk.writer._settler, "look", lying)
    monkeypatch.setattr(desk.writer, "_await_blocks", lambda done: None)
    desk.queue(pay(1), "pay:1")
    desk.writer.send_once()
    monkeypatch.undo()
    assert desk.row("pay:1").nonce == 3
    desk.run(rounds=20)
    assert desk.find("pay:1").state is TransactionState.FINAL
    assert desk.client.fetch(times(1)) == 1
    desk.queue(pay(2), "pay:2")
    desk.run()
    assert desk.find("pay:2").state is TransactionState.FINAL


def test_bytes_no_node_will_ever_take_are_given_up_and_block_nothing(desk):
    desk.settings = type(desk.settings)(resend_s=0.0)
    desk.writer.close()
    desk.writer = desk.make_writer()
    desk.queue(pay(1, gas=2**40), "pay:1")
    desk.queue(pay(2), "pay:2")
    desk.run(rounds=25)
    assert desk.find("pay:1").state is TransactionState.DROPPED
    assert desk.find("pay:2").state is TransactionState.FINAL
    assert [desk.client.fetch(times(n)) for n in (1, 2)] == [0, 1]


def test_a_call_is_simulated_at_the_next_blocks_time_not_at_the_last_ones(desk):
    head = int(desk.client.fetch_head().at.timestamp())
    time.sleep(2.2)  # the chain stands still meanwhile
    desk.queue(pay_not_before(1, head + 2), "now")
    desk.queue(pay_not_before(2, head + 3_600), "too early")
    desk.run()
    assert desk.find("now").state is TransactionState.FINAL
    assert desk.find("too early").state is TransactionState.REVERTED


def test_creations_and_calls_may_be_queued_together(desk):
    desk.queue(pay(1), "pay:1")
    desk.queue(ContractCall("Till", CREATION, artifact().bytecode, gas=3_000_000), "again")
    desk.queue(pay_after(2, 1), "pay:2")
    desk.run()
    assert [desk.find(key).state.value for key in ("pay:1", "again", "pay:2")] == ["final"] * 3
    assert desk.writer.planner.can_simulate


def test_a_node_without_block_receipts_is_asked_one_by_one(desk, monkeypatch):
    real = desk.client.provider.ask_many
    asked = []

    def older(questions):
        answers = real(questions)
        for (method, _), answer in zip(questions, answers, strict=True):
            asked.append(method)
            if method == "eth_getBlockReceipts":
                answer.pop("result", None)
                answer["error"] = {"code": -32601, "message": "method not found"}
        return answers

    monkeypatch.setattr(desk.client.provider, "ask_many", older)
    for number in (1, 2, 3):
        desk.queue(pay(number), f"pay:{number}")
    desk.run()
    assert desk.find("pay:3").state is TransactionState.FINAL
    assert asked.count("eth_getBlockReceipts") <= 3  # one batch, then never again
