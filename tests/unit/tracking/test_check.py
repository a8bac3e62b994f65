from __future__ import annotations

import json
import re

import pytest

from chain.errors import YundanError
from tests.unit.tracking.test_judge import DRIVE, PLAN, ROUTE
from tracking.check import check, describe
from tracking.refusals import FileError, PlanError

FIELDS = [
    "verdict", "findings", "fixes", "route", "distance_m", "max_gap_s",
    "departed_at", "arrived_at", "trajectory_root", "policy_hash",
]  # fmt: skip


def csv_of(fixes, header="time_utc,lat,lon,speed,heading,received_utc,terminal"):
    from tracking.instants import instant

    lines = [header]
    for fix in fixes:
        at, came = (f"{instant(second):%Y-%m-%dT%H:%M:%SZ}" for second in (fix.time, fix.received))
        lines.append(
            f"{at},{fix.lat_e6 / 1e6:.6f},{fix.lon_e6 / 1e6:.6f},{fix.speed_dkmh / 10},,{came},0{fix.terminal}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture
def files(tmp_path):
    route = tmp_path / "route.geojson"
    route.write_text(json.dumps({"type": "LineString", "coordinates": ROUTE}))
    fixes = tmp_path / "fixes.csv"
    fixes.write_text(csv_of(DRIVE))
    return route, fixes


def test_the_answer_has_the_fixed_fields_and_types(files):
    answer = check(*files)
    assert list(answer) == FIELDS
    assert answer["verdict"] == "pass"
    assert answer["fixes"] == {"given": len(DRIVE), "used": len(DRIVE), "rejected": {}}
    assert set(answer["route"]) == {"length_m", "covered_m", "coverage", "on_route"}
    assert 0.95 < answer["route"]["coverage"] <= 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer["arrived_at"])
    for name in ("trajectory_root", "policy_hash"):
        assert re.fullmatch(r"0x[0-9a-f]{64}", answer[name])
    assert json.loads(json.dumps(answer)) == answer


def test_findings_have_code_severity_span_and_detail(files):
    route, fixes = files
    fixes.write_text(csv_of(DRIVE[: len(DRIVE) // 2]))
    answer = check(route, fixes)
    worst = max(
        answer["findings"], key=lambda one: ["info", "review", "fail"].index(one["severity"])
    )
    assert worst["severity"] == answer["verdict"] == "fail"
    for finding in answer["findings"]:
        assert list(finding) == ["code", "severity", "from", "to", "detail"]


def test_a_trip_gives_gates_terminal_and_windows_and_the_route_wins(files, tmp_path):
    route, fixes = files
    trip = tmp_path / "trip.json"
    trip.write_text(json.dumps({**PLAN.to_json(), "planned_route": [[0, 0], [1, 1]]}))
    assert check(route, fixes, trip)["verdict"] == "pass"
    with pytest.raises(PlanError, match="pickup lies"):
        check(None, fixes, trip)
    trip.write_text(json.dumps({**PLAN.to_json(), "terminal": "99"}))
    assert check(route, fixes, trip)["fixes"]["rejected"] == {"other_terminal": len(DRIVE)}


def test_tracks_on_file_are_compared(files, tmp_path):
    earlier = tmp_path / "earlier.csv"

    day = 86_400
    earlier.write_text(
        csv_of([fix._replace(time=fix.time - day, received=fix.received - day) for fix in DRIVE])
    )
    answer = check(*files, None, [earlier])
    (finding,) = [one for one in answer["findings"] if one["severity"] == "fail"]
    assert finding["code"] == "replay"
    assert finding["detail"]["other"] == "earlier.csv"
    assert finding["detail"]["lag_s"] == -day


def test_a_picture_is_written_when_asked_for(files, tmp_path):
    target = tmp_path / "trip.svg"
    check(*files, plot=target)
    assert target.read_text().startswith("<svg ")


def test_a_person_reads_the_same_in_a_few_lines(files):
    text = describe(check(*files))
    assert text.startswith("PASS ")
    assert f"{len(DRIVE)} of {len(DRIVE)} used" in text


def test_without_route_or_trip_there_is_nothing_to_check(files):
    with pytest.raises(FileError, match="give a route"):
        check(None, files[1])


@pytest.mark.parametrize(
    "route",
    [
        {"type": "LineString", "coordinates": [[116.3, 39.9]]},
        {"type": "LineString", "coordinates": []},
        {"type": "LineString", "coordinates": [[116.3, 39.9], [116.3, 39.9]]},
        {"type": "LineString", "coordinates": [[39.9, 116.3], [39.8, 116.2]]},
    ],
)
def test_a_route_that_is_none_is_one_clear_line(files, route):
    files[0].write_text(json.dumps(route))
    with pytest.raises(YundanError) as refused:
        check(*files)
    assert "\n" not in str(refused.value)
    assert refused.value.code
