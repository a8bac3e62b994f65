"""A write happens once: under SIGKILL, under many clients at once, on both databases."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.idempotency import KeptAnswers, request_hash
from api.tables import KeptAnswerRow, PlannedRouteRow
from chain.clock import SystemClock
from chain.storage import Storage

ROOT = Path(__file__).resolve().parents[3]
WRITES = 400

CHILD = """
import sys
from api.idempotency import KeptAnswers
from api.tables import PlannedRouteRow
from chain.clock import SystemClock
from chain.sealing import Keyring
from chain.storage import Storage

url, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
clock = SystemClock()
storage = Storage(url, keyring=Keyring([bytes(range(32))]))
print("ready", flush=True)
for number in range(first, last):
    with storage.write() as session:
        answers = KeptAnswers(session, clock)
        kept = answers.begin("me", f"k{number}", "h")
        if kept is None:
            session.add(PlannedRouteRow(party_id="7", name=f"n{number}", plan={}, origin="a", destination="b",
                                        created_at=clock.now()))
            session.flush()
            answers.keep("me", f"k{number}", 201, f"answer {number}")
    print(number, flush=True)
"""


@pytest.fixture
def storage(empty_storage):
    from chain.sealing import Keyring

    made = Storage(
        str(empty_storage.url.render_as_string(hide_password=False)),
        keyring=Keyring([bytes(range(32))]),
    )
    made.create_all()
    yield made
    made.close()


def count(storage):
    with storage.read() as session:
        routes = session.execute(
            sa.select(sa.func.count()).select_from(PlannedRouteRow)
        ).scalar_one()
        kept = session.execute(sa.select(KeptAnswerRow.idempotency_key, KeptAnswerRow.status)).all()
    return routes, dict(kept)


def test_a_killed_process_leaves_the_write_and_its_answer_or_neither(storage):
    """Ten processes are killed at a random moment; the writes they acknowledged are there, once each."""
    dice, done, kills = random.Random(7), 0, 0
    url = storage.url.render_as_string(hide_password=False)
    while done < WRITES:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, url, str(max(0, done - 3)), str(WRITES)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert child.stdout.readline() == "ready\n"
        if kills < 10:
            time.sleep(dice.uniform(0.01, 0.12))
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        told = [int(line) for line in child.stdout]
        child.wait()
        done = max([done, *(number + 1 for number in told)])
        routes, kept = count(storage)
        assert routes == len(kept)
        assert set(kept.values()) <= {201}  # a claimed key without an answer was never committed
        assert {f"k{number}" for number in range(done)} <= set(kept)
    assert kills == 10
    assert count(storage)[0] == WRITES


def test_sixteen_clients_with_one_key_do_the_work_once(storage):
    rounds, clients = 20, 16
    answers: list[set[str]] = []
    for number in range(rounds):
        barrier, seen, failed = threading.Barrier(clients), [], []

        def client(number=number, barrier=barrier, seen=seen, failed=failed):
            barrier.wait()
            try:
                with storage.write() as session:
                    answer = KeptAnswers(session, SystemClock())
                    kept = answer.begin("me", f"c{number}", "h")
                    if kept is None:
                        session.add(
                            PlannedRouteRow(
                                party_id="8", name=f"c{number}", plan={}, origin="a", destination="b",
                                created_at=SystemClock().now(),
                            )
                        )  # fmt: skip
                        session.flush()
                        answer.keep("me", f"c{number}", 201, f"by {threading.get_ident()}")
                        seen.append(f"by {threading.get_ident()}")
                    else:
                        seen.append(kept.body)
            except Exception as error:  # noqa: BLE001  told below, for all clients together
                failed.append(error)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert failed == []
        assert len(seen) == clients
        answers.append(set(seen))
    assert all(len(one) == 1 for one in answers)
    assert count(storage)[0] == rounds


def test_what_makes_two_requests_the_same():
    same = request_hash("POST", "/v1/waybills", "application/json", b"{}")
    others = [
        request_hash("PATCH", "/v1/waybills", "application/json", b"{}"),
        request_hash("POST", "/v1/waybills?a=1", "application/json", b"{}"),
        request_hash("POST", "/v1/waybills", "text/csv", b"{}"),
        request_hash("POST", "/v1/waybills", "application/json", b"{ }"),
    ]
    assert same not in others
    assert len(set(others)) == 4
