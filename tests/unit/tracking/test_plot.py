from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from tests.unit.tracking.test_judge import DRIVE, PLAN
from tracking.judge import examine
from tracking.plan import Gate
from tracking.plot import WORDS, trip_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(fixes, plan=PLAN, **more):
    return trip_svg(examine(plan, fixes), **more)


def styles(text):
    return [one.get("class") for one in ET.fromstring(text).iter() if one.get("class")]


def test_a_picture_shows_road_corridor_track_gates_and_speed():
    found = styles(drawn(DRIVE))
    for style in ("c", "r", "t", "g", "u", "v", "h"):
        assert style in found


def test_equal_examinations_draw_equal_bytes():
    assert drawn(DRIVE) == drawn(DRIVE[::-1])


def test_findings_are_numbered_on_the_map_and_listed():
    gone = [
        fix._replace(lat_e6=fix.lat_e6 + 1_400 * max(0, min(at - 40, 60 - at, 6)))
        for at, fix in enumerate(DRIVE)
    ]
    text = drawn(gone)
    assert ". off_route (review)" in text
    assert styles(text).count("o") == 2  # the stretch, and the legend
    assert "off_route" in ET.fromstring(text).find(f"{SVG}desc").text


def test_refused_fixes_are_crosses():
    jump = [
        fix._replace(lat_e6=fix.lat_e6 + 40_000) if 30 <= at < 45 else fix
        for at, fix in enumerate(DRIVE)
    ]
    assert styles(drawn(jump)).count("x") == 2


@pytest.mark.parametrize("fixes", [[], DRIVE[:1], [DRIVE[0]] * 3])
def test_nothing_driven_is_drawn_too(fixes):
    ET.fromstring(drawn(fixes))


def test_gates_may_be_polygons_and_words_of_another_language():
    lon, lat = PLAN.route[-1]
    gate = Gate(
        lon, lat, 0, ((lon - 0.01, lat - 0.01), (lon + 0.01, lat - 0.01), (lon, lat + 0.01))
    )
    words = {**WORDS, "pass": "通过", "loading": "<装货>"}
    text = drawn(DRIVE, replace(PLAN, unloading=gate), words=words)
    assert "通过" in text
    assert "&lt;装货&gt;" in text


def test_nothing_is_fetched_and_no_script_runs():
    text = drawn(DRIVE)
    assert "<script" not in text
    assert text.count("http") == 1  # the name of the format
