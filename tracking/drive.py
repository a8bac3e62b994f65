"""A drive: the fixes that are positions of this trip, in order, beside the planned road."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tracking.corridor import OFF, Corridor, Match, geodesic_mm
from tracking.track import NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracking.track import Columns

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Drive:
    """Columns of a drive, equally long unless said otherwise.

    Attributes:
        time: unix seconds, set right where a constant clock fault was named.
        lon: WGS-84 degrees, set right where another datum was named.
        lat: WGS-84 degrees.
        speed: km/h as the source gave it, NaN where it gave none; never derived.
        heading: degrees as the source gave it, NaN where it gave none.
        evidence: covered by the trajectory root; a fix with a faulty clock is not.
        row: position in the track.
        steps: geodesic mm to the next fix, one shorter.
        gaps: seconds to the next fix, one shorter.
        match: place beside the planned road.
    """

    time: Ints
    lon: Floats
    lat: Floats
    speed: Floats
    heading: Floats
    evidence: Bools
    row: Ints
    steps: Ints
    gaps: Ints
    match: Match

    @classmethod
    def of(
        cls, fixes: Columns, time: Ints, evidence: Bools, row: Ints, corridor: Corridor
    ) -> Drive:
        """A drive of columns whose times may have been set right; puts them in order again."""
        order = np.lexsort((row, time))
        some = fixes.take(order)
        speed = np.where(some.speed_dkmh == NONE, np.nan, some.speed_dkmh / 10.0)
        heading = np.where(some.heading == NONE, np.nan, some.heading.astype(np.float64))
        lon, lat = some.lon_e6 / 1e6, some.lat_e6 / 1e6
        steps = geodesic_mm(lon, lat)
        ordered = time[order]
        return cls(
            ordered,
            lon,
            lat,
            speed,
            heading,
            evidence[order],
            row[order],
            steps,
            np.diff(ordered),
            corridor.match(lon, lat, steps),
        )

    def __len__(self) -> int:
        return len(self.time)

    def take(self, chosen: NDArray[Any], corridor: Corridor) -> Drive:
        """The drive without the fixes that are not chosen, matched again."""
        lon, lat, time = self.lon[chosen], self.lat[chosen], self.time[chosen]
        steps = geodesic_mm(lon, lat)
        return Drive(
            time,
            lon,
            lat,
            self.speed[chosen],
            self.heading[chosen],
            self.evidence[chosen],
            self.row[chosen],
            steps,
            np.diff(time),
            corridor.match(lon, lat, steps),
        )

    def moved(self, lon: Floats, lat: Floats, corridor: Corridor) -> Drive:
        """The same drive with its places set right, matched again."""
        steps = geodesic_mm(lon, lat)
        return replace(self, lon=lon, lat=lat, steps=steps, match=corridor.match(lon, lat, steps))

    @property
    def on_road(self) -> Bools:
        """Fixes with a progress along the road."""
        on_road: Bools = self.match.along != OFF
        return on_road

    @property
    def driven(self) -> Ints:
        """Millimetres driven from the first fix to each."""
        return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(self.steps)))[: len(self)]


def runs(mask: Bools) -> list[tuple[int, int]]:
    """First and last position of each run of True."""
    if not mask.any():
        return []
    edges = np.diff(np.concatenate(([0], mask.astype(np.int8), [0])))
    return list(
        zip(
            np.flatnonzero(edges == 1).tolist(),
            (np.flatnonzero(edges == -1) - 1).tolist(),
            strict=True,
        )
    )


def kmh(millimetres: float, seconds: float) -> int:
    """Whole km/h of a distance and a time; 9999 where no time passed."""
    return min(9999, round(millimetres * 3.6 / 1000 / seconds)) if seconds > 0 else 9999
