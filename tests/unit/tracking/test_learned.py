from __future__ import annotations

import numpy as np
import pytest

from tests.unit.tracking.test_judge import DRIVE, ROUTE, made_drive
from tracking.corridor import Corridor
from tracking.judge import judge
from tracking.learned import learn_route
from tracking.plan import Plan
from tracking.refusals import PlanError
from tracking.track import Columns
from tracking.verdict import Outcome


def days(count):
    return [made_drive(ROUTE, seed=100 + day, step=5) for day in range(count)]


def columns(fixes):
    return Columns.of(list(fixes))


def test_what_is_learned_is_the_road_that_was_driven():
    learned = learn_route([columns(day) for day in days(7)])
    truth = Corridor(Plan.of_route(ROUTE))
    lon, lat = np.array(learned.route).T
    assert np.median(truth.offset_mm(lon, lat)) < 4_000
    assert truth.offset_mm(lon, lat).max() < 30_000
    assert learned.drives == 7
    assert learned.least_support >= 6
    assert 3 <= learned.spread_m <= 30


def test_a_drive_is_judged_on_the_learned_road_like_on_the_planned_one():
    learned = learn_route([columns(day) for day in days(5)])
    plan = Plan.of_route(learned.route)
    assert judge(plan, DRIVE).outcome is Outcome.PASS


def test_a_stretch_that_few_drove_shows_its_thin_support():
    drives = days(4)
    detour = [
        fix._replace(lat_e6=fix.lat_e6 + 1_500 * max(0, min(at - 60, 100 - at, 8)))
        for at, fix in enumerate(drives[0])
    ]
    learned = learn_route([columns(detour), *map(columns, drives[1:])])
    assert {stretch.drives for stretch in learned.stretches} >= {3, 4}
    assert learned.stretches[0].from_m == 0
    for one, two in zip(learned.stretches, learned.stretches[1:], strict=False):
        assert one.to_m == two.from_m
        assert one.drives != two.drives


def test_the_way_back_is_not_the_way_there():
    there, back = days(2)
    begin = back[0].time
    returned = [one._replace(time=begin + 5 * at) for at, one in enumerate(reversed(back))]
    learned = learn_route([columns(there), columns(there), columns(returned)])
    assert max(stretch.drives for stretch in learned.stretches) == 2


@pytest.mark.parametrize(
    ("drives", "says"),
    [
        ([], "no drives"),
        ([DRIVE[:1]], "does not move"),
        ([[DRIVE[0], DRIVE[-1]]], "leaps"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(drives, says):
    with pytest.raises(PlanError, match=says):
        learn_route([columns(fixes) for fixes in drives])
