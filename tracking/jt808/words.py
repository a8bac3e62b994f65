"""The standard's numbers, the codes of refusal, and what a message says once it is read."""

from __future__ import annotations

from typing import NamedTuple

FLAG = 0x7E
FLAG_BYTE = b"\x7e"
ESCAPE_BYTE = b"\x7d"

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
