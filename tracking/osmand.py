"""Positions of phones over HTTP: OsmAnd's query form and JSON form, and Traccar's forwarding; no I/O.

A report without the phone's own time is read but is no fix: the server's clock never stands in.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tracking.fix import Fix
from tracking.instants import parse_instant
from tracking.jt808 import normalised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KNOT_KMH = 1.852
MS_KMH = 3.6
MAX_REQUEST = 16 * 1024
"""Characters of a query or a JSON report of one position."""

REFUSALS: dict[str, str] = {
    "request_too_long": f"longer than {MAX_REQUEST} characters",
    "bad_request": "neither a query nor a JSON object of the expected form",
    "device_missing": "no id (or deviceid, device_id) of 1 to 40 letters, digits, dots or dashes",
    "position_missing": "no lat and lon, and no location=lat,lon",
    "time_missing": "no timestamp: the server's clock does not stand in for the phone's",
    "invalid_time": "the timestamp is neither unix seconds or milliseconds nor ISO 8601",
    "coordinate_range": "the coordinates are not a place on Earth",
    "bad_number": "a number is not one",
}
"""Every code a report can be refused with, and its meaning."""

_DEVICE = re.compile(r"[0-9A-Za-z._-]{1,40}")


class ReportRefusal(NamedTuple):
    """Why a report is no fix; ``field`` names what is wrong or missing."""

    code: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a phone said, in its own precision.

    Attributes:
        device: its id as sent.
        time: unix seconds, None where it gave none.
        lat: degrees, None where it reports cells or networks only.
        lon: degrees.
        speed_kmh: None where it gave none.
        heading_deg: as sent.
        altitude_m: as sent.
        valid: its own word.
        extra: whatever else it said (accuracy, battery, mock); kept, never acted on.
    """

    device: str
    time: int | None
    lat: float | None
    lon: float | None
    speed_kmh: float | None = None
    heading_deg: float | None = None
    altitude_m: float | None = None
    valid: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_report(text: str) -> Report | ReportRefusal:
    """Reads a request: ``GET /?id=…``, a path with a query, a bare query, or the JSON form."""
    if len(text) > MAX_REQUEST:
        return ReportRefusal("request_too_long")
    text = text.strip()
    try:
        if text.startswith("{"):
            return _of_json(json.loads(text))
        return _of_query(text)
    except _BadFieldError as error:
        return ReportRefusal(error.code, error.field)
    except (ValueError, RecursionError):
        return ReportRefusal("bad_request")


def to_fix(report: Report, *, received: int | None = None) -> Fix | ReportRefusal:
    """A report as evidence; refused without position or time."""
    if report.lat is None or report.lon is None:
        return ReportRefusal("position_missing", "lat")
    if report.time is None:
        return ReportRefusal("time_missing", "timestamp")
    if abs(report.lat) > 90 or abs(report.lon) > 180:
        return ReportRefusal("coordinate_range", "lat" if abs(report.lat) > 90 else "lon")
    speed, heading, altitude = report.speed_kmh, report.heading_deg, report.altitude_m
    return Fix(
        time=report.time,
        lat_e6=round(report.lat * 1_000_000),
        lon_e6=round(report.lon * 1_000_000),
        # phones say -1 where they do not know
        speed_dkmh=None if speed is None or not 0 <= speed <= 10_000 else round(speed * 10),
        heading=None if heading is None or not 0 <= heading <= 360 else round(heading) % 360,
        received=received,
        terminal=normalised(report.device),
        altitude_m=None if altitude is None or abs(altitude) > 100_000 else round(altitude),
        valid=report.valid,
    )


def read_request(text: str, *, received: int | None = None) -> Fix | ReportRefusal:
    """A request as evidence, in one step."""
    report = read_report(text)
    return report if isinstance(report, ReportRefusal) else to_fix(report, received=received)


def read_forwarded(
    data: bytes | str, *, received: int | None = None
) -> Iterator[Fix | ReportRefusal]:
    """Positions that a Traccar server forwards as JSON: one object ``{position, device}`` or a list."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        yield ReportRefusal("bad_request")
        return
    for one in value if isinstance(value, list) else [value]:
        try:
            report = _of_forwarded(one)
        except _BadFieldError as error:
            yield ReportRefusal(error.code, error.field)
        else:
            yield to_fix(report, received=received)


def only_of(data: bytes | str, which: Sequence[int]) -> bytes:
    """Some of forwarded positions, by their index, in the form they came in."""
    value = json.loads(data)
    some = value if isinstance(value, list) else [value]
    return json.dumps(
        [some[at] for at in which], ensure_ascii=False, separators=(",", ":")
    ).encode()


class _BadFieldError(ValueError):
    def __init__(self, code: str, field: str = "") -> None:
        self.code, self.field = code, field
        super().__init__(code)


def _of_query(text: str) -> Report:
    words = text.split()
    target = next((word for word in words if "?" in word or "=" in word), "")
    query = urlsplit(target).query if "?" in target else target
    given = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100))
    device = _device(given.pop("id", None) or given.pop("deviceid", None))
    lat, lon = given.pop("lat", None), given.pop("lon", None)
    if "location" in given:
        parts = given.pop("location").split(",")
        if len(parts) != 2:
            raise _BadFieldError("bad_number", "location")
        lat, lon = parts
    speed = _number(given.pop("speed", None), "speed")
    heading = given.pop("heading", None)
    bearing = given.pop("bearing", None)
    return Report(
        device=device,
        time=_time(given.pop("timestamp", None)),
        lat=_number(lat, "lat"),
        lon=_number(lon, "lon"),
        speed_kmh=None if speed is None else speed * KNOT_KMH,
        heading_deg=_number(bearing if heading is None else heading, "heading"),
        altitude_m=_number(given.pop("altitude", None), "altitude"),
        valid=given.pop("valid", "true").lower() not in ("false", "0"),
        extra=given,
    )


def _of_json(value: Any) -> Report:
    location = value.get("location") if isinstance(value, dict) else None
    coords = location.get("coords") if isinstance(location, dict) else None
    if (
        not isinstance(value, dict)
        or not isinstance(location, dict)
        or not isinstance(coords, dict)
    ):
        raise _BadFieldError("bad_request", "location")
    speed = _number(coords.get("speed"), "speed")
    return Report(
        device=_device(value.get("device_id") or value.get("id")),
        time=_time(location.get("timestamp")),
        lat=_number(coords.get("latitude"), "latitude"),
        lon=_number(coords.get("longitude"), "longitude"),
        speed_kmh=None if speed is None else speed * MS_KMH,
        heading_deg=_number(coords.get("heading"), "heading"),
        altitude_m=_number(coords.get("altitude"), "altitude"),
        extra={
            name: location[name]
            for name in ("mock", "battery", "event", "is_moving", "odometer")
            if name in location
        }
        | ({"accuracy": coords["accuracy"]} if "accuracy" in coords else {}),
    )


def _of_forwarded(value: Any) -> Report:
    position = value.get("position") if isinstance(value, dict) else None
    device = value.get("device") if isinstance(value, dict) else None
    if not isinstance(position, dict) or not isinstance(device, dict):
        raise _BadFieldError("bad_request", "position")
    speed = _number(position.get("speed"), "speed")
    attributes = position.get("attributes")
    return Report(
        device=_device(device.get("uniqueId")),
        time=_time(position.get("fixTime")),
        lat=_number(position.get("latitude"), "latitude"),
        lon=_number(position.get("longitude"), "longitude"),
        speed_kmh=None if speed is None else speed * KNOT_KMH,
        heading_deg=_number(position.get("course"), "course"),
        altitude_m=_number(position.get("altitude"), "altitude"),
        valid=position.get("valid") is not False,
        extra=attributes if isinstance(attributes, dict) else {},
    )


def _device(value: Any) -> str:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not _DEVICE.fullmatch(text):
        raise _BadFieldError("device_missing", "id")
    return text


def _number(value: Any, name: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _BadFieldError("bad_number", name)
    return number


def _time(value: Any) -> int | None:
    """Unix seconds of seconds, milliseconds or ISO 8601 (UTC where it names no zone)."""
    if value is None or value == "":
        return None
    text = str(value).strip()
    if re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text):
        number = int(text.partition(".")[0])
        # seconds until the year 33658, milliseconds from 2001 on
        number = number // 1000 if number >= 10**12 else number
    else:
        # a query turns the + of a zone into a space, and writes a space between date and time
        zoned = re.sub(r" (\d\d:?\d\d)$", r"+\1", text) if text.count(":") > 2 else text
        try:
            number = parse_instant(zoned if _ZONE.search(zoned) else zoned + "+00:00")
        except ValueError as error:
            raise _BadFieldError("invalid_time", "timestamp") from error
    if not 0 < number < 1 << 33:
        raise _BadFieldError("invalid_time", "timestamp")
    return number


_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
