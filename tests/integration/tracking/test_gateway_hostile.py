"""Hostile peers at the JT/T 808 door: what they cost is bounded, and an honest terminal still gets through."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from chain.storage import Storage
from tests.integration.tracking.road import PHONE, Road, drive
from tracking import jt808
from tracking.ingest.replay import replay

CODE = "KNOWN"


@pytest.fixture
def door(tmp_path):
    storage = Storage(f"sqlite:///{tmp_path}/road.db")
    storage.create_all()

    def make(*phones, **settings):
        road = Road(storage, **settings)
        road.register(PHONE, *phones, auth_code=CODE)
        return road

    yield make
    storage.close()


def run(road, work):
    async def main():
        async with road.open():
            await asyncio.wait_for(work(), 60)

    asyncio.run(main())


async def sign_in(port, phone):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(jt808.write_frame(jt808.AUTHENTICATE, phone, 0, CODE.encode()))
    await asyncio.wait_for(reader.readuntil(b"\x7e"), 20)
    await asyncio.wait_for(reader.readuntil(b"\x7e"), 20)
    return reader, writer


async def until(happened):
    for _ in range(1_000):
        if happened():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it has not happened within 20 s")


async def honest(road, count=5):
    played = await replay(drive(count), host="127.0.0.1", port=road.port, phone=PHONE)
    assert played.fixes == count


def test_half_a_frame_drawn_out_for_ever_is_closed_and_holds_next_to_nothing(door):
    road = door(idle_s=0.6, login_s=0.6)
    frame = jt808.write_frame(jt808.LOCATION, PHONE, 1, jt808.write_location(drive(1)[0]))

    async def work():
        _, stranger = await asyncio.open_connection("127.0.0.1", road.port)
        _, known = await sign_in(road.port, PHONE)
        held = 0
        with contextlib.suppress(ConnectionError):
            for byte in frame[:-1] * 40:  # the end flag never comes; 0x7E begins anew each time
                for writer in (stranger, known):
                    writer.write(bytes((byte if byte != 0x7E else 0x41,)))
                    await writer.drain()
                held = max([held, *(one.splitter.held for one in road.gateway._sessions.values())])
                await asyncio.sleep(0.01)
        await until(lambda: road.gateway.sessions == 0)
        for writer in (stranger, known):
            writer.close()
        assert held <= jt808.MAX_PAYLOAD

    run(road, work)
    assert road.gateway.counts["sessions_expired"] == 2


def test_pieces_of_messages_that_never_end_are_bounded_for_one_and_for_all(door):
    phones = [str(13_800_000_000 + n) for n in range(12)]
    road = door(*phones, piece_bytes=20_000, most_piece_bytes=60_000)
    body = bytes(900)

    async def work():
        most = 0
        writers = []
        for phone in phones:
            _, writer = await sign_in(road.port, phone)
            writers.append(writer)
            for n in range(55):
                writer.write(
                    jt808.write_frame(jt808.BATCH, phone, n, body, pieces=4_000, piece=n + 1)
                )
            await writer.drain()
            await asyncio.sleep(0.05)
            most = max(most, road.gateway.piece_bytes)
        assert most <= 60_000 + 2_000
        assert road.gateway.counts["pieces_dropped"]
        await honest(road)
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await until(lambda: road.gateway.sessions == 0)
        assert road.gateway.piece_bytes == 0

    run(road, work)


def test_long_messages_that_wait_are_bounded_by_their_bytes(door):
    road = door(most_waiting_bytes=60_000, most_waiting_bytes_each=20_000, most_group=2)
    go_on, most = threading.Event(), 0

    def take(arrivals):
        nonlocal most
        most = max(most, road.gateway.waiting_bytes)
        go_on.wait(20)
        return road.take_arrivals(arrivals)

    road.take = take
    fixes = drive(16 * 400, step=1)
    frames = [
        jt808.write_frame(jt808.BATCH, PHONE, n + 1, jt808.write_batch(fixes[16 * n : 16 * n + 16]))
        for n in range(400)
    ]

    async def work():
        asyncio.get_running_loop().call_later(0.5, go_on.set)
        reader, writer = await sign_in(road.port, PHONE)
        writer.write(b"".join(frames))
        heard = b""
        while heard.count(b"\x7e") < 2 * len(frames):
            heard += await asyncio.wait_for(reader.read(65_536), 30)
        writer.close()

    run(road, work)
    assert (
        most <= 20_000 + 2 * 16 * 1024
    )  # the bound of one, and what was read before it was noticed
    assert len(road.fixes(PHONE)) == len(fixes)
    assert road.gateway.waiting_bytes == 0


def test_thousands_who_connect_and_say_nothing_keep_no_terminal_out(door):
    road = door(most_strangers=150, most_connections=5_000)

    async def work():
        crowd = []
        for _ in range(12):
            crowd += await asyncio.gather(
                *(asyncio.open_connection("127.0.0.1", road.port) for _ in range(100))
            )
            assert road.gateway.strangers <= 150
        await honest(road)
        for _, writer in crowd:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await until(lambda: road.gateway.sessions == 0)

    run(road, work)
    assert road.gateway.counts["connections"] >= 1_201
