"""What ``yundan track decode`` prints: one JSON object a frame or sentence, bad input included."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Literal

from tracking import jt808, nmea

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE = 64 * 1024
"""Hex characters of a line; many frames, far below what could hurt."""

Format = Literal["jt808", "nmea"]

_LINE_REFUSALS = {
    "empty_line": "the line is empty",
    "line_too_long": f"the line is longer than {MAX_LINE} characters",
    "bad_hex": "the line is not an even number of hex digits",
}

ERRORS: dict[str, str] = {**nmea.REFUSALS, **jt808.REFUSALS, **_LINE_REFUSALS}
"""Every ``error`` of a decoded line and its meaning."""


def decode_lines(lines: Iterable[str], form: Format) -> Iterator[dict[str, Any]]:
    """Decodes line after line; a bad line gives an object with ``ok: false`` and never stops the rest.

    A line may hold several JT/T 808 frames; pieces of one message on several lines come together in the
    object of the last piece (``reassembled``).

    Args:
        lines: hex frames with their flags, or NMEA sentences.
        form: which of the two.
    """
    if form == "nmea":
        for number, line in enumerate(lines, 1):
            yield _nmea_object(number, line)
        return
    # lines have no clock: their number stands in for seconds, so a file's pieces never grow old
    reassembler = jt808.Reassembler(most_messages=1_000, most_bytes=1 << 26, expiry_s=1 << 40)
    for number, line in enumerate(lines, 1):
        yield from _jt808_objects(number, line, reassembler)


def _refused(line: int, code: str, **known: Any) -> dict[str, Any]:
    return {"line": line, "ok": False, "error": code, "message": ERRORS[code], **known}


# --- NMEA --------------------------------------------------------------------------------------


def _nmea_object(line: int, text: str) -> dict[str, Any]:
    if not text.strip():
        return _refused(line, "empty_line")
    sentence = nmea.read_sentence(text)
    if isinstance(sentence, nmea.SentenceRefusal):
        return _refused(
            line, sentence.code, **({"field": sentence.field} if sentence.field else {})
        )
    return {
        "line": line,
        "ok": True,
        "talker": sentence.talker,
        "type": sentence.type,
        **sentence.values,
    }


# --- JT/T 808 ----------------------------------------------------------------------------------


def _jt808_objects(
    line: int, text: str, reassembler: jt808.Reassembler
) -> Iterator[dict[str, Any]]:
    if len(text) > MAX_LINE:
        yield _refused(line, "line_too_long")
        return
    digits = re.sub(r"\s+", "", text).removeprefix("\ufeff")
    if not digits:
        yield _refused(line, "empty_line")
        return
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        yield _refused(line, "bad_hex")
        return
    splitter = jt808.Splitter()
    payloads = splitter.feed(data)
    if splitter.skipped:
        yield _refused(line, "garbage", bytes=splitter.skipped)
    for payload in payloads:
        yield _frame_object(line, payload, reassembler)
    if splitter.held:
        yield _refused(line, "incomplete", bytes=splitter.held)
    elif not payloads and not splitter.skipped:
        yield _refused(line, "too_short")  # flags only


def _frame_object(line: int, payload: bytes, reassembler: jt808.Reassembler) -> dict[str, Any]:
    frame = jt808.parse_frame(payload)
    if isinstance(frame, jt808.Refusal):
        known = {} if frame.message_id is None else {"message_id": f"0x{frame.message_id:04x}"}
        return _refused(line, frame.code, **known)
    header = _header(frame)
    if frame.pieces and not frame.encryption:
        done = reassembler.add(frame, line)
        if done is None:
            return {"line": line, "ok": True, **header, "fixes": []}
        frame = done[0]
        header |= {"reassembled": True, "reassembled_len": len(frame.body)}
    message = jt808.read_message(frame)
    if isinstance(message, jt808.Refusal):
        return _refused(line, message.code, **header, fixes=[])
    return {"line": line, "ok": True, **header, **_body(message), **_fixes(message)}


def _header(frame: jt808.Frame) -> dict[str, Any]:
    header: dict[str, Any] = {
        "message_id": f"0x{frame.message_id:04x}",
        "terminal_phone": frame.phone,
        "protocol_version": "2011/2013" if frame.version_byte is None else "2019",
    }
    if frame.version_byte is not None:
        header["version_byte"] = frame.version_byte
    header["serial"] = frame.serial
    header["body_len"] = len(frame.body)
    if frame.pieces:
        header["subpackage"] = {
            "total": frame.pieces,
            "index": frame.piece,
            "body_hex": frame.body.hex(),
        }
    return header


def _body(message: jt808.Message) -> dict[str, Any]:
    match message:
        case jt808.Register():
            return {"register": message._asdict()}
        case jt808.Authentication(code, imei, software):
            later = {"imei": imei, "software": software} if imei or software else {}
            return {"auth": {"code": code, **later}}
        case jt808.Ack(serial, reply_id, result):
            return {"ack": {"reply_seq": serial, "reply_id": f"0x{reply_id:04x}", "result": result}}
        case jt808.RegisterAck(serial, result, code):
            return {"register_ack": {"reply_seq": serial, "result": result, "auth_code": code}}
        case jt808.LocationAnswer(serial, _):
            return {"reply_seq": serial}
        case jt808.Batch(kind, locations, surplus):
            extra = {"batch_surplus_bytes": surplus} if surplus else {}
            return {"batch_count": len(locations), "batch_type": kind, **extra}
        case jt808.ResendPieces(first, pieces):
            return {"resend": {"first_serial": first, "indexes": list(pieces)}}
        case _:
            return {}


def _fixes(message: jt808.Message) -> dict[str, Any]:
    """``fixes``, and ``fixes_refused`` (position in the message, error) where one is unreadable."""
    fixes, refused = [], []
    for index, location in enumerate(jt808.locations_of(message)):
        if isinstance(location, jt808.Refusal):
            refused.append({"index": index, "error": location.code})
        elif location.time is None:
            refused.append({"index": index, "error": "invalid_time"})
        else:
            fixes.append(_fix(location, location.time))
    return {"fixes": fixes, **({"fixes_refused": refused} if refused else {})}


def _fix(location: jt808.Location, time: int) -> dict[str, Any]:
    status = location.status
    fix: dict[str, Any] = {
        "time_utc": dt.datetime.fromtimestamp(time, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lat": location.lat_e6 / 1_000_000,
        "lon": location.lon_e6 / 1_000_000,
        "altitude_m": location.altitude_m,
        "speed_kmh": location.speed_dkmh / 10,
        "heading_deg": location.heading,
        "valid": bool(status & jt808.STATUS_POSITIONED),
        "acc": bool(status & jt808.STATUS_ACC),
        "alarm_bits": location.alarm,
        "status_bits": status,
        "gnss": {name: bool(status & bit) for name, bit in jt808.STATUS_GNSS.items()},
    }
    for name, item, size, divisor in (
        ("mileage_km", jt808.ITEM_MILEAGE, 4, 10),
        ("fuel_l", jt808.ITEM_FUEL, 2, 10),
        ("recorder_speed_kmh", jt808.ITEM_RECORDER_SPEED, 2, 10),
        ("network_rssi", jt808.ITEM_SIGNAL, 1, 1),
        ("satellites", jt808.ITEM_SATELLITES, 1, 1),
    ):
        value = location.number(item, size)
        if value is not None:
            fix[name] = value if divisor == 1 else value / divisor
    fix["extra_items"] = [[f"0x{item:02x}", value.hex()] for item, value in location.items]
    fix["items_wellformed"] = location.items_ok
    fix["range_ok"] = location.in_range
    return fix
