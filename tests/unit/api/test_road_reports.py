from __future__ import annotations

import pytest

from api.planned_routes import PlannedRoute
from api.road_reports import MOST_SHAPES, is_same_lane, places_of, read_shapes
from chain.errors import InvalidValueError
from tests.unit.tracking.test_judge import PLAN, ROUTE
from tracking.corridor import GEOD
from tracking.plan import Gate, Plan


def test_circles_and_polygons_are_read_by_name():
    areas = read_shapes(["禁行区:117.28,34.30,800", "yard: 1,1 1,2 2,2"], "area")
    assert areas["area"].tolist() == ["禁行区", "yard"]
    circle = abs(GEOD.geometry_area_perimeter(areas.geometry[0])[0])
    assert circle == pytest.approx(3.1416 * 800**2, rel=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "", "yard", "yard:", ":1,1,5", "yard:1,1", "yard:1,1,0", "yard:1,1,200000", "yard:1,95,50", "yard:190,1,50",
        "yard:1,1 2,2", "yard:1,1 2,2 1,2 2,1", "yard:1,1 1,1 1,1", "yard:1.2.3,1,5", "yard:1,,5", "yard:nan,1,5",
        "yard:1,1,5,6", "yard:1 1 1", "yard:1,1 2,2 3", "yard:" + " ".join(["1,1"] * 61),
    ],
)  # fmt: skip
def test_what_is_no_shape_is_refused_with_its_field(text):
    with pytest.raises(InvalidValueError) as refused:
        read_shapes([text], "area")
    assert refused.value.field == "area"


def test_more_shapes_than_one_question_takes_are_refused():
    with pytest.raises(InvalidValueError, match=f"at most {MOST_SHAPES}"):
        read_shapes(["a:1,1,5"] * (MOST_SHAPES + 1), "area")


def test_places_of_planned_routes_are_shapes_and_each_name_stands_once():
    plan = PLAN.to_json()
    routes = [
        PlannedRoute("one", plan, "a: yard", "gate"),
        PlannedRoute("two", plan, "a: yard", "works"),
    ]
    places = read_shapes(places_of(routes), "place")
    assert places["place"].tolist() == ["a  yard", "gate", "works"]


def test_a_lane_leads_from_the_same_place_to_the_same_place():
    other = Plan(tuple(ROUTE[2:-2]), Gate(*ROUTE[2]), Gate(*ROUTE[-3]))
    assert is_same_lane(PLAN, other)
    back = Plan(tuple(ROUTE[::-1]), Gate(*ROUTE[-1]), Gate(*ROUTE[0]))
    assert not is_same_lane(PLAN, back)
