from __future__ import annotations

import numpy as np
import pytest
from pyproj import Geod

from tracking.corridor import OFF, Corridor, corridor_of, geodesic_mm, in_gate
from tracking.plan import Gate, Plan
from tracking.refusals import PlanError

GEOD = Geod(ellps="WGS84")


def along_line(corridor, metres, aside=0.0):
    """Places so many metres along a corridor's road, moved sideways."""
    at = np.asarray(metres, float) * 1000
    lon, lat = (
        np.interp(at, corridor.along, corridor.lon),
        np.interp(at, corridor.along, corridor.lat),
    )
    if aside:
        lon, lat, _ = GEOD.fwd(lon, lat, np.full(len(at), 0.0), np.full(len(at), aside))
    return lon, lat


def test_lengths_are_those_of_the_ellipsoid():
    plan = Plan.of_route([(116.0, 40.0), (117.0, 40.0), (117.0, 41.0)])
    truth = GEOD.line_length([116.0, 117.0, 117.0], [40.0, 40.0, 41.0])
    assert corridor_of(plan).length_mm / 1000 == pytest.approx(truth, abs=0.5)


@pytest.mark.parametrize("lat", [0.0, 30.0, 55.0, 69.0])
@pytest.mark.parametrize("aside", [5.0, 150.0, 900.0])
def test_offsets_are_true_to_a_thousandth_at_any_latitude(lat, aside):
    plan = Plan.of_route([(100.0, lat), (100.4, lat)], corridor_m=1000)
    corridor = Corridor(plan)
    lon, north = along_line(corridor, [3000.0, 9000.0], aside)
    assert corridor.offset_mm(lon, north) / 1000 == pytest.approx(aside, rel=2e-3, abs=0.1)


def test_a_road_across_the_antimeridian_is_one_road():
    plan = Plan.of_route([(179.9, 65.0), (-179.9, 65.0)])
    corridor = Corridor(plan)
    assert corridor.length_mm / 1000 == pytest.approx(
        GEOD.inv(179.9, 65.0, -179.9, 65.0)[2], abs=0.5
    )
    lon = np.array([179.95, -179.999, 179.999, -179.95])
    match = corridor.match(lon, np.full(4, 65.0), geodesic_mm(lon, np.full(4, 65.0)))
    assert match.near.all()
    assert in_gate(plan.unloading, np.array([-179.9001]), np.array([65.0])).all()


def test_progress_follows_the_drive_where_the_road_doubles_back():
    out = [(116.30 + 0.01 * at, 39.90) for at in range(6)]
    plan = Plan.of_route([*out, *out[::-1][1:], (116.28, 39.92)])
    corridor = Corridor(plan)
    metres = np.arange(0.0, corridor.length_mm / 1000, 150.0)
    lon, lat = along_line(corridor, metres)
    match = corridor.match(lon, lat, geodesic_mm(lon, lat))
    assert np.abs(match.along / 1000 - metres).max() < 450
    assert np.median(np.abs(match.along / 1000 - metres)) < 1


def test_progress_follows_the_drive_where_the_road_crosses_itself():
    plan = Plan.of_route(
        [(116.30, 39.90), (116.36, 39.90), (116.36, 39.93), (116.33, 39.93), (116.33, 39.87)]
    )
    corridor = Corridor(plan)
    metres = np.arange(0.0, corridor.length_mm / 1000, 120.0)
    lon, lat = along_line(corridor, metres, 4.0)
    match = corridor.match(lon, lat, geodesic_mm(lon, lat))
    assert np.abs(match.along / 1000 - metres).max() < 20


def test_a_loop_begins_at_its_beginning_and_ends_at_its_end():
    ring = [
        (116.3 + 0.02 * np.cos(a), 39.9 + 0.015 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 60)
    ]
    plan = Plan.of_route([(round(float(a), 6), round(float(b), 6)) for a, b in ring])
    corridor = Corridor(plan)
    metres = np.arange(0.0, corridor.length_mm / 1000, 100.0)
    lon, lat = along_line(corridor, metres)
    match = corridor.match(lon, lat, geodesic_mm(lon, lat))
    assert match.along[0] < 100_000
    assert match.along[-1] > corridor.length_mm - 200_000


def test_places_outside_the_corridor_have_no_progress():
    corridor = Corridor(Plan.of_route([(116.3, 39.9), (116.4, 39.9)], corridor_m=200))
    lon, lat = along_line(corridor, [1000.0, 2000.0], 230.0)
    match = corridor.match(lon, lat, geodesic_mm(lon, lat))
    assert (match.along == OFF).all()
    assert not match.near.any()


def test_fifty_thousand_vertices_are_a_road_like_another():
    at = np.linspace(0, 40, 50_000)
    route = list(zip(np.round(100 + at / 10, 7), np.round(30 + 0.02 * np.sin(at), 7), strict=True))
    corridor = Corridor(Plan.of_route([(float(a), float(b)) for a, b in route]))
    metres = np.arange(0.0, corridor.length_mm / 1000, 5000.0)
    lon, lat = along_line(corridor, metres)
    match = corridor.match(lon, lat, geodesic_mm(lon, lat))
    assert np.abs(match.along / 1000 - metres).max() < 2


def test_a_gate_that_the_road_does_not_touch_is_refused():
    plan = Plan(((116.3, 39.9), (116.4, 39.9)), Gate(116.3, 39.9), Gate(116.4, 39.93))
    with pytest.raises(PlanError, match=r"delivery lies .* m from the route"):
        Corridor(plan)


def test_a_gate_may_be_a_polygon():
    gate = Gate(
        116.4, 39.9, 0, ((116.39, 39.89), (116.41, 39.89), (116.41, 39.91), (116.39, 39.91))
    )
    inside = in_gate(gate, np.array([116.4, 116.405, 116.42]), np.array([39.9, 39.905, 39.9]))
    assert inside.tolist() == [True, True, False]


def test_least_seconds_grow_along_the_road_and_bends_cost_time():
    straight = Corridor(Plan.of_route([(116.3, 39.9), (116.4, 39.9)]))
    corner = Corridor(Plan.of_route([(116.3, 39.9), (116.3585, 39.9), (116.3585, 39.9317)]))
    ends = [
        corridor.least_seconds(np.array([0, corridor.length_mm]))[1]
        for corridor in (straight, corner)
    ]
    assert straight.length_mm == pytest.approx(corner.length_mm, rel=0.02)
    assert 0 < ends[0] < ends[1]


def test_on_a_scribble_of_fifty_thousand_points_progress_still_goes_forward():
    # Each place against each of 160 passes took minutes once.
    turn = np.arange(50_000) / 50.0
    route = np.stack((37.3 + 0.05 * np.cos(turn) + turn * 1e-6, 55.4 + 0.03 * np.sin(turn)), axis=1)
    corridor = Corridor(Plan.of_route([tuple(point) for point in route.tolist()]))
    rows = np.arange(0, 600, 4)
    lon, lat = route[rows, 0], route[rows, 1]
    match = corridor.match(lon, lat, geodesic_mm(lon, lat))
    assert match.near.all()
    assert (np.diff(match.along) > 0).mean() > 0.95
