"""The commands of planned roads: proposed by a routing engine, learned from drives, reported over many trips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chain.errors import YundanError

if TYPE_CHECKING:
    from collections.abc import Sequence


class PlaceRefusedError(YundanError):
    """A place is LON,LAT in degrees of WGS-84."""

    code = "place_refused"


def add_commands(track: typer.Typer) -> None:
    """Hangs the commands under ``yundan track``."""
    track.command("route")(track_route)
    track.command("learn")(track_learn)
    track.command("report")(track_report)


def track_route(
    osm: Annotated[Path, typer.Option(help="OpenStreetMap extract (.osm.pbf)")],
    places: Annotated[
        list[str], typer.Option("--place", help="LON,LAT in driving order; twice or more")
    ],
    out: Annotated[Path | None, typer.Option("-o", help="write GeoJSON for track check")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="folder for the engine's tiles; beside the extract if left out"),
    ] = None,
) -> None:
    """Plans a truck's road with Valhalla (optional extra: pip install pyvalhalla-weekly)."""
    from tracking.routing import Router

    road = Router(osm, cache or osm.resolve().parent).plan_road([_place(one) for one in places])
    facts = {"length_m": road.length_m, "seconds": road.seconds, "points": len(road.route)}
    _write(out, road.route, facts)


def track_learn(
    fixes: Annotated[list[Path], typer.Argument(help="tracks of verified drives, one road")],
    out: Annotated[Path | None, typer.Option("-o", help="write GeoJSON for track check")] = None,
) -> None:
    """Learns a road from earlier verified drives between the same places, and shows its support."""
    from tracking.files import read_fixes
    from tracking.learned import learn_route

    learned = learn_route([read_fixes(path) for path in fixes])
    facts = {
        "drives": learned.drives,
        "least_support": learned.least_support,
        "spread_m": learned.spread_m,
        "stretches": [
            {"from_m": one.from_m, "to_m": one.to_m, "drives": one.drives}
            for one in learned.stretches
        ],
    }
    _write(out, learned.route, facts)


def track_report(
    fixes: Annotated[list[Path], typer.Argument(help="tracks, one a trip, named by their files")],
    route: Annotated[
        Path | None, typer.Option(help="their planned road: deviations by section")
    ] = None,
    areas: Annotated[
        Path | None, typer.Option(help="GeoJSON polygons with a property `area`: who crossed them")
    ] = None,
    places: Annotated[
        Path | None, typer.Option(help="GeoJSON with a property `place`: stops by place")
    ] = None,
) -> None:
    """Reports over many trips: areas crossed, stops by place, deviations by road section; JSON."""
    from tracking import fleet
    from tracking.files import read_fixes, read_route
    from tracking.judge import judge
    from tracking.plan import Plan

    road = None if route is None else Plan.of_route(read_route(route))
    trips = []
    for path in fixes:
        track = read_fixes(path)
        plan = road or Plan.of_route(_ends(track))
        verdict = None if road is None else judge(road, track)
        said = () if verdict is None else (verdict.outcome.value, verdict.findings)
        trips.append(fleet.JudgedTrip(path.stem, plan, track, *said))
    lines, stood = fleet.trip_lines(trips), fleet.stops(trips)
    told: dict[str, Any] = {
        "trips": [
            {"trip": row.trip, "driven_m": row.driven_m, "verdict": row.outcome}
            for row in lines.itertuples()
        ]
    }
    if areas is not None:
        told["areas"] = _rows(fleet.areas_crossed(lines, _frame(areas, "area")))
    if places is not None:
        told["stops"] = _rows(fleet.stops_by_place(stood, _frame(places, "place")))
    if road is not None:
        sections = fleet.deviations_by_section(trips, fleet.road_sections(road))
        left = sections[sections["deviations"] > 0].drop(columns="geometry")
        told["deviations"] = _rows(left)
    print(json.dumps(told, ensure_ascii=False, indent=2))


def _place(text: str) -> tuple[float, float]:
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError:
        raise PlaceRefusedError(f"{text!r} is not LON,LAT", field="place") from None
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise PlaceRefusedError(f"{text!r} is not a place on Earth", field="place")
    return lon, lat


def _ends(track: Any) -> list[tuple[float, float]]:
    return [(float(track.lon_e6[at]) / 1e6, float(track.lat_e6[at]) / 1e6) for at in (0, -1)]


def _write(out: Path | None, route: Sequence[tuple[float, float]], facts: dict[str, Any]) -> None:
    feature = {
        "type": "Feature",
        "properties": facts,
        "geometry": {"type": "LineString", "coordinates": [list(point) for point in route]},
    }
    if out is None:
        print(json.dumps(feature, separators=(",", ":")))
        return
    out.write_text(json.dumps(feature, separators=(",", ":")), encoding="utf-8")
    print(json.dumps(facts))


def _frame(path: Path, column: str) -> Any:
    import geopandas as gpd

    from tracking.files import read_json
    from tracking.refusals import FileError

    value = read_json(path)
    features = value.get("features") if isinstance(value, dict) else None
    if not isinstance(features, list) or not features:
        raise FileError(f"{path.name}: is no GeoJSON FeatureCollection", field="features")
    for at, feature in enumerate(features):
        named = (feature.get("properties") or {}).get(column) if isinstance(feature, dict) else None
        if not isinstance(named, str):
            raise FileError(f"{path.name}: features[{at}] has no property {column}", field=column)
    try:
        return gpd.GeoDataFrame.from_features(features, crs="EPSG:4326")
    except Exception as wrong:  # shapely and geopandas raise what they like on a bad geometry
        raise FileError(f"{path.name}: a geometry cannot be read: {str(wrong)[:120]}") from wrong


def _rows(table: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return found
