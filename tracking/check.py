"""`yundan track check`: a file of fixes against a route, from files to a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.files import read_fixes, read_json, read_route
from tracking.fraud_history import OtherTrack
from tracking.judge import examine
from tracking.plan import Plan
from tracking.plot import trip_svg
from tracking.refusals import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracking.judge import Examination
    from tracking.policy import Policy

PathLike = str | Path


def check(
    route_path: PathLike | None,
    fixes_path: PathLike,
    trip_path: PathLike | None = None,
    others: Sequence[PathLike] = (),
    *,
    policy: Policy | None = None,
    plot_path: PathLike | None = None,
) -> dict[str, Any]:
    """The verdict on a file of fixes, in the form of `yundan track check --json`.

    Args:
        route_path: GeoJSON, GPX or encoded polyline; wins over a route in the trip. None only with a
            trip that has a route.
        fixes_path: CSV of fixes.
        trip_path: JSON of the trip: pickup, delivery, windows, terminal. Without it the gates are 300 m
            around the ends of the route.
        others: CSV files of tracks already on file to compare with.
        policy: the rules; the shipped ones unless given.
        plot_path: where to write a picture (SVG) of track, corridor, gates, findings and speed.

    Raises:
        YundanError: names the file, line and column, or the field, that is wrong.
    """
    examination = examine_files(route_path, fixes_path, trip_path, others, policy=policy)
    if plot_path is not None:
        target = Path(plot_path)
        try:
            target.write_text(trip_svg(examination), encoding="utf-8")
        except OSError as wrong:
            raise FileError(f"{target.name}: cannot be written: {wrong.strerror}") from wrong
    return examination.verdict.to_json()


def examine_files(
    route_path: PathLike | None,
    fixes_path: PathLike,
    trip_path: PathLike | None = None,
    others: Sequence[PathLike] = (),
    *,
    policy: Policy | None = None,
) -> Examination:
    """The examination behind check()."""
    route = read_route(Path(route_path)) if route_path is not None else None
    if trip_path is not None:
        plan = Plan.from_json(read_json(Path(trip_path)), route=route)
    elif route is not None:
        plan = Plan.of_route(route)
    else:
        raise FileError("give a route, or a trip that has one", field="route")
    tracks = [OtherTrack(Path(path).name, read_fixes(Path(path))) for path in others]
    return examine(plan, read_fixes(Path(fixes_path)), policy=policy, others=tracks)
