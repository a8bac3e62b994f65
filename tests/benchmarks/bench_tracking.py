"""Speed of the road in: decoding and storing; ``bench_gateway`` has the whole way from socket to judged.

Each function yields lines of ``yundan bench``. Run singly: ``python -m tests.benchmarks.bench_tracking
[decode|store] [--postgresql URL]``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from typing import TYPE_CHECKING

from chain.clock import SystemClock
from chain.ids import Hash32
from chain.storage import Storage
from tracking import jt808
from tracking.fix import Fix
from tracking.fix_records import fix_digest
from tracking.ports import RawEntry
from tracking.repository import SqlRecords
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
        "tracking.decode", _rate(ours, len(frames) * 10), "frames/s/core",
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
    """So many a second of one core: another program on the machine must not count."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return count / best


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# --- store -------------------------------------------------------------------------------------


def new_storage(folder: str, url: str | None = None) -> Storage:
    storage = Storage(url or f"sqlite:///{folder}/bench.db")
    storage.create_all()
    return storage


def store(url: str | None = None) -> Iterator[dict]:
    """Fixes with their raw frames made durable in groups of 2,000, against one ORM row a transaction."""
    with tempfile.TemporaryDirectory() as folder:
        storage = new_storage(folder, url)
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

        value = len(fixes) / seconds_of(ours)
        baseline = 300 / seconds_of(lambda: orm(300, 1))
        with storage.write() as session:
            session.exec(FixRow.__table__.delete().where(FixRow.time >= START + 10**6))
        grouped = 4_000 / seconds_of(lambda: orm(4_000, 2_000))
        storage.close()
    yield line(
        "tracking.store", value, "fixes/s", baseline=baseline,
        baseline_name="each fix its own ORM transaction",
    )  # fmt: skip
    yield line(
        "tracking.store_grouped", value, "fixes/s", baseline=grouped,
        baseline_name="ORM objects, 2,000 a transaction",
    )  # fmt: skip


BENCHES: Mapping[str, Callable[[], Iterator[dict]]] = {
    "tracking.decode": decode,
    "tracking.store": store,
}
"""What ``yundan bench`` runs, by name."""


def main() -> None:
    """Runs all, or the one that is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="?", choices=["decode", "store"])
    parser.add_argument("--postgresql", default=None)
    given = parser.parse_args()
    work = {"decode": decode, "store": lambda: store(given.postgresql)}
    for name in [given.name] if given.name else work:
        for one in work[name]():
            print(json.dumps(one), flush=True)


if __name__ == "__main__":
    main()
