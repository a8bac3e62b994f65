"""Files of fixes and routes, read strictly: a wrong cell is named by line and column, nothing is guessed."""

from __future__ import annotations

import codecs
import csv
import json
import math
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from tracking import gpx, nmea
from tracking.instants import parse_instant
from tracking.plan import normal_terminal
from tracking.refusals import FileError
from tracking.track import NONE, Columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

REQUIRED = ("time_utc", "lat", "lon")
KNOWN = (
    *REQUIRED,
    "speed",
    "heading",
    "received_utc",
    "terminal",
    "altitude",
    "satellites",
    "valid",
)
LARGEST_BYTES = 2_000_000_000
LARGEST_ROUTE_BYTES = 200_000_000
_BEYOND = 1e9
"""No degree of anything; a whole number of hundreds of digits is no float either."""
_CRS = ("CRS84", "4326", "WGS84", "WGS 84")


# ------------------------------------------------------------------- FIXES
def read_fixes(path: Path) -> Columns:
    """Fixes of a file in the order of its lines: CSV, or by its first character a GPX track or an NMEA log.

    The header names `time_utc,lat,lon` and at will `speed` (km/h), `heading` (degrees), `received_utc`,
    `terminal`, `altitude` (m), `satellites`, `valid` (1 or 0), in any order. Times are RFC 3339 with a
    zone. Empty cells are allowed in all but the first three.

    Raises:
        FileError: names the line and column at fault.
    """
    _check_size(path, LARGEST_BYTES)
    try:
        with path.open("rb") as stream:
            first = stream.read(64).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
        if first in {b"<", b"$", b"!"}:
            return _read_recording(path, is_gpx=first == b"<")
        with path.open("r", encoding=_encoding(path), newline="") as stream:
            return parse_fixes(stream, path.name)
    except OSError as wrong:
        raise FileError(f"{path.name}: cannot be read: {wrong.strerror}") from wrong
    except UnicodeError as wrong:
        reason = getattr(wrong, "reason", str(wrong))
        raise FileError(f"{path.name}: is not UTF-8 text ({reason}); save it as UTF-8") from wrong


def _read_recording(path: Path, *, is_gpx: bool) -> Columns:
    """Fixes of a GPX or NMEA file; of a log what is readable, as a receiver cuts sentences when it starts."""
    text = path.read_text(encoding="utf-8-sig")
    if is_gpx:
        return Columns.of(gpx.read_fixes(text, name=path.name))
    read = nmea.read_fixes(text.splitlines())
    fixes = [fix for fix in read if not isinstance(fix, nmea.SentenceRefusal)]
    if not fixes:
        raise FileError(f"{path.name}: holds no RMC sentence with a date and a position")
    return Columns.of(fixes)


def _encoding(path: Path) -> str:
    """UTF-16 where its mark says so (Excel's "Unicode text"), else UTF-8 with or without its mark."""
    with path.open("rb") as stream:
        mark = stream.read(4)
    wide = mark[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} and mark != codecs.BOM_UTF32_LE
    return "utf-16" if wide else "utf-8-sig"


def parse_fixes(stream: Iterable[str], name: str) -> Columns:
    """Fixes of CSV lines, as ``read_fixes`` reads them of a file; ``name`` is what messages call it.

    Raises:
        FileError: names the line and column at fault.
    """
    rows = csv.reader(stream, strict=True)
    header = _next_row(rows, name)
    if header is None:
        raise FileError(f"{name}: the file is empty", line=1)
    header = [cell.strip() for cell in header]
    place = _check_header(header, name)
    width = len(header)
    at = {column: place.get(column, -1) for column in KNOWN}
    wanted = {
        "time": ("time_utc", _time, True),
        "lat_e6": ("lat", _degrees, True),
        "lon_e6": ("lon", _degrees, True),
        "speed_dkmh": ("speed", _speed, False),
        "heading": ("heading", _heading, False),
        "received": ("received_utc", _time, False),
        "altitude_m": ("altitude", _altitude, False),
        "satellites": ("satellites", _satellites, False),
        "valid": ("valid", _valid, False),
    }
    present = [
        (target, column, at[column], parse, must)
        for target, (column, parse, must) in wanted.items()
        if at[column] >= 0
    ]
    columns: dict[str, list[int]] = {target: [] for target, *_ in present}
    terminals: list[str] = []
    names: dict[str, str] = {}
    terminal_at = at["terminal"]
    while (row := _next_row(rows, name)) is not None:
        if not row:
            continue
        if len(row) != width:
            raise FileError(
                f"{name} line {rows.line_num}: {len(row)} cells where the header has {width}",
                line=rows.line_num,
            )
        for target, column, index, parse, must in present:
            cell = row[index]
            if cell:
                try:
                    columns[target].append(parse(cell))
                except (ValueError, OverflowError) as wrong:
                    raise _cell_error(name, rows.line_num, column, cell, wrong) from None
            elif must:
                raise FileError(
                    f"{name} line {rows.line_num}, column {column}: is empty",
                    field=column,
                    line=rows.line_num,
                )
            else:
                columns[target].append(1 if target == "valid" else NONE)
        if terminal_at >= 0:
            text = row[terminal_at]
            known = names.get(text)
            if known is None:
                known = names[text] = normal_terminal(text) if text.strip() else ""
            terminals.append(known)
    count = len(columns["time"])
    if count == 0:
        raise FileError(f"{name}: has a header and no fixes", line=1)
    return Columns.of_lists(columns, terminals or [""] * count)


def _next_row(rows: Any, name: str) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as wrong:
        raise FileError(f"{name} line {rows.line_num}: {wrong}", line=rows.line_num) from None


def _check_header(header: list[str], name: str) -> dict[str, int]:
    if len(header) == 1 and any(mark in header[0] for mark in (";", "\t", "|")):
        raise FileError(f"{name} line 1: cells must be separated by commas", line=1)
    unknown = [column for column in header if column not in KNOWN]
    if unknown:
        raise FileError(
            f"{name} line 1: unknown column {unknown[0][:40]!r}; known are {', '.join(KNOWN)}",
            field=unknown[0],
            line=1,
        )
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise FileError(f"{name} line 1: column {twice} stands twice", field=twice, line=1)
    missing = next((column for column in REQUIRED if column not in header), None)
    if missing is not None:
        raise FileError(f"{name} line 1: column {missing} is missing", field=missing, line=1)
    return {column: index for index, column in enumerate(header)}


def _cell_error(name: str, line: int, column: str, cell: str, wrong: Exception) -> FileError:
    shown = cell if len(cell) <= 40 else cell[:37] + "..."
    return FileError(
        f"{name} line {line}, column {column}: {shown!r} {wrong}", field=column, line=line
    )


def _time(cell: str) -> int:
    try:
        seconds = parse_instant(cell)
    except ValueError as wrong:
        if "time zone" in str(wrong):
            raise ValueError("has no time zone; write UTC as ...Z") from None
        raise ValueError("is not an RFC 3339 time such as 2026-03-09T19:07:00Z") from None
    if not 0 < seconds < 1 << 33:
        raise ValueError("is not a time of our age")
    return seconds


def _number(cell: str, low: float, high: float, what: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"is not a number ({what})") from None
    if "_" in cell or not cell.isascii():  # Python reads 5_5.4 and ５５.4; nobody else does
        raise ValueError(f"is not a number ({what})")
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"is outside {low:g} to {high:g} ({what})")
    return value


def _degrees(cell: str) -> int:
    # A place off the globe is a fix to be rejected with a code; a number that is no angle is a broken file.
    return round(_number(cell, -1000, 1000, "degrees") * 1_000_000)


def _speed(cell: str) -> int:
    return round(_number(cell, 0, 2000, "km/h") * 10)


def _heading(cell: str) -> int:
    return round(_number(cell, 0, 360, "degrees")) % 360


def _altitude(cell: str) -> int:
    return round(_number(cell, -1000, 20_000, "m"))


def _satellites(cell: str) -> int:
    return round(_number(cell, 0, 255, "satellites"))


def _valid(cell: str) -> int:
    value = {"1": 1, "0": 0, "true": 1, "false": 0}.get(cell.strip().lower())
    if value is None:
        raise ValueError("must be 1 or 0")
    return value


# ------------------------------------------------------------------- ROUTES
def read_route(path: Path) -> list[tuple[float, float]]:
    """A route as (lon, lat) from GeoJSON, GPX or an encoded polyline, told apart by their content.

    Raises:
        FileError: not a route, or more than one.
    """
    _check_size(path, LARGEST_ROUTE_BYTES)
    try:
        text = path.read_text(encoding=_encoding(path))
    except OSError as wrong:
        raise FileError(f"{path.name}: cannot be read: {wrong.strerror}") from wrong
    except UnicodeError:
        raise FileError(f"{path.name}: is not UTF-8 text") from None
    body = text.lstrip()
    if not body:
        raise FileError(f"{path.name}: the file is empty")
    if body.startswith(("{", "[")):
        return _geojson_route(read_json(path), path.name)
    if body.startswith("<"):
        return _gpx_route(body, path.name)
    return decode_polyline(body.strip(), 6 if path.suffix == ".polyline6" else 5, path.name)


def read_json(path: Path) -> Any:
    """The JSON of a file.

    Raises:
        FileError: not UTF-8, not JSON; names the line and column.
    """
    _check_size(path, LARGEST_ROUTE_BYTES)
    try:
        return json.loads(path.read_text(encoding=_encoding(path)))
    except OSError as wrong:
        raise FileError(f"{path.name}: cannot be read: {wrong.strerror}") from wrong
    except UnicodeError:
        raise FileError(f"{path.name}: is not UTF-8 text") from None
    except json.JSONDecodeError as wrong:
        raise FileError(
            f"{path.name} line {wrong.lineno}, column {wrong.colno}: is not JSON: {wrong.msg}",
            line=wrong.lineno,
        ) from None
    except (RecursionError, ValueError):
        raise FileError(f"{path.name}: is not JSON that a person would write") from None


def _check_size(path: Path, largest: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as wrong:
        raise FileError(f"{path.name}: cannot be read: {wrong.strerror}") from wrong
    if not path.is_file():
        raise FileError(f"{path.name}: is not a file")
    if size > largest:
        raise FileError(f"{path.name}: is larger than {largest // 1_000_000} MB")


def _geojson_route(value: Any, name: str) -> list[tuple[float, float]]:
    if isinstance(value, list):
        return _positions(value, name)
    crs = json.dumps(value.get("crs") or "") if isinstance(value, dict) else ""
    if crs != '""' and not any(word in crs for word in _CRS):
        raise FileError(
            f"{name}: coordinates must be WGS-84 longitude and latitude, not {crs}", field="crs"
        )
    lines = list(_lines(value, name, 0))
    if len(lines) != 1:
        raise FileError(
            f"{name}: holds {len(lines)} lines and must hold one route", field="geometry"
        )
    return lines[0]


def _lines(value: Any, name: str, depth: int) -> Iterator[list[tuple[float, float]]]:
    if not isinstance(value, dict) or depth > 8:
        raise FileError(f"{name}: is not GeoJSON", field="type")
    kind = value.get("type")
    if kind == "FeatureCollection":
        for feature in _list(value.get("features"), name, "features"):
            yield from _lines(feature, name, depth + 1)
    elif kind == "Feature":
        if value.get("geometry") is not None:
            yield from _lines(value["geometry"], name, depth + 1)
    elif kind == "LineString":
        yield _positions(value.get("coordinates"), name)
    elif kind == "MultiLineString":
        parts = [
            _positions(part, name) for part in _list(value.get("coordinates"), name, "coordinates")
        ]
        yield [point for part in parts for point in part]
    elif kind == "GeometryCollection":
        for geometry in _list(value.get("geometries"), name, "geometries"):
            yield from _lines(geometry, name, depth + 1)
    elif kind not in {"Point", "MultiPoint", "Polygon", "MultiPolygon"}:
        raise FileError(f"{name}: {kind!r} is no GeoJSON type", field="type")


def _list(value: Any, name: str, field: str) -> list[Any]:
    if not isinstance(value, list):
        raise FileError(f"{name}: {field} must be a list", field=field)
    return value


def _positions(value: Any, name: str) -> list[tuple[float, float]]:
    out = []
    for index, pair in enumerate(_list(value, name, "coordinates")):
        if (
            not isinstance(pair, list)
            or len(pair) < 2
            or any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in pair[:2])
            or any(abs(one) > _BEYOND for one in pair[:2])
        ):
            raise FileError(
                f"{name}: coordinates[{index}] must be [longitude, latitude]", field="coordinates"
            )
        out.append((float(pair[0]), float(pair[1])))
    return out


def _gpx_route(text: str, name: str) -> list[tuple[float, float]]:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise FileError(f"{name}: XML with a DOCTYPE is refused")
    try:
        root = ET.fromstring(text)  # noqa: S314  no DOCTYPE, so no entity can grow
    except ET.ParseError as wrong:
        raise FileError(f"{name} line {wrong.position[0]}: is not XML: {wrong}") from None
    lines: list[list[tuple[float, float]]] = []
    for tag, inner in (("rte", "rtept"), ("trk", "trkpt")):
        for part in root.iter():
            if part.tag.rpartition("}")[2] == tag:
                points = [one for one in part.iter() if one.tag.rpartition("}")[2] == inner]
                lines.append([_gpx_point(one, name) for one in points])
    lines = [line for line in lines if line]
    if len(lines) != 1:
        raise FileError(f"{name}: holds {len(lines)} routes or tracks and must hold one")
    return lines[0]


def _gpx_point(point: ET.Element, name: str) -> tuple[float, float]:
    try:
        return float(point.get("lon", "")), float(point.get("lat", ""))
    except ValueError:
        raise FileError(f"{name}: a point lacks a numeric lon or lat") from None


def decode_polyline(
    text: str, digits: int = 5, name: str = "polyline"
) -> list[tuple[float, float]]:
    """(lon, lat) of an encoded polyline of so many decimal digits.

    Raises:
        FileError: not an encoded polyline.
    """
    values: list[int] = []
    shift = value = 0
    for index, letter in enumerate(text):
        chunk = ord(letter) - 63
        if not 0 <= chunk < 64:
            raise FileError(
                f"{name}: is neither GeoJSON, GPX nor an encoded polyline (character {index + 1})"
            )
        value |= (chunk & 0x1F) << shift
        shift += 5
        if shift > 40:
            raise FileError(f"{name}: a number of the polyline is too long (character {index + 1})")
        if chunk < 0x20:
            values.append(~(value >> 1) if value & 1 else value >> 1)
            shift = value = 0
    if shift or len(values) % 2:
        raise FileError(f"{name}: the polyline ends within a number or point")
    scale = 10.0**digits
    lat = np.cumsum(np.array(values[0::2], dtype=np.int64)) / scale
    lon = np.cumsum(np.array(values[1::2], dtype=np.int64)) / scale
    return [(float(one), float(other)) for one, other in zip(lon, lat, strict=True)]
