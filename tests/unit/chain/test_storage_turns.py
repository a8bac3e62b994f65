"""Who writes to SQLite from one process takes turns without asking the database again and again."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from chain import storage as module
from chain.storage import Storage


@pytest.fixture
def storage(tmp_path):
    made = Storage(f"sqlite:///{tmp_path / 'turns.db'}")
    with made.write() as session:
        session.execute(sa.text("CREATE TABLE t (n INTEGER)"))
        session.execute(sa.text("INSERT INTO t VALUES (0)"))
    yield made
    made.close()


def test_threads_of_one_process_wait_for_their_turn_asleep_and_lose_no_update(storage, monkeypatch):
    looks = []

    class Clock:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def sleep(seconds):
            looks.append(seconds)
            time.sleep(seconds)

    monkeypatch.setattr(module, "time", Clock)
    gate = threading.Barrier(8)

    def work():
        gate.wait(10)
        for _ in range(10):
            with storage.write() as session:
                n = session.execute(sa.text("SELECT n FROM t")).scalar_one()
                time.sleep(0.001)
                session.execute(sa.text("UPDATE t SET n = :n"), {"n": n + 1})

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with storage.read() as session:
        assert session.execute(sa.text("SELECT n FROM t")).scalar_one() == 80
    assert looks == []


def test_a_failed_block_gives_its_turn_back(storage):
    with pytest.raises(ZeroDivisionError), storage.write():
        raise ZeroDivisionError
    done = threading.Event()

    def work():
        with storage.write() as session:
            session.execute(sa.text("UPDATE t SET n = 5"))
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(10)
