"""Files and roads that nobody would send on purpose: a clear error or a right answer, never a traceback or a wrong pass."""

from __future__ import annotations

import datetime as dt
import json
import random
from itertools import pairwise

import numpy as np
import pytest

from chain.errors import YundanError
from tests.unit.tracking import families
from tests.unit.tracking.test_judge import DRIVE, PLAN, ROUTE, made_drive
from tracking import gpx, osmand
from tracking.check import check
from tracking.files import read_fixes, read_route
from tracking.imports import Recording, read_recording
from tracking.judge import judge
from tracking.plan import Plan
from tracking.refusals import FileError, PlanError
from tracking.verdict import Outcome

GEOD = families.GEOD
SOME = DRIVE[:20]


def _stamp(fix):
    return dt.datetime.fromtimestamp(fix.time, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sentence(body):
    found = 0
    for byte in body.encode():
        found ^= byte
    return f"${body}*{found:02X}"


def _minutes(e6, width):
    degrees = e6 / 1e6
    return f"{int(degrees):0{width}}{degrees % 1 * 60:07.4f}"


CSV = "time_utc,lat,lon,speed,heading,received_utc,terminal,altitude,satellites,valid\n" + "".join(
    f"{_stamp(fix)},{fix.lat_e6 / 1e6},{fix.lon_e6 / 1e6},{fix.speed_dkmh / 10},90,{_stamp(fix)},42,12,9,1\n"
    for fix in SOME
)
GPX = (
    '<?xml version="1.0"?><gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>'
    + "".join(
        f'<trkpt lat="{fix.lat_e6 / 1e6}" lon="{fix.lon_e6 / 1e6}"><ele>12</ele><time>{_stamp(fix)}</time>'
        "<speed>1.5</speed><sat>9</sat></trkpt>"
        for fix in SOME
    )
    + "</trkseg></trk></gpx>"
)
NMEA = "\r\n".join(
    _sentence(
        f"GNRMC,1907{at:02}.00,A,{_minutes(fix.lat_e6, 2)},N,{_minutes(fix.lon_e6, 3)},E,10.0,90.0,090326,,,A"
    )
    for at, fix in enumerate(SOME)
)
ROAD = json.dumps(
    {"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": ROUTE}}
)
TRIP = json.dumps(PLAN.to_json())
QUERY = "/?id=123456&timestamp=1773083220&lat=31.2&lon=121.5&speed=10&bearing=20&altitude=3&hdop=1&batt=50&valid=true"
BODY = json.dumps(
    {
        "device_id": "0861",
        "location": {
            "timestamp": "2026-01-05T08:00:00.500Z",
            "coords": {"latitude": 31.2, "longitude": 121.5, "speed": 10, "heading": -1},
            "mock": True,
        },
    }
)
PIECES = (
    "", "0", "-1", "1e308", "1e-320", "nan", "inf", "-inf", "9" * 400, "１２", "٣", "1_0", "0x10", "1,5", "1.2.3",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-09T24:00:00Z", "2026-02-30T00:00:00Z",
    "2026-03-09T19:07:60Z", "2026-03-09T19:07:00", "2026-03-09T19:07:00+25:00", "20260309T190700Z",
    "\x00", "\ufeff", "\u2028", "null", "true", "[]", "{}", '"', "'", ",", ";", "\t", "|", "\r", "\n", "<", ">",
    "&amp;", "<!DOCTYPE a>", "]]>", "运单", "%00", "+",
)  # fmt: skip
ENCODINGS = (
    *["utf-8"] * 8,
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-32",
    "gbk",
    "latin-1",
    "cp1252",
)
BORDERS = set(',<>&="\n[]: ')


def spoiled(text, rng):
    """A text with some of its words exchanged, cut, doubled or broken."""
    out = list(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at, way = rng.randrange(len(out) + 1), rng.random()
        if way < 0.45:
            first = last = at
            while way >= 0.2 and last < len(out) and out[last] not in BORDERS:
                last += 1
            while way >= 0.2 and first > 0 and out[first - 1] not in BORDERS:
                first -= 1
            out[first:last] = rng.choice(PIECES)
        elif way < 0.6:
            del out[at : at + rng.randrange(1, 80)]
        elif way < 0.75:
            other = rng.randrange(len(out) + 1)
            out[at:at] = out[min(at, other) : max(at, other)][:400]
        elif way < 0.95 and out:
            out[min(at, len(out) - 1)] = chr(
                rng.choice((0, 9, 10, 34, 44, 48, 127, 255, 0x2028, 0x1F600))
            )
        else:
            out = out[:at]
        out = out or ["x"]
    return "".join(out)


def tolerates(work):
    """Runs a reader: it answers, or refuses in one line; anything else is the test's failure."""
    told = ""
    try:
        work()
    except YundanError as refusal:
        told = str(refusal) or "nothing said\n"
    assert "\n" not in told
    return not told


def sweep(tmp_path, seed, rounds):
    rng = random.Random(seed)
    road, file = tmp_path / "road.geojson", tmp_path / "spoiled"
    road.write_text(ROAD)
    read = refused = 0
    for number in range(rounds):
        encoding = rng.choice(ENCODINGS)
        works = []
        for text, form in ((CSV, Recording.CSV), (GPX, Recording.GPX), (NMEA, Recording.NMEA)):
            data = spoiled(text, rng).encode(encoding, "replace")
            path = file.with_suffix(f".{form.value}")
            path.write_bytes(data)
            works.append(lambda data=data, form=form: read_recording(data, form))
            works.append(lambda path=path: read_fixes(path))
            if number % 10 == 0:
                works.append(lambda path=path: check(road, path))
        for name, text in (("json", ROAD), ("xml", GPX), ("line", "_p~iF~ps|U_ulLnnqC_mqNvxq`@")):
            path = file.with_suffix(f".{name}")
            path.write_bytes(spoiled(text, rng).encode(encoding, "replace"))
            works.append(lambda path=path: Plan.of_route(read_route(path)))
        try:
            trip = json.loads(spoiled(TRIP, rng))
            works.append(lambda trip=trip: Plan.from_json(trip))
        except ValueError:
            pass
        for text in (QUERY, BODY):
            report = osmand.read_report(spoiled(text, rng))
            if not isinstance(report, osmand.ReportRefusal):
                osmand.to_fix(report)
        for work in works:
            good = tolerates(work)
            read, refused = read + good, refused + (not good)
    assert read > rounds // 2
    assert refused > rounds


@pytest.mark.parametrize("seed", [1, 2])
def test_spoiled_files_in_any_encoding_are_read_or_refused_in_one_line(tmp_path, seed):
    sweep(tmp_path, seed, 100)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 110))
def test_spoiled_files_for_long(tmp_path, seed):
    sweep(tmp_path, seed, 2_000)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_beyond_the_calendar_is_refused_wherever_it_stands(tmp_path, time):
    with pytest.raises(FileError, match="ISO 8601"):
        gpx.read_fixes(f'<gpx><trk><trkpt lat="1" lon="2"><time>{time}</time></trkpt></trk></gpx>')
    path = tmp_path / "a.csv"
    path.write_text(f"time_utc,lat,lon\n{time},1,2\n")
    with pytest.raises(FileError, match="column time_utc"):
        read_fixes(path)
    with pytest.raises(PlanError, match="planned_start_utc"):
        Plan.from_json({**PLAN.to_json(), "planned_start_utc": time})


def test_a_number_of_hundreds_of_digits_is_refused(tmp_path):
    large = "1" + "0" * 400
    path = tmp_path / "a.geojson"
    path.write_text(f'{{"type":"LineString","coordinates":[[{large},2],[3,4]]}}')
    with pytest.raises(FileError, match=r"coordinates\[0\]"):
        read_route(path)
    with pytest.raises(PlanError, match="must be a number"):
        Plan.from_json(json.loads(f'{{"planned_route":[[{large},2],[3,4]]}}'))


# ------------------------------------------------------------------- roads
def road_of(lon, lat, *legs):
    """A road of legs (course, metres), a vertex every hundred metres."""
    out = [(lon, lat)]
    for course, length in legs:
        count = max(1, int(length // 100))
        for _ in range(count):
            x, y, _ = GEOD.fwd(*out[-1], course, length / count)
            out.append((round(x, 6), round(y, 6)))
    return out


def ring_road(lon, lat, radius, turns=1):
    angles = np.linspace(0, 360 * turns, 120 * turns + 1)
    same = np.ones(len(angles))
    x, y, _ = GEOD.fwd(lon * same, lat * same, angles, radius * same)
    return [(round(float(a), 6), round(float(b), 6)) for a, b in zip(x, y, strict=True)]


ROADS = {
    "a straight road": road_of(116, 39, (80, 9000)),
    "a loop that ends where it began": ring_road(116, 39, 1500),
    "a loop driven twice": ring_road(116, 39, 1200, 2),
    "a figure of eight": [*ring_road(116, 39, 1000), *road_of(116, 39.009, (180, 900), (90, 2500))],
    "a zigzag": road_of(116, 39, *[(30, 800), (200, 800)] * 7),
    "a spiral": [p for turn in range(1, 7) for p in ring_road(116, 39, 200 * turn)],
    "across the antimeridian": road_of(179.97, -16, (80, 9000)),
    "across the antimeridian westwards": road_of(-179.97, -16, (280, 9000)),
    "the far north": road_of(20, 84.5, (80, 9000)),
    "beside null island": road_of(-0.001, -0.04, (0, 9000)),
    "every point three times": [p for p in road_of(116, 39, (80, 9000)) for _ in range(3)],
    "two points": [(116, 39), (116.1, 39.0)],
    "crossing itself": road_of(116, 39, (0, 3000), (90, 3000), (180, 6000), (270, 3000)),
    "hairpins": road_of(116, 39, *[(90, 1500), (0, 60), (270, 1500), (0, 60)] * 3),
}  # fmt: skip


@pytest.mark.parametrize("name", ROADS)
def test_on_any_road_the_honest_drive_passes_and_no_other_does(name):
    road = ROADS[name]
    plan = Plan.of_route(road)
    fresh = [road[0], *(b for a, b in pairwise(road) if a != b)]
    drive = made_drive(fresh, terminal="")
    start, count = drive[0].time, len(drive)

    def parked(at):
        return [at._replace(time=start + 10 * k, received=None, speed_dkmh=0) for k in range(60)]

    north = 300_000 if drive[0].lat_e6 < 80_000_000 else -300_000
    verdict = judge(plan, drive)
    assert verdict.outcome is Outcome.PASS, verdict.findings
    assert verdict.arrived_at is not None
    for wrong, fixes in {
        "half": drive[: count // 2],
        "the second half": drive[count // 2 :],
        "parked at the start": parked(drive[0]),
        "parked at the end": parked(drive[-1]),
        "elsewhere": [fix._replace(lat_e6=fix.lat_e6 + north) for fix in drive],
        "one fix": drive[:1],
        "both ends alone": [drive[0], drive[-1]],
        "nothing": [],
        "backwards": [
            fix._replace(time=start + drive[-1].time - fix.time, received=None)
            for fix in reversed(drive)
        ],
    }.items():
        assert judge(plan, fixes).outcome is not Outcome.PASS, wrong


# ------------------------------------------------------------------- gates
def test_a_polygon_across_the_antimeridian_is_reached():
    road = road_of(179.97, -16, (80, 3_600))
    lon, lat = road[-1]
    assert lon < 0
    ring = [
        [179.99, lat - 0.01],
        [lon + 0.005, lat - 0.01],
        [lon + 0.005, lat + 0.01],
        [179.99, lat + 0.01],
    ]
    plan = Plan.from_json({"planned_route": road, "delivery": {"polygon": ring}})
    assert abs(plan.unloading.lon) > 179.9
    drive = made_drive(road, terminal="")
    assert judge(plan, drive).arrived_at is not None
    assert judge(plan, drive[: len(drive) // 2]).arrived_at is None


@pytest.mark.parametrize(
    "corners",
    [
        [(-1, -1), (1, 1), (1, -1), (-1, 1)],
        [(-1, -1), (0, 0), (1, 1)],
        [(-1, -1), (1, -1), (1, 1), (5, 1), (1, 1), (-1, 1)],
    ],
    ids=["a bow", "a line", "a spike"],
)
def test_a_polygon_without_one_clear_inside_is_refused(corners):
    lon, lat = ROUTE[-1]
    ring = [[lon + 0.003 * x, lat + 0.003 * y] for x, y in corners]
    with pytest.raises(PlanError, match=r"delivery\.polygon crosses itself or has no inside"):
        Plan.from_json({**PLAN.to_json(), "delivery": {"polygon": ring}})
