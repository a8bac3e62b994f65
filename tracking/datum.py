"""GCJ-02 and BD-09, the shifted coordinates of Chinese maps, and the way back to WGS-84.

Inside Yundan every place is WGS-84; these named functions are the only doors. The formulas are the
published approximations of the two shifts (the constants are those every map vendor uses); the inverse
iterates to a millimetre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_AXIS = 6378245.0
_ECCENTRICITY_2 = 0.00669342162296594323
_BAIDU = np.pi * 3000.0 / 180.0
_ROUNDS = 8


def in_china(lon: Floats, lat: Floats) -> Bools:
    """The box inside which the shifts are applied."""
    inside: Bools = (lon > 72.004) & (lon < 137.8347) & (lat > 0.8293) & (lat < 55.8271)
    return inside


def wgs84_to_gcj02(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Shifted degrees of WGS-84 degrees; outside China nothing is shifted."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    common = (20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)) * 2.0 / 3.0
    d_lat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + common
    d_lat += (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    d_lat += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    d_lon = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + common
    d_lon += (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    d_lon += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(lat)
    magic = 1.0 - _ECCENTRICITY_2 * np.sin(phi) ** 2
    d_lat = d_lat * 180.0 / (_AXIS * (1.0 - _ECCENTRICITY_2) / (magic * np.sqrt(magic)) * np.pi)
    d_lon = d_lon * 180.0 / (_AXIS / np.sqrt(magic) * np.cos(phi) * np.pi)
    inside = in_china(lon, lat)
    return np.where(inside, lon + d_lon, lon), np.where(inside, lat + d_lat, lat)


def gcj02_to_wgs84(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """WGS-84 degrees of GCJ-02 degrees, by iteration."""
    guess_lon, guess_lat = lon.copy(), lat.copy()
    for _ in range(_ROUNDS):
        shifted_lon, shifted_lat = wgs84_to_gcj02(guess_lon, guess_lat)
        guess_lon, guess_lat = guess_lon + lon - shifted_lon, guess_lat + lat - shifted_lat
    return guess_lon, guess_lat


def gcj02_to_bd09(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """BD-09 degrees of GCJ-02 degrees."""
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BAIDU)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BAIDU)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006


def bd09_to_gcj02(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """GCJ-02 degrees of BD-09 degrees, by iteration."""
    guess_lon, guess_lat = lon - 0.0065, lat - 0.006
    for _ in range(_ROUNDS):
        shifted_lon, shifted_lat = gcj02_to_bd09(guess_lon, guess_lat)
        guess_lon, guess_lat = guess_lon + lon - shifted_lon, guess_lat + lat - shifted_lat
    return guess_lon, guess_lat


def bd09_to_wgs84(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """WGS-84 degrees of BD-09 degrees."""
    return gcj02_to_wgs84(*bd09_to_gcj02(lon, lat))


def wgs84_to_bd09(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """BD-09 degrees of WGS-84 degrees."""
    return gcj02_to_bd09(*wgs84_to_gcj02(lon, lat))
