from __future__ import annotations

import geopandas as gpd
import pytest
import shapely

from tests.unit.tracking.test_judge import DRIVE, PLAN, ROUTE, made_drive
from tracking import fleet
from tracking.corridor import corridor_of
from tracking.judge import judge
from tracking.track import Columns


def trip(name, fixes, *, judged=False):
    said = judge(PLAN, fixes) if judged else None
    told = () if said is None else (said.outcome.value, said.findings)
    return fleet.JudgedTrip(name, PLAN, Columns.of(list(fixes)), *told)


def astray(fixes, first, last, e6=1_400):
    return [
        fix._replace(lat_e6=fix.lat_e6 + e6 * max(0, min(at - first, last - at, 6)))
        for at, fix in enumerate(fixes)
    ]


def with_stop(fixes, at, seconds):
    halt = [
        fixes[at]._replace(time=fixes[at].time + second, received=None)
        for second in range(10, seconds, 10)
    ]
    return [
        *fixes[: at + 1],
        *halt,
        *(fix._replace(time=fix.time + seconds, received=None) for fix in fixes[at + 1 :]),
    ]


def test_lines_say_who_drove_how_far_and_when():
    lines = fleet.trip_lines([trip("A", DRIVE, judged=True), trip("none", DRIVE[:1])])
    assert lines["trip"].tolist() == ["A"]
    assert lines["outcome"].tolist() == ["pass"]
    assert lines["driven_m"][0] == pytest.approx(corridor_of(PLAN).length_mm / 1000, rel=0.05)
    assert lines["started_at"][0].timestamp() == DRIVE[0].time
    assert lines.crs.to_epsg() == 4326


def test_areas_are_crossed_by_those_who_drove_inside_them_and_for_so_far():
    lon, lat = ROUTE[60]
    half = shapely.box(lon - 1, lat - 1, lon, lat + 1)
    far = shapely.box(0, 0, 1, 1)
    areas = gpd.GeoDataFrame({"area": ["west", "far"]}, geometry=[half, far], crs="EPSG:4326")
    lines = fleet.trip_lines([trip("A", DRIVE), trip("B", made_drive(ROUTE, seed=8))])
    table = fleet.areas_crossed(lines, areas.to_crs("EPSG:3857"))
    assert table["area"].unique().tolist() == ["west"]
    assert table["trip"].tolist() == ["A", "B"]
    assert (table["inside_m"] < lines["driven_m"]).all()
    assert (table["inside_m"] > 1_000).all()
    assert fleet.areas_crossed(lines, areas[areas["area"] == "far"]).empty


def test_stops_are_found_and_counted_by_place():
    one, two = with_stop(DRIVE, 40, 900), with_stop(with_stop(DRIVE, 40, 600), 130, 1200)
    found = fleet.stops([trip("A", one), trip("B", two)])
    assert found["trip"].tolist() == ["A", "B", "B"]
    assert found["seconds"].tolist()[0] == pytest.approx(900, abs=40)
    spot = shapely.Point(DRIVE[40].lon_e6 / 1e6, DRIVE[40].lat_e6 / 1e6)
    places = gpd.GeoDataFrame({"place": ["rest area"]}, geometry=[spot], crs="EPSG:4326")
    table = fleet.stops_by_place(found, places).set_index("place")
    assert table.loc["rest area", "stops"] == 2
    assert table.loc["rest area", "trips"] == 2
    assert table.loc["elsewhere", "stops"] == 1
    assert table.loc["elsewhere", "longest_s"] == pytest.approx(1200, abs=40)


def test_no_stops_make_an_empty_report():
    found = fleet.stops([trip("A", DRIVE)], least_s=3_000)
    places = gpd.GeoDataFrame({"place": []}, geometry=[], crs="EPSG:4326")
    assert fleet.stops_by_place(found, places).empty


def test_where_no_place_is_known_every_stop_is_elsewhere():
    found = fleet.stops([trip("A", with_stop(DRIVE, 40, 900))])
    places = gpd.GeoDataFrame({"place": []}, geometry=[], crs="EPSG:4326")
    assert fleet.stops_by_place(found, places)["place"].tolist() == ["elsewhere"]


def test_sections_are_the_whole_road():
    sections = fleet.road_sections(PLAN, section_m=1_000)
    assert sections["from_m"].tolist()[0] == 0
    assert sections["to_m"].tolist()[-1] == corridor_of(PLAN).length_mm // 1000
    assert (sections["from_m"].tolist()[1:]) == sections["to_m"].tolist()[:-1]


def test_deviations_are_counted_on_the_section_that_was_left():
    gone = astray(DRIVE, 40, 60)
    trips = [
        trip("A", gone, judged=True),
        trip("B", gone, judged=True),
        trip("C", DRIVE, judged=True),
    ]
    table = fleet.deviations_by_section(trips, fleet.road_sections(PLAN))
    assert table["deviations"].sum() == 2
    worst = table.loc[table["deviations"].idxmax()]
    assert worst["trips"] == 2
    assert worst["farthest_m"] > 400
    (finding,) = [one for one in trips[0].findings if one.code == "off_route"]
    assert worst["from_m"] >= finding.detail["left_at_m"] - 1_500
    assert worst["to_m"] <= finding.detail["back_at_m"] + 1_500


def test_no_deviations_leave_every_section_at_zero():
    table = fleet.deviations_by_section([trip("C", DRIVE, judged=True)], fleet.road_sections(PLAN))
    assert table["deviations"].sum() == 0
