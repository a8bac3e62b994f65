"""Reports over many trips: which areas they crossed, where they stop, on which sections they leave their road.

These are joins of thousands of lines with areas and places, which is what geopandas is for. Nothing here
feeds a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from tracking.corridor import GEOD, corridor_of, geodesic_mm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from tracking.findings import Finding
    from tracking.plan import Plan
    from tracking.track import Columns

WGS84 = "EPSG:4326"


@dataclass(frozen=True, slots=True)
class JudgedTrip:
    """A trip for the report.

    Attributes:
        outcome: what the judge said, None where it was not judged.
        findings: of that verdict.
    """

    trip: str
    plan: Plan
    fixes: Columns
    outcome: str | None = None
    findings: tuple[Finding, ...] = ()


def trip_lines(trips: Iterable[JudgedTrip]) -> gpd.GeoDataFrame:
    """One line a trip: `trip, started_at, ended_at, driven_m, outcome, geometry` (WGS-84).

    A trip of fewer than two places has no line and is left out.
    """
    rows: list[dict[str, Any]] = []
    for one in trips:
        time, lon, lat = _ordered(one.fixes)
        if len(time) < 2 or not ((np.diff(lon) != 0) | (np.diff(lat) != 0)).any():
            continue
        rows.append(
            {
                "trip": one.trip,
                "started_at": pd.Timestamp(int(time[0]), unit="s", tz="UTC"),
                "ended_at": pd.Timestamp(int(time[-1]), unit="s", tz="UTC"),
                "driven_m": int(geodesic_mm(lon, lat).sum()) // 1000,
                "outcome": one.outcome,
                "geometry": shapely.LineString(np.stack((lon, lat), axis=1)),
            }
        )
    columns = ["trip", "started_at", "ended_at", "driven_m", "outcome", "geometry"]
    return gpd.GeoDataFrame(rows, columns=columns, geometry="geometry", crs=WGS84)


def areas_crossed(lines: gpd.GeoDataFrame, areas: gpd.GeoDataFrame) -> pd.DataFrame:
    """Which trips crossed which areas, and how far they drove inside.

    Args:
        lines: of trip_lines().
        areas: polygons with a column `area` (its name), any CRS.

    Returns:
        `area, trip, inside_m` by area and trip; a trip that only touches an area is not in it.
    """
    areas = areas.to_crs(WGS84)[["area", "geometry"]]
    met = gpd.sjoin(lines[["trip", "geometry"]], areas, predicate="intersects")
    if met.empty:
        return pd.DataFrame(columns=["area", "trip", "inside_m"])
    shapes = np.asarray(areas.geometry.loc[met["index_right"]])
    inside = shapely.intersection(np.asarray(met.geometry), shapes)
    met["inside_m"] = [round(GEOD.geometry_length(part)) for part in inside]
    table = met[met["inside_m"] > 0].groupby(["area", "trip"]).agg(inside_m=("inside_m", "sum"))
    return pd.DataFrame(table.reset_index())


def stops(
    trips: Iterable[JudgedTrip], *, least_s: int = 300, radius_m: int = 80
) -> gpd.GeoDataFrame:
    """Where trucks stood: `trip, from, to, seconds, geometry` (the middle of the stay).

    A stay lasts while every fix lies within `radius_m` of its first one; shorter than `least_s` is traffic.
    """
    rows: list[dict[str, Any]] = []
    for one in trips:
        time, lon, lat = _ordered(one.fixes)
        first = 0
        while first < len(time) - 1:
            last = _stays_until(lon, lat, first, radius_m)
            spent = int(time[last] - time[first])
            if spent >= least_s:
                rows.append(
                    {
                        "trip": one.trip,
                        "from": pd.Timestamp(int(time[first]), unit="s", tz="UTC"),
                        "to": pd.Timestamp(int(time[last]), unit="s", tz="UTC"),
                        "seconds": spent,
                        "geometry": shapely.Point(
                            float(np.median(lon[first : last + 1])),
                            float(np.median(lat[first : last + 1])),
                        ),
                    }
                )
                first = last + 1
            else:
                first += 1
    return gpd.GeoDataFrame(
        rows, columns=["trip", "from", "to", "seconds", "geometry"], geometry="geometry", crs=WGS84
    )


def stops_by_place(
    found: gpd.GeoDataFrame, places: gpd.GeoDataFrame, *, within_m: int = 300
) -> pd.DataFrame:
    """Stops counted by the nearest known place: `place, stops, trips, median_s, longest_s`.

    Args:
        found: of stops().
        places: points or polygons with a column `place`, any CRS.
        within_m: a stop further from every place counts under "elsewhere".
    """
    if found.empty:
        return pd.DataFrame(columns=["place", "stops", "trips", "median_s", "longest_s"])
    if places.empty:
        near = found.assign(place="elsewhere")
    else:
        metric = found.estimate_utm_crs()
        near = gpd.sjoin_nearest(
            found.to_crs(metric),
            places[["place", "geometry"]].to_crs(metric),
            how="left",
            max_distance=within_m,
        )
        near = near[~near.index.duplicated()]
        near["place"] = near["place"].fillna("elsewhere")
    table = near.groupby("place", as_index=False).agg(
        stops=("seconds", "size"),
        trips=("trip", "nunique"),
        median_s=("seconds", "median"),
        longest_s=("seconds", "max"),
    )
    table["median_s"] = table["median_s"].round().astype(int)
    return pd.DataFrame(
        table.sort_values(["stops", "place"], ascending=[False, True], ignore_index=True)
    )


def road_sections(plan: Plan, *, section_m: int = 1_000) -> gpd.GeoDataFrame:
    """The planned road cut into sections: `section, from_m, to_m, geometry`."""
    corridor = corridor_of(plan)
    cuts = np.unique(
        np.append(np.arange(0, corridor.length_mm, section_m * 1000), corridor.length_mm)
    )
    rows = []
    for section, (low, high) in enumerate(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)):
        inner = (corridor.along > low) & (corridor.along < high)
        at = np.concatenate(([low], corridor.along[inner], [high]))
        lon, lat = (np.interp(at, corridor.along, axis) for axis in (corridor.lon, corridor.lat))
        rows.append(
            {
                "section": section,
                "from_m": low // 1000,
                "to_m": high // 1000,
                "geometry": shapely.LineString(np.stack((lon, lat), axis=1)),
            }
        )
    return gpd.GeoDataFrame(rows, geometry="geometry", crs=WGS84)


def deviations_by_section(
    trips: Iterable[JudgedTrip], sections: gpd.GeoDataFrame, *, within_m: int = 5_000
) -> gpd.GeoDataFrame:
    """How often, how far and by whom each section of a road was left.

    Args:
        trips: judged; their findings `off_route` say where.
        sections: of road_sections().
        within_m: a deviation further from every section belongs to another road.

    Returns:
        The sections with `deviations, trips, farthest_m`, zero where none.
    """
    rows = [
        {
            "trip": one.trip,
            "away_m": int(finding.detail["away_m"]),
            "geometry": shapely.Point(finding.detail["lon"], finding.detail["lat"]),
        }
        for one in trips
        for finding in one.findings
        if finding.code == "off_route" and "lon" in finding.detail
    ]
    out = sections.assign(deviations=0, trips=0, farthest_m=0)
    if not rows:
        return out
    spots = gpd.GeoDataFrame(rows, geometry="geometry", crs=WGS84)
    metric = sections.estimate_utm_crs()
    near = gpd.sjoin_nearest(
        spots.to_crs(metric),
        sections[["section", "geometry"]].to_crs(metric),
        max_distance=within_m,
    )
    near = near[~near.index.duplicated()]
    table = near.groupby("section").agg(
        deviations=("trip", "size"), trips=("trip", "nunique"), farthest_m=("away_m", "max")
    )
    for column in table.columns:
        out[column] = out["section"].map(table[column]).fillna(0).astype(int)
    return out


def _ordered(
    fixes: Columns,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    order = np.argsort(fixes.time, kind="stable")
    return fixes.time[order], fixes.lon_e6[order] / 1e6, fixes.lat_e6[order] / 1e6


def _stays_until(
    lon: NDArray[np.float64], lat: NDArray[np.float64], first: int, radius_m: int
) -> int:
    """The last fix of the run that stays within a radius of the first."""
    ahead = 64
    last = first
    while last < len(lon) - 1:
        stop = min(len(lon), last + 1 + ahead)
        count = stop - last - 1
        away = GEOD.inv(
            np.full(count, lon[first]),
            np.full(count, lat[first]),
            lon[last + 1 : stop],
            lat[last + 1 : stop],
        )[2]
        gone = np.flatnonzero(np.asarray(away) > radius_m)
        if len(gone):
            return last + int(gone[0])
        last, ahead = stop - 1, ahead * 2
    return last
