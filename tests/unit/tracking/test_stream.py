from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.tracking import families
from tests.unit.tracking.test_judge import DRIVE, PLAN, ROUTE
from tracking import stream
from tracking.alerts import CODES
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
        fix._replace(lat_e6=fix.lat_e6 + 1_400 * max(0, min(at - 40, 60 - at, 6)))
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
    jump = DRIVE[20]._replace(lat_e6=DRIVE[20].lat_e6 + 20_000)
    assert told(live.feed([jump])) == ["impossible_speed"]
    assert live.progress().along_m == before


def test_a_clock_from_the_future_moves_nothing():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:20])
    wrong = DRIVE[20]._replace(time=DRIVE[20].time + 3600)
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


# ------------------------------------------------------------------- alerts of a drive's manner
def stand(fix, seconds, every=30):
    """The same place, wandering by a metre, for so long."""
    return [
        fix._replace(
            time=fix.time + by,
            received=None,
            lat_e6=fix.lat_e6 + 10 * (by // every % 2),
            speed_dkmh=0,
        )
        for by in range(every, seconds, every)
    ]


def later(fixes, by):
    return [fix._replace(time=fix.time + by, received=None) for fix in fixes]


def test_a_long_stop_is_told_once_and_so_is_going_on():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:40])
    alerts = live.feed(stand(DRIVE[39], 4_000))
    assert told(alerts) == ["long_stop"]
    assert 1_800 <= alerts[0].detail["seconds"] < 1_900
    assert "moving_again" in told(live.feed(later(DRIVE[40:60], 4_000)))


def test_standing_near_the_gate_but_outside_is_told_within_ten_minutes():
    last = next(
        at for at in range(len(DRIVE)) if judge(PLAN, DRIVE[: at + 1]).arrived_at is not None
    )
    live = LiveTrip(PLAN)
    live.feed(DRIVE[: last - 2])
    (alert,) = live.feed(stand(DRIVE[last - 3], 1_000))
    assert (alert.code, alert.severity) == ("short_of_gate", Severity.REVIEW)
    assert 600 <= alert.detail["seconds"] < 660


def test_a_silence_of_a_truck_that_stood_is_milder_and_its_return_says_how_far_it_came():
    live = LiveTrip(PLAN)
    live.feed([*DRIVE[:30], *stand(DRIVE[29], 400)])
    at = DRIVE[29].time + 390
    (alert,) = live.tick(at + 700)
    assert (alert.code, alert.severity) == ("silence", Severity.INFO)
    back = later(DRIVE[30:31], 2_000)
    heard = live.feed(back)[0]
    assert heard.code == "heard_again"
    assert heard.detail["silence_s"] > 1_500


def test_a_frozen_place_with_a_living_speed_is_told():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:30])
    frozen = [
        fix._replace(lat_e6=DRIVE[29].lat_e6, lon_e6=DRIVE[29].lon_e6, speed_dkmh=500)
        for fix in DRIVE[30:60]
    ]
    (alert,) = [one for one in live.feed(frozen) if one.code == "frozen_position"]
    assert alert.detail["seconds"] >= 60


def test_a_device_without_a_position_is_told_once():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:30])
    blind = [
        DRIVE[29]._replace(time=DRIVE[29].time + by, valid=False) for by in range(30, 1500, 30)
    ]
    assert told(live.feed(blind)) == ["no_position"]


def test_turning_back_is_told():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:50])
    back = [
        fix._replace(time=DRIVE[49].time + 10 * (by + 1), received=None)
        for by, fix in enumerate(DRIVE[49:5:-1])
    ]
    assert "reversed" in told(live.feed(back))


def test_a_truck_that_will_come_after_the_gate_has_closed_is_told_in_time():
    begins, arrived = DRIVE[0].time, judge(PLAN, DRIVE).arrived_at
    closes = begins + (arrived - begins) // 4
    plan = replace(PLAN, unloading=replace(PLAN.unloading, closes=closes - 1_800))
    live = LiveTrip(plan)
    (miss,) = [one for one in live.feed(DRIVE) if one.code == "eta_miss"]
    assert miss.detail["late_s"] > 900
    assert miss.at < arrived


def test_a_loading_that_is_hours_late_is_told_without_any_fix():
    closes = DRIVE[0].time
    live = LiveTrip(replace(PLAN, loading=replace(PLAN.loading, closes=closes)))
    assert live.tick(closes + 7_000) == []
    assert told(live.tick(closes + 7_300)) == ["off_window"]
    assert live.tick(closes + 9_000) == []


def test_a_device_gone_mad_cannot_flood_the_dispatcher():
    live = LiveTrip(PLAN)
    live.feed(DRIVE[:20])
    mad = [
        DRIVE[20]._replace(time=DRIVE[20].time + 10_000 + at, received=DRIVE[20].time)
        for at in range(500)
    ]
    assert told(live.feed(mad)) == ["clock_future"]


def test_every_alert_is_explained():
    source = "".join(
        (Path(stream.__file__).parent / name).read_text() for name in ("stream.py", "alerts.py")
    )
    raised = set(re.findall(r'(?:Alert|_once|_tell)\(\s*"([a-z_]+)"', source)) | {"silence", "gap"}
    assert raised == set(CODES)


def test_a_trip_that_is_only_watched_keeps_no_fixes():
    live = LiveTrip(PLAN, for_verdict=False)
    live.feed(DRIVE)
    assert live.progress().arrived_at == judge(PLAN, DRIVE).arrived_at
    with pytest.raises(ValueError, match="evidence"):
        live.verdict()
