"""Tracks recorded as GPX 1.0 and 1.1 files, as fixes; no I/O."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from tracking.fix import Fix
from tracking.instants import parse_instant
from tracking.refusals import FileError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TEXT = 256 * 1024 * 1024
"""Characters; about two million points."""

_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


def read_fixes(text: str, *, terminal: str = "", name: str = "GPX") -> list[Fix]:
    """Every track point that says when it was; GPX times are UTC by its schema.

    Altitude (``ele``), satellites (``sat``), speed (m/s, GPX 1.0 or an extension) and course are taken
    where a point has them. Waypoints and routes are not positions of a drive and are left out.

    Args:
        text: the file.
        terminal: normalised id whose track it is, "" if unknown.
        name: how the messages call the file.

    Raises:
        FileError: not XML, with a DOCTYPE, not GPX, no track point, or a point without place or time;
            names the point by its number.
    """
    if len(text) > MAX_TEXT:
        raise FileError(f"{name}: longer than {MAX_TEXT} characters")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FileError(f"{name}: XML with a DOCTYPE is refused")
    try:
        root = ET.fromstring(text)  # noqa: S314  no DOCTYPE, so no entity can grow
    except (ET.ParseError, ValueError) as wrong:
        raise FileError(f"{name}: is not XML: {wrong}") from None
    if _local(root.tag) != "gpx":
        raise FileError(f"{name}: is not GPX but {_local(root.tag)[:40]!r}")
    fixes = [
        _fix(point, terminal, f"{name} track point {number}")
        for number, point in enumerate(_track_points(root), 1)
    ]
    if not fixes:
        raise FileError(f"{name}: holds no track point")
    return fixes


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _track_points(root: ET.Element) -> Iterator[ET.Element]:
    for part in root.iter():
        if _local(part.tag) == "trkpt":
            yield part


def _fix(point: ET.Element, terminal: str, where: str) -> Fix:
    values: dict[str, str] = {}
    for part in point.iter():
        if part is not point and part.text and part.text.strip():
            values.setdefault(_local(part.tag), part.text.strip())
    lat = _number(point.get("lat"), 90, where, "lat")
    lon = _number(point.get("lon"), 180, where, "lon")
    if lat is None or lon is None:
        raise FileError(f"{where}: has no lat and lon", field="lat" if lat is None else "lon")
    time = values.get("time")
    if time is None:
        raise FileError(f"{where}: has no time", field="time")
    try:
        at = parse_instant(time if _ZONE.search(time) else time + "+00:00")
    except ValueError:
        raise FileError(f"{where}: time {time[:40]!r} is not ISO 8601", field="time") from None
    altitude = _number(values.get("ele"), 100_000, where, "ele")
    satellites = _number(values.get("sat"), 1_000, where, "sat")
    speed = _number(values.get("speed"), 1_000, where, "speed")
    course = _number(values.get("course"), 360, where, "course")
    return Fix(
        time=at,
        lat_e6=round(lat * 1_000_000),
        lon_e6=round(lon * 1_000_000),
        speed_dkmh=None if speed is None or speed < 0 else round(speed * 36),
        heading=None if course is None or course < 0 else round(course) % 360,
        terminal=terminal,
        altitude_m=None if altitude is None else round(altitude),
        satellites=None if satellites is None else int(satellites),
    )


def _number(text: str | None, most: float, where: str, field: str) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= most:  # NaN too
        raise FileError(
            f"{where}: {field} {text[:40]!r} is not a number up to {most:g}", field=field
        )
    return number
