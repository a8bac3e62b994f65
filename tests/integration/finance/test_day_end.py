"""The end of a business date: on time, late, twice, killed in the middle; the seal is the same."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
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


PROGRAM = """
import sys
from chain.storage import Storage
from finance import day_end
from tests.integration.finance.test_day_end import close
day_end.BATCH = 3
storage = Storage(sys.argv[1])
close(storage, int(sys.argv[2]))
print("done", flush=True)
"""


def run_until_killed(url, until, after_s):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, str(until)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    out, _ = process.communicate()
    return "done" in out


def kill_and_compare(tmp_path, kills):
    chance = random.Random(kills)
    whole, broken = (Storage(f"sqlite:///{tmp_path}/{name}.db") for name in ("whole", "broken"))
    for one in (whole, broken):
        one.create_all()
        open_line(one)
        lend(one, 60, spread=5)
    until = DAY + 20
    started = time.monotonic()
    assert run_until_killed(f"sqlite:///{tmp_path}/whole.db", until, 300)
    span = time.monotonic() - started
    done = killed = 0
    while not done:
        patience = span * 0.35 + chance.random() * span * 0.2 if killed < kills else 300
        done = run_until_killed(f"sqlite:///{tmp_path}/broken.db", until, patience)
        killed += not done
    assert killed
    assert seals(broken, until) == seals(whole, until)
    assert balances(broken) == balances(whole)
    for one in (whole, broken):
        one.close()
    return killed


def test_a_day_end_killed_in_the_middle_goes_on_to_the_same_seal(tmp_path):
    kill_and_compare(tmp_path, 2)


@pytest.mark.deep
def test_killed_two_hundred_times_it_still_goes_on_to_the_same_seal(tmp_path):
    assert kill_and_compare(tmp_path, 200) >= 1


def test_the_line_of_the_book_is_the_lenders(storage):
    with storage.read() as session:
        books = SqlBooks(session)
        assert books.find_line(LINE).lender == LENDER
        assert books.list_lenders() == [LENDER]
