"""Speed and memory of the road in: decoding, storing, socket to durable, bytes a live terminal.

Each function yields lines of ``yundan bench``. Run singly: ``python -m tests.benchmarks.bench_tracking
[decode|store|gateway] [--terminals N] [--rate FIXES_A_SECOND] [--seconds S] [--postgresql URL]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from chain.clock import SystemClock
from chain.ids import Hash32
from chain.storage import Storage
from tracking import jt808
from tracking.fix import Fix
from tracking.ingest.gateway import Gateway, GatewaySettings
from tracking.ports import RawEntry
from tracking.repository import SqlRecords, fix_digest
from tracking.service import TrackingService
from tracking.tables import FixRow
from tracking.trip import RawFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

VEHICLE = Hash32("0x" + "11" * 32)
START = 1_767_571_200


def line(bench, value, unit, *, baseline=None, baseline_name="", target=None, least=True):
    """One line of ``yundan bench``; the target holds by ratio to nothing but itself."""
    ratio = None if not baseline else round(value / baseline, 2)
    holds = None if target is None else (value >= target if least else value <= target)
    return {
        "bench": bench,
        "value": round(value, 3 if value < 100 else 0),
        "unit": unit,
        "baseline": None if baseline is None else round(baseline, 3 if baseline < 100 else 0),
        "baseline_name": baseline_name,
        "ratio": ratio,
        "target": target,
        "holds": holds,
    }


def a_fix(n, at=START):
    return Fix(
        time=at + n,
        lat_e6=31_000_000 + n * 90,
        lon_e6=121_000_000 + n * 40,
        speed_dkmh=623,
        heading=71,
        altitude_m=12,
        satellites=14,
        odometer_dkm=98_000 + n,
        recorder_dkmh=620,
        status=0x000C0003,
        alarm=0,
    )


# --- decode ------------------------------------------------------------------------------------


def decode() -> Iterator[dict]:
    """Frames with six additional items, from stream bytes to fixes, on one core."""
    extra = bytes.fromhex("0202016825040000000030011f")
    frames = []
    for n in range(2_000):
        body = jt808.write_location(a_fix(n)) + extra
        frames.append(jt808.write_frame(jt808.LOCATION, "13912345678", n, body))
    data = b"".join(frames) * 10
    chunks = [data[i : i + 16_384] for i in range(0, len(data), 16_384)]

    def ours():
        splitter, count = jt808.Splitter(), 0
        for chunk in chunks:
            for payload in splitter.feed(chunk):
                frame = jt808.parse_frame(payload)
                for _ in jt808.fixes_of(frame, jt808.read_message(frame), received=START):
                    count += 1
        return count

    def plain():
        count, held = 0, bytearray()
        inside = False
        for chunk in chunks:
            for byte in chunk:
                if byte == 0x7E:
                    if inside and held:
                        _plain_decode(bytes(held))
                        count += 1
                    held.clear()
                    inside = True
                else:
                    held.append(byte)
        return count

    assert ours() == plain() == len(frames) * 10
    yield line(
        "tracking.decode", _rate(ours, len(frames) * 10), "frames/s",
        baseline=_rate(plain, len(frames) * 10, 1),
        baseline_name="a plain decoder, field by field", target=60_000,
    )  # fmt: skip


def _plain_decode(payload):
    """How a decoder is written at first: byte by byte, field by field, the same checks."""
    data, at = bytearray(), 0
    while at < len(payload):
        if payload[at] == 0x7D:
            at += 1
            data.append(0x7D if payload[at] == 1 else 0x7E)
        else:
            data.append(payload[at])
        at += 1
    check = 0
    for byte in data:
        check ^= byte
    if check or int.from_bytes(data[2:4], "big") & 0x3FF != len(data) - 13:
        raise ValueError("bad frame")
    body = data[12:-1]

    def number(begin, end, *, signed=False):
        return int.from_bytes(body[begin:end], "big", signed=signed)

    digits = [f"{byte:02x}" for byte in body[22:28]]
    at_time = time.strptime("20" + "".join(digits), "%Y%m%d%H%M%S")
    items, at = {}, 28
    while at + 2 <= len(body):
        items[body[at]] = bytes(body[at + 2 : at + 2 + body[at + 1]])
        at += 2 + body[at + 1]
    return {
        "phone": "".join(f"{byte:02x}" for byte in data[4:10]),
        "alarm": number(0, 4),
        "status": number(4, 8),
        "lat": number(8, 12) / 1e6,
        "lon": number(12, 16) / 1e6,
        "altitude": number(16, 18, signed=True),
        "speed": number(18, 20) / 10,
        "heading": number(20, 22),
        "time": at_time,
        "mileage": int.from_bytes(items.get(1, b""), "big") / 10,
        "satellites": int.from_bytes(items.get(0x31, b""), "big"),
    }


def _rate(work: Callable[[], object], count: int, rounds: int = 3) -> float:
    best = min(_seconds(work) for _ in range(rounds))
    return count / best


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# --- store -------------------------------------------------------------------------------------


def _new_storage(folder: str, url: str | None = None) -> Storage:
    storage = Storage(url or f"sqlite:///{folder}/bench.db")
    storage.create_all()
    return storage


def store(url: str | None = None) -> Iterator[dict]:
    """Fixes with their raw frames made durable in groups of 2,000, against one ORM row a transaction."""
    with tempfile.TemporaryDirectory() as folder:
        storage = _new_storage(folder, url)
        with storage.write() as session:
            service = TrackingService(records=SqlRecords(session), clock=SystemClock())
            number = service.register_terminal("139", VEHICLE).number
        fixes = [a_fix(n) for n in range(20_000)]
        frames = [
            jt808.write_frame(jt808.LOCATION, "139", n, jt808.write_location(fix))[1:-1]
            for n, fix in enumerate(fixes)
        ]

        def ours():
            for at in range(0, len(fixes), 2_000):
                part = fixes[at : at + 2_000]
                with storage.write() as session:
                    records = SqlRecords(session)
                    records.add_raw(
                        [
                            RawEntry(number, RawFrame("jt808", START, data), fix.time, fix.time)
                            for data, fix in zip(frames[at : at + 2_000], part, strict=True)
                        ]
                    )
                    records.add_fixes([(number, fix) for fix in part])

        def orm(count, group):
            for at in range(0, count, group):
                with storage.write() as session:
                    for fix in fixes[at : at + group]:
                        session.add(
                            FixRow(
                                terminal_number=number, time=fix.time + 10**6, digest=fix_digest(fix),
                                lat_e6=fix.lat_e6, lon_e6=fix.lon_e6, speed_dkmh=fix.speed_dkmh,
                            )
                        )  # fmt: skip

        value = len(fixes) / _seconds(ours)
        baseline = 300 / _seconds(lambda: orm(300, 1))
        with storage.write() as session:
            session.exec(FixRow.__table__.delete().where(FixRow.time >= START + 10**6))
        grouped = 4_000 / _seconds(lambda: orm(4_000, 2_000))
        storage.close()
    yield line(
        "tracking.store", value, "fixes/s", baseline=baseline,
        baseline_name="each fix its own ORM transaction",
    )  # fmt: skip
    yield line(
        "tracking.store_grouped", value, "fixes/s", baseline=grouped,
        baseline_name="ORM objects, 2,000 a transaction",
    )  # fmt: skip


# --- socket to durable -------------------------------------------------------------------------


def gateway(
    terminals: int = 2_000, rate: int = 10_000, seconds: float = 15.0, url: str | None = None
) -> Iterator[dict]:
    """Simulated terminals at a steady rate over real sockets, each fix acknowledged when durable."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        storage = _new_storage(folder, url)
        baseline = _orm_rate(storage)
        facts = asyncio.run(_serve(storage, terminals, rate, seconds))
        with storage.read() as session:
            stored = SqlRecords(session).count_all()
        storage.close()
    lost = facts["acknowledged"] - stored
    yield line(
        "tracking.gateway", facts["rate"], "fixes/s", baseline=baseline,
        baseline_name="each fix its own ORM transaction", target=10_000,
    )  # fmt: skip
    yield line("tracking.gateway_cpu", facts["cpu_us"], "us of CPU/fix")
    yield line("tracking.gateway_p99", facts["p99_ms"], "ms", target=500, least=False)
    yield line("tracking.gateway_lost", lost, "fixes", target=0, least=False)
    yield line("tracking.gateway_memory", facts["kb"], "KB/terminal", target=15, least=False)
    yield line("tracking.gateway_growth", facts["growth_kb"], "KB/terminal after warm-up")


def _orm_rate(storage: Storage) -> float:
    with storage.write() as session:
        service = TrackingService(records=SqlRecords(session), clock=SystemClock())
        number = service.register_terminal("1", VEHICLE).number

    def orm():
        for n in range(200):
            with storage.write() as session:
                fix = a_fix(n)
                session.add(
                    FixRow(
                        terminal_number=number, time=fix.time, digest=fix_digest(fix),
                        lat_e6=fix.lat_e6, lon_e6=fix.lon_e6,
                    )
                )  # fmt: skip

    rate = 200 / _seconds(orm)
    with storage.write() as session:
        session.exec(FixRow.__table__.delete())
    return rate


def _resident_kb() -> float:
    for row in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if row.startswith("VmRSS"):
            return float(row.split()[1])
    return 0.0


async def _serve(
    storage: Storage, terminals: int, rate: int, seconds: float
) -> Mapping[str, float]:
    def take(arrivals):
        with storage.write() as session:
            return TrackingService(records=SqlRecords(session), clock=SystemClock()).take_arrivals(
                arrivals
            )

    with storage.write() as session:
        service = TrackingService(records=SqlRecords(session), clock=SystemClock())
        for n in range(terminals):
            service.register_terminal(str(10_000_000_000 + n), VEHICLE, auth_code="bench")
    door = Gateway(
        take=take, clock=SystemClock(), settings=GatewaySettings(most_strangers=terminals)
    )
    _, port = await door.start()
    before = _resident_kb()
    player = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.bench_tracking", "play", f"--port={port}",
        f"--terminals={terminals}", f"--rate={rate}", f"--seconds={seconds}",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    while door.sessions < terminals or door._strangers:
        await asyncio.sleep(0.05)
        assert player.returncode is None, "the player has ended early"
    connected = _resident_kb()
    await asyncio.sleep(seconds / 3)
    warm = _resident_kb()
    cpu = time.process_time()
    sleeping = door.counts["fixes"]
    out, _ = await player.communicate()
    facts = json.loads(out)
    facts["cpu_us"] = (time.process_time() - cpu) * 1e6 / max(door.counts["fixes"] - sleeping, 1)
    facts["kb"] = (connected - before) / terminals
    facts["growth_kb"] = (_resident_kb() - warm) / terminals
    await door.stop()
    return facts


class _Player(asyncio.Protocol):
    """A terminal that sends on time and counts the acknowledgements."""

    def __init__(self, phone, waits):
        self.phone, self.waits = phone, waits
        self.writer = jt808.FrameWriter(phone, None)
        self.splitter = jt808.Splitter()
        self.serial = 1
        self.flying = {}
        self.acknowledged = self.refused = 0
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(jt808.write_frame(jt808.AUTHENTICATE, self.phone, 0, b"bench"))

    def connection_lost(self, exc):
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("refused"))

    def data_received(self, data):
        now = time.perf_counter()
        for payload in self.splitter.feed(data):
            # only what counting needs, so that the player takes little of the machine it measures
            ack = jt808.unescape(payload)
            serial, result = ack[12] << 8 | ack[13], ack[16]
            if not self.ready.done():
                self.ready.set_result(result)
                continue
            self.waits.append(now - self.flying.pop(serial))
            if result:
                self.refused += 1
            else:
                self.acknowledged += 1

    def send(self, body):
        self.flying[self.serial] = time.perf_counter()
        self.transport.write(self.writer.frame(jt808.LOCATION, self.serial, body))
        self.serial = self.serial % 65_535 + 1


async def _play(port: int, terminals: int, rate: int, seconds: float) -> dict:
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    players = []
    for n in range(terminals):
        phone = str(10_000_000_000 + n)
        _, player = await loop.create_connection(
            lambda p=phone: _Player(p, waits), "127.0.0.1", port
        )
        players.append(player)
    assert not any(await asyncio.gather(*(player.ready for player in players)))
    await asyncio.sleep(0.5)
    random.Random(1).shuffle(players)
    bodies: list[bytes] = []
    began = time.perf_counter()
    sent = 0
    while (elapsed := time.perf_counter() - began) < seconds:
        due = int(elapsed * rate)
        while len(bodies) <= due // terminals:
            bodies.append(jt808.write_location(a_fix(len(bodies))))
        for at in range(sent, due):
            players[at % terminals].send(bodies[at // terminals])
        sent = due
        await asyncio.sleep(0.005)
    while any(player.flying for player in players) and time.perf_counter() - began < seconds + 60:  # noqa: ASYNC110  2,000 events would cost more
        await asyncio.sleep(0.01)
    took = time.perf_counter() - began
    waits.sort()
    assert all(a <= b for a, b in pairwise(waits[:100]))
    for player in players:
        player.transport.close()
    return {
        "acknowledged": sum(player.acknowledged for player in players),
        "refused": sum(player.refused for player in players),
        "unanswered": sum(len(player.flying) for player in players),
        "rate": sum(player.acknowledged for player in players) / took,
        "p50_ms": waits[len(waits) // 2] * 1000,
        "p99_ms": waits[len(waits) * 99 // 100] * 1000,
    }


BENCHES: Mapping[str, Callable[[], Iterator[dict]]] = {
    "tracking.decode": decode,
    "tracking.store": store,
    "tracking.gateway": gateway,
}
"""What ``yundan bench`` runs, by name."""


def main() -> None:
    """Runs one of them, or the player of the gateway's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["decode", "store", "gateway", "play"])
    parser.add_argument("--terminals", type=int, default=2_000)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--postgresql", default=None)
    given = parser.parse_args()
    if given.name == "play":
        print(
            json.dumps(asyncio.run(_play(given.port, given.terminals, given.rate, given.seconds)))
        )
        return
    work = {
        "decode": decode,
        "store": lambda: store(given.postgresql),
        "gateway": lambda: gateway(given.terminals, given.rate, given.seconds, given.postgresql),
    }[given.name]
    for one in work():
        print(json.dumps(one), flush=True)


if __name__ == "__main__":
    main()
