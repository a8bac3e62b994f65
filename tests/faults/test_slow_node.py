"""A node that answers late: the queue waits in a bounded number, nothing is signed or sent twice."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from sqlmodel import col, func, select

from chain.client import ChainClient
from chain.jobs import ChainLoop
from chain.tables import OutgoingTransactionRow, TransactionAttemptRow
from chain.transactions import WriterSettings
from deploy.node import LocalChain
from tests.faults.proxy import QUIET, ChaosProxy
from tests.integration.chain.till import FIRST_BLOCK, Desk, pay, times

PAYMENTS = 24
IN_FLIGHT = 4


@pytest.fixture
def slow(tmp_path):
    with LocalChain(tmp_path / "node", first_block_at=FIRST_BLOCK, keep_state=False) as node:
        desk = Desk(node, f"sqlite:///{tmp_path}/slow.sqlite")
        desk.deploy()
        desk.writer.close()
        proxy = ChaosProxy(node.url, QUIET, 1)
        deployment = desk.client.deployment
        desk.client = ChainClient(
            proxy.url, chain_id=desk.client.chain_id, deployment=deployment, timeout_s=0.6
        )
        desk.settings = WriterSettings(in_flight=IN_FLIGHT, resend_s=0.3)
        yield desk, proxy
        proxy.close()
        desk.storage.close()


def states(desk):
    with desk.storage.read() as session:
        state = col(OutgoingTransactionRow.state)
        query = select(state, func.count()).where(col(OutgoingTransactionRow.key).like("pay:%"))
        return dict(session.exec(query.group_by(state)).all())


def wait_for(until, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_slow_node_holds_the_queue_back_and_a_silent_one_stops_it_with_nothing_sent_twice(slow):
    desk, proxy = slow
    for number in range(1, PAYMENTS + 1):
        desk.queue(pay(number), f"pay:{number}")
    loop = ChainLoop(writers=[desk.make_writer()], every_s=0.02)
    proxy.pause_s = 0.2
    loop.start()
    seen = [states(desk)]

    def some_are_final():
        seen.append(states(desk))
        return seen[-1].get("final", 0) >= IN_FLIGHT

    wait_for(some_are_final)
    assert max(one.get("sent", 0) for one in seen) <= IN_FLIGHT

    proxy.pause_s = 1.5  # later than anyone waits: what is sent arrives, no answer does
    wait_for(lambda: loop.progress is None)
    held = states(desk)
    time.sleep(1.0)
    assert loop.is_running()
    assert loop.failure is None
    assert states(desk) == held
    assert set(held) <= {"queued", "sent", "mined", "final"}
    assert held["queued"] >= PAYMENTS - 4 * IN_FLIGHT

    proxy.pause_s = 0.0
    wait_for(lambda: states(desk) == {"final": PAYMENTS})
    loop.stop()
    counts = [
        desk.chain.client().fetch(times(n).at(desk.client.address_of("Till")))
        for n in range(1, PAYMENTS + 1)
    ]
    assert counts == [1] * PAYMENTS
    with desk.storage.read() as session:
        signed = session.exec(select(func.count()).select_from(TransactionAttemptRow)).one()
        rows = session.exec(select(func.count()).select_from(OutgoingTransactionRow)).one()
    assert signed == rows  # one signature a call: lateness bumped and voided nothing


def test_a_node_that_refuses_everything_for_a_while_is_outlasted(slow):
    desk, proxy = slow
    desk.queue(pay(1), "pay:1")
    loop = ChainLoop(writers=[desk.make_writer()], every_s=0.01, patience=3)
    for fault in ("item_error", "refuse", "hang_up"):
        proxy.chaos = replace(QUIET, **{fault: 1.0})
        before = proxy.done.get(fault, 0)
        if not loop.is_running():
            loop.start()
        wait_for(lambda: proxy.done.get(fault, 0) > before + 12)  # noqa: B023  called at once
        assert loop.is_running()
        assert loop.failure is None
        assert states(desk) == {"queued": 1}
    proxy.chaos = QUIET
    wait_for(lambda: states(desk) == {"final": 1})
    loop.stop()
