"""Frames and bodies as bytes: what terminals send and the platform answers."""

from __future__ import annotations

import datetime as dt
import struct
from typing import TYPE_CHECKING

from tracking.jt808.bodies import LOCATION_FORM
from tracking.jt808.frames import HEADER_2019_FORM, HEADER_FORM, PIECES_FORM, checksum, escape
from tracking.jt808.words import (
    BEIJING_S,
    FLAG_BYTE,
    ITEM_MILEAGE,
    ITEM_NOT_GIVEN,
    ITEM_RECORDER_SPEED,
    ITEM_SATELLITES,
    MAX_BODY,
    REGISTERED,
    STATUS_ACC,
    STATUS_GNSS,
    STATUS_POSITIONED,
    STATUS_SOUTH,
    STATUS_WEST,
    Register,
    normalised,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracking.fix import Fix


def write_frame(
    message_id: int,
    phone: str,
    serial: int,
    body: bytes = b"",
    *,
    version_byte: int | None = None,
    pieces: int = 0,
    piece: int = 0,
) -> bytes:
    """A frame with its flags.

    Args:
        message_id: the standard's number.
        phone: at most 12 hex digits, 20 with a version byte; zeros are put in front.
        serial: taken modulo 65,536.
        body: at most 1,023 bytes.
        version_byte: given for the 2019 header, None for the older one.
        pieces: pieces of the message, 0 for a whole one.
        piece: number of this piece, from 1.

    Raises:
        ValueError: the body or the phone is too long.
    """
    digits = 12 if version_byte is None else 20
    phone = normalised(phone).rjust(digits, "0")
    if len(body) > MAX_BODY or len(phone) > digits:
        raise ValueError("a body has at most 1,023 bytes, a phone at most 12 digits (20 in 2019)")
    properties = len(body) | (0x2000 if pieces else 0) | (0 if version_byte is None else 0x4000)
    number = bytes.fromhex(phone)
    if version_byte is None:
        data = HEADER_FORM.pack(message_id, properties, number, serial & 0xFFFF)
    else:
        data = HEADER_2019_FORM.pack(message_id, properties, version_byte, number, serial & 0xFFFF)
    data += (PIECES_FORM.pack(pieces, piece) if pieces else b"") + body
    return FLAG_BYTE + escape(data + bytes((checksum(data),))) + FLAG_BYTE


class FrameWriter:
    """Writes frames to one terminal in one form of header; its number is coded once."""

    __slots__ = ("_number", "version_byte")

    def __init__(self, phone: str, version_byte: int | None) -> None:
        digits = 12 if version_byte is None else 20
        self._number = bytes.fromhex(normalised(phone).rjust(digits, "0"))
        self.version_byte = version_byte

    def frame(self, message_id: int, serial: int, body: bytes) -> bytes:
        """A whole message with its flags; ``serial`` below 65,536, ``body`` of at most 1,023 bytes."""
        if self.version_byte is None:
            head = HEADER_FORM.pack(message_id, len(body), self._number, serial)
        else:
            head = HEADER_2019_FORM.pack(
                message_id, len(body) | 0x4000, self.version_byte, self._number, serial
            )
        data = head + body
        return FLAG_BYTE + escape(data + bytes((checksum(data),))) + FLAG_BYTE


def write_message(
    message_id: int,
    phone: str,
    serial: int,
    body: bytes,
    *,
    version_byte: int | None = None,
    piece_bytes: int = MAX_BODY,
) -> list[bytes]:
    """A message as one frame, or as pieces with consecutive serials where the body is too long."""
    if len(body) <= piece_bytes:
        return [write_frame(message_id, phone, serial, body, version_byte=version_byte)]
    cuts = [body[i : i + piece_bytes] for i in range(0, len(body), piece_bytes)]
    return [
        write_frame(
            message_id,
            phone,
            serial + i,
            cut,
            version_byte=version_byte,
            pieces=len(cuts),
            piece=i + 1,
        )
        for i, cut in enumerate(cuts)
    ]


def write_time(unix_s: int) -> bytes:
    """Six BCD bytes YYMMDDhhmmss, GMT+8.

    Raises:
        ValueError: outside 2000..2099, which is all that two digits can say.
    """
    at = dt.datetime.fromtimestamp(unix_s + BEIJING_S, tz=dt.UTC)
    if not 2000 <= at.year <= 2099:
        raise ValueError("a terminal's clock shows a year of 2000..2099")
    return bytes.fromhex(at.strftime("%y%m%d%H%M%S"))


def write_location(fix: Fix) -> bytes:
    """The body of 0x0200 for a fix: what a terminal would have sent.

    What the fix does not know is sent as zero, for the 28 bytes have no way to leave a field out, and
    named in ``ITEM_NOT_GIVEN``, so that it comes back as unknown here and never accuses. The status word
    is the fix's own where it has one.

    Raises:
        ValueError: the fix cannot be said in this form (time, coordinates or altitude out of range).
    """
    if abs(fix.lat_e6) > 90_000_000 or abs(fix.lon_e6) > 180_000_000:
        raise ValueError("the coordinates are not a place on Earth")
    status = fix.status if fix.status is not None else STATUS_ACC | STATUS_GNSS["beidou"]
    status &= ~(STATUS_POSITIONED | STATUS_SOUTH | STATUS_WEST)
    status |= (
        (STATUS_POSITIONED if fix.valid else 0)
        | (STATUS_SOUTH if fix.lat_e6 < 0 else 0)
        | (STATUS_WEST if fix.lon_e6 < 0 else 0)
    )
    try:
        body = LOCATION_FORM.pack(
            fix.alarm or 0,
            status,
            abs(fix.lat_e6),
            abs(fix.lon_e6),
            fix.altitude_m or 0,
            fix.speed_dkmh or 0,
            fix.heading or 0,
            write_time(fix.time),
        )
        for item, size, value in (
            (ITEM_MILEAGE, 4, fix.odometer_dkm),
            (ITEM_RECORDER_SPEED, 2, fix.recorder_dkmh),
            (ITEM_SATELLITES, 1, fix.satellites),
        ):
            if value is not None:
                body += bytes((item, size)) + value.to_bytes(size, "big")
        absent = sum(
            1 << bit
            for bit, value in enumerate((fix.speed_dkmh, fix.heading, fix.altitude_m))
            if value is None
        )
        if absent:
            body += bytes((ITEM_NOT_GIVEN, 3)) + b"YD" + bytes((absent,))
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a field is outside what JT/T 808 can say: {error}") from error
    return body


def write_batch(fixes: Sequence[Fix], *, late: bool = False) -> bytes:
    """The body of 0x0704; may be longer than one frame holds (see ``write_message``)."""
    bodies = [write_location(fix) for fix in fixes]
    return struct.pack(">HB", len(bodies), 1 if late else 0) + b"".join(
        struct.pack(">H", len(body)) + body for body in bodies
    )


def write_register(register: Register) -> bytes:
    """The body of 0x0100 in the form of its variant (2011, 2013 or 2019); long texts are cut."""
    maker, model, terminal = {2011: (5, 8, 7), 2013: (5, 20, 7), 2019: (11, 30, 30)}[
        register.variant
    ]
    return (
        struct.pack(">HH", register.province, register.city)
        + b"".join(
            text.encode("gbk", "replace")[:width].ljust(width, b"\0")
            for text, width in (
                (register.manufacturer, maker),
                (register.model, model),
                (register.terminal_id, terminal),
            )
        )
        + bytes((register.plate_color,))
        + register.plate.encode("gbk", "replace")
    )


def write_authentication(code: str, *, is_2019: bool, imei: str = "", software: str = "") -> bytes:
    """The body of 0x0102."""
    text = code.encode("gbk", "replace")
    if not is_2019:
        return text
    return (
        bytes((len(text),))
        + text
        + imei.encode("ascii", "replace")[:15].ljust(15, b"\0")
        + software.encode("ascii", "replace")[:20].ljust(20, b"\0")
    )


def write_ack(reply_serial: int, reply_id: int, result: int) -> bytes:
    """The body of 0x8001 and 0x0001."""
    return struct.pack(">HHB", reply_serial, reply_id, result)


def write_register_ack(reply_serial: int, result: int, code: str = "") -> bytes:
    """The body of 0x8100; the code goes along only with result 0."""
    tail = code.encode("gbk") if result == REGISTERED else b""
    return struct.pack(">HB", reply_serial, result) + tail


def write_resend(first_serial: int, pieces: Sequence[int]) -> bytes:
    """The body of 0x8003 for at most 255 pieces."""
    return struct.pack(f">HB{len(pieces)}H", first_serial, len(pieces), *pieces)
