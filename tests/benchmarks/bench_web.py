"""``yundan bench web``: weight and first paint of pages, and lists of 100,000 trips and loans.

Pages are opened in headless Chromium with an empty cache; lists are asked over the application itself.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
import structlog
from playwright.sync_api import sync_playwright

from api.board import Board, Wanted
from api.loan_list import LoanFilter, LoanList
from api.stages import Stage
from api.tables import BoardRow
from chain.ids import PartyId
from chain.storage import Row, Storage
from finance.tables import AdvanceRow
from tests.e2e.browser import NoBrowserError, open_browser
from tests.e2e.desk_day import Day

ROWS = 100_000
FIRM = PartyId(7)
LIST_TARGET_MS = 100.0
WEIGHT_TARGET_KB = {"firm": 250.0, "trip": 800.0, "lender": 700.0, "driver": 120.0, "door": 150.0}
PAINT_TARGET_MS = 2_000.0
PATIENCE_MS = 60_000


def report(
    bench: str, value: float, unit: str, target: float, *, baseline: float = 0.0, name: str = ""
) -> None:
    print(
        json.dumps(
            {
                "bench": bench, "value": round(value, 2), "unit": unit,
                "baseline": round(baseline, 2) if name else None, "baseline_name": name or None,
                "ratio": round(baseline / value, 2) if name and value else None,
                "target": target, "holds": value <= target,
            }
        ),
        flush=True,
    )  # fmt: skip


def median_ms(work, times: int = 15) -> float:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(taken)


def fill(path: Path, rows: int) -> None:
    """Fills boards and loans; a plain engine leaves foreign keys alone, so loans need no line."""
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    stages = list(Stage)
    states = ("released", "repaid", "requested", "defaulted")
    with sa.create_engine(f"sqlite:///{path}").begin() as session:
        for first in range(0, rows, 10_000):
            numbers = range(first, min(rows, first + 10_000))
            session.execute(
                sa.insert(BoardRow.__table__),
                [
                    {
                        "party": str(FIRM), "trip": f"0x{number:064x}",
                        "stage": stages[number % len(stages)].value,
                        "loads_at": begin + dt.timedelta(minutes=number),
                        "deliver_by": begin + dt.timedelta(minutes=number + 600),
                        "day": 20_454 + number // 1440, "note": f"0x{number * 7:064x}",
                        "vehicle": f"0x{number % 900:064x}", "freight_fen": 72_000,
                        "released_fen": 0, "waits_fen": 72_000, "hold": "",
                    }
                    for number in numbers
                ],
            )  # fmt: skip
            session.execute(
                sa.insert(AdvanceRow.__table__),
                [
                    {
                        "advance": f"0x{number:064x}", "line": "0x" + "1" * 64, "lender": str(FIRM),
                        "borrower": str(number % 40), "debtor": str(100 + number % 60),
                        "waybill": "0x" + "2" * 64, "trip": f"0x{number:064x}",
                        "state": states[number % 4], "principal_fen": 72_000,
                        "released_fen": 0 if number % 4 == 2 else 72_000,
                        "outstanding_fen": 72_000 if number % 4 in {0, 3} else 0,
                        "start_day": 20_454 + number // 2000, "due_day": 20_500 + number // 1000,
                        "decision": "0x" + "3" * 64, "submitted_at": begin, "held_fen": 0,
                        "accrued_fee_fen": 0, "accrued_penalty_fen": 0, "accrued_interest_fen": 0,
                        "fingerprint": "", "reason": "", "form": {},
                    }
                    for number in numbers
                ],
            )  # fmt: skip


def lists(folder: Path) -> None:
    """Pages, counters and sums over few and over many rows; the baseline is the same over 1,000."""
    small = _lists(folder / "small.db", 1_000)
    large = _lists(folder / "large.db", ROWS)
    for name, value in large.items():
        report(
            f"web.{name}_100k", value, "ms", LIST_TARGET_MS, baseline=small[name], name="1,000 rows"
        )


def _lists(path: Path, rows: int) -> dict[str, float]:
    storage = Storage(f"sqlite:///{path}")
    Row.metadata.create_all(storage.engine)
    fill(path, rows)
    middle = (dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=rows // 2), "0x")
    held = Wanted(stages=(Stage.HELD,))
    named = Wanted(named=(f"0x{(rows // 2) * 7:064x}",))
    with storage.read() as session:
        board, loans = Board(session), LoanList(session)
        return {
            "list_page": median_ms(lambda: board.page(FIRM, Wanted(), before=middle, limit=51)),
            "list_filtered": median_ms(lambda: board.page(FIRM, held, limit=51)),
            "list_search": median_ms(lambda: board.page(FIRM, named, limit=51)),
            "list_counts": median_ms(lambda: board.count(FIRM)),
            "loans_page": median_ms(
                lambda: loans.page(FIRM, LoanFilter(only="overdue"), 20_560, limit=51)
            ),
            "loans_total": median_ms(lambda: loans.total(FIRM, LoanFilter(only="owing"), 20_560)),
        }


def pages(folder: Path) -> None:
    """Bytes sent (compressed where the server compresses) and first contentful paint, nothing cached."""
    day = Day(folder / "day")
    try:
        with sync_playwright() as playwright, open_browser(playwright) as browser:
            for name, path, login in (
                ("firm", "/firm/waybills", "haulier"), ("trip", f"/trips/{day.trip}", "haulier"),
                ("lender", "/lender", "lender"), ("driver", "/driver", ""), ("door", "/door", ""),
            ):  # fmt: skip
                weight, paint = _open(browser, day, path, login)
                report(f"web.{name}_weight", weight, "kB", WEIGHT_TARGET_KB[name])
                report(f"web.{name}_first_paint", paint, "ms", PAINT_TARGET_MS)
            styles = day.system.http.get("/static/npm/tabler/tabler.min.css").content
            report("web.styles", len(gzip.compress(styles, 6)) / 1000, "kB", 90.0)
    except NoBrowserError as error:
        print(json.dumps({"bench": "web.pages", "skipped": str(error)}))
    finally:
        day.close()


def _open(browser, day: Day, path: str, login: str) -> tuple[float, float]:
    paints, weights = [], []
    for _ in range(3):
        context = browser.new_context(base_url=day.url, locale="zh-CN")
        context.set_default_timeout(PATIENCE_MS)
        if login:
            context.add_cookies([day.cookie(login)])
        page = context.new_page()
        sizes: list[int] = []
        page.on("requestfinished", lambda one, to=sizes: to.append(one.sizes()["responseBodySize"]))
        page.goto(path, wait_until="networkidle" if "trips" not in path else "load")
        page.wait_for_timeout(1500)
        paints.append(
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )
        weights.append(sum(sizes) / 1000)
        context.close()
    return statistics.median(weights), statistics.median(paints)


def main() -> None:
    # figures alone on standard output
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        lists(folder)
        pages(folder)


if __name__ == "__main__":
    main()
