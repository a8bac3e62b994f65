from __future__ import annotations

import pytest

from tracking.plan import Gate, Plan, normal_terminal
from tracking.refusals import PlanError

ROAD = [[116.30, 39.90], [116.40, 39.95], [116.50, 39.90]]
TRIP = {
    "planned_route": ROAD,
    "pickup": {"lat": 39.90, "lon": 116.30, "radius_m": 250, "opens_utc": "2026-03-01T00:00:00Z"},
    "delivery": {"polygon": [[116.49, 39.89], [116.51, 39.89], [116.51, 39.91], [116.49, 39.91]]},
    "corridor_half_width_m": 150,
    "planned_start_utc": "2026-03-01T08:00:00+08:00",
    "terminal": "012345678901",
}


def test_a_plan_comes_back_from_its_json():
    plan = Plan.from_json(TRIP)
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.starts == 1_772_323_200
    assert plan.terminal == "12345678901"
    assert plan.loading.radius_m == 250
    assert len(plan.unloading.polygon) == 4


def test_without_gates_they_stand_300_m_around_the_ends_of_the_route():
    plan = Plan.of_route(ROAD)
    assert plan.loading == Gate(116.30, 39.90, 300)
    assert plan.unloading == Gate(116.50, 39.90, 300)


def test_a_route_that_is_given_wins_over_that_of_the_trip():
    assert Plan.from_json(TRIP, route=ROAD[1:]).route[0] == (116.40, 39.95)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"planned_route": None}, "no planned_route"),
        ({"planned_route": [[116.3, 39.9]]}, "has 1 points and needs 2"),
        ({"planned_route": [[116.3, 39.9], [116.3, 39.9]]}, "two different points"),
        ({"planned_route": [[39.9, 116.3], [39.8, 116.2]]}, "latitude 116.3 is outside"),
        (
            {"planned_route": [[116.3, "39.9"], [116.2, 39.8]]},
            r"planned_route\[0\]\.lat must be a number",
        ),
        ({"planned_route": [[116.3, float("nan")], [116.2, 39.8]]}, "must be a number"),
        ({"planned_route": [[0, 89], [1, 89]]}, "beyond 85 degrees"),
        ({"planned_route": "abc"}, "must be a list"),
        ({"pickup": {"lat": 39.9}}, "pickup.lon must be a number"),
        ({"pickup": {"lat": 39.9, "lon": 116.3, "radius_m": 0}}, "pickup.radius_m must be 1"),
        ({"delivery": {"polygon": [[1, 1], [2, 2]]}}, "delivery.polygon has 2 points"),
        ({"corridor_half_width_m": 1}, "corridor width"),
        ({"corridor_half_width_m": True}, "must be a number"),
        ({"planned_start_utc": "2026-03-01T08:00:00"}, "with a zone"),
        ({"terminal": 5}, "terminal must be text"),
    ],
)
def test_what_is_wrong_with_a_trip_is_named(change, says):
    with pytest.raises(PlanError, match=says):
        Plan.from_json({**TRIP, **change})


def test_a_gate_that_closes_before_it_opens_is_refused():
    with pytest.raises(PlanError, match="closes before it opens"):
        Gate.from_json(
            {
                "lat": 1,
                "lon": 1,
                "opens_utc": "2026-03-02T00:00:00Z",
                "closes_utc": "2026-03-01T00:00:00Z",
            },
            "pickup",
        )


@pytest.mark.parametrize(
    ("text", "same"), [("012", "12"), (" 12 ", "12"), ("000", "0"), ("A01", "A01")]
)
def test_terminals_are_compared_without_leading_zeros(text, same):
    assert normal_terminal(text) == same
