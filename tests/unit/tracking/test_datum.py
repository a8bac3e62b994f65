from __future__ import annotations

import numpy as np
import pytest

from tracking.corridor import distance_mm
from tracking.datum import bd09_to_wgs84, gcj02_to_wgs84, wgs84_to_bd09, wgs84_to_gcj02

CITIES = {
    "Beijing": (116.4074, 39.9042, 555, 1378),
    "Guangzhou": (113.2644, 23.1291, 621, 1266),
    "Chengdu": (104.0665, 30.5723, 363, 947),
}


@pytest.mark.parametrize("city", CITIES)
def test_the_shifts_are_those_measured_in_chinese_cities(city):
    lon, lat, gcj_m, bd_m = CITIES[city]
    lon, lat = np.array([lon]), np.array([lat])
    assert distance_mm(lon, lat, *wgs84_to_gcj02(lon, lat))[0] / 1000 == pytest.approx(
        gcj_m, abs=25
    )
    assert distance_mm(lon, lat, *wgs84_to_bd09(lon, lat))[0] / 1000 == pytest.approx(bd_m, abs=40)


def test_the_way_back_ends_where_it_began():
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(75, 134, 2000), rng.uniform(19, 52, 2000)
    for there, back in ((wgs84_to_gcj02, gcj02_to_wgs84), (wgs84_to_bd09, bd09_to_wgs84)):
        away = distance_mm(lon, lat, *back(*there(lon, lat)))
        assert away.max() <= 10


def test_outside_china_nothing_is_shifted():
    lon, lat = np.array([2.35, -95.8]), np.array([48.85, 36.1])
    assert (wgs84_to_gcj02(lon, lat)[0] == lon).all()
