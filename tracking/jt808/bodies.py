"""Bodies of messages: positions, batches, registration, authentication, acknowledgements."""

from __future__ import annotations

import calendar
import datetime as dt
import struct
from typing import TYPE_CHECKING

from tracking.fix import Fix
from tracking.jt808.words import (
    AUTHENTICATE,
    BATCH,
    BEIJING_S,
    ITEM_MILEAGE,
    ITEM_NOT_GIVEN,
    ITEM_RECORDER_SPEED,
    ITEM_SATELLITES,
    LOCATION,
    LOCATION_ANSWER,
    PLATFORM_ACK,
    REGISTER,
    REGISTER_ACK,
    REGISTERED,
    RESEND_PIECES,
    STATUS_POSITIONED,
    STATUS_SOUTH,
    STATUS_WEST,
    TERMINAL_ACK,
    VEHICLE_CONTROL_ANSWER,
    Ack,
    Authentication,
    Batch,
    Frame,
    Location,
    LocationAnswer,
    Message,
    Plain,
    Refusal,
    Register,
    RegisterAck,
    ResendPieces,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCATION_FORM = struct.Struct(">IIIIhHH6s")
_BCD = [(b >> 4) * 10 + (b & 15) if b >> 4 < 10 and b & 15 < 10 else 100 for b in range(256)]
_midnights: dict[bytes, int | None] = {}
"""Unix seconds of a BCD date's start in Beijing; bounded by the number of BCD dates in a century."""


def _midnight(date: bytes) -> int | None:
    year, month, day = _BCD[date[0]], _BCD[date[1]], _BCD[date[2]]
    if (
        year > 99
        or not 1 <= month <= 12
        or not 1 <= day <= calendar.monthrange(2000 + year, month)[1]
    ):
        return None  # not kept: there are too many ways to be wrong
    days = dt.date(2000 + year, month, day).toordinal() - dt.date(1970, 1, 1).toordinal()
    _midnights[date] = days * 86_400 - BEIJING_S
    return _midnights[date]


def read_time(bcd: bytes) -> int | None:
    """Six BCD bytes YYMMDDhhmmss, GMT+8, as unix seconds UTC; None where they are no date and time.

    >>> read_time(bytes.fromhex("181015101010"))
    1539569410
    """
    date = bcd[:3]
    start = _midnights.get(date)
    if start is None:
        start = _midnight(date)
        if start is None:
            return None
    hour, minute, second = _BCD[bcd[3]], _BCD[bcd[4]], _BCD[bcd[5]]
    if hour > 23 or minute > 59 or second > 59:
        return None
    return start + hour * 3600 + minute * 60 + second


def read_location(body: bytes) -> Location | Refusal:
    """Reads the body of 0x0200: 28 fixed bytes, then additional items (id, length, value)."""
    size = len(body)
    if size < 28:
        return Refusal("location_too_short")
    alarm, status, lat, lon, altitude, speed, heading, time = LOCATION_FORM.unpack_from(body)
    if status & 0b1100:
        if status & STATUS_SOUTH:
            lat = -lat
        if status & STATUS_WEST:
            lon = -lon
    items = []
    at, end_of_items = 28, size - 1
    while at < end_of_items:
        following = at + 2 + body[at + 1]
        if following > size:
            break
        items.append((body[at], body[at + 2 : following]))
        at = following
    return Location(
        alarm,
        status,
        lat,
        lon,
        altitude,
        speed,
        heading,
        read_time(time),
        tuple(items),
        at == size,
    )


def _read_batch(body: bytes) -> Batch | Refusal:
    if len(body) < 3:
        return Refusal("body_too_short")
    count, kind = int.from_bytes(body[:2], "big"), body[2]
    size, at = len(body), 3
    locations = []
    for _ in range(count):
        end = at + 2
        if end > size:
            return Refusal("batch_truncated")
        end += int.from_bytes(body[at:end], "big")
        if end > size:
            return Refusal("batch_truncated")
        locations.append(read_location(body[at + 2 : end]))
        at = end
    return Batch(kind, tuple(locations), size - at)


def _text(data: bytes) -> str:
    """Text padded with zero bytes on either side; makers write GBK whatever the field."""
    return data.strip(b"\0").decode("gbk", "replace").replace("\0", "")


def _read_register(body: bytes, *, is_2019: bool) -> Register | Refusal:
    if is_2019:
        variant, widths = 2019, (11, 30, 30)
    elif len(body) >= 37:
        variant, widths = 2013, (5, 20, 7)
    else:
        variant, widths = 2011, (5, 8, 7)
    end = 4 + sum(widths)
    if len(body) < end + 1:
        return Refusal("body_too_short")
    province, city = struct.unpack_from(">HH", body)
    model_at = 4 + widths[0]
    id_at = model_at + widths[1]
    return Register(
        variant,
        province,
        city,
        _text(body[4:model_at]),
        _text(body[model_at:id_at]),
        _text(body[id_at:end]),
        body[end],
        _text(body[end + 1 :]),
    )


def _read_authentication(body: bytes, *, is_2019: bool) -> Authentication | Refusal:
    if not is_2019:
        return Authentication(_text(body), "", "")
    if not body or len(body) < 1 + body[0]:
        return Refusal("body_too_short")
    end = 1 + body[0]
    return Authentication(
        _text(body[1:end]), _text(body[end : end + 15]), _text(body[end + 15 : end + 35])
    )


def _read_resend(body: bytes) -> ResendPieces | Refusal:
    if len(body) < 3 or len(body) < 3 + 2 * body[2]:
        return Refusal("body_too_short")
    (first,) = struct.unpack_from(">H", body)
    return ResendPieces(first, struct.unpack_from(f">{body[2]}H", body, 3))


def read_message(frame: Frame) -> Message | Refusal:
    """Reads the body of a whole message; a piece of one must go through the ``Reassembler`` first."""
    message: Message | Refusal
    kind, body = frame.message_id, frame.body
    if frame.encryption:
        message = Refusal("encrypted_unsupported")
    elif frame.pieces:
        message = Plain(body)
    elif kind == LOCATION:
        message = read_location(body)
    elif kind == BATCH:
        message = _read_batch(body)
    elif kind in (LOCATION_ANSWER, VEHICLE_CONTROL_ANSWER):
        location = read_location(body[2:]) if len(body) >= 2 else Refusal("body_too_short")
        message = (
            location
            if isinstance(location, Refusal)
            else LocationAnswer(int.from_bytes(body[:2], "big"), location)
        )
    elif kind == REGISTER:
        message = _read_register(body, is_2019=frame.version_byte is not None)
    elif kind == AUTHENTICATE:
        message = _read_authentication(body, is_2019=frame.version_byte is not None)
    elif kind in (TERMINAL_ACK, PLATFORM_ACK):
        message = Ack(*struct.unpack(">HHB", body)) if len(body) == 5 else Refusal("ack_length")
    elif kind == REGISTER_ACK:
        if len(body) < 3:
            message = Refusal("body_too_short")
        else:
            code = _text(body[3:]) if body[2] == REGISTERED else ""
            message = RegisterAck(int.from_bytes(body[:2], "big"), body[2], code)
    elif kind == RESEND_PIECES:
        message = _read_resend(body)
    else:
        message = Plain(body)
    if isinstance(message, Refusal):
        return Refusal(message.code, kind, frame.phone, frame.serial)
    return message


def locations_of(message: Message) -> tuple[Location | Refusal, ...]:
    """Every position a message carries, unreadable ones as refusals."""
    if isinstance(message, Location):
        return (message,)
    if isinstance(message, Batch):
        return message.locations
    if isinstance(message, LocationAnswer):
        return (message.location,)
    return ()


def to_fix(
    location: Location, *, terminal: str = "", received: int | None = None, late: bool = False
) -> Fix | Refusal:
    """A position as evidence.

    A place off the Earth is a fix too: the judge rejects it by name, so that nothing is silently dropped.
    Only a position without a readable time has no place in a track, since no other clock may stand in.
    """
    if location.time is None:
        return Refusal("invalid_time")
    satellites = odometer = recorder = None
    absent = 0
    for item, value in location.items:
        if item == ITEM_SATELLITES:
            if len(value) == 1:
                satellites = value[0]
        elif item == ITEM_MILEAGE:
            if len(value) == 4:
                odometer = int.from_bytes(value, "big")
        elif item == ITEM_RECORDER_SPEED and len(value) == 2:
            recorder = int.from_bytes(value, "big")
        elif item == ITEM_NOT_GIVEN and len(value) == 3 and value[:2] == b"YD":
            absent = value[2]
    heading = location.heading
    return Fix(
        location.time,
        location.lat_e6,
        location.lon_e6,
        None if absent & 1 else location.speed_dkmh,
        None if absent & 2 or heading > 360 else heading % 360,
        received,
        terminal,
        None if absent & 4 else location.altitude_m,
        satellites,
        bool(location.status & STATUS_POSITIONED),
        odometer,
        recorder,
        location.status,
        location.alarm,
        late,
        location.items_ok,
    )


def fixes_of(
    frame: Frame, message: Message, *, received: int | None = None
) -> Iterator[Fix | Refusal]:
    """Every position of a message as evidence, in the order sent; unreadable ones as refusals."""
    late = isinstance(message, Batch) and message.late
    terminal = frame.terminal
    for location in locations_of(message):
        if isinstance(location, Refusal):
            yield location
        else:
            yield to_fix(location, terminal=terminal, received=received, late=late)
