"""Recorded GPX tracks become fixes; a point without place or time is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking import gpx
from tracking.refusals import FileError

HEAD = '<?xml version="1.0"?><gpx xmlns="http://www.topografix.com/GPX/1/1" version="1.1">'


def track(*points):
    return f"{HEAD}<wpt lat='1' lon='2'/><trk><trkseg>{''.join(points)}</trkseg></trk></gpx>"


def point(lat="31.2", lon="121.5", inner="<time>2026-01-05T08:00:00Z</time>"):
    return f'<trkpt lat="{lat}" lon="{lon}">{inner}</trkpt>'


def test_points_carry_what_the_file_says_and_nothing_else():
    full = point(
        inner="<ele>-12.6</ele><time>2026-01-05T08:00:10.9Z</time><sat>9</sat>"
        "<extensions><x:speed xmlns:x='urn:x'>10</x:speed><x:course xmlns:x='urn:x'>359.7</x:course></extensions>"
    )
    bare, rich = gpx.read_fixes(track(point(), full), terminal="7")
    assert (bare.time, bare.lat_e6, bare.lon_e6) == (1_767_600_000, 31_200_000, 121_500_000)
    assert (bare.speed_dkmh, bare.heading, bare.altitude_m, bare.satellites) == (None,) * 4
    assert (rich.time, rich.altitude_m, rich.satellites) == (1_767_600_010, -13, 9)
    assert (rich.speed_dkmh, rich.heading, rich.terminal) == (360, 0, "7")


def test_a_time_without_zone_is_utc_by_the_schema_and_an_offset_counts():
    naive, offset = gpx.read_fixes(
        track(
            point(inner="<time>2026-01-05T08:00:00</time>"),
            point(inner="<time>2026-01-05T16:00:00+08:00</time>"),
        )
    )
    assert naive.time == offset.time == 1_767_600_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not XML"),
        ("<gpx>", "not XML"),
        ("<kml/>", "not GPX"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><gpx/>", "DOCTYPE"),
        (HEAD + "</gpx>", "no track point"),
        (track(point(lat="")), "point 1: has no lat"),
        (track(point(), point(lat="91")), "point 2: lat"),
        (track(point(lon="nan")), "lon 'nan'"),
        (track(point(inner="")), "has no time"),
        (track(point(inner="<time>yesterday</time>")), "'yesterday'"),
        (track(point(inner="<time>2026-01-05T08:00:00Z</time><ele>high</ele>")), "ele 'high'"),
    ],
)
def test_what_is_wrong_is_named(text, says):
    with pytest.raises(FileError, match=says):
        gpx.read_fixes(text)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text):
    for whole in (text, track(text), track(point(lat=text.replace("<", "").replace('"', "")))):
        try:
            gpx.read_fixes(whole)
        except FileError as refused:
            assert str(refused)  # noqa: PT017  both ways are right; a refusal says something
