"""Frames: what stands between two flags, unescaped, with checksum, header and length checked."""

from __future__ import annotations

import struct

from tracking.jt808.words import ESCAPE_BYTE, FLAG_BYTE, MAX_PAYLOAD, Frame, Refusal


class Splitter:
    """Cuts a byte stream into what stands between flags, whatever the chunking.

    Every flag both ends and begins a frame, so shared and doubled flags need no case of their own, a
    frame that lost its end flag does not take its neighbour along, and garbage between frames is one
    candidate that the checksum refuses. What is held never exceeds ``MAX_PAYLOAD`` bytes.

    Attributes:
        skipped: bytes thrown away because no flag came before or among them.
    """

    __slots__ = ("_held", "_synced", "skipped")

    def __init__(self) -> None:
        self._held = b""
        self._synced = False
        self.skipped = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The non-empty payloads (still escaped, without flags) completed by these bytes, in order.

        A payload longer than ``MAX_PAYLOAD`` is given too; ``parse_frame`` refuses it.
        """
        parts = (self._held + chunk if self._held else chunk).split(FLAG_BYTE)
        self._held = parts.pop()
        if not self._synced:
            if not parts:  # not one flag so far
                self.skipped += len(self._held)
                self._held = b""
                return []
            self._synced = True
            self.skipped += len(parts[0])
            parts[0] = b""
        if len(self._held) > MAX_PAYLOAD:
            self.skipped += len(self._held)
            self._held = b""
            self._synced = False
        return [part for part in parts if part]

    @property
    def held(self) -> int:
        """Bytes waiting for their end flag."""
        return len(self._held)


def unescape(payload: bytes) -> bytes | None:
    """The bytes meant, None where 0x7D is followed by neither 0x01 nor 0x02."""
    escapes = payload.count(ESCAPE_BYTE)
    if not escapes:
        return payload
    if escapes != payload.count(b"\x7d\x01") + payload.count(b"\x7d\x02"):
        return None
    # in this order: the 0x7D made by the second step must not be read as an escape
    return payload.replace(b"\x7d\x02", FLAG_BYTE).replace(b"\x7d\x01", ESCAPE_BYTE)


def escape(data: bytes) -> bytes:
    """The bytes as they go between two flags."""
    return data.replace(ESCAPE_BYTE, b"\x7d\x01").replace(FLAG_BYTE, b"\x7d\x02")


def checksum(data: bytes) -> int:
    """XOR of all bytes; 0 over a whole frame that is right.

    Folds the bytes as one long number, which takes a logarithm of their count in steps.
    """
    number = int.from_bytes(data, "big")
    bits = 8 << max(len(data) - 1, 0).bit_length()
    while bits > 8:
        bits >>= 1
        number ^= number >> bits
    return number & 0xFF


HEADER_FORM = struct.Struct(">HH6sH")
HEADER_2019_FORM = struct.Struct(">HHB10sH")
PIECES_FORM = struct.Struct(">HH")


def parse_frame(payload: bytes) -> Frame | Refusal:
    """Reads what stood between two flags; escapes, checksum and length must be right."""
    if len(payload) > MAX_PAYLOAD:
        return Refusal("too_long")
    data = unescape(payload)
    if data is None:
        return Refusal("bad_escape")
    size = len(data)
    if size < 13:
        return Refusal("too_short")
    version_byte: int | None
    if data[2] & 0x40:
        if size < 18:
            return Refusal("too_short")
        message_id, properties, version_byte, phone, serial = HEADER_2019_FORM.unpack_from(data)
        start = 17
    else:
        message_id, properties, phone, serial = HEADER_FORM.unpack_from(data)
        version_byte, start = None, 12
    if checksum(data):
        return Refusal("bad_checksum", message_id)
    pieces = piece = 0
    if properties & 0x2000:
        if size < start + 5:
            return Refusal("too_short", message_id)
        pieces, piece = PIECES_FORM.unpack_from(data, start)
        start += 4
    text = phone.hex()
    if properties & 0x3FF != size - start - 1:
        return Refusal("length_mismatch", message_id, text, serial)
    if properties & 0x2000 and not 1 <= piece <= pieces:
        return Refusal("bad_subpackage", message_id, text, serial)
    return Frame(
        message_id,
        text,
        version_byte,
        serial,
        properties >> 10 & 0b111,
        pieces,
        piece,
        data[start:-1],
    )
