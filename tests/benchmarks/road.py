"""Roads and drives for the gateway's benchmark: twenty of them, each of more than a thousand vertices."""

from __future__ import annotations

import math
from functools import cache

from tracking import jt808
from tracking.fix import Fix
from tracking.plan import Gate, Plan

ROADS = 20
VERTICES = 1_200
_LEG = 0.0005
"""Degrees from vertex to vertex: some 50 m."""


@cache
def points_of(road: int) -> list[tuple[float, float]]:
    """A winding road of 60 km, somewhere in Sichuan."""
    lon, lat, points = 104.0 + road * 0.02, 30.0 + road * 0.3, []
    for at in range(VERTICES):
        points.append((round(lon, 6), round(lat, 6)))
        course = 0.8 * math.sin(at / 9 + road) + 0.4 * math.sin(at / 31)
        lon += _LEG * math.cos(course)
        lat += _LEG * math.sin(course)
    return points


@cache
def plan_of(road: int) -> Plan:
    """What was promised on a road: its gates are its ends."""
    points = points_of(road)
    return Plan(tuple(points), Gate(*points[0]), Gate(*points[-1]), 200, None, "")


def fix_of(road: int, number: int, begins: int) -> Fix:
    """A fix a second of the device's clock, some 18 m apart, to the end of the road and back again."""
    points = points_of(road)
    place = (number * 0.36) % (2 * (VERTICES - 1))
    place = min(place, 2 * (VERTICES - 1) - place)
    at = min(int(place), VERTICES - 2)
    part = place - at
    (a, b), (c, d) = points[at], points[at + 1]
    return Fix(
        time=begins + number,
        lat_e6=round((b + part * (d - b)) * 1e6) + number % 7,
        lon_e6=round((a + part * (c - a)) * 1e6) + number % 5,
        speed_dkmh=648,
        heading=round(90 - math.degrees(math.atan2(d - b, c - a))) % 360,
        altitude_m=512,
        satellites=14,
        odometer_dkm=98_000 + number // 6,
        recorder_dkmh=640,
        status=0x000C0003,
        alarm=0,
    )


def body_of(road: int, number: int, begins: int = 1_767_571_200) -> bytes:
    """The body of message 0x0200 for such a fix, with mileage, recorder speed and satellites."""
    return jt808.write_location(fix_of(road, number, begins))
