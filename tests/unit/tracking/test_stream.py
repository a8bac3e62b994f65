from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.tracking import families
from tests.unit.tracking.test_judge import DRIVE, PLAN, ROUTE
from tracking.findings import Severity
from tracking.judge import judge
from tracking.plan import Gate, Plan
from tracking.stream import LiveTrip

needs_shared = pytest.mark.skipif(
    not families.SHARED.exists(),
    reason="needs the shared tracks beside the repository (../shared/vectors)",
)


def told(alerts):
    return [alert.code for alert in alerts]


def test_a_trip_tells_when_it_loads_leaves_and_arrives():
    live = LiveTrip(PLAN)
    assert told(live.feed(DRIVE)) == ["loading_reached", "departed", "arrived"]
    verdict, progress = judge(PLAN, DRIVE), live.progress()
    assert (progress.departed_at, progress.arrived_at) == (verdict.departed_at, verdict.arrived_at)
    assert progress.along_m == pytest.approx(progress.length_m, abs=300)


def test_in_the_end_it_says_what_the_batch_says_whatever_the_order_of_arrival():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:30])
    live.feed(DRIVE[45:])
    live.feed(DRIVE[30:45])
    assert live.verdict().canonical_bytes() == judge(PLAN, DRIVE).canonical_bytes()


def test_progress_and_time_of_arrival_close_in():
    live = LiveTrip(PLAN)
    arrived = judge(PLAN, DRIVE).arrived_at
    before, errors = -1, []
    for fix in DRIVE:
        live.feed([fix])
        progress = live.progress()
        assert progress.along_m >= before - 40
        before = progress.along_m
        errors.append(abs(progress.eta - arrived))
    assert errors[len(errors) // 2] < 0.3 * (arrived - DRIVE[0].time)
    assert errors[-1] == 0


def test_leaving_the_road_is_told_once_within_seconds_of_the_threshold_and_so_is_coming_back():
    live = LiveTrip(PLAN)
    astray = [
        replace(fix, lat_e6=fix.lat_e6 + 1_400 * max(0, min(at - 40, 60 - at, 6)))
        for at, fix in enumerate(DRIVE)
    ]
    alerts = live.feed(astray)
    assert told(alerts) == ["loading_reached", "departed", "off_route", "back_on_route", "arrived"]
    (off,) = [alert for alert in alerts if alert.code == "off_route"]
    assert off.severity is Severity.REVIEW
    # 400 m away is the threshold, and the fixes go some 100 m further out each.
    assert 400 <= off.detail["away_m"] < 550
    assert "off_route" in judge(PLAN, astray).reasons


def test_silence_is_told_once():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:20])
    at = DRIVE[19].time
    assert live.tick(at + 300) == []
    assert told(live.tick(at + 700)) == ["gap"]
    assert live.tick(at + 900) == []


def test_a_jump_is_told_and_not_followed():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:20])
    before = live.progress().along_m
    jump = replace(DRIVE[20], lat_e6=DRIVE[20].lat_e6 + 20_000)
    assert told(live.feed([jump])) == ["impossible_speed"]
    assert live.progress().along_m == before


def test_a_clock_from_the_future_moves_nothing():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:20])
    wrong = replace(DRIVE[20], time=DRIVE[20].time + 3600)
    assert told(live.feed([wrong])) == ["clock_future"]
    assert live.progress().at == DRIVE[19].time


def test_gates_may_be_polygons():
    lon, lat = ROUTE[-1]
    box = (
        (lon - 0.004, lat - 0.003),
        (lon + 0.004, lat - 0.003),
        (lon + 0.004, lat + 0.003),
        (lon - 0.004, lat + 0.003),
    )
    plan = Plan(PLAN.route, PLAN.loading, Gate(lon, lat, 0, box), 200, PLAN.starts, "42")
    live = LiveTrip(plan)
    live.feed(DRIVE)
    assert live.progress().arrived_at == judge(plan, DRIVE).arrived_at


@needs_shared
@pytest.mark.parametrize("family", ["clean", "rest_stop", "detour"])
def test_live_and_batch_agree_on_real_tracks(family):
    for case in families.cases(families.bases()[::2], 3, [family]):
        live = LiveTrip(case.plan)
        alerts = live.feed(case.fixes)
        verdict, progress = judge(case.plan, case.fixes), live.progress()
        assert progress.arrived_at == verdict.arrived_at, case.name
        assert ("off_route" in told(alerts)) is ("off_route" in verdict.reasons), case.name
