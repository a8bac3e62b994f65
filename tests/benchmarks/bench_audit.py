"""The lender pack: writing, size and checking of a trip with 5,000 fixes, on a real node.

Each line is one of ``yundan bench audit``. The drive is a recorded one, resampled to a fix a second with a
receiver's noise, and comes in as JT/T 808 frames. Run singly: ``python -m tests.benchmarks.bench_audit``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import logging
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from api.audit.export import export_trip
from api.client import plain
from api.jobs import commit_tracks, judge_arrived
from api.verifier.portfolio import Summary, verify_packs
from api.verifier.verify import Trust, verify_pack
from tests.integration.api import test_day as a_day
from tests.integration.api.system import System
from tracking import jt808
from tracking.fix import Fix
from tracking.ingest.arrivals import Arrival

if TYPE_CHECKING:
    from api.verifier.report import Report

FIXES = 5_000
FIXES_OF_A_PACK, PACKS = 300, 200
PHONE = "13900004716"
BATCHES = 12
NOISE_E6 = 12
"""About a metre, as a good receiver has it standing or driving."""


def resampled(count: int) -> list[Fix]:
    """The recorded drive at a fix a second, slowed down so that there are ``count`` of them."""
    recorded, dice = a_day.FIXES, random.Random(5)
    start, span = recorded[0].time, recorded[-1].time - recorded[0].time
    slow, made, at = count / span, [], 0
    for second in range(count):
        when = start + second / slow
        while at < len(recorded) - 2 and recorded[at + 1].time <= when:
            at += 1
        before, after = recorded[at], recorded[at + 1]
        share = (when - before.time) / max(1, after.time - before.time)
        lat, lon = (
            round(getattr(before, name) * (1 - share) + getattr(after, name) * share)
            + dice.randint(-NOISE_E6, NOISE_E6)
            for name in ("lat_e6", "lon_e6")
        )
        made.append(
            Fix(
                start + second,
                lat,
                lon,
                speed_dkmh=dice.randint(40, 140),
                heading=dice.randrange(360),
            )
        )
    return made


def send(system: System, fixes: list[Fix]) -> None:
    """Frames of one message each, as the gateway hands them on; batches are committed on the way."""
    with system.container.read() as services:
        number = services.tracks.find_terminals({PHONE})[PHONE].number
    step = len(fixes) // BATCHES + 1
    for first in range(0, len(fixes), step):
        piece = fixes[first : first + step]
        system.later(dt.datetime.fromtimestamp(piece[-1].time + 2, dt.UTC))
        arrivals = []
        for serial, fix in enumerate(piece, first):
            frame = jt808.write_frame(jt808.LOCATION, PHONE, serial, jt808.write_location(fix))
            read = jt808.parse_frame(frame[1:-1])
            message = jt808.read_message(read)
            received = fix.time + 1
            known = tuple(jt808.fixes_of(read, message, received=received))
            arrivals.append(
                Arrival(1, number, PHONE, jt808.LOCATION, message, (frame[1:-1],), known, received)
            )
        with system.container.write() as services:
            services.tracking.take_arrivals(arrivals)
        commit_tracks(system.container)
        system.settle()


def build(system: System, count: int) -> str:
    """A whole day of one trip with so many fixes; its id."""
    cast = a_day.cast._get_wrapped_function()(system)
    fixes = resampled(count)
    system.later(a_day.BEGIN - dt.timedelta(hours=2))
    a_day.fund_lender(system, cast)
    line = a_day.open_line(system, cast)
    system.later(a_day.BEGIN - dt.timedelta(minutes=30))
    ids = a_day.send_waybills(system, cast)
    trip = plain(cast["driver"].get(f"/v1/waybills/{ids['t2']}")["trip"])
    a_day.ask_advance(system, cast, line, ids, trip)
    system.later(a_day.BEGIN - dt.timedelta(seconds=30))
    cast["driver"].act(f"/v1/deliveries/{trip}/loading")
    system.settle()
    cast["haulier"].post("/v1/terminals", {"terminal": PHONE, "plate": "苏A 4716"})
    send(system, fixes)
    system.later(dt.datetime.fromtimestamp(fixes[-1].time + 700, dt.UTC))
    for _ in range(3):
        judge_arrived(system.container)
        system.settle()
    a_day.attest(system, cast)
    cast["consignee"].act(f"/v1/deliveries/{trip}/confirmation")
    system.settle()
    return trip


def line(bench, value, unit, target, **more):
    """One line of ``yundan bench``; less is better in all of these. No peer has a pack to compare with."""
    return {
        "bench": f"audit.{bench}",
        "value": round(value, 3),
        "unit": unit,
        "baseline": None,
        "baseline_name": "",
        "ratio": None,
        "target": target,
        "holds": value <= target,
        **more,
    }


def timed(work, times: int = 3):
    """The middle of a few runs by the wall and by the processor, and what the last one gave."""
    took, busy, given = [], [], None
    for _ in range(times):
        begin, work_begin = time.perf_counter(), time.process_time()
        given = work()
        took.append(time.perf_counter() - begin)
        busy.append(time.process_time() - work_begin)
    return sorted(took)[times // 2], round(sorted(busy)[times // 2], 3), given


def run(count: int) -> None:
    """Prints the lines."""
    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder))
        try:
            trip, path = build(system, count), Path(folder) / "pack.zip"
            took, cpu, done = timed(lambda: export_trip(system.container, trip, path))
            facts = {"fixes": count, "transactions": done.transactions, "blocks": done.anchor}
            print(json.dumps(line("export", took, "s", 2.0, cpu_s=cpu, **facts)))
            print(json.dumps(line("size", done.size / 1e6, "MB", 1.0, **facts)))
            took, cpu, report = timed(lambda: verify_pack(path, trust=[done.anchor_hash]))
            print(
                json.dumps(
                    line("verify", took, "s", 3.0, cpu_s=cpu, checks=len(report.checks), **facts)
                )
            )
            if not report.verified:
                sys.exit(_reds(report))
        finally:
            system.close()


def run_portfolio(fixes: int, packs: int) -> None:
    """Prints the lines of checking many packs side by side; nothing is kept between two packs."""
    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder))
        try:
            trip, path = build(system, fixes), Path(folder) / "pack.zip"
            done = export_trip(system.container, trip, path)
        finally:
            system.close()
        summary, begin, warm, end = Summary(), time.perf_counter(), 0, 0
        for at, report in enumerate(verify_packs([path] * packs, Trust((done.anchor_hash,))), 1):
            summary.add(report)
            if at == max(1, packs // 10):
                warm = _memory()
            if at == packs:
                end = _memory()  # while the processes still live
        took, grown = time.perf_counter() - begin, end - warm
        if summary.exit_code:
            sys.exit(f"{summary.counts}: {summary.exceptions[:3]}")
        facts = {"packs": packs, "fixes": fixes, "workers": os.cpu_count()}
        print(json.dumps(line("portfolio", took / packs * 10_000 / 60, "min/10000", 20.0, **facts)))
        print(json.dumps(line("portfolio.memory_growth", grown / 1e6, "MB", 10.0, **facts)))


def _memory() -> int:
    """Resident bytes of this process and of those it started, which live as long as the pool."""
    own = os.getpid()
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = stat.parent.name, stat.read_text().rsplit(")", 1)[1].split()
            if int(pid) == own or int(rest[1]) == own:
                total += int(rest[21]) * os.sysconf("SC_PAGE_SIZE")
    return total


def _reds(report: Report) -> str:
    return "\n".join(f"{check.code} {check.about}: {check.reason}" for check in report.reds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixes", type=int, default=FIXES)
    parser.add_argument("--packs", type=int, default=PACKS, help="of a portfolio; 10000 in full")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    given = parser.parse_args()
    run(given.fixes)
    run_portfolio(FIXES_OF_A_PACK, given.packs)
