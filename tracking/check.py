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
    route: PathLike | None,
    fixes: PathLike,
    trip: PathLike | None = None,
    others: Sequence[PathLike] = (),
    *,
    policy: Policy | None = None,
    plot: PathLike | None = None,
) -> dict[str, Any]:
    """The verdict on a file of fixes, in the form of `yundan track check --json`.

    Args:
        route: GeoJSON, GPX or encoded polyline; wins over a route in the trip. None only with a
            trip that has a route.
        fixes: CSV of fixes.
        trip: JSON of the trip: pickup, delivery, windows, terminal. Without it the gates are 300 m
            around the ends of the route.
        others: CSV files of tracks already on file to compare with.
        policy: the rules; the shipped ones unless given.
        plot: where to write a picture (SVG) of track, corridor, gates, findings and speed.

    Raises:
        YundanError: names the file, line and column, or the field, that is wrong.
    """
    examination = examine_files(route, fixes, trip, others, policy=policy)
    if plot is not None:
        target = Path(plot)
        try:
            target.write_text(trip_svg(examination), encoding="utf-8")
        except OSError as wrong:
            raise FileError(f"{target.name}: cannot be written: {wrong.strerror}") from wrong
    return examination.verdict.to_json()


def examine_files(
    route: PathLike | None,
    fixes: PathLike,
    trip: PathLike | None = None,
    others: Sequence[PathLike] = (),
    *,
    policy: Policy | None = None,
) -> Examination:
    """The examination behind check()."""
    road = read_route(Path(route)) if route is not None else None
    if trip is not None:
        plan = Plan.from_json(read_json(Path(trip)), route=road)
    elif road is not None:
        plan = Plan.of_route(road)
    else:
        raise FileError("give a route, or a trip that has one", field="route")
    tracks = [OtherTrack(Path(path).name, read_fixes(Path(path))) for path in others]
    return examine(plan, read_fixes(Path(fixes)), policy=policy, others=tracks)


def describe(answer: dict[str, Any]) -> str:
    """The answer of check() for a person, a few lines."""
    fixes, route = answer["fixes"], answer["route"]
    head = (
        f"{answer['verdict'].upper()}  {route['coverage']:.1%} of {route['length_m'] / 1000:.1f} km driven, "
        f"{route['on_route']:.1%} of the way on the road"
    )
    refused = "".join(f", {count} {code}" for code, count in fixes["rejected"].items())
    left, reached = answer["departed_at"] or "not seen", answer["arrived_at"] or "not"
    lines = [
        head,
        f"fixes: {fixes['used']} of {fixes['given']} used{refused}",
        f"left {left}, arrived {reached}; longest silence {answer['max_gap_s']} s",
    ]
    for finding in answer["findings"]:
        detail = ", ".join(f"{name} {value}" for name, value in finding["detail"].items())
        lines.append(
            f"  {finding['severity']:6} {finding['code']}  {finding['from'] or ''}  {detail}"
        )
    lines.append(f"root {answer['trajectory_root']}  policy {answer['policy_hash']}")
    return "\n".join(lines)
