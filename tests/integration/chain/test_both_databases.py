"""What must hold on SQLite and on PostgreSQL, with threads that race."""

from __future__ import annotations

import datetime as dt
import threading
import time

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlmodel import col, func, select

from chain.abi import ContractCall
from chain.clock import FixedClock, SystemClock
from chain.errors import KeyReusedError
from chain.ids import Address
from chain.indexer import Indexer
from chain.jobs import ChainLoop
from chain.lease import LeaseLostError, WriterLease
from chain.outbox import SqlOutbox
from chain.ports import TransactionState
from chain.storage import insert_later
from chain.tables import CursorRow, OutgoingTransactionRow
from tests.integration.chain.test_indexer import make, run, seen
from tests.integration.chain.till import EVENTS, Desk, Paid, pay, times, total

SOMEBODY = Address("0x7E9FB40f66C4e132Fa5E64E49f307E02B76540f8")


@pytest.fixture
def storage(empty_storage):
    empty_storage.create_all()
    return empty_storage


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request, chain, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/yundan.sqlite"
    else:
        url = request.getfixturevalue("postgres_url")
    made = Desk(chain, url)
    made.deploy()
    yield made
    made.storage.close()


def cursor(name, number):
    at = dt.datetime(2026, 1, 26, tzinfo=dt.UTC)
    return {"name": name, "block_number": number, "block_hash": "0x", "block_time": at}


def test_what_is_kept_for_later_is_seen_by_every_question_and_goes_in_few_statements(storage):
    told = []
    event.listen(storage.engine, "before_cursor_execute", lambda *told_: told.append(told_[2]))
    with storage.write() as session:
        for number in range(5):
            insert_later(session, CursorRow, cursor(f"c{number}", number), "name")
        insert_later(session, CursorRow, cursor("c0", 9), "name")
        assert session.get(CursorRow, "c4").block_number == 4
        insert_later(session, CursorRow, cursor("c5", 5), "name")
        table = CursorRow.__table__
        assert len(session.execute(sa.select(table.c.name)).all()) == 6
        insert_later(session, CursorRow, cursor("c6", 6), "name")
    with storage.read() as session:
        found = {row.name: row.block_number for row in session.exec(select(CursorRow))}
    assert found == {f"c{number}": number for number in range(7)}
    assert sum(text.startswith("INSERT") for text in told) == 3


def test_what_is_kept_for_later_is_not_written_where_the_transaction_fails(storage):
    def fail():
        with storage.write() as session:
            insert_later(session, CursorRow, cursor("c", 1), "name")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with storage.read() as session:
        assert session.get(CursorRow, "c") is None


def test_use_cases_that_race_for_one_key_leave_one_call(storage):
    refused = []
    barrier = threading.Barrier(8)

    def use_case(number):
        barrier.wait()
        with storage.write() as session:
            outbox = SqlOutbox(session, signer=SOMEBODY, clock=SystemClock())
            body = b"\x01" if number % 2 else b"\x02"
            try:
                outbox.queue(ContractCall("Till", "pay", body), key="pay:1")
            except KeyReusedError:
                refused.append(number)

    threads = [threading.Thread(target=use_case, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with storage.read() as session:
        assert session.exec(select(func.count()).select_from(OutgoingTransactionRow)).one() == 1
    assert len(refused) == 4


def test_a_use_case_that_fails_leaves_no_intent(storage):
    wake = threading.Event()

    def failing_use_case():
        with storage.write() as session:
            outbox = SqlOutbox(session, signer=SOMEBODY, clock=SystemClock(), wake=wake)
            outbox.queue(ContractCall("Till", "pay", b"\x01"), key="pay:1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing_use_case()
    with storage.read() as session:
        assert SqlOutbox(session, signer=SOMEBODY, clock=SystemClock()).find("pay:1") is None
    assert not wake.is_set()
    with storage.write() as session:
        outbox = SqlOutbox(session, signer=SOMEBODY, clock=SystemClock(), wake=wake)
        outbox.queue(ContractCall("Till", "pay", b"\x01"), key="pay:1")
        assert not wake.is_set()
    assert wake.is_set()


def test_only_one_of_many_workers_gets_the_lease(storage):
    leases = [WriterLease(storage, SOMEBODY, SystemClock()) for _ in range(6)]
    won = []
    barrier = threading.Barrier(6)

    def worker(lease):
        barrier.wait()
        if lease.hold():
            won.append(lease)

    threads = [threading.Thread(target=worker, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_stalled_holder_is_replaced_and_fenced_out(storage):
    clock = FixedClock(dt.datetime(2026, 1, 26, tzinfo=dt.UTC))
    one = WriterLease(storage, SOMEBODY, clock, seconds=6)
    two = WriterLease(storage, SOMEBODY, clock, seconds=6)
    assert one.hold()
    assert not two.hold()
    clock.advance_to(clock.now() + dt.timedelta(seconds=7))
    assert two.hold()
    with pytest.raises(LeaseLostError), storage.write() as session:
        one.fence(session)
    with storage.write() as session:
        two.fence(session)
    assert not one.hold()


def test_the_lease_of_a_process_that_is_gone_is_free_at_once(storage):
    import subprocess
    import sys

    program = f"""
from chain.clock import SystemClock
from chain.lease import WriterLease
from chain.storage import Storage
storage = Storage({storage.url.render_as_string(hide_password=False)!r})
assert WriterLease(storage, {SOMEBODY!r}, SystemClock(), seconds=600).hold()
"""
    gone = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, timeout=60
    )
    assert gone.returncode == 0, gone.stderr
    assert WriterLease(storage, SOMEBODY, SystemClock()).hold()


def test_calls_land_and_their_events_are_handled(both):
    indexer = make(both)
    for number in range(1, 31):
        both.queue(pay(number, number), f"pay:{number}")
    both.run()
    run(indexer)
    assert [amount for _, amount in seen(both)] == list(range(1, 31))
    assert both.client.fetch(total()) == sum(range(1, 31))


def test_two_indexers_that_race_handle_each_event_once(both):
    indexers = [make(both, confirmations=0, batch=2) for _ in range(2)]
    for number in range(1, 31):
        both.queue(pay(number, number), f"pay:{number}")
    both.run()
    barrier = threading.Barrier(2)

    def work(indexer):
        barrier.wait()
        ends = time.monotonic() + 60  # a round without its turn handles nothing
        while len(seen(both)) < 30 and time.monotonic() < ends:
            indexer.index_once()

    threads = [threading.Thread(target=work, args=(one,)) for one in indexers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [amount for _, amount in seen(both)] == list(range(1, 31))


def test_a_reorganisation_is_survived(both):
    indexer = make(both, is_local=True)
    for number in range(1, 6):
        both.queue(pay(number, number), f"pay:{number}")
        both.run()
    run(indexer)
    both.client.request("anvil_reorg", [3, []])
    indexer.index_once()
    both.writer.send_once()
    both.run()
    run(indexer)
    assert [amount for _, amount in seen(both)] == [1, 2, 3, 4, 5]
    assert [both.client.fetch(times(n)) for n in range(1, 6)] == [1] * 5


def test_two_workers_share_one_key_and_one_takes_over_when_the_other_ends(both):
    # `both.writer` holds the lease after the deployment
    other = both.make_writer()
    loops = [
        ChainLoop(writers=[both.writer], every_s=0.02),
        ChainLoop(writers=[other], every_s=0.02),
    ]
    for loop in loops:
        loop.start()
    for number in range(1, 26):
        both.queue(pay(number), f"pay:{number}")
    time.sleep(0.3)
    loops[0].stop()
    for number in range(26, 51):
        both.queue(pay(number), f"pay:{number}")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with both.storage.read() as session:
            waiting = session.exec(
                select(func.count())
                .select_from(OutgoingTransactionRow)
                .where(col(OutgoingTransactionRow.state) != "final")
            ).one()
        if not waiting:
            break
        time.sleep(0.05)
    loops[1].stop()
    assert [both.client.fetch(times(n)) for n in range(1, 51)] == [1] * 50
    assert all(loop.failure is None for loop in loops)


def test_the_loop_turns_a_commit_into_a_row_without_being_polled(both):
    done = threading.Event()

    def note(_session, occurred):
        if occurred.event.id == "0x" + (77).to_bytes(32, "big").hex():
            done.set()

    indexer = Indexer(
        client=both.client, storage=both.storage, handlers={Paid: [note]}, events=EVENTS
    )
    loop = ChainLoop(writers=[both.writer], indexer=indexer, every_s=30.0)
    loop.start()
    time.sleep(0.3)
    with both.storage.write() as session:
        SqlOutbox(session, signer=both.signer.address, clock=both.clock, wake=loop.wake).queue(
            pay(77), key="pay:77"
        )
    assert done.wait(5), loop.failure
    loop.stop()
    assert both.find("pay:77").state is TransactionState.FINAL


def test_the_loop_stops_with_the_alarm_and_not_for_a_node_that_is_away(chain, both):
    both.writer.close()
    indexer = make(both, confirmations=0)
    loop = ChainLoop(writers=[both.writer], indexer=indexer, every_s=0.02)
    loop.start()
    both.queue(pay(1), "pay:1")
    deadline = time.monotonic() + 5
    while not seen(both) and time.monotonic() < deadline:
        time.sleep(0.02)
    chain.kill()
    time.sleep(0.5)
    assert loop.is_running()
    assert loop.failure is None
    loop.stop()
