"""One writer at a time on SQLite: threads wait in line without looking, and whoever fails lets the next one in."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from chain.storage import Storage


@pytest.fixture
def storage(tmp_path):
    storage = Storage(f"sqlite:///{tmp_path}/gate.db")
    with storage.write() as session:
        session.execute(sa.text("CREATE TABLE one (thread INTEGER, number INTEGER)"))
    yield storage
    storage.close()


def count(storage):
    with storage.read() as session:
        return session.execute(sa.text("SELECT count(*) FROM one")).scalar_one()


def test_many_threads_write_without_losing_a_row(storage):
    failed = []

    def write(thread):
        try:
            for number in range(20):
                with storage.write() as session:
                    values = {"thread": thread, "number": number}
                    session.execute(sa.text("INSERT INTO one VALUES (:thread, :number)"), values)
        except Exception as error:  # noqa: BLE001  a thread's failure is told by the test
            failed.append(error)

    threads = [threading.Thread(target=write, args=(one,)) for one in range(30)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert failed == []
    assert count(storage) == 600


def test_a_transaction_that_fails_lets_the_next_one_in(storage):
    for _ in range(3):
        with pytest.raises(sa.exc.OperationalError), storage.write() as session:
            session.execute(sa.text("INSERT INTO nowhere VALUES (1)"))
    with storage.write() as session:
        session.execute(sa.text("INSERT INTO one VALUES (0, 0)"))
    assert count(storage) == 1


def test_one_reads_while_another_waits_to_write(storage):
    begun, seen = threading.Event(), []

    def wait_to_write():
        begun.set()
        with storage.write() as session:
            session.execute(sa.text("INSERT INTO one VALUES (1, 1)"))

    with storage.write() as session:
        session.execute(sa.text("INSERT INTO one VALUES (0, 0)"))
        waiting = [threading.Thread(target=wait_to_write) for _ in range(20)]
        for one in waiting:
            one.start()
        assert begun.wait(10)
        seen.append(count(storage))
    for one in waiting:
        one.join(30)
    assert seen == [0]
    assert count(storage) == 21


def test_who_waits_in_line_costs_no_processor_time(storage):
    spent = []

    def wait_to_write():
        before = time.thread_time()
        with storage.write() as session:
            session.execute(sa.text("INSERT INTO one VALUES (1, 1)"))
        spent.append(time.thread_time() - before)

    waiting = [threading.Thread(target=wait_to_write) for _ in range(10)]
    with storage.write() as session:
        session.execute(sa.text("INSERT INTO one VALUES (0, 0)"))
        for one in waiting:
            one.start()
        time.sleep(2.0)
    for one in waiting:
        one.join(30)
    assert len(spent) == 10
    # Looking each millisecond would be two thousand looks a thread.
    assert sorted(spent)[5] < 0.02
    assert count(storage) == 11
