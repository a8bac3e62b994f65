"""NMEA 0183 sentences of BeiDou and GPS receivers (talkers GP, GN, BD, GB and others); no I/O, no clock.

A sentence without a checksum is refused: what may carry money must show that it arrived whole.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from tracking.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_SENTENCE = 256
"""The standard says 82 characters; some receivers write longer ones."""

KNOT_DKMH = Decimal("18.52")
"""A knot in 0.1 km/h."""

REFUSALS: dict[str, str] = {
    "not_a_sentence": "it does not begin with $ (or !) and an address such as GPRMC",
    "too_long": "longer than 256 characters",
    "truncated": "it ends before the fields of its type",
    "missing_checksum": "no * and two hex digits at the end",
    "bad_checksum": "the XOR between $ and * is not the two hex digits",
    "bad_field": "a field is not what its type asks for",
    "coordinate_range": "the coordinates are not a place on Earth",
    "invalid_time": "the time is not a date and time",
}
"""Every code a sentence can be refused with, and its meaning."""


class SentenceRefusal(NamedTuple):
    """Why a sentence was not read; ``field`` names the field at fault where there is one."""

    code: str
    field: str = ""


class Sentence(NamedTuple):
    """A sentence whose checksum is right.

    Attributes:
        talker: GP, GN, BD (BeiDou, Chinese standard), GB (BeiDou, later standard), GL, GA, ...
        type: RMC, GGA, GSA, GSV, ...
        values: what was read, by the field names of the public contract; empty for other types.
    """

    talker: str
    type: str
    values: dict[str, Any]


_ADDRESS = re.compile(r"[!$](?:(P)|([A-Z]{2}))([A-Z0-9]{2,})")
_LEAST_FIELDS = {"RMC": 9, "GGA": 9, "GSA": 17, "GSV": 3}
"""Fields after the address below which a sentence of the type was cut."""


def read_sentence(text: str) -> Sentence | SentenceRefusal:
    """Reads one sentence, with or without its line end."""
    text = text.strip("\r\n \t\0")
    if len(text) > MAX_SENTENCE:
        return SentenceRefusal("too_long")
    matched = _ADDRESS.match(text)
    if not matched or not text.isascii():
        return SentenceRefusal("not_a_sentence")
    talker, kind = matched[2] or "P", matched[3]
    body, star, given = text[1:].rpartition("*")
    if not star:
        fields = text[1:].split(",")
        least = _LEAST_FIELDS.get(kind, 1)
        return SentenceRefusal("truncated" if len(fields) - 1 < least else "missing_checksum")
    if not re.fullmatch(r"[0-9A-Fa-f]{2}", given):
        return SentenceRefusal("truncated" if len(given) < 2 else "missing_checksum")
    found = 0
    for byte in body.encode("ascii"):
        found ^= byte
    if found != int(given, 16):
        return SentenceRefusal("bad_checksum")
    fields = body.split(",")[1:]
    reader = (
        {"RMC": _rmc, "GGA": _gga, "GSA": _gsa, "GSV": _gsv}.get(kind) if talker != "P" else None
    )
    if reader is None:
        return Sentence(talker, kind, {})
    if len(fields) < _LEAST_FIELDS[kind]:
        return SentenceRefusal("truncated")
    try:
        return Sentence(talker, kind, reader(fields))
    except _BadFieldError as error:
        return SentenceRefusal(error.code, error.field)


class _BadFieldError(ValueError):
    def __init__(self, field: str, code: str = "bad_field") -> None:
        self.field, self.code = field, code
        super().__init__(field)


def _number(text: str, field: str) -> Decimal:
    if not re.fullmatch(r"-?\d{1,12}(\.\d{0,12})?", text):
        raise _BadFieldError(field)
    return Decimal(text)


def _whole(text: str, field: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise _BadFieldError(field)
    return int(text)


def _optional(text: str, field: str) -> float | None:
    return float(_number(text, field)) if text else None


def _degrees(text: str, side: str, sides: str, field: str) -> Decimal | None:
    """``ddmm.mmm`` and its hemisphere as signed degrees; None where both are empty."""
    if not text and not side:
        return None
    width = 2 if sides == "NS" else 3
    matched = re.fullmatch(rf"(\d{{{width}}})([0-5]\d(?:\.\d{{0,12}})?)", text)
    if not matched or side not in sides or not side:
        raise _BadFieldError(field)
    degrees = int(matched[1]) + Decimal(matched[2]) / 60
    if degrees > (90 if sides == "NS" else 180):
        raise _BadFieldError(field, "coordinate_range")
    return degrees if side == sides[0] else -degrees


def _time_of_day(text: str) -> str:
    matched = re.fullmatch(r"(\d\d)(\d\d)(\d\d)(\.\d{0,9})?", text)
    if not matched or int(matched[1]) > 23 or int(matched[2]) > 59 or int(matched[3]) > 59:
        raise _BadFieldError("time", "invalid_time")
    return text


def _place(fields: list[str]) -> dict[str, Any]:
    lat = _degrees(fields[0], fields[1], "NS", "lat")
    lon = _degrees(fields[2], fields[3], "EW", "lon")
    if (lat is None) != (lon is None):
        raise _BadFieldError("lat" if lat is None else "lon")
    return {
        "lat": None if lat is None else float(round(lat, 7)),
        "lon": None if lon is None else float(round(lon, 7)),
    }


def _rmc(fields: list[str]) -> dict[str, Any]:
    if fields[1] not in ("A", "V"):
        raise _BadFieldError("status")
    place = _place(fields[2:6])
    speed = _number(fields[6], "speed") if fields[6] else None
    time = None
    if fields[0] and fields[8]:
        _time_of_day(fields[0])
        day = re.fullmatch(r"(\d\d)(\d\d)(\d\d)", fields[8])
        try:
            if not day:
                raise _BadFieldError("date", "invalid_time")
            date = dt.date(2000 + int(day[3]), int(day[2]), int(day[1]))
        except ValueError as error:
            raise _BadFieldError("date", "invalid_time") from error
        clock = fields[0]
        time = f"{date.isoformat()}T{clock[:2]}:{clock[2:4]}:{clock[4:]}Z"
    return {
        "valid": fields[1] == "A" and place["lat"] is not None,
        **place,
        "speed_kmh": None if speed is None else float(round(speed * KNOT_DKMH / 10, 2)),
        "heading_deg": _optional(fields[7], "heading"),
        "time_utc": time,
        "mode": fields[11] if len(fields) > 11 and fields[11] else None,
    }


def _gga(fields: list[str]) -> dict[str, Any]:
    quality = _whole(fields[5], "quality")
    place = _place(fields[1:5])
    return {
        "valid": quality > 0 and place["lat"] is not None,
        "quality": quality,
        **place,
        "satellites": _whole(fields[6], "satellites") if fields[6] else None,
        "hdop": _optional(fields[7], "hdop"),
        "altitude_m": _optional(fields[8], "altitude"),
        "time_of_day": _time_of_day(fields[0]) if fields[0] else None,
    }


def _gsa(fields: list[str]) -> dict[str, Any]:
    if fields[1] not in ("1", "2", "3"):
        raise _BadFieldError("fix_mode")
    values: dict[str, Any] = {"fix_mode": fields[1], "sats_used": [s for s in fields[2:14] if s]}
    if len(fields) > 17:  # since NMEA 4.11: 1 GPS, 2 GLONASS, 3 Galileo, 4 BeiDou
        values["system_id"] = fields[17]
    return values


def _gsv(fields: list[str]) -> dict[str, Any]:
    return {
        "total_msgs": _whole(fields[0], "total_msgs"),
        "msg": _whole(fields[1], "msg"),
        "in_view": _whole(fields[2], "in_view"),
    }


def to_fix(sentence: Sentence, *, terminal: str = "", received: int | None = None) -> Fix | None:
    """The position of an RMC sentence (the only one with a date), None where it has none."""
    values = sentence.values
    if sentence.type != "RMC" or not values["time_utc"] or values["lat"] is None:
        return None
    # a fraction of a second is cut: Fix counts whole seconds of the device's clock
    at = dt.datetime.fromisoformat(values["time_utc"][:19] + "+00:00")
    speed, heading = values["speed_kmh"], values["heading_deg"]
    return Fix(
        time=int(at.timestamp()),
        lat_e6=round(Decimal(str(values["lat"])) * 1_000_000),
        lon_e6=round(Decimal(str(values["lon"])) * 1_000_000),
        speed_dkmh=None if speed is None else round(speed * 10),
        heading=None if heading is None or not 0 <= heading <= 360 else round(heading) % 360,
        received=received,
        terminal=terminal,
        valid=values["valid"],
    )


def read_fixes(
    lines: Iterable[str], *, terminal: str = "", received: int | None = None
) -> Iterator[Fix | SentenceRefusal]:
    """Fixes of a log: one per RMC; altitude and satellites from the GGA of the same second before it."""
    altitude: tuple[str, int | None, int | None] | None = None
    for line in lines:
        if not line.strip():
            continue
        sentence = read_sentence(line)
        if isinstance(sentence, SentenceRefusal):
            yield sentence
            continue
        values = sentence.values
        if sentence.type == "GGA" and values["time_of_day"] and values["altitude_m"] is not None:
            altitude = (
                values["time_of_day"][:6],
                round(values["altitude_m"]),
                values["satellites"],
            )
        fix = to_fix(sentence, terminal=terminal, received=received)
        if fix is None:
            continue
        clock = values["time_utc"][11:19].replace(":", "")
        if altitude and altitude[0] == clock:
            yield Fix(
                time=fix.time,
                lat_e6=fix.lat_e6,
                lon_e6=fix.lon_e6,
                speed_dkmh=fix.speed_dkmh,
                heading=fix.heading,
                received=received,
                terminal=terminal,
                altitude_m=altitude[1],
                satellites=altitude[2],
                valid=fix.valid,
            )
        else:
            yield fix
