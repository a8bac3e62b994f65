"""A planned road from a routing engine: Valhalla on an OpenStreetMap extract, for trucks; an optional extra.

`pip install pyvalhalla-weekly` (the extra `routing`) brings the engine in a wheel; nothing is asked of a network. Tiles
are built once from the extract and lie beside it, named by the bytes they were made of.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.files import decode_polyline
from tracking.refusals import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LonLat = tuple[float, float]

TRUCK: Mapping[str, Any] = {"height": 4.2, "width": 2.6, "length": 16.0, "weight": 40.0}
"""A semitrailer of the Chinese limits (GB 1589): metres and tonnes."""

BUILD_S = 3_600


@dataclass(frozen=True, slots=True)
class PlannedRoad:
    """A road that the engine proposes.

    Attributes:
        route: (lon, lat) in driving order, WGS-84, six decimals.
        length_m: of the road.
        seconds: of driving, as the engine reckons.
    """

    route: tuple[LonLat, ...]
    length_m: int
    seconds: int


def is_installed() -> bool:
    """Whether the engine is there."""
    return importlib.util.find_spec("valhalla") is not None


class Router:
    """Roads over one OpenStreetMap extract.

    Args:
        extract: the ``.osm.pbf`` file.
        cache: folder in which tiles are built, one folder an extract.

    Raises:
        PlanError: the engine is not installed, or the extract cannot be built.
    """

    def __init__(self, extract: Path, cache: Path) -> None:
        if not is_installed():
            raise PlanError(
                "routing needs Valhalla: pip install pyvalhalla-weekly (the extra `routing`)",
                field="routing",
            )
        if not extract.is_file():
            raise PlanError(f"{extract.name}: is not an OpenStreetMap extract", field="osm")
        engine = importlib.import_module("valhalla")
        self._config = _tiles(engine, extract, cache)
        self._actor = engine.Actor(str(self._config))

    def plan_road(
        self, places: Sequence[LonLat], *, truck: Mapping[str, Any] | None = None
    ) -> PlannedRoad:
        """The road a truck takes through some places.

        Args:
            places: (lon, lat) of loading, of what is passed on the way, and of unloading.
            truck: height, width, length (m), weight (t); a 40-tonne semitrailer unless given.

        Raises:
            PlanError: fewer than two places, or no road between them in this extract.
        """
        if len(places) < 2:
            raise PlanError("a road needs two places", field="places")
        asked = {
            "locations": [{"lat": lat, "lon": lon} for lon, lat in places],
            "costing": "truck",
            "costing_options": {"truck": dict(truck or TRUCK)},
            "directions_type": "none",
        }
        try:
            answer = self._actor.route(json.dumps(asked))
        except RuntimeError as wrong:
            raise PlanError(
                f"there is no road for a truck between these places: {str(wrong)[:200]}",
                field="places",
            ) from wrong
        told = json.loads(answer) if isinstance(answer, str) else answer
        route: list[LonLat] = []
        length, seconds = 0.0, 0.0
        for leg in told["trip"]["legs"]:
            part = decode_polyline(leg["shape"], 6, "the engine's road")
            route += part[1:] if route and route[-1] == part[0] else part
            length += leg["summary"]["length"] * 1000
            seconds += leg["summary"]["time"]
        return PlannedRoad(tuple(route), round(length), round(seconds))


def _tiles(engine: Any, extract: Path, cache: Path) -> Path:
    """The engine's configuration over the tiles of an extract, built where they are not yet there."""
    with extract.open("rb") as stream:
        name = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    folder = cache / f"valhalla-{name}"
    config, done = folder / "valhalla.json", folder / "built"
    if done.exists():
        return config
    (folder / "tiles").mkdir(parents=True, exist_ok=True)
    made = engine.get_config(tile_extract="", tile_dir=folder / "tiles")
    config.write_text(json.dumps(made), encoding="utf-8")
    builder = Path(engine.PYVALHALLA_DIR) / "bin" / "valhalla_build_tiles"
    try:
        subprocess.run(  # noqa: S603  the engine's own builder, on a file the caller has named
            [str(builder), "-c", str(config), str(extract)],
            check=True,
            capture_output=True,
            timeout=BUILD_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as wrong:
        said = (wrong.stderr or b"").decode("utf-8", "replace").strip()[-200:]
        raise PlanError(
            f"{extract.name}: no tiles could be built from it: {said}", field="osm"
        ) from wrong
    done.write_text("", encoding="utf-8")
    return config
