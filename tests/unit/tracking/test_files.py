from __future__ import annotations

import json

import pytest

from tracking.files import decode_polyline, read_fixes, read_json, read_route
from tracking.refusals import FileError
from tracking.track import fixes_of

HEADER = "time_utc,lat,lon,speed,heading"
ROW = "2026-03-09T19:07:00Z,55.441811,37.295853,12.4,222"


def written(tmp_path, text, name="fixes.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return path


def test_a_file_of_fixes_is_read_to_the_millionth_of_a_degree(tmp_path):
    text = f"{HEADER},terminal,received_utc,altitude,satellites,valid\n{ROW},0123,2026-03-09T19:07:02Z,-154,9,1\n"
    (fix,) = fixes_of(read_fixes(written(tmp_path, text)))
    assert (fix.time, fix.lat_e6, fix.lon_e6) == (1_773_083_220, 55_441_811, 37_295_853)
    assert (fix.speed_dkmh, fix.heading, fix.terminal) == (124, 222, "123")
    assert (fix.received, fix.altitude_m, fix.satellites, fix.valid) == (
        1_773_083_222,
        -154,
        9,
        True,
    )


def test_columns_stand_in_any_order_and_cells_may_be_empty(tmp_path):
    text = "lon,heading,time_utc,speed,lat\n37.1,,2026-03-09T19:07:00+08:00,,55.4\n\n"
    (fix,) = fixes_of(read_fixes(written(tmp_path, text)))
    assert (fix.speed_dkmh, fix.heading, fix.time) == (None, None, 1_773_083_220 - 8 * 3600)


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(tmp_path):
    text = "\ufeff" + f"{HEADER}\r\n{ROW}\r\n"
    assert len(read_fixes(written(tmp_path, text))) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        (HEADER + "\n", "has a header and no fixes"),
        (f"{HEADER},vehicle_id\n{ROW},1\n", "line 1: unknown column 'vehicle_id'"),
        ("time,lat,lon\n", "unknown column 'time'"),
        (f"lat,lon,speed\n{ROW}", "column time_utc is missing"),
        ("time_utc,lat,lon,lat\n", "column lat stands twice"),
        (HEADER.replace(",", ";") + "\n", "separated by commas"),
        (f"{HEADER}\n{ROW},9\n", "line 2: 6 cells where the header has 5"),
        (
            f"{HEADER}\n{ROW}\n2026-03-09T19:07:00,55,37,,\n",
            "line 3, column time_utc: .* no time zone",
        ),
        (f"{HEADER}\n09/03/2026 19:07,55,37,,\n", "column time_utc: .* RFC 3339"),
        (f"{HEADER}\n1773083220,55,37,,\n", "column time_utc"),
        (f"{HEADER}\n,55,37,,\n", "line 2, column time_utc: is empty"),
        (
            f"{HEADER}\n2026-03-09T19:07:00Z,fifty,37,,\n",
            "line 2, column lat: 'fifty' is not a number",
        ),
        (f"{HEADER}\n2026-03-09T19:07:00Z,nan,37,,\n", "column lat: 'nan'"),
        (f"{HEADER}\n2026-03-09T19:07:00Z,55,1e300,,\n", "column lon"),
        (f"{HEADER}\n2026-03-09T19:07:00Z,55,37,-3,\n", "column speed: '-3' is outside"),
        (f"{HEADER}\n2026-03-09T19:07:00Z,55,37,,400\n", "column heading"),
        (f"{HEADER},valid\n{ROW},yes\n", "column valid: 'yes' must be 1 or 0"),
        (f'{HEADER}\n"2026-03-09T19:07:00Z,55,37,,\n', "line"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_column(tmp_path, text, says):
    with pytest.raises(FileError, match=says):
        read_fixes(written(tmp_path, text))


@pytest.mark.parametrize("encoding", ["gbk", "utf-32", "utf-16-le"])
def test_another_encoding_is_refused_in_one_line(tmp_path, encoding):
    path = written(tmp_path, f"{HEADER},terminal\n{ROW},运单\n", encoding=encoding)
    with pytest.raises(FileError, match=r"UTF-8|unknown column"):
        read_fixes(path)


def test_a_file_that_is_not_there_or_is_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(FileError, match=r"cannot be read|is not a file"):
            read_fixes(path)


LINE = [[116.3, 39.9], [116.4, 39.95, 51.0]]


@pytest.mark.parametrize(
    "value",
    [
        {"type": "LineString", "coordinates": LINE},
        {"type": "MultiLineString", "coordinates": [LINE[:1], LINE[1:]]},
        {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "LineString", "coordinates": LINE},
        },
        {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}},
                {"type": "Feature", "geometry": {"type": "LineString", "coordinates": LINE}},
            ],
        },
        LINE,
    ],
)
def test_routes_of_geojson(tmp_path, value):
    path = written(tmp_path, json.dumps(value), "route.geojson")
    assert read_route(path) == [(116.3, 39.9), (116.4, 39.95)]


def test_routes_of_gpx_and_of_encoded_polylines(tmp_path):
    gpx = (
        '<?xml version="1.0"?><gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>'
        '<trkpt lat="39.9" lon="116.3"/><trkpt lat="39.95" lon="116.4"/></trkseg></trk></gpx>'
    )
    assert read_route(written(tmp_path, gpx, "a.gpx")) == [(116.3, 39.9), (116.4, 39.95)]
    encoded = "_p~iF~ps|U_ulLnnqC_mqNvxq`@"
    truth = [(-120.2, 38.5), (-120.95, 40.7), (-126.453, 43.252)]
    assert read_route(written(tmp_path, encoded, "a.polyline")) == truth
    assert decode_polyline(encoded, 6)[0] == (-12.02, 3.85)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("{", "line 1, column 2: is not JSON"),
        ('{"type":"Polygon","coordinates":[]}', "0 lines"),
        ('{"type":"Nonsense"}', "no GeoJSON type"),
        ('{"type":"LineString","coordinates":[[1,"a"]]}', r"coordinates\[0\]"),
        ('{"type":"LineString","coordinates":7}', "must be a list"),
        (
            '{"type":"LineString","coordinates":[],"crs":{"properties":{"name":"EPSG:3857"}}}',
            "WGS-84",
        ),
        ('<gpx><!DOCTYPE a [<!ENTITY b "c">]></gpx>', "DOCTYPE"),
        ("<gpx><trk>", "not XML"),
        ("<gpx/>", "0 routes"),
        ('<gpx><trk><trkpt lat="x" lon="1"/></trk></gpx>', "numeric lon or lat"),
        ("hello world", "neither GeoJSON, GPX nor"),
        ("_p~iF~ps|U_", "ends within"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_what_is_no_route_is_refused(tmp_path, text, says):
    with pytest.raises(FileError, match=says):
        read_route(written(tmp_path, text, "route.geojson"))


def test_json_that_is_not_json_is_refused_by_line(tmp_path):
    with pytest.raises(FileError, match="line 2"):
        read_json(written(tmp_path, '{"a":1,\n}', "trip.json"))


# ------------------------------------------------------------------- what users send
GOOD = "time_utc,lat,lon\n2026-03-09T19:07:00Z,55.4,37.3\n2026-03-09T19:07:10Z,55.401,37.3\n"


def test_a_spreadsheets_unicode_text_is_read_as_what_it_is(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_bytes(GOOD.encode("utf-16"))
    assert read_fixes(path).time.tolist() == [1773083220, 1773083230]
    route = tmp_path / "route.geojson"
    route.write_bytes('{"type":"LineString","coordinates":[[1,2],[3,4]]}'.encode("utf-16"))
    assert read_route(route) == [(1.0, 2.0), (3.0, 4.0)]


@pytest.mark.parametrize("cell", ["5_5.4", "５５.4"])
def test_numbers_that_only_python_reads_are_refused(tmp_path, cell):
    path = tmp_path / "odd.csv"
    path.write_text(GOOD.replace("55.4,", f"{cell},", 1), encoding="utf-8")
    with pytest.raises(FileError, match="column lat"):
        read_fixes(path)


def test_a_gpx_track_and_an_nmea_log_are_fixes_too(tmp_path):
    gpx = tmp_path / "a.gpx"
    gpx.write_text(
        '<?xml version="1.0"?><gpx><trk><trkseg><trkpt lat="55.4" lon="37.3">'
        "<time>2026-03-09T19:07:00Z</time></trkpt></trkseg></trk></gpx>"
    )
    log = tmp_path / "a.nmea"
    body = "BDRMC,190700.00,A,5524.0,N,03718.0,E,0.0,0.0,090326,,,A"
    found = 0
    for byte in body.encode():
        found ^= byte
    log.write_text(f"$BDGGA,cut off\r\n${body}*{found:02X}\r\n")
    for path in (gpx, log):
        fixes = read_fixes(path)
        assert (fixes.time.tolist(), fixes.lat_e6.tolist()) == ([1773083220], [55_400_000])
    log.write_text("$BDGGA,cut off\r\n")
    with pytest.raises(FileError, match="RMC"):
        read_fixes(log)
