"""The JT/T 808 door on a real socket: what is acknowledged is durable, and nobody can make it grow."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from dataclasses import replace

import pytest

from tests.integration.tracking.road import PHONE, VEHICLE, Road, drive
from tracking import jt808
from tracking.ingest.replay import Device, Pace, ReplayError, TerminalClient, replay, replay_file


@pytest.fixture
def road(empty_storage):
    empty_storage.create_all()
    made = Road(empty_storage)
    made.register(PHONE)
    return made


@pytest.fixture
def quick(tmp_path):
    """A road on SQLite whose settings the test chooses."""
    from chain.storage import Storage

    storages = []

    def make(**settings):
        storage = Storage(f"sqlite:///{tmp_path}/road{len(storages)}.db")
        storages.append(storage)
        storage.create_all()
        made = Road(storage, **settings)
        made.register(PHONE)
        return made

    yield make
    for storage in storages:
        storage.close()


def run(road, work):
    async def main():
        async with road.open():
            return await asyncio.wait_for(work(), 60)

    return asyncio.run(main())


def bare(fix):
    return fix._replace(received=None, terminal="", status=None, alarm=None)


async def say(port, data, *, wait=0.3):
    """Writes bytes on a new connection; everything the server says within ``wait`` of silence."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    heard = b""
    end = asyncio.get_running_loop().time() + 2
    try:
        while chunk := await asyncio.wait_for(reader.read(65_536), wait):
            heard += chunk
            if asyncio.get_running_loop().time() > end:
                break
    except (TimeoutError, ConnectionError):
        pass
    writer.close()
    frames = [jt808.parse_frame(p) for p in jt808.Splitter().feed(heard)]
    return [(f.message_id, jt808.read_message(f)) for f in frames]


@pytest.mark.parametrize("variant", [2011, 2013, 2019])
@pytest.mark.parametrize("batch", [1, 40])
def test_a_replayed_drive_is_stored_as_it_was(road, variant, batch):
    fixes = drive(100)

    async def work():
        return await replay(
            fixes, host="127.0.0.1", port=road.port, phone=PHONE,
            device=Device(variant=variant), pace=Pace(batch=batch),
        )  # fmt: skip

    played = run(road, work)
    assert (played.fixes, played.refused, played.sent_again) == (100, 0, 0)
    stored = road.fixes(PHONE)
    assert [bare(fix) for fix in stored] == fixes
    assert {fix.terminal for fix in stored} == {PHONE}
    assert all(fix.received for fix in stored)
    assert all(
        not isinstance(jt808.parse_frame(raw.data), jt808.Refusal) for raw in road.raw(PHONE)
    )


def test_what_a_source_did_not_say_comes_back_as_unknown(road):
    fixes = [fix._replace(speed_dkmh=None, heading=None, altitude_m=None) for fix in drive(5)]
    run(road, lambda: replay(fixes, host="127.0.0.1", port=road.port, phone=PHONE))
    assert [bare(fix) for fix in road.fixes(PHONE)] == fixes


def test_a_file_is_played_as_the_command_plays_it(quick, tmp_path):
    road = quick()
    path = tmp_path / "fixes.csv"
    rows = "".join(
        f"2026-01-05T08:{n:02d}:00Z,31.{n:04d},121.5,{'' if n % 2 else 36.5},\n" for n in range(50)
    )
    path.write_text("time_utc,lat,lon,speed,heading\n" + rows, encoding="utf-8")

    async def work():
        return await asyncio.to_thread(
            replay_file, path, terminal=f"0{PHONE}", to=f"127.0.0.1:{road.port}"
        )

    told = run(road, work)
    assert (told["given"], told["fixes"], told["terminal"]) == (50, 50, PHONE)
    assert {fix.speed_dkmh for fix in road.fixes(PHONE)} == {365, None}
    for to in ("nowhere", "127.0.0.1:", "127.0.0.1:99999", ":1"):
        with pytest.raises(ReplayError, match="HOST:PORT"):
            replay_file(path, terminal=PHONE, to=to)
    with pytest.raises(ReplayError, match="nobody listens"):
        replay_file(path, terminal=PHONE, to=f"127.0.0.1:{road.port}")


def test_any_order_and_any_number_of_times_gives_the_same_rows(road):
    fixes = drive(60)
    run(road, lambda: replay(fixes, host="127.0.0.1", port=road.port, phone=PHONE))
    once = [fix._replace(received=None) for fix in road.fixes(PHONE)]
    road.write(lambda s: s.release_device(PHONE))

    async def shuffled():
        rng = random.Random(1)
        async with TerminalClient.connect("127.0.0.1", road.port, PHONE) as client:
            await client.log_in()
            for _ in range(3):
                some = rng.sample(fixes, 40)
                body = jt808.write_batch(some, late=True)
                assert (await client.ask(jt808.BATCH, body)).result == 0

    run(road, shuffled)
    assert [fix._replace(received=None) for fix in road.fixes(PHONE)] == once


def test_an_acknowledgement_means_that_the_fix_is_in_the_database(road):
    async def work():
        async with TerminalClient.connect("127.0.0.1", road.port, PHONE) as client:
            await client.log_in()
            for n, fix in enumerate(drive(20), 1):
                await client.ask(jt808.LOCATION, jt808.write_location(fix))
                assert len(road.fixes(PHONE)) == n

    run(road, work)


def test_nothing_is_acknowledged_while_the_database_fails_and_nothing_is_lost(quick):
    road = quick()
    failing = threading.Event()
    failing.set()

    def take(arrivals):
        if failing.is_set() and any(a.message_id == jt808.LOCATION for a in arrivals):
            raise OSError("disk full")
        return road.take_arrivals(arrivals)

    road.take = take

    async def work():
        async with TerminalClient.connect("127.0.0.1", road.port, PHONE) as client:
            await client.log_in()
            body = jt808.write_location(drive(1)[0])
            assert (await client.ask(jt808.LOCATION, body)).result == jt808.ACK_FAILED
            assert road.fixes(PHONE) == []
            failing.clear()
            assert (await client.ask(jt808.LOCATION, body)).result == jt808.ACK_OK
        assert len(road.fixes(PHONE)) == 1

    run(road, work)
    assert road.gateway.counts["groups_failed"] == 1


def test_a_bad_frame_costs_neither_the_connection_nor_its_neighbours(road):
    road.register(PHONE, auth_code="KNOWN")
    fixes = drive(3)

    def location(serial, fix):
        return jt808.write_frame(jt808.LOCATION, PHONE, serial, jt808.write_location(fix))

    broken = bytearray(location(9, fixes[0]))
    broken[20] ^= 0xFF
    login = jt808.write_frame(
        jt808.AUTHENTICATE, PHONE, 1, jt808.write_authentication("KNOWN", is_2019=False)
    )
    short = jt808.write_frame(jt808.LOCATION, PHONE, 3, b"\0" * 27)
    data = (
        b"\x00garbage" + login + location(2, fixes[0]) + bytes(broken) + b"\x01\x02"
        + short + location(4, fixes[1])[:-1] + location(5, fixes[2]) + b"\x7e\x7e"
    )  # fmt: skip

    def acks(heard):
        return [(m.reply_serial, m.result) for _, m in heard]

    heard = run(road, lambda: say(road.port, data))
    assert acks(heard) == [(1, 0), (2, 0), (3, 2), (4, 0), (5, 0)]
    assert len(road.fixes(PHONE)) == 3
    counts = road.gateway.counts
    assert (counts["refused:bad_checksum"], counts["refused:too_short"]) == (1, 1)


def test_replies_carry_the_serial_and_the_id_they_answer_and_count_their_own(road):
    async def work():
        async with TerminalClient.connect("127.0.0.1", road.port, PHONE) as client:
            await client.log_in()
            ack = await client.ask(jt808.HEARTBEAT)
            assert (ack.reply_id, ack.result) == (jt808.HEARTBEAT, 0)
            ack = await client.ask(0x0900, b"vendor")
            assert (ack.reply_id, ack.result) == (0x0900, jt808.ACK_UNSUPPORTED)
            ack = await client.ask(jt808.LOGOUT)
            assert (ack.reply_id, ack.result) == (jt808.LOGOUT, 0)

    run(road, work)


def test_strangers_are_refused_and_told_why(road):
    register = jt808.write_register(jt808.Register(2013, 0, 0, "m", "m", "t", 1, ""))
    location = jt808.write_location(drive(1)[0])

    async def work():
        unknown = await say(road.port, jt808.write_frame(jt808.REGISTER, "555", 7, register))
        assert unknown == [(jt808.REGISTER_ACK, jt808.RegisterAck(7, jt808.TERMINAL_UNKNOWN, ""))]
        for message, body in (
            (jt808.LOCATION, location),
            (jt808.HEARTBEAT, b""),
            (jt808.AUTHENTICATE, b"guess"),
            (jt808.BATCH, jt808.write_batch(drive(2))),
        ):
            heard = await say(road.port, jt808.write_frame(message, PHONE, 8, body))
            assert heard == [(jt808.PLATFORM_ACK, jt808.Ack(8, message, jt808.ACK_FAILED))]
        with pytest.raises(ReplayError, match="terminal unknown"):
            await replay(drive(1), host="127.0.0.1", port=road.port, phone="555")

    run(road, work)
    assert road.fixes(PHONE) == []
    assert road.raw(PHONE) == []


def test_another_device_under_the_same_phone_gets_no_code(road):
    async def work():
        async with TerminalClient.connect("127.0.0.1", road.port, PHONE) as client:
            await client.log_in()
        with pytest.raises(ReplayError, match="another device"):
            await replay(
                drive(1), host="127.0.0.1", port=road.port, phone=PHONE,
                device=Device(terminal_id="THIEF"),
            )  # fmt: skip
        road.write(lambda s: s.release_device(PHONE))
        async with TerminalClient.connect(
            "127.0.0.1", road.port, PHONE, Device(terminal_id="NEW")
        ) as client:
            await client.log_in()

    run(road, work)


def test_codes_are_not_tried_out_on_one_connection(quick):
    road = quick(most_failures=5)
    road.register(PHONE, auth_code="KNOWN")
    guesses = [
        jt808.write_frame(jt808.AUTHENTICATE, PHONE, n, code.encode())
        for n, code in enumerate([*(f"GUESS{n}" for n in range(30)), "KNOWN"])
    ]

    async def work():
        reader, writer = await asyncio.open_connection("127.0.0.1", road.port)
        heard = b""
        for guess in guesses:
            writer.write(guess)
            try:
                answer = await reader.read(1_000)
            except ConnectionError:
                break
            if not answer:
                break
            heard += answer
        writer.close()
        return [jt808.read_message(jt808.parse_frame(p)) for p in jt808.Splitter().feed(heard)]

    acks = run(road, work)
    assert len(acks) == 5
    assert {ack.result for ack in acks} == {jt808.ACK_FAILED}


def test_a_connection_speaks_for_one_terminal(road):
    road.register("777", auth_code="SEVEN")
    road.register(PHONE, auth_code="KNOWN")
    location = jt808.write_location(drive(1)[0])
    data = b"".join(
        jt808.write_frame(kind, phone, serial, body)
        for serial, (kind, phone, body) in enumerate(
            (
                (jt808.AUTHENTICATE, PHONE, b"KNOWN"),
                (jt808.LOCATION, "777", location),
                (jt808.AUTHENTICATE, "777", b"SEVEN"),
                (jt808.LOCATION, PHONE, location),
            )
        )
    )
    heard = run(road, lambda: say(road.port, data))
    assert sorted((m.reply_serial, m.result) for _, m in heard) == [(0, 0), (1, 1), (2, 1), (3, 0)]
    assert (len(road.fixes(PHONE)), len(road.fixes("777"))) == (1, 0)


def test_a_message_in_pieces_is_put_together_and_each_piece_acknowledged(road):
    fixes = drive(200)

    async def work():
        async with TerminalClient.connect("127.0.0.1", road.port, PHONE) as client:
            await client.log_in()
            answer = await client.ask(jt808.BATCH, jt808.write_batch(fixes))
            assert answer.result == 0

    run(road, work)
    assert len(road.fixes(PHONE)) == 200


def test_missing_pieces_are_asked_for(quick):
    road = quick(resend_after_s=0)
    road.register(PHONE, auth_code="KNOWN")
    login = jt808.write_frame(jt808.AUTHENTICATE, PHONE, 1, b"KNOWN")
    frames = jt808.write_message(jt808.BATCH, PHONE, 10, jt808.write_batch(drive(60)))

    async def work():
        return await say(road.port, login + frames[0] + frames[2], wait=1.5)

    heard = run(road, work)
    asked = [m for kind, m in heard if kind == jt808.RESEND_PIECES]
    assert asked[0] == jt808.ResendPieces(10, tuple(sorted({2, *range(4, len(frames) + 1)})))
    assert len([m for _, m in heard if isinstance(m, jt808.Ack)]) == 1  # only the log-in


def test_a_second_connection_of_a_terminal_takes_the_place_of_the_first(road):
    async def work():
        device = Device()
        async with TerminalClient.connect("127.0.0.1", road.port, PHONE, device) as first:
            code = await first.log_in()
            again = replace(device, auth_code=code)
            async with TerminalClient.connect("127.0.0.1", road.port, PHONE, again) as second:
                await second.log_in()
                with pytest.raises(ReplayError):
                    await first.ask(jt808.HEARTBEAT, timeout_s=0.5, tries=1)
                assert (await second.ask(jt808.HEARTBEAT)).result == 0
                assert road.gateway.sessions == 1

    run(road, work)


# --- hostile peers -----------------------------------------------------------------------------


def test_silent_strangers_and_idle_terminals_are_closed(quick):
    road = quick(login_s=0.3, idle_s=0.6)

    async def work():
        reader, writer = await asyncio.open_connection("127.0.0.1", road.port)
        for _ in range(6):  # a byte now and then is no word
            writer.write(b"\x7e")
            await asyncio.sleep(0.1)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        assert road.gateway.sessions == 0
        async with TerminalClient.connect("127.0.0.1", road.port, PHONE) as client:
            await client.log_in()
            await asyncio.sleep(0.4)
            assert road.gateway.sessions == 1
            await asyncio.sleep(1.0)
            assert road.gateway.sessions == 0

    run(road, work)
    assert road.gateway.counts["sessions_expired"] == 2


def test_connections_and_strangers_are_bounded(quick):
    road = quick(most_connections=5, most_strangers=3)

    async def work():
        pairs = [await asyncio.open_connection("127.0.0.1", road.port) for _ in range(20)]
        await asyncio.sleep(0.2)
        assert road.gateway.sessions <= 5
        played = await replay(drive(3), host="127.0.0.1", port=road.port, phone=PHONE)
        assert played.fixes == 3  # an honest terminal still gets in
        for _, writer in pairs:
            writer.close()

    run(road, work)


def test_a_stream_of_garbage_is_cut_off(quick):
    road = quick(most_bad_bytes=10_000)

    async def work():
        reader, writer = await asyncio.open_connection("127.0.0.1", road.port)
        rng = random.Random(3)
        try:
            for _ in range(200):
                writer.write(rng.randbytes(1_000))
                await writer.drain()
            gone = await reader.read() == b""
        except ConnectionError:
            gone = True
        writer.close()
        assert gone
        assert road.gateway.sessions == 0

    run(road, work)
    assert road.gateway.counts["sessions_cut"] == 1


def test_a_flood_waits_its_turn_and_a_peer_that_does_not_read_is_not_read(quick):
    road = quick(most_waiting=200, most_waiting_each=50, most_group=100, most_unread_bytes=2_000)
    road.register(PHONE, auth_code="KNOWN")
    most = 0

    def take(arrivals):
        nonlocal most
        most = max(most, road.gateway.waiting)
        return road.take_arrivals(arrivals)

    road.take = take
    frames = [
        jt808.write_frame(jt808.LOCATION, PHONE, n, jt808.write_location(fix))
        for n, fix in enumerate(drive(20_000, step=1), 2)
    ]

    async def work():
        reader, writer = await asyncio.open_connection("127.0.0.1", road.port, limit=1_024)
        writer.write(jt808.write_frame(jt808.AUTHENTICATE, PHONE, 1, b"KNOWN"))
        for i in range(0, len(frames), 500):
            writer.write(b"".join(frames[i : i + 500]))
        await asyncio.sleep(0.5)  # nobody reads the acknowledgements
        heard = b""
        while heard.count(b"\x7e") < 2 * 20_001:
            heard += await reader.read(65_536)
        writer.close()

    run(road, work)
    assert most <= 200 + 16 * 1024 // 60  # the bound, and one chunk read before it was noticed
    assert len(road.fixes(PHONE)) == 20_000


def test_an_orderly_stop_stores_and_answers_what_has_come_in(quick):
    road = quick()
    road.register(PHONE, auth_code="KNOWN")
    heard = b""

    async def main():
        nonlocal heard
        async with road.open():
            reader, writer = await asyncio.open_connection("127.0.0.1", road.port)
            writer.write(jt808.write_frame(jt808.AUTHENTICATE, PHONE, 1, b"KNOWN"))
            for n, fix in enumerate(drive(300), 2):
                writer.write(jt808.write_frame(jt808.LOCATION, PHONE, n, jt808.write_location(fix)))
            await writer.drain()
            await reader.readexactly(1)  # it has begun to answer
        while chunk := await reader.read(65_536):
            heard += chunk
        writer.close()

    asyncio.run(main())
    acks = [jt808.read_message(jt808.parse_frame(p)) for p in jt808.Splitter().feed(heard)]
    acknowledged = {ack.reply_serial for ack in acks if ack.result == 0} - {1}
    assert acknowledged
    stored = {fix.time for fix in road.fixes(PHONE)}
    assert {1_767_571_200 + (serial - 2) * 10 for serial in acknowledged} <= stored


def test_logs_hold_neither_codes_nor_whole_phone_numbers(road, capsys):
    async def work():
        async with TerminalClient.connect("127.0.0.1", road.port, PHONE) as client:
            code = await client.log_in()
        await say(road.port, jt808.write_frame(jt808.AUTHENTICATE, PHONE, 1, b"WRONG-CODE"))
        return code

    code = run(road, work)
    out = "".join(capsys.readouterr())
    assert "message_refused" in out
    assert code not in out
    assert "WRONG-CODE" not in out
    assert PHONE not in out
    assert VEHICLE not in out
