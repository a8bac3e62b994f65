"""JT/T 808 (2011, 2013, 2019) as bytes: frames, headers, sub-packages, bodies; no I/O, no clock.

Decoders never raise on what came over the wire: they return a value, or a ``Refusal`` with a code. The
rules are those on which four open decoders agree (the national text is not freely available); where they
disagree the stricter one is taken, since a fix may carry money:

- a frame counts only if its escapes, its XOR checksum and its length are right;
- an additional item that overruns costs the items after it, never the 28 bytes of the fix;
- one bad position of a batch never costs the other positions of that batch;
- altitude is read signed (Turpan lies below the sea); an impossible date is refused, never rolled over.
"""

from __future__ import annotations

import calendar
import datetime as dt
import itertools
import struct
from typing import TYPE_CHECKING, NamedTuple

from tracking.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FLAG = 0x7E
_FLAG = b"\x7e"
_ESCAPE = b"\x7d"

MAX_BODY = 1023
"""The length field has ten bits."""

MAX_PAYLOAD = 2 * (21 + MAX_BODY + 1)
"""No frame is longer between its flags: header, body and checksum, each byte escaped."""

BEIJING_S = 8 * 3600
"""Terminals count GMT+8 whatever their country."""

# message ids, by the standard's numbers
TERMINAL_ACK = 0x0001
HEARTBEAT = 0x0002
LOGOUT = 0x0003
REGISTER = 0x0100
AUTHENTICATE = 0x0102
LOCATION = 0x0200
LOCATION_ANSWER = 0x0201
VEHICLE_CONTROL_ANSWER = 0x0500
BATCH = 0x0704
PLATFORM_ACK = 0x8001
RESEND_PIECES = 0x8003
REGISTER_ACK = 0x8100

# results of the two acknowledgements
ACK_OK, ACK_FAILED, ACK_BAD_MESSAGE, ACK_UNSUPPORTED = 0, 1, 2, 3
(
    REGISTERED,
    VEHICLE_REGISTERED_BEFORE,
    VEHICLE_UNKNOWN,
    TERMINAL_REGISTERED_BEFORE,
    TERMINAL_UNKNOWN,
) = range(5)

# status bits of a position
STATUS_ACC = 1 << 0
STATUS_POSITIONED = 1 << 1
STATUS_SOUTH = 1 << 2
STATUS_WEST = 1 << 3
STATUS_DATUM_PLUGIN = 1 << 5
"""Latitude and longitude went through the surveying bureau's confidentiality plug-in."""
STATUS_GNSS = {"gps": 1 << 18, "beidou": 1 << 19, "glonass": 1 << 20, "galileo": 1 << 21}

ITEM_MILEAGE, ITEM_FUEL, ITEM_RECORDER_SPEED = 0x01, 0x02, 0x03
ITEM_SIGNAL, ITEM_SATELLITES = 0x30, 0x31
ITEM_NOT_GIVEN = 0xE9
"""Our own item, in the range left to makers: which of the 28 bytes are only zeros because the source of a
replayed fix did not say. Value ``YD`` and a byte of bits: 0 speed, 1 heading, 2 altitude."""

REFUSALS: dict[str, str] = {
    "too_short": "shorter than a header and a checksum",
    "too_long": "longer than any frame between two flags",
    "bad_escape": "0x7D is followed by neither 0x01 nor 0x02",
    "bad_checksum": "the XOR of header and body is not the last byte",
    "length_mismatch": "the body is not as long as the header says",
    "bad_subpackage": "the piece number is 0 or above the number of pieces",
    "encrypted_unsupported": "the body is encrypted",
    "body_too_short": "the body ends before its fixed fields",
    "ack_length": "an acknowledgement has 5 bytes",
    "location_too_short": "a position has at least 28 bytes",
    "batch_truncated": "the batch ends before the number of positions it announces",
    "invalid_time": "the time is not a date and time in BCD",
    "coordinate_range": "the coordinates are not a place on Earth",
    "incomplete": "the end flag is missing",
    "garbage": "bytes outside two flags",
}
"""Every code a decoder here can refuse with, and its meaning."""


class Refusal(NamedTuple):
    """Why something was not decoded: a code of ``REFUSALS``, and what was known when it was refused."""

    code: str
    message_id: int | None = None
    phone: str | None = None
    serial: int | None = None


class Frame(NamedTuple):
    """A frame whose escapes, checksum and length are right.

    Attributes:
        message_id: the standard's number.
        phone: terminal phone as sent: BCD text with leading zeros, 12 digits (20 in 2019). Not every
            maker sends decimal digits; hex digits are kept as they are.
        version_byte: protocol version byte of a 2019 header, None in an older one (2011 and 2013 have
            the same header).
        serial: the sender's message number, 0..65535.
        encryption: header bits 10-12; 0 is plain.
        pieces: pieces of the message, 0 for a message in one frame.
        piece: number of this piece, from 1.
        body: after unescaping.
    """

    message_id: int
    phone: str
    version_byte: int | None
    serial: int
    encryption: int
    pieces: int
    piece: int
    body: bytes

    @property
    def terminal(self) -> str:
        """The phone without leading zeros: what terminals are known by."""
        return normalised(self.phone)


class Location(NamedTuple):
    """The 28 fixed bytes of a position and its additional items.

    Attributes:
        alarm: alarm word.
        status: status word.
        lat_e6: millionths of a degree, south negative; not checked for range.
        lon_e6: millionths of a degree, west negative; not checked for range.
        altitude_m: metres, signed.
        speed_dkmh: 0.1 km/h.
        heading: degrees as sent.
        time: unix seconds UTC, None where the six bytes are no date and time.
        items: (item id, value) in the order sent.
        items_ok: no item overran the body.
    """

    alarm: int
    status: int
    lat_e6: int
    lon_e6: int
    altitude_m: int
    speed_dkmh: int
    heading: int
    time: int | None
    items: tuple[tuple[int, bytes], ...]
    items_ok: bool

    @property
    def in_range(self) -> bool:
        """The coordinates are a place on Earth."""
        return abs(self.lat_e6) <= 90_000_000 and abs(self.lon_e6) <= 180_000_000

    def number(self, item: int, size: int) -> int | None:
        """An additional item as an unsigned number, None where absent or of another size."""
        for item_id, value in self.items:
            if item_id == item and len(value) == size:
                return int.from_bytes(value, "big")
        return None


class Register(NamedTuple):
    """0x0100. ``variant`` is the year of the standard, told by header and body length."""

    variant: int
    province: int
    city: int
    manufacturer: str
    model: str
    terminal_id: str
    plate_color: int
    plate: str


class Authentication(NamedTuple):
    """0x0102. ``imei`` and ``software`` are empty before 2019."""

    code: str
    imei: str
    software: str


class Ack(NamedTuple):
    """0x0001 of a terminal, 0x8001 of a platform."""

    reply_serial: int
    reply_id: int
    result: int


class RegisterAck(NamedTuple):
    """0x8100; ``code`` is empty unless the result is 0."""

    reply_serial: int
    result: int
    code: str


class Batch(NamedTuple):
    """0x0704: positions sent together.

    Attributes:
        kind: 0 normal, 1 sent later from a blind area.
        locations: in the order sent; one that could not be read is a refusal and costs no other.
        surplus: bytes after the last announced position, which nobody can name.
    """

    kind: int
    locations: tuple[Location | Refusal, ...]
    surplus: int

    @property
    def late(self) -> bool:
        """Sent later from a blind area; never an accusation."""
        return self.kind == 1


class LocationAnswer(NamedTuple):
    """0x0201 or 0x0500: a position asked for by the platform."""

    reply_serial: int
    location: Location


class ResendPieces(NamedTuple):
    """0x8003: which pieces of a message to send again; ``first_serial`` is that of its first piece."""

    first_serial: int
    pieces: tuple[int, ...]


class Plain(NamedTuple):
    """A message whose body is not read here (heartbeat, logout, media, vendor)."""

    body: bytes


Message = (
    Location
    | Batch
    | LocationAnswer
    | Register
    | Authentication
    | Ack
    | RegisterAck
    | ResendPieces
    | Plain
)


def normalised(phone: str) -> str:
    """A terminal's phone without leading zeros, so that 6-byte and 10-byte headers name one terminal.

    >>> normalised("00000000013912345678")
    '13912345678'
    """
    return phone.lstrip("0") or "0"


# --- frames ------------------------------------------------------------------------------------


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
        parts = (self._held + chunk if self._held else chunk).split(_FLAG)
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
    escapes = payload.count(_ESCAPE)
    if not escapes:
        return payload
    if escapes != payload.count(b"\x7d\x01") + payload.count(b"\x7d\x02"):
        return None
    # in this order: the 0x7D made by the second step must not be read as an escape
    return payload.replace(b"\x7d\x02", _FLAG).replace(b"\x7d\x01", _ESCAPE)


def escape(data: bytes) -> bytes:
    """The bytes as they go between two flags."""
    return data.replace(_ESCAPE, b"\x7d\x01").replace(_FLAG, b"\x7d\x02")


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


_HEADER = struct.Struct(">HH6sH")
_HEADER_2019 = struct.Struct(">HHB10sH")
_PIECES = struct.Struct(">HH")


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
        message_id, properties, version_byte, phone, serial = _HEADER_2019.unpack_from(data)
        start = 17
    else:
        message_id, properties, phone, serial = _HEADER.unpack_from(data)
        version_byte, start = None, 12
    if checksum(data):
        return Refusal("bad_checksum", message_id)
    pieces = piece = 0
    if properties & 0x2000:
        if size < start + 5:
            return Refusal("too_short", message_id)
        pieces, piece = _PIECES.unpack_from(data, start)
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


# --- bodies ------------------------------------------------------------------------------------

_LOCATION = struct.Struct(">IIIIhHH6s")
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
    alarm, status, lat, lon, altitude, speed, heading, time = _LOCATION.unpack_from(body)
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


# --- messages in pieces ------------------------------------------------------------------------


_PIECE_COST = 400
"""Bytes that a held piece takes beside its own."""


class _Pieces:
    __slots__ = ("asked", "first", "frames", "size", "touched")

    def __init__(self, first: int) -> None:
        self.first = first
        self.frames: dict[int, tuple[Frame, bytes]] = {}
        self.size = self.touched = self.asked = 0


class Missing(NamedTuple):
    """Pieces still to come of a message, to be asked for with 0x8003."""

    phone: str
    version_byte: int | None
    message_id: int
    first_serial: int
    pieces: tuple[int, ...]


class Reassembler:
    """Puts messages in pieces together, in any order of arrival; bounded in number, size and time.

    Pieces of a message carry consecutive serials, so (phone, id, number of pieces, serial - piece) names it. A
    piece that differs from one held under the same name is of a later message (a terminal that started anew
    counts from the beginning), whose other pieces are still to come. When a bound is hit the message longest
    untouched is given up.

    Args:
        most_messages: unfinished messages held.
        most_bytes: bytes of pieces held.
        expiry_s: seconds after its last piece at which an unfinished message is given up.
    """

    def __init__(
        self, *, most_messages: int = 8, most_bytes: int = 256 * 1024, expiry_s: int = 600
    ) -> None:
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._expiry_s = expiry_s
        self._open: dict[tuple[str, int, int, int], _Pieces] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def held_bytes(self) -> int:
        """Bytes of pieces waiting for the others, with what it takes to hold them."""
        return self._bytes

    def add(
        self, piece: Frame, now: int, payload: bytes = b""
    ) -> tuple[Frame, list[tuple[Frame, bytes]]] | None:
        """Takes a piece; gives the whole message and its pieces (in order) with the last one.

        Args:
            piece: a frame with ``pieces`` > 0.
            now: any clock in whole seconds that does not go back.
            payload: the piece's raw bytes, given back with it.

        Returns:
            None while pieces are missing.
        """
        first = piece.serial - piece.piece + 1 & 0xFFFF
        key = (piece.phone, piece.message_id, piece.pieces, first)
        held = self._open.get(key)
        if held is not None and piece.piece in held.frames:
            if held.frames[piece.piece][0].body == piece.body:
                return None
            self._drop(key)
        pieces = self._open.pop(key, None) or _Pieces(first)
        self._open[key] = pieces  # last in the order = touched last
        pieces.touched = pieces.asked = now
        pieces.frames[piece.piece] = (piece, payload)
        cost = len(piece.body) + len(payload) + _PIECE_COST
        pieces.size += cost
        self._bytes += cost
        if len(pieces.frames) == piece.pieces:
            self._drop(key)
            ordered = [pieces.frames[i] for i in range(1, piece.pieces + 1)]
            body = b"".join(frame.body for frame, _ in ordered)
            return piece._replace(serial=first, pieces=0, piece=0, body=body), ordered
        self._bound(now)
        return None

    def missing(self, now: int, after_s: int) -> list[Missing]:
        """What to ask for again: unfinished messages untouched for ``after_s`` seconds.

        Each is given once until another ``after_s`` have passed; at most 255 pieces at a time.
        """
        found = []
        for (phone, message_id, total, first), pieces in self._open.items():
            if now - pieces.asked < after_s:
                continue
            pieces.asked = now
            absent = (i for i in range(1, total + 1) if i not in pieces.frames)
            gaps = itertools.islice(absent, 255)
            version_byte = next(iter(pieces.frames.values()))[0].version_byte
            found.append(Missing(phone, version_byte, message_id, first, tuple(gaps)))
        return found

    def expire(self, now: int) -> int:
        """Gives up what is too old; the number of messages given up."""
        old = [k for k, p in self._open.items() if now - p.touched >= self._expiry_s]
        for key in old:
            self._drop(key)
        return len(old)

    def _bound(self, now: int) -> None:
        self.expire(now)
        while len(self._open) > self._most_messages or self._bytes > self._most_bytes:
            self._drop(next(iter(self._open)))

    def _drop(self, key: tuple[str, int, int, int]) -> None:
        self._bytes -= self._open.pop(key).size


# --- encoding ----------------------------------------------------------------------------------


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
        data = _HEADER.pack(message_id, properties, number, serial & 0xFFFF)
    else:
        data = _HEADER_2019.pack(message_id, properties, version_byte, number, serial & 0xFFFF)
    data += (_PIECES.pack(pieces, piece) if pieces else b"") + body
    return _FLAG + escape(data + bytes((checksum(data),))) + _FLAG


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
            head = _HEADER.pack(message_id, len(body), self._number, serial)
        else:
            head = _HEADER_2019.pack(
                message_id, len(body) | 0x4000, self.version_byte, self._number, serial
            )
        data = head + body
        return _FLAG + escape(data + bytes((checksum(data),))) + _FLAG


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
        body = _LOCATION.pack(
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
