from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.tracking import families
from tracking.check import check
from tracking.files import read_fixes
from tracking.fix import Fix
from tracking.instants import parse_instant
from tracking.judge import OtherTrack, examine, judge
from tracking.merkle import EMPTY_ROOT, root_of
from tracking.plan import Gate, Plan
from tracking.policy import default_policy
from tracking.track import fixes_of
from tracking.verdict import Outcome

SHARED = families.SHARED
needs_shared = pytest.mark.skipif(
    not SHARED.exists(), reason="needs the shared vectors beside the repository (../shared/vectors)"
)
CASES = SHARED / "fraud_cases"


def labelled():
    path = CASES / "cases.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def fixes_in(path):
    return fixes_of(read_fixes(path))


def made_road(kilometres=12.0):
    """A road with bends, and a drive along it that a person could have driven."""
    rng = np.random.default_rng(7)
    course, lon, lat = 40.0, [116.30], [39.90]
    for _ in range(int(kilometres * 10)):
        course += rng.normal(0, 14)
        x, y, _ = families.GEOD.fwd(lon[-1], lat[-1], course, 100.0)
        lon.append(round(x, 6))
        lat.append(round(y, 6))
    return list(zip(lon, lat, strict=True))


def made_drive(route, start=1_773_000_000, step=10, terminal="42", seed=3):
    """A drive with accelerations, stops and a receiver's drifting noise."""
    rng = np.random.default_rng(seed)
    points = np.array(route)
    steps = families.metres(points[:-1, 0], points[:-1, 1], points[1:, 0], points[1:, 1])
    way = np.concatenate(([0], np.cumsum(steps)))
    speed, at, second, fixes, drift = 0.0, 0.0, 0, [], np.zeros(2)
    halt = 0
    while at < way[-1]:
        aim = 17 + 6 * np.sin(at / 900.0) + 3 * np.sin(at / 210.0)
        halt = 25 if halt == 0 and rng.random() < 0.004 else max(0, halt - 1)
        aim = 0.0 if halt else aim
        speed = max(0.0, speed + np.clip(aim - speed, -2.0, 1.2))
        at += speed
        second += 1
        drift = 0.98 * drift + rng.normal(0, 0.7, 2)
        if second % step == 0:
            lon, lat = np.interp(at, way, points[:, 0]), np.interp(at, way, points[:, 1])
            fixes.append(
                Fix(
                    time=start + second,
                    lat_e6=round((lat + drift[0] / 111_000) * 1e6),
                    lon_e6=round((lon + drift[1] / 85_000) * 1e6),
                    speed_dkmh=round(speed * 36),
                    terminal=terminal,
                    received=start + second + 2,
                )
            )
    return fixes


ROUTE = made_road()
PLAN = Plan(tuple(ROUTE), Gate(*ROUTE[0]), Gate(*ROUTE[-1]), 200, 1_773_000_000, "42")
DRIVE = made_drive(ROUTE)


def codes(verdict):
    return set(verdict.reasons)


def test_an_honest_drive_passes_and_says_when_it_left_and_arrived():
    verdict = judge(PLAN, DRIVE)
    assert verdict.outcome is Outcome.PASS, verdict.findings
    assert verdict.departed_at is not None
    assert verdict.arrived_at is not None
    assert verdict.departed_at < verdict.arrived_at
    assert verdict.route.coverage_ppm > 950_000
    assert verdict.used == len(DRIVE)
    assert verdict.trajectory_root == root_of(
        [(at, fix.time, fix.lat_e6, fix.lon_e6) for at, fix in enumerate(DRIVE)]
    )


def test_any_order_batching_or_duplication_gives_the_same_bytes():
    whole = judge(PLAN, DRIVE).to_json()
    rng = random.Random(4)
    for _ in range(5):
        other = [*DRIVE, *rng.sample(DRIVE, 40)]
        rng.shuffle(other)
        again = judge(PLAN, other).to_json()
        assert again["fixes"]["rejected"] == {"duplicate": 40}
        again["fixes"] = whole["fixes"]
        assert again == whole


def test_a_verdict_never_depends_on_what_was_judged_before():
    first = judge(PLAN, DRIVE).canonical_bytes()
    judge(Plan.of_route(ROUTE[::-1]), DRIVE)
    assert judge(PLAN, DRIVE).canonical_bytes() == first


def test_the_policy_hash_is_that_of_the_rules():
    assert judge(PLAN, DRIVE).policy_hash == default_policy().policy_hash


def test_no_fixes_are_no_drive():
    for fixes in ([], DRIVE[:1]):
        verdict = judge(PLAN, fixes)
        assert verdict.outcome is Outcome.FAIL
        assert "no_fixes" in codes(verdict)
    assert judge(PLAN, []).trajectory_root == EMPTY_ROOT


def test_only_the_terminal_of_the_trip_counts():
    strangers = [fix._replace(terminal="43") for fix in DRIVE]
    verdict = judge(PLAN, strangers)
    assert verdict.rejected == {"other_terminal": len(DRIVE)}
    assert verdict.outcome is Outcome.FAIL


def test_two_terminals_in_one_record_need_a_person():
    mixed = [fix._replace(terminal="43" if at % 2 else "42") for at, fix in enumerate(DRIVE)]
    assert "several_terminals" in codes(judge(replace(PLAN, terminal=""), mixed))


def test_a_late_batch_is_never_an_accusation():
    rows = range(20, 45)
    late = [
        fix._replace(received=DRIVE[46].time, late=True) if at in rows else fix
        for at, fix in enumerate(DRIVE)
    ]
    unmarked = [fix._replace(late=False) for fix in late]
    hours = [
        fix._replace(received=fix.received + 20_000) if at in rows else fix
        for at, fix in enumerate(late)
    ]
    bunched = [
        fix._replace(received=DRIVE[-1].time + 90_000 + at // 30) for at, fix in enumerate(DRIVE)
    ]
    for fixes in (late, unmarked, hours, bunched):
        assert judge(PLAN, fixes).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("shift", "code"),
    [
        (3600, "clock_future"),
        (28_800, "clock_8h"),
        (-28_800, "clock_8h"),
        (-2_592_000, "clock_backward"),
    ],
)
def test_a_wrong_clock_is_named_and_its_fixes_are_no_evidence(shift, code):
    wrong = [
        fix._replace(time=fix.time + shift) if at >= 40 else fix for at, fix in enumerate(DRIVE)
    ]
    verdict = judge(PLAN, wrong)
    assert codes(verdict) == {code}
    assert verdict.rejected == {code: len(DRIVE) - 40}
    assert verdict.used == 40
    assert verdict.arrived_at is not None


def test_fixes_of_another_month_are_outside_the_window():
    stray = DRIVE[10]._replace(time=DRIVE[10].time - 40 * 86_400, received=None)
    verdict = judge(PLAN, [*DRIVE, stray])
    assert codes(verdict) == {"outside_window"}


def test_a_drive_the_wrong_way_round_is_no_delivery():
    back = [
        fix._replace(lat_e6=other.lat_e6, lon_e6=other.lon_e6)
        for fix, other in zip(DRIVE, DRIVE[::-1], strict=True)
    ]
    verdict = judge(PLAN, back)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.arrived_at is None
    assert "reversed" in codes(verdict)


def test_driving_about_in_the_destination_town_is_not_coverage():
    end = [fix for fix in DRIVE if fix.time > DRIVE[-1].time - 200]
    about = [
        fix._replace(
            time=DRIVE[0].time
            + 400 * lap
            + (fix.time - end[0].time if lap % 2 == 0 else end[-1].time - fix.time),
        )
        for lap in range(12)
        for fix in end
    ]
    verdict = judge(PLAN, about)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.route.coverage_ppm < 350_000


def test_stopping_short_of_the_gate_fails_with_the_distance():
    short = [fix for fix in DRIVE if fix.time < DRIVE[-1].time - 150]
    verdict = judge(PLAN, short)
    assert "short_of_gate" in codes(verdict)
    (finding,) = [one for one in verdict.findings if one.code == "short_of_gate"]
    assert finding.detail["nearest_m"] > 500


def test_driving_past_the_gate_is_named():
    plan = replace(PLAN, unloading=Gate(*families.GEOD.fwd(*ROUTE[90], 30.0, 380.0)[:2], 200))
    verdict = judge(plan, DRIVE)
    assert codes(verdict) & {"drive_past", "short_of_gate"}
    assert verdict.arrived_at is None


def test_loading_or_unloading_outside_the_window_needs_a_person():
    early = replace(PLAN, unloading=replace(PLAN.unloading, closes=DRIVE[0].time - 9_000))
    assert codes(judge(early, DRIVE)) == {"off_window"}


def test_a_record_that_flickers_at_the_edge_makes_a_verdict_that_can_be_read():
    flicker = [
        DRIVE[20]._replace(
            time=DRIVE[20].time + 10 * at,
            received=None,
            speed_dkmh=None,
            lat_e6=DRIVE[20].lat_e6 + (3_500 if at % 2 else 0),
            lon_e6=DRIVE[20].lon_e6 - (4_500 if at % 2 else 0),
        )
        for at in range(1, 600)
    ]
    verdict = judge(PLAN, [*DRIVE[:21], *flicker])
    off = [one for one in verdict.findings if one.code == "off_route"]
    assert len(off) == 41
    (rest,) = [one for one in off if "more" in one.detail]
    assert rest.detail["more"] == 300 - 40


def test_the_way_to_the_loading_place_and_home_is_not_judged():
    lead = made_drive(made_road(3.0)[::-1], start=DRIVE[0].time - 900, seed=9)
    lead = [
        fix._replace(lat_e6=fix.lat_e6, lon_e6=fix.lon_e6)
        for fix in lead
        if fix.time < DRIVE[0].time - 20
    ]
    verdict = judge(PLAN, [*lead, *DRIVE])
    assert verdict.arrived_at is not None
    assert "off_route" not in codes(verdict)


@needs_shared
@pytest.mark.parametrize("case", labelled(), ids=lambda case: case["case_id"])
def test_shared_case(case):
    plan = Plan.from_json({**case["waybill"], "terminal": case["terminal"]})
    others = [
        OtherTrack(one["points_file"], read_fixes(CASES / one["points_file"]))
        for one in case.get("related", [])
    ]
    verdict = judge(plan, read_fixes(CASES / case["points_file"]), others=others)
    if case["should_flag"]:
        assert verdict.outcome is not Outcome.PASS
    else:
        assert verdict.outcome is Outcome.PASS, verdict.findings
    arrives = case["truth"]["arrives_delivery"]
    if arrives is not None:
        assert (verdict.arrived_at is not None) is arrives


NAMED = {
    "teleport_shift": {"teleport"},
    "time_compressed": {"impossible_speed", "impossible_acceleration", "time_compressed"},
    "playback_perfect": {"too_perfect"},
    "playback_white_noise": {"too_perfect", "white_noise"},
    "straight_line_fill": {"straight_line"},
    "replay_exact": {"replay"},
    "shared_track": {"shared_track"},
    "one_terminal_two_places": {"two_places"},
    "future_timestamps": {"clock_future"},
    "clock_step_back": {"clock_backward"},
    "frozen_position": {"frozen_position"},
    "mock_static_at_delivery": {"no_journey"},
    "gcj02_as_wgs84": {"datum"},
    "bd09_as_wgs84": {"datum"},
    "detour": {"off_route"},
    "long_gap": {"gap"},
    "stops_short_of_delivery": {"short_of_gate"},
    "speed_field_mismatch": {"speed_mismatch"},
}


@needs_shared
@pytest.mark.parametrize(
    "case", [one for one in labelled() if one["should_flag"]], ids=lambda case: case["case_id"]
)
def test_shared_case_is_called_by_its_name(case):
    plan = Plan.from_json({**case["waybill"], "terminal": case["terminal"]})
    others = [
        OtherTrack(one["points_file"], read_fixes(CASES / one["points_file"]))
        for one in case.get("related", [])
    ]
    verdict = judge(plan, read_fixes(CASES / case["points_file"]), others=others)
    assert codes(verdict) & NAMED[case["label"]]


@needs_shared
@pytest.mark.parametrize("name", families.bases() if SHARED.exists() else [])
def test_real_track_passes_against_its_own_road(name):
    answer = check(families.KUBICKA / f"{name}.route.geojson", families.KUBICKA / f"{name}.csv")
    assert answer["verdict"] == "pass", answer["findings"]
    assert answer["arrived_at"] is not None


# ------------------------------------------------------------------- the buses of Liverpool
def buses():
    runs = defaultdict(list)
    with (SHARED / "trajectories" / "liverpool_bus_route14.csv").open() as stream:
        for row in csv.DictReader(stream):
            runs[row["trip_id"]].append(
                Fix(
                    time=parse_instant(row["time_utc"]),
                    lat_e6=round(float(row["lat"]) * 1e6),
                    lon_e6=round(float(row["lon"]) * 1e6),
                    heading=int(float(row["heading"])) % 360 if row["heading"] else None,
                    terminal=row["vehicle_id"],
                )
            )
    return runs


def bus_route(runs):
    places = [
        (fix.lon_e6 / 1e6, fix.lat_e6 / 1e6)
        for fix in sorted(runs["1099"], key=lambda fix: fix.time)
    ]
    return [place for at, place in enumerate(places) if at == 0 or place != places[at - 1]]


@needs_shared
@pytest.mark.parametrize("trip", ["1097", "1101", "1105", "1109", "1111"])
def test_bus_runs_of_the_whole_line_pass_though_it_doubles_back_and_has_no_speeds(trip):
    runs = buses()
    verdict = judge(Plan.of_route(bus_route(runs)), runs[trip])
    assert verdict.outcome is Outcome.PASS, verdict.findings
    assert verdict.route.coverage_ppm > 980_000


@needs_shared
@pytest.mark.parametrize(
    ("trip", "first", "last"),
    [
        ("1091", 3, 4),
        ("1093", 2, 4),
        ("1095", 0, 2),
        ("1103", 1, 4),
        ("1107", 0, 2),
        ("1113", 0, 2),
        ("1115", 0, 3),
    ],
)
def test_bus_runs_pass_between_the_gates_that_they_cover(trip, first, last):
    runs = buses()
    corridor = examine(Plan.of_route(bus_route(runs)), runs["1099"]).corridor
    gates = np.array([0, 2_500_000, 5_000_000, 7_500_000, corridor.length_mm])
    inside = (corridor.along > gates[first]) & (corridor.along < gates[last])
    ends = [
        (
            float(np.interp(gates[at], corridor.along, corridor.lon)),
            float(np.interp(gates[at], corridor.along, corridor.lat)),
        )
        for at in (first, last)
    ]
    road = [
        ends[0],
        *zip(corridor.lon[inside].tolist(), corridor.lat[inside].tolist(), strict=True),
        ends[1],
    ]
    verdict = judge(Plan.of_route(road), runs[trip])
    assert verdict.outcome is Outcome.PASS, verdict.findings
    assert verdict.arrived_at is not None


@needs_shared
def test_the_bus_that_leaves_the_line_by_291_m_is_shown_to_a_person():
    runs = buses()
    verdict = judge(Plan.of_route(bus_route(runs)), runs["1103"])
    assert verdict.outcome is Outcome.REVIEW
    assert codes(verdict) == {"off_route"}
    away = max(one.detail["away_m"] for one in verdict.findings if one.code == "off_route")
    assert away == pytest.approx(291, abs=2)


@needs_shared
def test_the_bus_that_ends_short_of_the_terminus_has_not_arrived():
    runs = buses()
    verdict = judge(Plan.of_route(bus_route(runs)), runs["1115"])
    assert codes(verdict) == {"short_of_gate"}
    (finding,) = [one for one in verdict.findings if one.code == "short_of_gate"]
    assert finding.detail["nearest_m"] + 300 == pytest.approx(1900, abs=30)


@needs_shared
def test_no_two_bus_runs_are_taken_for_one():
    runs = buses()
    plan = Plan.of_route(bus_route(runs))
    for trip in ("1097", "1105", "1111"):
        others = [OtherTrack(name, fixes) for name, fixes in runs.items() if name != trip]
        assert not codes(judge(plan, runs[trip], others=others)) & {"replay", "shared_track"}


# ------------------------------------------------------------------- rhythm
def slower(fixes, by):
    start = fixes[0].time
    return [
        fix._replace(time=start + round((fix.time - start) * by), received=None, speed_dkmh=None)
        for fix in fixes
    ]


@pytest.mark.parametrize(("calm", "factor"), [(1.5, 2.5), (1.8, 3.0), (2.0, 3.0), (2.4, 4.0)])
def test_a_slow_drive_squeezed_in_the_middle_is_betrayed_by_its_rhythm(calm, factor):
    drive = slower(DRIVE, calm)
    assert judge(PLAN, drive).outcome is Outcome.PASS
    (found,) = [
        one
        for one in judge(PLAN, families.hurried(drive, 30, 55, factor)).findings
        if one.code == "time_compressed"
    ]
    assert found.detail["closer_permille"] == pytest.approx(factor * 1000, rel=0.05)
    assert found.detail["kmh"] > 2 * found.detail["usual_kmh"]


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_terminal_that_is_asked_to_report_more_often_is_not_accused(step):
    first, last = DRIVE[30].time, DRIVE[60].time
    closer = [fix for fix in made_drive(ROUTE, step=step) if first < fix.time < last]
    rest = [fix for fix in DRIVE if not first < fix.time < last]
    verdict = judge(PLAN, [*rest, *closer])
    assert len(rest) + len(closer) > len(DRIVE) + 20
    assert verdict.outcome is Outcome.PASS, verdict.findings


# ------------------------------------------------------------------- two places, leaps, held places
def test_of_two_vehicles_that_meet_on_one_road_the_one_that_drives_the_trip_is_followed():
    back = made_drive(ROUTE[::-1], start=DRIVE[12].time, seed=9)
    verdict = judge(PLAN, [*DRIVE, *(fix._replace(terminal="42") for fix in back)])
    alone = judge(PLAN, DRIVE)
    assert verdict.outcome is not Outcome.PASS
    assert verdict.arrived_at is not None
    assert abs(verdict.arrived_at - alone.arrived_at) <= 60


def test_two_stale_reports_before_a_leap_to_the_gate_do_not_make_an_arrival():
    road = DRIVE[:40]
    held = [
        road[-1]._replace(time=road[-1].time + 10 * at, speed_dkmh=160, received=None)
        for at in (1, 2)
    ]
    lon, lat = ROUTE[-1]
    put = road[-1]._replace(
        lat_e6=round(lat * 1e6), lon_e6=round(lon * 1e6), speed_dkmh=0, received=None
    )
    there = [put._replace(time=road[-1].time + 20 + 10 * at) for at in range(1, 60)]
    assert families.metres(road[-1].lon_e6 / 1e6, road[-1].lat_e6 / 1e6, lon, lat) > 2_000
    verdict = judge(PLAN, [*road, *held, *there])
    assert verdict.outcome is Outcome.FAIL
    assert verdict.arrived_at is None


def test_one_short_leap_alone_goes_to_a_person_and_a_second_one_fails():
    def leapt(*places):
        """One report is missing, and the next comes a second after the one before it: a clock that lagged."""
        out, saved = [], 0
        for at, fix in enumerate(DRIVE):
            saved += 19 if at in places else 0
            if at + 1 not in places:
                out.append(fix._replace(time=fix.time - saved, received=None, speed_dkmh=None))
        return out

    once, twice = judge(PLAN, leapt(11)), judge(PLAN, leapt(11, 54))
    assert once.reasons == ("impossible_speed",)
    assert once.outcome is Outcome.REVIEW
    assert "impossible_speed" in twice.reasons
    assert twice.outcome is Outcome.FAIL


def test_an_even_speed_told_before_and_after_a_jam_without_speeds_is_no_lie():
    told = [
        fix._replace(speed_dkmh=None if 30 <= at < 50 else fix.speed_dkmh)
        for at, fix in enumerate(DRIVE)
    ]
    assert judge(PLAN, told).outcome is Outcome.PASS


# ------------------------------------------------------------------- how often it reports
@pytest.mark.parametrize("step", [1, 2, 5, 20, 30, 60])
def test_an_honest_drive_passes_however_often_it_reports(step):
    drive = made_drive(ROUTE, step=step)
    # it ends in the gate, whatever the pause
    last = made_drive(ROUTE, step=1)[-1]
    verdict = judge(PLAN, [*(fix for fix in drive if fix.time < last.time), last])
    assert verdict.outcome is Outcome.PASS, verdict.findings


def test_a_stop_between_reports_a_minute_apart_is_no_lie_of_the_speed():
    """Town traffic: at every report it drives, between them it stands."""
    fine = made_drive(ROUTE, step=5, seed=8)
    some = [*fine[::12], fine[-1]]
    told = [fix._replace(speed_dkmh=max(fix.speed_dkmh, 600)) for fix in some]
    assert judge(PLAN, some).outcome is Outcome.PASS
    assert "speed_mismatch" not in judge(PLAN, told[:9]).reasons


def test_an_even_speed_at_a_report_a_second_is_a_person_with_a_steady_foot():
    rng = np.random.default_rng(2)
    drive = [
        fix._replace(
            lat_e6=fix.lat_e6 + int(rng.normal(0, 18)), lon_e6=fix.lon_e6 + int(rng.normal(0, 18))
        )
        for fix in made_drive(ROUTE, step=1)
    ]
    assert "speed_mismatch" not in judge(PLAN, drive).reasons
