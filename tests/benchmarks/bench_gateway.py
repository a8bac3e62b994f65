"""From the socket to durable and judged: 2,000 terminals, their trips under watch, and memory a terminal.

Three processes, as the product runs them: the gateway (here), the worker's watch over the trips, and the terminals.
Run singly: ``python -m tests.benchmarks.bench_gateway [--terminals N] [--rate FIXES_A_SECOND] [--seconds S]
[--postgresql URL]``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from chain.bindings.enums import TripState
from chain.clock import SystemClock
from chain.ids import TripId
from tests.benchmarks import terminals as players
from tests.benchmarks.bench_tracking import VEHICLE, a_fix, line, new_storage, seconds_of
from tests.benchmarks.road import ROADS, plan_of
from tracking.fix_records import fix_digest
from tracking.ingest.gateway import Gateway, GatewaySettings
from tracking.repository import SqlRecords
from tracking.service import TrackingService
from tracking.tables import FixRow
from tracking.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from chain.storage import Storage
    from tracking.ingest.arrivals import Answer, Arrival
    from tracking.trip import Trip

MODULE = "tests.benchmarks.bench_gateway"
OFFERED, TARGET = 11_000, 10_000
"""Fixes a second: what the terminals send, and what must come through."""


def gateway(
    terminals: int = 2_000, rate: int = OFFERED, seconds: float = 30.0, url: str | None = None
) -> Iterator[dict]:
    """Simulated terminals at a steady rate over real sockets, each fix acknowledged when durable.

    What is offered is a little more than the target: the last look of the watch counts too.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        storage = new_storage(folder, url)
        baseline = _orm_rate(storage)
        begins = int(time.time() - rate * seconds / terminals) - 120
        _open_trips(storage, terminals, begins)
        facts = asyncio.run(_serve(storage, terminals, rate, seconds, begins))
        with storage.read() as session:
            stored = SqlRecords(session).count_all()
        storage.close()
    print(json.dumps(facts), file=sys.stderr)
    judged = min(facts["rate"], facts["judged_rate"])
    yield line(
        "tracking.gateway", judged, "fixes/s durable and judged", baseline=baseline,
        baseline_name="each fix its own ORM transaction", target=TARGET,
    )  # fmt: skip
    yield line("tracking.gateway_p99", facts["p99_ms"], "ms", target=500, least=False)
    lost = max(facts["acknowledged"] - stored, facts["sent"] - facts["judged"])
    yield line("tracking.gateway_lost", lost, "fixes", target=0, least=False)
    yield line("tracking.gateway_cpu", facts["cpu_us"], "us of CPU/fix")
    yield line("tracking.gateway_judge_cpu", facts["judge_cpu_us"], "us of CPU/fix")
    yield line("tracking.gateway_judge_lag", facts["judge_lag_s"], "s behind the last fix, at most")
    yield line("tracking.gateway_memory", facts["kb"], "KB/terminal", target=15, least=False)
    yield line("tracking.gateway_growth", facts["growth_kb"], "KB/terminal after warm-up")


def reconnects(terminals: int = 250, rounds: int = 36) -> Iterator[dict]:
    """Memory of the gateway while every terminal connects, signs in, sends and leaves, again and again.

    A leak grows with every round, an allocator's arenas by fits and starts: so the slope over the rounds after the
    warm-up (the first third) counts, of the resident pages and of the blocks that Python holds after a collection.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        storage = new_storage(folder)
        _open_trips(storage, terminals, int(time.time()), trips=False)
        sizes = asyncio.run(_reconnect(storage, terminals, rounds))
        storage.close()
    warm = sizes[rounds // 3 :]
    pages, blocks = (_slope(column) for column in zip(*warm, strict=True))
    print(
        json.dumps(
            {"reconnects": {"rss_kb": [one for one, _ in sizes], "blocks": [n for _, n in sizes]}}
        ),
        file=sys.stderr,
    )
    yield line(
        "tracking.gateway_reconnects", pages / terminals,
        f"KB grown a reconnection, slope over {len(warm)} rounds of {terminals} after {rounds // 3}",
        target=0.1, least=False,
    )  # fmt: skip
    yield line(
        "tracking.gateway_reconnect_blocks", blocks / terminals,
        "blocks of Python grown a reconnection, same rounds", target=0.5, least=False,
    )  # fmt: skip


def _orm_rate(storage: Storage) -> float:
    with storage.write() as session:
        service = TrackingService(records=SqlRecords(session), clock=SystemClock())
        number = service.register_terminal("1", VEHICLE).number

    def orm() -> None:
        for n in range(200):
            with storage.write() as session:
                fix = a_fix(n)
                session.add(
                    FixRow(
                        terminal_number=number, time=fix.time, digest=fix_digest(fix),
                        lat_e6=fix.lat_e6, lon_e6=fix.lon_e6,
                    )
                )  # fmt: skip

    rate = 200 / seconds_of(orm)
    with storage.write() as session:
        session.exec(FixRow.__table__.delete())
    return rate


def _open_trips(storage: Storage, terminals: int, begins: int, *, trips: bool = True) -> None:
    first: dict[int, Trip] = {}
    with storage.write() as session:
        records = SqlRecords(session)
        service = TrackingService(records=records, clock=SystemClock())
        for number in range(terminals):
            phone, road = players.phone_of(number), number % ROADS
            service.register_terminal(phone, VEHICLE, auth_code=players.CODE.decode())
            if not trips:
                continue
            trip = TripId(f"0x{number + 1:064x}")
            if road in first:  # the plan is the same: to hash it anew would only take time
                records.add_trip(replace(first[road], trip=trip, terminal=phone))
                continue
            opened = service.open_trip(
                trip, terminal=phone, vehicle=VEHICLE, plan=plan_of(road),
                opens=begins - 600, closes=begins + 86_400,
            )  # fmt: skip
            first[road] = replace(opened, state=TripState.LOADED)
            records.save_trip(first[road])


def _resident_kb() -> float:
    for row in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if row.startswith("VmRSS"):
            return float(row.split()[1])
    return 0.0


def _door(storage: Storage, terminals: int) -> Gateway:
    def take(arrivals: Sequence[Arrival]) -> list[Answer]:
        with storage.write() as session:
            return TrackingService(records=SqlRecords(session), clock=SystemClock()).take_arrivals(
                arrivals
            )

    settings = GatewaySettings(most_strangers=terminals)
    return Gateway(take=take, clock=SystemClock(), settings=settings)


async def _serve(
    storage: Storage, terminals: int, rate: int, seconds: float, begins: int
) -> Mapping[str, float]:
    door = _door(storage, terminals)
    _, port = await door.start()
    url = storage.url.render_as_string(hide_password=False)
    watcher = await asyncio.create_subprocess_exec(
        sys.executable, "-m", MODULE, f"--watch={url}", f"--terminals={terminals}",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    assert await watcher.stdout.readline() == b"ready\n"
    before = _resident_kb()
    player = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.terminals", f"--port={port}",
        f"--terminals={terminals}", f"--rate={rate}", f"--seconds={seconds}", f"--begins={begins}",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    while door.sessions < terminals or door.strangers:
        await asyncio.sleep(0.05)
        assert player.returncode is None, "the player has ended early"
    connected = _resident_kb()
    await asyncio.sleep(seconds / 3)
    warm, cpu, sleeping = _resident_kb(), time.process_time(), door.counts["fixes"]
    out, _ = await player.communicate()
    facts = json.loads(out)
    facts["cpu_us"] = (time.process_time() - cpu) * 1e6 / max(door.counts["fixes"] - sleeping, 1)
    facts["kb"] = (connected - before) / terminals
    facts["growth_kb"] = (_resident_kb() - warm) / terminals
    watched, _ = await watcher.communicate(f"{facts['acknowledged']}\n".encode())
    await door.stop()
    return facts | json.loads(watched)


def _slope(values: Sequence[float]) -> float:
    """Growth a step of a straight line through values, by least squares."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in range(len(values)))
    return sum((at - middle) * (value - mean) for at, value in enumerate(values)) / spread


async def _reconnect(storage: Storage, terminals: int, rounds: int) -> list[tuple[float, int]]:
    door = _door(storage, terminals)
    _, port = await door.start()
    sizes = []
    for number in range(rounds):
        fleet = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.terminals", f"--port={port}",
            f"--terminals={terminals}", f"--rate={terminals * 4}", "--seconds=1",
            f"--begins={int(time.time()) - 100 + number * 8}", stdout=subprocess.PIPE,
        )  # fmt: skip
        await fleet.communicate()
        while door.sessions:  # noqa: ASYNC110  the door knows no event for it
            await asyncio.sleep(0.02)
        gc.collect()
        sizes.append((_resident_kb(), sys.getallocatedblocks()))
    await door.stop()
    return sizes


# --- the worker's part -------------------------------------------------------------------------


class _Counted(SqlRecords):
    """Records that count the fixes which the watch has asked for."""

    fixes = 0

    def list_newer(self, since, until):
        found = super().list_newer(since, until)
        _Counted.fixes += sum(map(len, found.values()))
        return found


def watch(url: str, terminals: int) -> None:
    """Looks once a second at all trips, as the worker does, until all that was acknowledged is judged."""
    storage = new_storage("", url)
    watcher = Watch()

    def look() -> None:
        with storage.read() as session:
            seen = watcher.look(_Counted(session), now=int(time.time()))
        if seen.alerts or seen.progress:
            with storage.write() as session:
                service = TrackingService(records=SqlRecords(session), clock=SystemClock())
                service.note_seen(seen)

    while len(watcher) < terminals:
        look()
    print("ready", flush=True)
    told = _later(sys.stdin.readline)
    cpu, began, lag, ends = time.process_time(), 0.0, 0.0, 0.0
    give_up = float("inf")
    while True:
        at, had = time.perf_counter(), _Counted.fixes
        look()
        now = time.perf_counter()
        if _Counted.fixes > had:
            began, ends, lag = began or at, now, max(lag, now - at)
        word = told()
        if word is not None:
            give_up = min(give_up, now + 60)
            if _Counted.fixes >= int(word) or now > give_up:
                break
        time.sleep(max(0.0, 1.0 - (now - at)))
    facts = {
        "judged": _Counted.fixes,
        "judged_rate": _Counted.fixes / max(ends - began, 1e-9),
        "judge_cpu_us": (time.process_time() - cpu) * 1e6 / max(_Counted.fixes, 1),
        # a fix waits for the look before it at most, and for its own
        "judge_lag_s": 1.0 + lag,
    }
    print(json.dumps(facts), flush=True)


def _later(read: Callable[[], str]) -> Callable[[], str | None]:
    """What a read gives, once it has; it waits in a thread of its own."""
    import threading

    got: list[str] = []
    threading.Thread(target=lambda: got.append(read()), daemon=True).start()
    return lambda: got[0] if got else None


def main() -> None:
    """Runs all, or the worker's part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--terminals", type=int, default=2_000)
    parser.add_argument("--rate", type=int, default=OFFERED)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--postgresql", default=None)
    parser.add_argument("--watch", default="")
    parser.add_argument("--reconnects", action="store_true", help="memory under reconnects alone")
    given = parser.parse_args()
    if given.watch:
        watch(given.watch, given.terminals)
        return
    if not given.reconnects:
        for one in gateway(given.terminals, given.rate, given.seconds, given.postgresql):
            print(json.dumps(one), flush=True)
    for one in reconnects():
        print(json.dumps(one), flush=True)


if __name__ == "__main__":
    main()
