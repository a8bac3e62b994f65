"""The end of a business date: on time, late, twice, killed in the middle; the seal is the same."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from chain.abi import Occurred
from chain.bindings import events
from chain.clock import FixedClock
from chain.ids import Address, Hash32
from chain.storage import Storage
from finance import day_end
from finance.audit import book_of
from finance.day_end import DayEnd, midnight_after
from finance.errors import DayEndError
from finance.jobs import close_days
from finance.records import DayEndStep
from finance.repository import SqlBooks
from finance.service import FinanceService
from tests.integration.finance.loan_book import DAY, FIRM, LENDER, LINE, at, lend, open_line, word

ROOT = Path(__file__).parents[3]
CLOCK = FixedClock(at(DAY + 4_000))


@pytest.fixture
def storage(empty_storage):
    empty_storage.create_all()
    open_line(empty_storage)
    return empty_storage


def closer(storage):
    @contextlib.contextmanager
    def begin():
        with storage.write() as session:
            yield DayEnd(books=SqlBooks(session), clock=CLOCK)

    return begin


def close(storage, until, *, block=lambda end: int(end.timestamp()) // 60):
    return close_days(closer(storage), block, lender=LENDER, until_day=until)


def seals(storage, until):
    with storage.read() as session:
        books = SqlBooks(session)
        return [books.find_day_end(LENDER, day).seal for day in range(DAY, until + 1)]


def balances(storage, **more):
    with storage.read() as session:
        return SqlBooks(session).balances(book=book_of(LENDER), **more)


def service(session):
    return FinanceService(books=SqlBooks(session), outbox=None, chain=None, clock=CLOCK)


def seen(event, when, log=0):
    return Occurred(
        event, "FreightAdvance", Address("0x" + "11" * 20), when, 9, Hash32(word(9)),
        Hash32(word(int(when.timestamp()) * 100 + log)), log,
    )  # fmt: skip


def repay(storage, advance, when):
    """The whole debt, as the chain would share it."""
    with storage.write() as session:
        finance = service(session)
        record = SqlBooks(session).find_advance(advance)
        due = finance.show_advance(advance, day=int((when.timestamp() + 28_800) // 86_400)).due
        event = events.AdvanceRepaid(
            advance, due["fee"], due["penalty"], due["interest"], record.outstanding_fen, 0, 0
        )
        finance.on_advance_repaid(seen(event, when))
        finance.on_advance_closed(seen(events.AdvanceClosed(advance), when, 1))


def test_a_day_accrues_one_day_of_every_loan_and_is_sealed_once(storage):
    lend(storage, 5)
    sealed = close(storage, DAY)
    assert [one.step for one in sealed] == [DayEndStep.SEALED]
    found = balances(storage)
    book = book_of(LENDER)
    outstanding = sealed[0].report["outstanding_fen"]
    assert found[book, "loan_principal"] == outstanding
    # on the first day the ceiling leaves room for a part of the fee alone
    assert 0 < found[book, "fee_receivable"] <= outstanding * 240_000 // 365_000_000
    assert (book, "interest_receivable") not in found
    assert found[book, "allowance"] < 0
    assert sealed[0].report["by_class"]["normal"]["loans"] == 5
    assert close(storage, DAY) == []
    with storage.write() as session:
        again = DayEnd(books=SqlBooks(session), clock=CLOCK).proceed(
            LENDER, DAY, block=sealed[0].block
        )
    assert again.seal == sealed[0].seal
    assert balances(storage) == found


def test_days_left_out_and_then_caught_up_end_as_days_run_daily(storage, tmp_path):
    daily = Storage(f"sqlite:///{tmp_path}/daily.db")
    daily.create_all()
    open_line(daily)
    for one in (storage, daily):
        lend(one, 12, spread=3)
    for day in range(DAY, DAY + 16):
        close(daily, day)
    assert len(close(storage, DAY + 15)) == 16
    assert seals(storage, DAY + 15) == seals(daily, DAY + 15)
    assert balances(storage) == dict(balances(daily).items())
    daily.close()


def test_a_payment_seen_before_the_days_are_closed_books_the_same_entries(storage, tmp_path):
    on_time = Storage(f"sqlite:///{tmp_path}/on_time.db")
    on_time.create_all()
    open_line(on_time)
    loans = lend(storage, 6, spread=2)
    lend(on_time, 6, spread=2)
    close(on_time, DAY + 7)
    for one in (storage, on_time):
        repay(one, loans[0], at(DAY + 8))
        repay(one, loans[1], at(DAY + 8, 13))
    for one in (storage, on_time):
        close(one, DAY + 14)
    assert seals(storage, DAY + 14) == seals(on_time, DAY + 14)
    for account in ("interest_receivable", "fee_receivable"):
        with storage.read() as session:
            about = SqlBooks(session).balances_about(account)
        assert loans[0] not in about
    on_time.close()


def test_overdue_loans_age_through_the_classes_and_are_provided_for(storage):
    lend(storage, 2)
    reports = [one.report for one in close(storage, DAY + 101)]
    last = {name: found["loans"] for name, found in reports[-1]["by_class"].items()}
    assert last == {"normal": 0, "special_mention": 0, "substandard": 2, "doubtful": 0, "loss": 0}
    assert reports[10]["by_class"]["normal"]["loans"] == 2  # due day
    assert reports[11]["by_class"]["special_mention"]["loans"] == 2
    assert reports[100]["by_class"]["special_mention"]["loans"] == 2  # 90 days past due
    assert reports[-1]["by_class"]["substandard"]["loans"] == 2
    outstanding = reports[-1]["outstanding_fen"]
    found = balances(storage)[book_of(LENDER), "allowance"]
    assert abs(-found - outstanding * 25 // 100) <= 2


def test_days_are_closed_in_order_at_one_block_and_only_when_the_chain_is_read(storage):
    lend(storage, 1)
    with pytest.raises(DayEndError, match="in order"), closer(storage)() as day:
        day.proceed(LENDER, DAY + 1, block=1)
    with closer(storage)() as day:
        day.proceed(LENDER, DAY, block=1)
    with pytest.raises(DayEndError, match="another block"), closer(storage)() as day:
        day.proceed(LENDER, DAY, block=2)
    assert close(storage, DAY, block=lambda end: None) == []
    assert midnight_after(DAY).hour == 16


def test_a_lender_without_books_has_no_day_to_close(storage):
    assert close(storage, DAY + 5) == []
    with closer(storage)() as day:
        assert day.next_day(FIRM) is None


def test_small_batches_end_as_one_large_batch(storage, tmp_path, monkeypatch):
    other = Storage(f"sqlite:///{tmp_path}/other.db")
    other.create_all()
    open_line(other)
    for one in (storage, other):
        lend(one, 23, spread=2)
    close(other, DAY + 3)
    monkeypatch.setattr(day_end, "BATCH", 4)
    close(storage, DAY + 3)
    assert seals(storage, DAY + 3) == seals(other, DAY + 3)
    other.close()


STEP_DAYS = 7


PROGRAM = """
import os, sys
from chain.storage import Storage
from finance import day_end
from tests.integration.finance.test_day_end import close
day_end.BATCH = 3
for order in sys.stdin:
    url, until = order.split()
    worker = os.fork()
    if not worker:
        close(Storage(url), int(until))
        os._exit(0)
    print(worker, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), flush=True)
"""


class Workshop:
    """A process that has imported everything and forks a worker for each order, so that a kill is cheap."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def close(self, storage, until, *, kill_after=None):
        """The worker's end: 0 when it was done, -9 when it was killed before that."""
        self._process.stdin.write(f"{storage.url} {until}\n")
        self._process.stdin.flush()
        worker = int(self._process.stdout.readline())
        timer = threading.Timer(
            120 if kill_after is None else kill_after, os.kill, [worker, signal.SIGKILL]
        )
        timer.start()
        try:
            return int(self._process.stdout.readline())
        finally:
            timer.cancel()
            timer.join()

    def stop(self):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def where_it_stands(storage, day):
    """What the database says of the first date that is not sealed."""
    with storage.read() as session:
        books = SqlBooks(session)
        while (found := books.find_day_end(LENDER, day)) is not None and found.seal:
            day += 1
        return day, "not begun" if found is None else found.step.value


def kill_and_compare(tmp_path, kills):
    """Kills so many workers at random moments of their work; the seals must not know of it."""
    chance, points, killed = random.Random(kills), Counter(), 0
    whole, broken = (Storage(f"sqlite:///{tmp_path}/{name}.db") for name in ("whole", "broken"))
    for one in (whole, broken):
        one.create_all()
        open_line(one)
        lend(one, 15, spread=5)
    workshop, until = Workshop(), DAY + STEP_DAYS - 1
    try:
        started = time.monotonic()
        assert workshop.close(whole, until) == 0
        span = time.monotonic() - started
        while killed < kills:
            ended = workshop.close(broken, until, kill_after=chance.uniform(0.0, 0.8) * span)
            if ended == 0:
                until += STEP_DAYS  # nothing left to kill: more days, and an earlier blow
                span *= 0.8
                continue
            span *= 1.02
            assert ended == -signal.SIGKILL
            killed += 1
            points[where_it_stands(broken, DAY)[1]] += 1
        assert workshop.close(broken, until) == 0
        assert workshop.close(whole, until) == 0
    finally:
        workshop.stop()
    assert seals(broken, until) == seals(whole, until)
    assert balances(broken) == balances(whole)
    for one in (whole, broken):
        one.close()
    return {"killed": killed, "days": until - DAY + 1, "at": dict(points)}


def test_a_day_end_killed_in_the_middle_goes_on_to_the_same_seal(tmp_path):
    assert kill_and_compare(tmp_path, 2)["killed"] == 2


@pytest.mark.deep
def test_killed_two_hundred_times_it_still_goes_on_to_the_same_seal(tmp_path):
    figures = kill_and_compare(tmp_path, 200)
    print(json.dumps(figures))
    assert figures["killed"] == 200


def test_the_line_of_the_book_is_the_lenders(storage):
    with storage.read() as session:
        books = SqlBooks(session)
        assert books.find_line(LINE).lender == LENDER
        assert books.list_lenders() == [LENDER]
