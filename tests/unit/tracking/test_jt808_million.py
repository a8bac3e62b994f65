"""A million spoiled frames: none raises, and none costs the good frame that follows it."""

from __future__ import annotations

import random

import pytest

from tracking import jt808
from tracking.fix import Fix

PHONE = "13912345678"
GOOD = Fix(time=1_772_000_000, lat_e6=31_000_000, lon_e6=121_000_000, speed_dkmh=500, heading=10)


def seeds() -> list[bytes]:
    """Whole frames of every kind the door reads, unescaped, without flags and checksum."""
    location = jt808.write_location(GOOD)
    extras = bytes.fromhex("0104000186a00202016803020320250400000003300112310109e10412345678")
    bodies = {
        jt808.REGISTER: bytes.fromhex("002c012f") + b"MAKER" + b"MODEL".ljust(20, b"\0") + b"ID00001"
        + b"\x01" + "沪A12345".encode("gbk"),
        jt808.AUTHENTICATE: b"secret-code",
        jt808.HEARTBEAT: b"",
        jt808.LOGOUT: b"",
        jt808.LOCATION: location + extras,
        jt808.BATCH: b"\x00\x02\x01" + 2 * (len(location).to_bytes(2, "big") + location),
        jt808.LOCATION_ANSWER: b"\x00\x07" + location,
    }  # fmt: skip
    frames = []
    for message, body in bodies.items():
        for phone in (PHONE, "0" * 9 + PHONE):  # 2013 and 2019 have phones of 6 and 10 bytes
            head = message.to_bytes(2, "big")
            long = len(phone) > 12
            props = len(body) | (0x4000 if long else 0)
            head += props.to_bytes(2, "big") + (b"\x01" if long else b"")
            digits = phone.zfill(20 if long else 12)
            head += bytes.fromhex(digits) + b"\x00\x2a"
            frames.append(head + body)
    return frames


def sealed(data: bytes, check: int | None = None) -> bytes:
    """A frame on the wire; its checksum is right unless one is given."""
    if check is None:
        check = 0
        for byte in data:
            check ^= byte
    whole = data + bytes([check])
    return b"\x7e" + whole.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02") + b"\x7e"


def spoiled(frame: bytes, rng: random.Random) -> bytes:
    """A frame with some bytes changed, cut, doubled, or its lengths lied about; half have a right checksum."""
    data = bytearray(frame)
    for _ in range(rng.randint(1, 4)):
        what = rng.randrange(6)
        at = rng.randrange(len(data))
        if what == 0:
            data[at] = rng.randrange(256)
        elif what == 1:
            del data[at : at + rng.randint(1, 6)]
        elif what == 2:
            data[at:at] = rng.randbytes(rng.randint(1, 6))
        elif what == 3:
            data[2:4] = rng.randbytes(2)  # length, encryption, pieces, version
        elif what == 4:
            data[at:] = rng.randbytes(len(data) - at)
        else:
            data += data[at:]
        if len(data) < 4:
            data += bytes(4)
    return sealed(bytes(data), None if rng.random() < 0.7 else rng.randrange(256))


def play(count: int, seed: int) -> None:
    rng = random.Random(seed)
    frames = seeds()
    good = jt808.write_frame(jt808.LOCATION, PHONE, 7, jt808.write_location(GOOD))
    splitter, reassembler = jt808.Splitter(), jt808.Reassembler()
    read = found = expected = 0
    while read < count:
        wire = bytearray()
        for _ in range(50):
            wire += spoiled(rng.choice(frames), rng)
            read += 1
        wire += good
        expected += 1
        cut = rng.randrange(len(wire))
        for chunk in (bytes(wire[:cut]), bytes(wire[cut:])):
            for payload in splitter.feed(chunk):
                frame = jt808.parse_frame(payload)
                if isinstance(frame, jt808.Refusal):
                    continue
                if frame.pieces and not frame.encryption:
                    done = reassembler.add(frame, read)
                    if done is None:
                        continue
                    frame = done[0]
                message = jt808.read_message(frame)
                if isinstance(message, jt808.Refusal):
                    continue
                for fix in jt808.fixes_of(frame, message, received=GOOD.time):
                    same = isinstance(fix, Fix) and fix.lat_e6 == GOOD.lat_e6 and frame.serial == 7
                    found += same and payload == good[1:-1]
    assert found == expected


def test_thousands_of_spoiled_frames_cost_no_neighbour():
    play(10_000, 1)


@pytest.mark.deep
def test_a_million_spoiled_frames_cost_no_neighbour():
    play(1_000_000, 2)
