"""Frames written are read back; what is broken is refused with its code, and nothing ever raises."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking import jt808
from tracking.decode import decode_lines
from tracking.fix import Fix

PHONE = st.from_regex(r"[1-9][0-9]{0,11}", fullmatch=True)
FIXES = st.builds(
    Fix,
    time=st.integers(946_684_800, 4_102_400_000),
    lat_e6=st.integers(-90_000_000, 90_000_000),
    lon_e6=st.integers(-180_000_000, 180_000_000),
    speed_dkmh=st.none() | st.integers(0, 2_200),
    heading=st.none() | st.integers(0, 359),
    altitude_m=st.none() | st.integers(-154, 6_000),
    satellites=st.none() | st.integers(0, 60),
    valid=st.booleans(),
    odometer_dkm=st.none() | st.integers(0, 2**32 - 1),
    recorder_dkmh=st.none() | st.integers(0, 2_200),
    alarm=st.integers(0, 2**32 - 1),
    status=st.none(),
    received=st.none(),
    terminal=st.just(""),
    late=st.just(value=False),
    items_ok=st.just(value=True),
)


def payloads(data):
    return jt808.Splitter().feed(data)


def read(data):
    (payload,) = payloads(data)
    frame = jt808.parse_frame(payload)
    assert isinstance(frame, jt808.Frame), frame
    return frame, jt808.read_message(frame)


@given(st.binary(max_size=2_000))
def test_checksum_is_the_xor_of_all_bytes(data):
    plain = 0
    for byte in data:
        plain ^= byte
    assert jt808.checksum(data) == plain


@given(st.binary(max_size=300))
def test_escaped_bytes_hold_no_flag_and_come_back(data):
    assert 0x7E not in jt808.escape(data)
    assert jt808.unescape(jt808.escape(data)) == data


@given(PHONE, st.integers(0, 65_535), FIXES, st.sampled_from([None, 1]))
def test_a_written_position_is_read_back(phone, serial, fix, version_byte):
    data = jt808.write_frame(
        jt808.LOCATION, phone, serial, jt808.write_location(fix), version_byte=version_byte
    )
    frame, message = read(data)
    (back,) = jt808.fixes_of(frame, message, received=7)
    assert frame.serial == serial
    assert back.terminal == phone
    for name in (
        "time", "lat_e6", "lon_e6", "speed_dkmh", "heading", "altitude_m", "satellites", "valid",
        "odometer_dkm", "recorder_dkmh", "alarm",
    ):  # fmt: skip
        assert getattr(back, name) == getattr(fix, name), name
    assert (back.received, back.late, back.items_ok) == (7, False, True)


@given(PHONE, st.lists(FIXES, min_size=1, max_size=80), st.booleans(), st.randoms())
@settings(max_examples=40)
def test_a_long_batch_travels_in_pieces_in_any_order(phone, fixes, late, rng):
    frames = jt808.write_message(
        jt808.BATCH, phone, 65_530, jt808.write_batch(fixes, late=late), piece_bytes=200
    )
    rng.shuffle(frames)
    reassembler = jt808.Reassembler(most_bytes=10**6)
    whole = []
    for data in frames:
        frame, _ = read(data)
        if frame.pieces:
            done = reassembler.add(frame, 0)
            if done is not None:
                whole.append(done[0])
        else:
            whole.append(frame)
    (frame,) = whole
    back = list(jt808.fixes_of(frame, jt808.read_message(frame)))
    assert [(f.time, f.lat_e6, f.lon_e6, f.late) for f in back] == [
        (f.time, f.lat_e6, f.lon_e6, late) for f in fixes
    ]
    assert reassembler.held_bytes == 0


@pytest.mark.parametrize("variant", [2011, 2013, 2019])
def test_registration_is_read_back_in_each_variant(variant):
    given_form = jt808.Register(variant, 31, 115, "maker", "MODEL-1", "T000001", 2, "粤B12345")
    frame, message = read(
        jt808.write_frame(
            jt808.REGISTER,
            "13912345678",
            1,
            jt808.write_register(given_form),
            version_byte=1 if variant == 2019 else None,
        )
    )
    assert message == given_form
    assert frame.terminal == "13912345678"


@pytest.mark.parametrize("is_2019", [False, True])
def test_authentication_is_read_back(is_2019):
    body = jt808.write_authentication("CODE-1", is_2019=is_2019, imei="860000000000643")
    version_byte = 1 if is_2019 else None
    _, message = read(
        jt808.write_frame(jt808.AUTHENTICATE, "1", 1, body, version_byte=version_byte)
    )
    assert message == jt808.Authentication("CODE-1", "860000000000643" if is_2019 else "", "")


def test_acknowledgements_are_read_back():
    for kind, body, expected in (
        (jt808.PLATFORM_ACK, jt808.write_ack(9, 0x0200, 1), jt808.Ack(9, 0x0200, 1)),
        (
            jt808.REGISTER_ACK,
            jt808.write_register_ack(9, 0, "abc"),
            jt808.RegisterAck(9, 0, "abc"),
        ),
        (jt808.REGISTER_ACK, jt808.write_register_ack(9, 4, "abc"), jt808.RegisterAck(9, 4, "")),
        (
            jt808.RESEND_PIECES,
            jt808.write_resend(65_535, [2, 3]),
            jt808.ResendPieces(65_535, (2, 3)),
        ),
    ):
        assert read(jt808.write_frame(kind, "1", 1, body))[1] == expected


def test_dates_that_do_not_exist_are_refused_not_rolled_over():
    assert jt808.read_time(bytes.fromhex("240229000000")) is not None
    for bad in ("230229000000", "231301000000", "230100000000", "230101240000", "2301015f0000",
                "230101006000", "230101000060", "a30101000000", "000000000000"):  # fmt: skip
        assert jt808.read_time(bytes.fromhex(bad)) is None, bad


@given(st.integers(946_684_800, 4_102_415_999))
def test_time_is_read_back(at):
    assert jt808.read_time(jt808.write_time(at)) == at


def test_altitude_below_the_sea_is_signed():
    fix = Fix(time=1_600_000_000, lat_e6=42_900_000, lon_e6=89_200_000, altitude_m=-154)
    _, message = read(jt808.write_frame(jt808.LOCATION, "1", 1, jt808.write_location(fix)))
    assert message.altitude_m == -154


def test_a_bad_item_costs_the_items_after_it_and_nothing_else():
    fix = Fix(time=1_600_000_000, lat_e6=31_000_000, lon_e6=121_000_000, satellites=9)
    body = jt808.write_location(fix) + b"\xe0\x20\x01"
    frame, message = read(jt808.write_frame(jt808.LOCATION, "1", 1, body))
    (back,) = jt808.fixes_of(frame, message)
    assert (back.lat_e6, back.satellites, back.items_ok) == (31_000_000, 9, False)


def test_one_unreadable_position_of_a_batch_costs_no_other():
    good = jt808.write_location(Fix(time=1_600_000_000, lat_e6=31_000_000, lon_e6=121_000_000))
    month_13 = good[:22] + bytes.fromhex("231301000000")
    short = good[:27]
    body = b"\x00\x04\x01" + b"".join(
        len(one).to_bytes(2, "big") + one for one in (good, month_13, short, good)
    )
    frame, message = read(jt808.write_frame(jt808.BATCH, "1", 1, body))
    back = list(jt808.fixes_of(frame, message))
    assert [one.code if isinstance(one, jt808.Refusal) else one.late for one in back] == [
        True, "invalid_time", "location_too_short", True,
    ]  # fmt: skip


def test_a_stream_without_flags_holds_no_memory():
    splitter = jt808.Splitter()
    for _ in range(2_000):
        assert splitter.feed(b"\x00" * 1_000) == []
        assert splitter.held <= jt808.MAX_PAYLOAD
    assert splitter.skipped == 2_000_000


def test_an_endless_frame_is_given_up_and_the_next_one_read():
    splitter = jt808.Splitter()
    assert splitter.feed(b"\x7e") == []
    for _ in range(100):
        splitter.feed(b"\x01" * 1_000)
        assert splitter.held <= jt808.MAX_PAYLOAD
    good = jt808.write_frame(jt808.HEARTBEAT, "1", 1)
    got = splitter.feed(good + good)
    assert [jt808.parse_frame(p) for p in got] == [jt808.parse_frame(good[1:-1])] * 2


def test_a_frame_that_lost_its_end_flag_takes_no_neighbour_along():
    first, second = (jt808.write_frame(jt808.HEARTBEAT, "1", serial) for serial in (1, 2))
    got = payloads(first[:-1] + second)
    assert [jt808.parse_frame(p).serial for p in got] == [1, 2]


def pieces(serial, count, body=b"x" * 100, phone="1"):
    frames = jt808.write_message(0x0704, phone, serial, body * count, piece_bytes=len(body))
    return [jt808.parse_frame(payload) for data in frames for payload in payloads(data)]


def test_unfinished_messages_are_bounded_in_number_size_and_time():
    reassembler = jt808.Reassembler(most_messages=4, most_bytes=5_000, expiry_s=60)
    for n in range(100):
        assert reassembler.add(pieces(n * 10, 3)[0], now=n) is None
        assert len(reassembler) <= 4
    for n in range(100):
        reassembler.add(pieces(n * 20, 20)[n % 19], now=100)
        assert reassembler.held_bytes <= 5_000
    reassembler.expire(160)
    assert (len(reassembler), reassembler.held_bytes) == (0, 0)


def test_missing_pieces_are_asked_for_once_in_a_while():
    reassembler = jt808.Reassembler()
    sent = pieces(65_535, 4)
    for frame in (sent[0], sent[2]):
        reassembler.add(frame, now=10)
    assert reassembler.missing(12, after_s=5) == []
    (missing,) = reassembler.missing(15, after_s=5)
    assert (missing.first_serial, missing.pieces) == (65_535, (2, 4))
    assert reassembler.missing(16, after_s=5) == []
    assert reassembler.add(sent[1], now=16) is None
    whole, ordered = reassembler.add(sent[3], now=16)
    assert (whole.serial, len(whole.body), len(ordered)) == (65_535, 400, 4)


def test_a_piece_sent_again_with_another_body_begins_a_new_message():
    reassembler = jt808.Reassembler()
    old, new = pieces(5, 3), pieces(5, 3, body=b"y" * 90)
    for frame in (old[0], old[0], old[1], new[0]):  # the terminal started anew after two pieces
        assert reassembler.add(frame, 0) is None
    assert reassembler.add(new[2], 0) is None
    whole, _ = reassembler.add(new[1], 0)
    assert whole.body == b"y" * 270
    assert (len(reassembler), reassembler.held_bytes) == (0, 0)


def test_an_unfinished_message_grows_old_however_often_its_pieces_are_asked_for():
    reassembler = jt808.Reassembler(expiry_s=60)
    reassembler.add(pieces(5, 3)[0], now=0)
    for now in range(5, 60, 5):
        assert reassembler.missing(now, after_s=5)
        assert reassembler.expire(now) == 0
    assert reassembler.expire(60) == 1


# --- hostile input -----------------------------------------------------------------------------


def decode_everything(data, chunk=None):
    splitter, reassembler = jt808.Splitter(), jt808.Reassembler(most_bytes=4_096)
    results = []
    for i in range(0, len(data), chunk or max(len(data), 1)):
        for payload in splitter.feed(data[i : i + (chunk or len(data))]):
            frame = jt808.parse_frame(payload)
            if isinstance(frame, jt808.Refusal):
                assert frame.code in jt808.REFUSALS
                results.append(frame)
                continue
            if frame.pieces:
                done = reassembler.add(frame, 0)
                if done is None:
                    continue
                frame = done[0]
            message = jt808.read_message(frame)
            if isinstance(message, jt808.Refusal):
                assert message.code in jt808.REFUSALS
            else:
                results.extend(jt808.fixes_of(frame, message))
        assert splitter.held <= jt808.MAX_PAYLOAD
    return results


@given(st.binary(max_size=600), st.integers(1, 50))
@settings(max_examples=300)
def test_any_bytes_decode_without_an_exception_whatever_the_chunking(data, chunk):
    assert decode_everything(data, chunk) == decode_everything(data)


@given(
    st.sampled_from(
        [0x0001, 0x0100, 0x0102, 0x0200, 0x0201, 0x0500, 0x0704, 0x8001, 0x8003, 0x8100]
    ),
    st.binary(max_size=300),
    st.sampled_from([None, 1]),
)
@settings(max_examples=300)
def test_any_body_of_a_right_frame_decodes_without_an_exception(kind, body, version_byte):
    data = jt808.write_frame(kind, "139", 1, body, version_byte=version_byte)
    decode_everything(data)
    (got,) = decode_lines([data.hex()], "jt808")
    assert got["ok"] or got["error"] in jt808.REFUSALS


@given(st.text(max_size=200), st.sampled_from(["jt808", "nmea"]))
@settings(max_examples=300)
def test_any_line_gives_an_object_with_a_code(line, form):
    for got in decode_lines([line], form):
        assert got["ok"] or got["error"]


def mutated(rng, seeds):
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        match rng.choices(range(5), (6, 2, 2, 1, 1))[0]:
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1 if at < len(data):
                del data[at : at + rng.randint(1, 8)]
            case 2:
                data[at:at] = rng.randbytes(rng.randint(1, 8))
            case 3:
                data[at:at] = rng.choice((b"\x7e", b"\x7d", b"\x7d\x01", b"\x7d\x02"))
            case _:
                other = rng.choice(seeds)
                data[at:] = other[rng.randrange(len(other)) :]
        if not data:
            data = bytearray(b"\x7e")
    if (
        rng.random() < 0.6
    ):  # make the checksum and the length right again, so that bodies are reached
        inner = jt808.unescape(bytes(data).strip(b"\x7e"))
        if inner and len(inner) > 13 and b"\x7e" not in bytes(data).strip(b"\x7e"):
            start = 17 if inner[2] & 0x40 else 12
            start += 4 if inner[2] & 0x20 else 0
            size = max(len(inner) - start - 1, 0) & 0x3FF
            fixed = inner[:2] + bytes((inner[2] & 0xFC | size >> 8, size & 0xFF)) + inner[4:-1]
            return b"\x7e" + jt808.escape(fixed + bytes((jt808.checksum(fixed),))) + b"\x7e"
    return bytes(data)


def seeds():
    fix = Fix(1_600_000_000, 31_000_000, -121_000_000, 500, 10, satellites=9, odometer_dkm=100)
    batch = jt808.write_batch([fix] * 3, late=True)
    register = jt808.Register(2013, 31, 115, "maker", "M", "T000001", 2, "粤B12345")
    return [
        jt808.write_frame(jt808.LOCATION, "139", 1, jt808.write_location(fix)),
        jt808.write_frame(jt808.LOCATION, "139", 1, jt808.write_location(fix), version_byte=1),
        jt808.write_frame(jt808.BATCH, "139", 1, batch),
        *jt808.write_message(jt808.BATCH, "139", 1, batch, piece_bytes=40),
        jt808.write_frame(jt808.REGISTER, "139", 1, jt808.write_register(register)),
        jt808.write_frame(jt808.HEARTBEAT, "139", 1),
        jt808.write_frame(jt808.PLATFORM_ACK, "139", 1, jt808.write_ack(1, 0x0200, 0)),
        jt808.write_frame(
            jt808.AUTHENTICATE,
            "139",
            1,
            jt808.write_authentication("c", is_2019=True),
            version_byte=1,
        ),
    ]


def fuzz(count, seed):
    rng, known = random.Random(seed), seeds()
    reached = 0
    for _ in range(count):
        data = mutated(rng, known)
        reached += any(not isinstance(one, jt808.Refusal) for one in decode_everything(data))
    return reached


def test_mutated_frames_never_raise_and_often_reach_the_bodies():
    assert fuzz(20_000, seed=5) > 1_000


@pytest.mark.deep
def test_a_million_mutated_frames_never_raise():
    assert fuzz(1_000_000, seed=808) > 50_000
