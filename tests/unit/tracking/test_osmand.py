"""Phones' reports are read in every form; what is no evidence is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.clock import rfc3339
from tracking import osmand
from tracking.fix import Fix
from tracking.instants import instant

VECTORS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "tracking"


def rows():
    path = VECTORS / "osmand_requests.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.skipif(
    not VECTORS.is_dir(), reason="needs ../shared/vectors/tracking beside the checkout"
)
@pytest.mark.parametrize("row", [pytest.param(row, id=row["id"]) for row in rows()])
def test_a_shared_request_is_read_right(row):
    report = osmand.read_report(row["request"])
    if row["expect"].startswith("reject"):
        assert report == osmand.ReportRefusal("device_missing", "id")
        return
    assert report.device == row["device_id"]
    fix = row["fix"]
    if fix is None:
        assert osmand.to_fix(report).code == "position_missing"
        return
    assert (report.lat, report.lon) == (fix["lat"], fix["lon"])
    assert report.heading_deg == fix["heading_deg"]
    assert report.altitude_m == fix["altitude_m"]
    assert report.speed_kmh == pytest.approx(fix["speed_kmh"]) if fix["speed_kmh"] else True
    time = None if report.time is None else rfc3339(instant(report.time))
    assert time == fix["time_utc"]
    evidence = osmand.to_fix(report)
    assert isinstance(evidence, Fix) if time else evidence.code == "time_missing"


def test_the_json_form_counts_metres_per_second_and_keeps_the_mock_flag():
    report = osmand.read_report(
        json.dumps(
            {
                "device_id": "0861001000719969",
                "location": {
                    "timestamp": "2026-01-05T08:00:00.500Z",
                    "coords": {"latitude": 31.2, "longitude": 121.5, "speed": 10, "heading": -1},
                    "mock": True,
                },
            }
        )
    )
    fix = osmand.to_fix(report)
    assert (fix.terminal, fix.speed_dkmh, fix.heading) == ("861001000719969", 360, None)
    assert report.extra["mock"] is True


def test_forwarded_positions_are_read_and_a_bad_one_costs_no_other():
    good = {
        "position": {
            "fixTime": "2026-01-05T08:00:00.000+00:00", "latitude": 31.2, "longitude": 121.5,
            "speed": 10.0, "course": 90.4, "valid": True, "attributes": {"sat": 9},
        },
        "device": {"uniqueId": "123"},
    }  # fmt: skip
    bad = {"position": {**good["position"], "latitude": 91}, "device": good["device"]}
    fixes = list(osmand.read_forwarded(json.dumps([good, bad, 5, good])))
    assert [one.code if not isinstance(one, Fix) else one.speed_dkmh for one in fixes] == [
        185, "coordinate_range", "bad_request", 185,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("id=1&lat=1&lon=x&timestamp=1", "bad_number"),
        ("id=1&lat=nan&lon=1&timestamp=1", "bad_number"),
        ("id=1&lat=91&lon=1&timestamp=1377177267", "coordinate_range"),
        ("id=1&lat=1&lon=1&timestamp=yesterday", "invalid_time"),
        ("id=1&lat=1&lon=1&timestamp=0", "invalid_time"),
        ("id=a%20b&lat=1&lon=1&timestamp=1", "device_missing"),
        ("id=1&lat=1&lon=1", "time_missing"),
        ("id=1&location=1,2,3&timestamp=1", "bad_number"),
        ("{", "bad_request"),
        ("[" * 20_000, "request_too_long"),
        ("{" + '"a":{' * 2_000, "bad_request"),
    ],
)
def test_a_bad_request_is_refused_with_its_code(query, code):
    assert osmand.read_request(query).code == code


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text):
    osmand.read_request(text)
    osmand.read_request("GET /?" + text)
    list(osmand.read_forwarded(text))
