"""A write happens once: under SIGKILL, under many clients at once, on both databases."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.idempotency import KeptAnswers, request_hash
from api.tables import KeptAnswerRow, PlannedRouteRow
from chain.clock import SystemClock
from chain.storage import Storage

ROOT = Path(__file__).resolve().parents[3]
WRITES = 400
KILLS = 10

CHILD = """
import os, random, signal, sys, time
from api.idempotency import KeptAnswers
from api.tables import PlannedRouteRow
from chain.clock import SystemClock
from chain.sealing import Keyring
from chain.storage import Storage

url, writes, kills = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
clock, dice, told = SystemClock(), random.Random(7), -1

def write(first, to):
    storage = Storage(url, keyring=Keyring([bytes(range(32))]))
    for number in range(first, writes):
        with storage.write() as session:
            answers = KeptAnswers(session, clock)
            kept = answers.begin("me", f"k{number}", "h")
            if kept is None:
                session.add(PlannedRouteRow(party_id="7", name=f"n{number}", plan={}, origin="a", destination="b",
                                            created_at=clock.now()))
                session.flush()
                answers.keep("me", f"k{number}", 201, f"answer {number}")
        os.write(to, b"%d\\n" % number)

for kill in range(kills + 1):
    out, to = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(max(0, told - 2), to)
        finally:
            os._exit(0)
    os.close(to)
    with os.fdopen(out) as lines:
        first = lines.readline()  # it has begun to write
        if kill < kills:
            time.sleep(dice.uniform(0.0, 0.03))
            os.kill(child, signal.SIGKILL)
        told = max([told, *(int(line) for line in [first, *lines] if line.endswith("\\n"))])
    os.waitpid(child, 0)
    print(kill, told, flush=True)
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
    """Processes are killed at random moments and the next goes on; what they acknowledged is there, once."""
    url = storage.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", CHILD, url, str(WRITES), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    told = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert len(told) == KILLS + 1
    assert told[0] < WRITES - 1  # somebody was killed on the way
    assert told[-1] == WRITES - 1
    routes, kept = count(storage)
    assert routes == len(kept) == WRITES
    assert set(kept.values()) == {201}  # a claimed key without an answer was never committed


def test_sixteen_clients_with_one_key_do_the_work_once(storage):
    rounds, clients = 8, 16
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
    same = request_hash("POST", "/v1/waybills", "application/json", b"{}", key=b"k")
    others = [
        request_hash("PATCH", "/v1/waybills", "application/json", b"{}", key=b"k"),
        request_hash("POST", "/v1/waybills?a=1", "application/json", b"{}", key=b"k"),
        request_hash("POST", "/v1/waybills", "text/csv", b"{}", key=b"k"),
        request_hash("POST", "/v1/waybills", "application/json", b"{ }", key=b"k"),
        request_hash("POST", "/v1/waybills", "application/json", b"{}", key=b"other"),
    ]
    assert same not in others
    assert len(set(others)) == 5
