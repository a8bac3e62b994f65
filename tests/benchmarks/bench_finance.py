"""Speed of the money: decisions over a long history, the end of a day, reconciliation.

Each function yields lines of ``yundan bench``. Run singly:
``python -m tests.benchmarks.bench_finance [decision|day_end|reconcile] [--size N]``.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import Session, select

from chain.clock import FixedClock
from chain.ids import Hash32, PartyId, WaybillId
from chain.storage import Storage
from finance.advance import AdvanceEvent, EventKind, replay
from finance.audit import CUSTODIAN, ChainFacts, LedgerFacts, audit
from finance.day_end import DayEnd, accrual_lines, close_loan
from finance.jobs import close_days
from finance.payout_repository import SqlPayoutDesk
from finance.reconciling import Reconciliation
from finance.records import ChainMoney, PayeeFacts, RequestFacts
from finance.relations import Carriage
from finance.repository import SqlBooks
from finance.risk import read_forest
from finance.service import FinanceService
from finance.tables import (
    AdvanceEventRow,
    AdvanceRow,
    BankEntryRow,
    CarriageRow,
    JournalEntryRow,
    JournalLineRow,
    LoanDayRow,
    RelationLinkRow,
)
from tests.integration.finance.loan_book import (
    DAY,
    FIRM,
    LENDER,
    LINE,
    TERMS,
    at,
    lend,
    open_line,
    trip_of,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def line(bench, value, unit, *, baseline=None, baseline_name="", target=None, ratio=None):
    """One line of ``yundan bench``; less is better in all of these."""
    if ratio is None and baseline:
        ratio = round(baseline / value, 2)
    return {
        "bench": bench,
        "value": round(value, 3),
        "unit": unit,
        "baseline": None if baseline is None else round(baseline, 3),
        "baseline_name": baseline_name,
        "ratio": ratio,
        "target": target,
        "holds": None if target is None else value <= target,
    }


@contextmanager
def database():
    """An SQLite database of its own, with every safety of the real one."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(f"sqlite:///{Path(folder) / 'finance.db'}")
        storage.create_all()
        open_line(storage)
        yield storage
        storage.close()


# -- decisions --------------------------------------------------------------------------------------


def many_rules(count):
    """A forest of soft rules over the inputs of a request, none alike."""
    rules = [
        {
            "id": f"r{i}", "version": 1, "owner": "bench", "tree": "t", "stages": ["release"],
            "effective_from": "2026-01-01", "effective_to": None,
            "inputs": {"principal_fen": "int", "headroom_fen": "int", "week_trips": "int"},
            "when": f"(principal_fen * {i + 2} // 7 > headroom_fen - {i}) and not (week_trips in [{i}, {i + 1}])",
            "outcome": "SCORE", "score": 1, "missing": "pass",
            "reason": {"code": f"R{i}", "zh": "测", "en": "test"}, "law": "",
            "cases": [
                {"given": {"principal_fen": 10**9, "headroom_fen": 1, "week_trips": i + 5}, "expect": "hit"},
                {"given": {"principal_fen": 0, "headroom_fen": 10**9, "week_trips": 0}, "expect": "miss"},
            ],
        }
        for i in range(count)
    ]  # fmt: skip
    return read_forest(
        {
            "id": "bench",
            "version": 1,
            "review_at": 10**6,
            "refuse_at": None,
            "trees": {"t": 10**6},
            "rules": rules,
        }
    )


class StillChain:
    """The chain's answers, given at once: the node's own time is measured elsewhere."""

    def fetch_request_facts(self, _line, form, _fingerprint):
        return RequestFacts(
            block=1,
            limit_fen=10**15,
            reserved_fen=0,
            drawn_fen=0,
            line_frozen=False,
            line_valid_until=at(DAY + 900),
            receivable_fen=10**9,
            debtor=PartyId(21),
            debtor_signed=True,
            performer=FIRM,
            term_days=45,
            trip_state="open",
            leaf=form.payees[0].waybill,
            pledged=False,
            trip_taken=False,
            payees=(PayeeFacts(form.payees[0].party, 10**9),),
        )


def weave(storage, history):
    """Who owed whom freight in those trips, who received it, and what each trip carried."""
    links, carried, weeks = [], [], {}
    for number in range(history):
        day, about = DAY - number % 89, word(number)
        debtor, below = f"party:{20 + number % 50}", f"party:{200 + number % 300}"
        for a, b, kind in (
            (debtor, f"party:{FIRM}", "freight"),
            (f"party:{FIRM}", below, "freight"),
            (below, f"party:{600 + number % 900}", "freight"),
            (f"party:{FIRM}", f"party:{2_000 + number % 70}", "delivers"),
        ):
            week = (a, b, day // 7)
            weeks[week] = weeks.get(week, 0) + (10**6 if kind == "freight" else 0)
            links.append(
                {"a": a, "b": b, "kind": kind, "about": about, "day": day, "amount_fen": 10**6}
            )
        carried.append(
            {
                "trip": trip_of(number)[0], "vehicle": word(number % 500),
                "shipment": word(number % 97), "loads": at(day, 6), "delivers": at(day, 20),
                "quantity": 30_000,
            }
        )  # fmt: skip
    links += [
        {
            "a": a,
            "b": b,
            "kind": "week",
            "about": f"week:{week}",
            "day": week * 7,
            "amount_fen": fen,
        }
        for (a, b, week), fen in weeks.items()
        if fen
    ]
    with storage.write() as session:
        for row, values in ((RelationLinkRow, links), (CarriageRow, carried)):
            for start in range(0, len(values), 50_000):
                session.execute(sa.insert(row.__table__), values[start : start + 50_000])


def decision(history: int = 100_000, rules: int = 1_000, asked: int = 300) -> Iterator[dict]:
    """Requests decided one after another, each in its own committed transaction."""
    from chain.bindings.structs import Payee

    forest = many_rules(rules)
    with database() as storage:
        lend(storage, history, spread=200, first_day=DAY - 200, repaid=history * 98 // 100)
        weave(storage, history)
        clock, took, worked = FixedClock(at(DAY + 1)), [], []
        for number in range(asked):
            trip, waybill = trip_of(history + number)
            payee = Payee(PartyId(9), WaybillId(word(77)), Hash32(word(10_000 + number)), 400_000)
            began, busy = time.perf_counter(), time.process_time()
            with storage.write() as session:
                FinanceService(
                    books=SqlBooks(session),
                    outbox=None,
                    chain=StillChain(),
                    clock=clock,
                    forest=forest,
                ).prepare_advance(
                    line=LINE,
                    waybill=waybill,
                    trip=trip,
                    principal=400_000,
                    payees=[payee],
                    fingerprint=Hash32(word(20_000 + number)),
                    carriage=Carriage(
                        trip, "", word(number % 500), word(number % 97), at(DAY + 1, 6),
                        at(DAY + 1, 20), 30_000,
                    ),
                )  # fmt: skip
            took.append(time.perf_counter() - began)
            worked.append(time.process_time() - busy)
    took.sort()
    worked.sort()
    what = (
        f"{rules} rules, {history} trips of history with their freight graph, stored;"
        " without the node's answer"
    )
    yield line("finance.decision.p50", took[len(took) // 2] * 1_000, f"ms ({what})")
    yield line(
        "finance.decision.cpu_p95",
        worked[len(worked) * 95 // 100] * 1_000,
        f"ms of processor ({what})",
    )
    yield line(
        "finance.decision.p95", took[len(took) * 95 // 100] * 1_000, f"ms ({what})", target=200
    )


# -- the end of a day -------------------------------------------------------------------------------


def one_day(count):
    """Seconds, by the wall and of the processor, to close one business date over so many live loans."""
    with database() as storage:
        lend(storage, count)

        @contextmanager
        def begin():
            with storage.write() as session:
                yield DayEnd(books=SqlBooks(session), clock=FixedClock(at(DAY + 9)))

        began, busy = time.perf_counter(), time.process_time()
        sealed = close_days(begin, lambda _end: 1, lender=LENDER, until_day=DAY)
        took = time.perf_counter() - began
        assert sealed[0].report["loans"] == count
        return took, time.process_time() - busy


def event_of(row):
    return AdvanceEvent(
        row.id, EventKind(row.kind), row.at, row.known, row.amount_fen,
        position=(row.block_number, row.log_index),
    )  # fmt: skip


def plain_loop(count):
    """The same work written plainly: one loan at a time over ORM objects, one commit at the end."""
    with database() as storage:
        lend(storage, count)
        began = time.perf_counter()
        with Session(storage.engine) as session:
            for row in session.exec(select(AdvanceRow)).all():
                advance = SqlBooks(session).find_advance(row.advance)
                happened = session.exec(
                    select(AdvanceEventRow).where(AdvanceEventRow.advance == row.advance)
                ).all()
                loan = replay(row.advance, TERMS, [event_of(one) for one in happened])
                entry = f"accrual:{row.advance}:{DAY}"
                session.add(
                    JournalEntryRow(
                        id=entry,
                        book="lender:7",
                        kind="ACCRUAL",
                        day=DAY,
                        at=at(DAY),
                        known=at(DAY),
                    )
                )
                session.flush()
                charged = loan.charges_on(DAY + 1)
                for one in accrual_lines(row.advance, charged, advance.accrued):
                    session.add(
                        JournalLineRow(
                            entry=entry, book="lender:7", account=one.account,
                            amount_fen=one.amount, about=one.about,
                        )
                    )  # fmt: skip
                day = close_loan(loan, LENDER, DAY, None)
                session.add(
                    LoanDayRow(
                        lender="7", day=DAY, advance=row.advance, principal_fen=day.principal_fen,
                        interest_due_fen=day.interest_due_fen, penalty_due_fen=day.penalty_due_fen,
                        fee_due_fen=day.fee_due_fen, days_past_due=day.days_past_due,
                        tier=day.tier, clean_days=day.clean_days,
                    )
                )  # fmt: skip
                row.accrued_day = DAY
                session.add(row)
                session.flush()
            session.commit()
        return time.perf_counter() - began


def close_of_day(largest: int = 100_000) -> Iterator[dict]:
    """The cost a loan at three sizes, and against the plain loop."""
    plain = plain_loop(1_000)
    costs = {}
    for count in (1_000, 10_000, largest):
        took, busy = one_day(count)
        costs[count] = busy / count
        yield line(f"finance.day_end.cpu_{count}", busy, "s of processor")
        yield line(
            f"finance.day_end.{count}",
            took,
            "s",
            baseline=plain / 1_000 * count,
            baseline_name="plain loop over ORM objects, from 1,000 loans",
            target=120 if count == 100_000 else None,
        )
    yield line(
        "finance.day_end.slope",
        costs[largest] / costs[1_000],
        "processor time a loan at the largest size over that at 1,000",
        target=1.5,
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    yield line("finance.day_end.memory", memory, "MiB at most, the making of the loans included")


# -- reconciliation ---------------------------------------------------------------------------------


def reconcile(entries: int = 1_000_000) -> Iterator[dict]:
    """Balances of every token account out of a journal of so many entries, compared with the chain's."""
    accounts = 5_000
    with database() as storage:
        for start in range(0, entries, 50_000):
            heads, lines = [], []
            for number in range(start, min(entries, start + 50_000)):
                heads.append(
                    {
                        "id": f"t{number}", "book": CUSTODIAN, "kind": "TOKEN", "day": DAY,
                        "at": at(DAY), "known": at(DAY), "source": "", "reverses": "",
                    }
                )  # fmt: skip
                lines += [
                    {"entry": f"t{number}", "book": CUSTODIAN, "account": "bank", "amount_fen": 7, "about": ""},
                    {
                        "entry": f"t{number}", "book": CUSTODIAN, "amount_fen": -7, "about": "",
                        "account": f"token:0x{number % accounts:040x}",
                    },
                ]  # fmt: skip
            with storage.write() as session:
                session.execute(sa.insert(JournalEntryRow.__table__), heads)
                session.execute(sa.insert(JournalLineRow.__table__), lines)
        each = entries // accounts * 7
        chain = ChainFacts(1, entries * 7, {f"0x{i:040x}": each for i in range(accounts)})
        began = time.perf_counter()
        with storage.read() as session:
            found = audit(chain, LedgerFacts(SqlBooks(session).balances()))
        took = time.perf_counter() - began
        assert found == []
    yield line(f"finance.reconcile.{entries}", took, "s", target=60)


def three_way(entries: int = 1_000_000) -> Iterator[dict]:
    """Chain, ledger and bank matched movement by movement out of the database: so many entries in all.

    The chain's movements are given: the node's own time is measured elsewhere.
    """
    keys = entries // 3
    with database() as storage:
        store_money(storage, keys)
        chain = SimpleNamespace(
            fetch_money=lambda _at, since_day: (
                ChainMoney(key, amount, day, f"t{number}")
                for number in range(keys)
                for key, amount, day in [money(number)]
            )
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, busy = time.perf_counter(), time.process_time()
        with storage.write() as session:
            found = Reconciliation(
                desk=SqlPayoutDesk(session),
                books=SqlBooks(session),
                payouts=SimpleNamespace(house=SimpleNamespace(number="1")),
                chain=chain,
                clock=FixedClock(at(DAY + 31)),
            ).compare(SimpleNamespace(at=at(DAY + 31)))
        took, busy = time.perf_counter() - began, time.process_time() - busy
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1_024
        assert (found.matched, found.breaks) == (keys, ())
    yield line(f"finance.reconcile.three_way.{entries}", took, "s, from the database", target=60)
    yield line(f"finance.reconcile.three_way.{entries}.cpu", busy, "s of processor")
    yield line(f"finance.reconcile.three_way.{entries}.memory", grown, "MiB that it grew by")


def money(number):
    """The key, amount and day of one movement."""
    return f"0x{number:064x}", 7 if number % 2 else -7, DAY + number % 30


def store_money(storage, keys):
    """Journal entries of the custodian and bookings of the bank for so many movements."""
    for start in range(0, keys, 50_000):
        heads, lines, booked = [], [], []
        for number in range(start, min(keys, start + 50_000)):
            key, amount, day = money(number)
            heads.append(
                {
                    "id": f"t{number}", "book": CUSTODIAN, "kind": "TOKEN", "day": day, "at": at(day),
                    "known": at(day), "source": f"t{number}", "reverses": "",
                }
            )  # fmt: skip
            lines += [
                {
                    "entry": f"t{number}",
                    "book": CUSTODIAN,
                    "account": account,
                    "amount_fen": fen,
                    "about": "",
                }
                for account, fen in (("bank", amount), (f"token:0x{number % 5_000:040x}", -amount))
            ]
            booked.append(
                {
                    "reference": f"b{number}", "amount_fen": 7, "is_credit": amount > 0, "is_reversal": False,
                    "value_day": day, "booked_at": at(day), "taken_at": at(day), "end_to_end_id": "",
                    "remittance": "", "content": "", "state": "minted" if amount > 0 else "paid",
                    "about": "" if amount > 0 else key, "target": "", "mint_reference": key if amount > 0 else "",
                    "mint_attempts": 0, "mint_day": 0,
                }
            )  # fmt: skip
        with storage.write() as session:
            for row, values in (
                (JournalEntryRow, heads), (JournalLineRow, lines), (BankEntryRow, booked),
            ):  # fmt: skip
                session.execute(sa.insert(row.__table__), values)


BENCHES: Mapping[str, Callable[[], Iterator[dict]]] = {
    "finance.decision": decision,
    "finance.day_end": close_of_day,
    "finance.reconcile": reconcile,
    "finance.three_way": three_way,
}
"""What ``yundan bench`` runs, by name."""


def main() -> None:
    """Runs one of them."""
    parser = argparse.ArgumentParser()
    names = [name.removeprefix("finance.") for name in BENCHES]
    parser.add_argument("name", choices=names, nargs="?", help="all of them if left out")
    parser.add_argument("--size", type=int, default=0)
    given = parser.parse_args()
    for name in [given.name] if given.name else names:
        work = BENCHES[f"finance.{name}"]
        for one in work(given.size) if given.size else work():
            print(json.dumps(one), flush=True)


if __name__ == "__main__":
    main()
