"""A clock that runs slowly is told by forces that nobody drives with, and by nothing else."""

from __future__ import annotations

import math

import pytest

from tracking.fix import Fix
from tracking.judge import judge
from tracking.plan import Plan
from tracking.verdict import Outcome

BEGIN = 1_772_000_000
ROAD = [(104.0 + at * 0.001, 30.0) for at in range(140)]  # straight: its bends limit nothing
PLAN = Plan.of_route(ROAD)
METRES = 96_486.0  # of a degree of longitude at 30 degrees north


def town(*, step=5, squeezed=1.0, since=300):
    """Stop and go along the road, 13 km, with a receiver's slow drift; squeezed in time after a while."""
    fixes, way, second = [], 0.0, 0
    while way < 13_300:
        if second % step == 0:
            time = second if second < since else since + round((second - since) / squeezed)
            drift = 1.5 * math.sin(second / 40), 1.5 * math.cos(second / 55)
            fixes.append(
                Fix(
                    time=BEGIN + time,
                    lat_e6=30_000_000 + round(drift[0] / 0.1109),
                    lon_e6=104_000_000 + round((way + drift[1]) / METRES * 1e6),
                    terminal="1",
                )
            )
        way += 7.0 * (1 - math.cos(second / 14)) ** 1.2
        second += 1
    return fixes


def findings(fixes):
    return {one.code: one for one in judge(PLAN, fixes).findings}


@pytest.mark.parametrize("step", [5, 10, 20])
def test_stop_and_go_in_a_town_is_no_accusation(step):
    verdict = judge(PLAN, town(step=step))
    assert verdict.outcome is Outcome.PASS, verdict.reasons


@pytest.mark.parametrize(("step", "factor"), [(5, 2.5), (10, 3), (20, 5)])
def test_the_same_in_a_fraction_of_the_time_is_named_with_its_forces(step, factor):
    found = findings(town(step=step, squeezed=factor))["time_compressed"]
    assert found.detail["mean_cm_s2"] > 200
    assert abs(found.start - BEGIN - 300) < 90


def test_a_stale_report_and_the_leap_after_it_are_no_force():
    fixes = town()
    for at in range(40, len(fixes) - 10, 15):
        before = fixes[at - 1]
        fixes[at] = fixes[at]._replace(lat_e6=before.lat_e6, lon_e6=before.lon_e6)
    assert "time_compressed" not in findings(fixes)


def test_the_order_of_arrival_changes_nothing():
    fixes = town(squeezed=3)
    assert judge(PLAN, fixes[::-1]).canonical_bytes() == judge(PLAN, fixes).canonical_bytes()


def test_two_heaps_of_fixes_are_not_one_speed_from_end_to_end():
    fixes = town(step=10)
    heaps = [
        fix for fix in fixes if fix.time < fixes[0].time + 120 or fix.time > fixes[-1].time - 120
    ]
    assert "too_perfect" not in findings(heaps)
