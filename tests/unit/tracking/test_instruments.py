from __future__ import annotations

import numpy as np
import pytest

from tests.unit.tracking.families import GEOD
from tests.unit.tracking.test_judge import DRIVE, PLAN
from tracking.judge import judge
from tracking.verdict import Outcome


def with_mileage(fixes, factor=1.0):
    lon, lat = (
        np.array([getattr(fix, name) / 1e6 for fix in fixes]) for name in ("lon_e6", "lat_e6")
    )
    way = np.concatenate(([0.0], np.cumsum(GEOD.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2])))
    return [
        fix._replace(odometer_dkm=980_000 + round(at * factor / 100))
        for fix, at in zip(fixes, way, strict=True)
    ]


def with_course(fixes, turn=0):
    out = []
    for one, two in zip(fixes, [*fixes[1:], fixes[-1]], strict=True):
        course = GEOD.inv(one.lon_e6 / 1e6, one.lat_e6 / 1e6, two.lon_e6 / 1e6, two.lat_e6 / 1e6)[0]
        out.append(one._replace(heading=round(course + turn) % 360))
    return out


def test_instruments_that_agree_say_nothing():
    fixes = with_course(
        with_mileage([fix._replace(recorder_dkmh=fix.speed_dkmh, satellites=11) for fix in DRIVE])
    )
    assert judge(PLAN, fixes).outcome is Outcome.PASS


@pytest.mark.parametrize("factor", [0.94, 1.06])
def test_wheels_may_err_by_a_few_percent(factor):
    assert judge(PLAN, with_mileage(DRIVE, factor)).outcome is Outcome.PASS


@pytest.mark.parametrize("factor", [0.5, 1.6])
def test_mileage_that_is_not_the_way_made_is_named(factor):
    assert judge(PLAN, with_mileage(DRIVE, factor)).reasons == ("odometer_mismatch",)


def test_mileage_that_runs_backwards_is_named():
    fixes = with_mileage(DRIVE)
    fixes[50:] = [fix._replace(odometer_dkm=fix.odometer_dkm - 400) for fix in fixes[50:]]
    assert judge(PLAN, fixes).reasons == ("odometer_mismatch",)


def test_a_tachograph_that_contradicts_the_receiver_is_named():
    fixes = [
        fix._replace(recorder_dkmh=fix.speed_dkmh + (300 if 20 <= at < 60 else 0))
        for at, fix in enumerate(DRIVE)
    ]
    assert judge(PLAN, fixes).reasons == ("recorder_mismatch",)


def test_a_course_that_is_not_the_one_made_is_named():
    assert judge(PLAN, with_course(DRIVE, turn=130)).reasons == ("heading_mismatch",)


def test_a_source_that_knows_no_course_is_not_accused():
    assert judge(PLAN, [fix._replace(heading=0) for fix in DRIVE]).outcome is Outcome.PASS


def test_a_spoiled_antenna_is_an_observation():
    fixes = [fix._replace(alarm=1 << 5, satellites=3) for fix in DRIVE]
    verdict = judge(PLAN, fixes)
    assert verdict.outcome is Outcome.PASS
    assert "gnss_health" in {finding.code for finding in verdict.findings}


def test_a_frozen_place_is_betrayed_by_the_mileage():
    fixes = with_mileage([fix._replace(speed_dkmh=None) for fix in DRIVE])
    spot = fixes[40]
    fixes[40:52] = [fix._replace(lat_e6=spot.lat_e6, lon_e6=spot.lon_e6) for fix in fixes[40:52]]
    assert "frozen_position" in judge(PLAN, fixes).reasons


def test_a_place_that_freezes_and_leaps_needs_a_person_even_without_speeds():
    fixes = [fix._replace(speed_dkmh=None) for fix in DRIVE]
    spot = fixes[30]
    fixes[30:42] = [fix._replace(lat_e6=spot.lat_e6, lon_e6=spot.lon_e6) for fix in fixes[30:42]]
    assert "frozen_position" in judge(PLAN, fixes).reasons


def test_a_parked_truck_may_hold_its_place_to_the_last_digit():
    parked = [
        DRIVE[-1]._replace(time=DRIVE[-1].time + 10 * at, received=None, speed_dkmh=0)
        for at in range(1, 200)
    ]
    assert judge(PLAN, [*DRIVE, *parked]).outcome is Outcome.PASS
