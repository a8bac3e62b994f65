"""Search among all trips ever stored for one that a new record may copy, in a time that hardly grows.

A trip leaves crossings: where and when it crosses the lines of a grid laid over the globe. Of three crossings
that follow each other the place is fixed, and the share of time spent before the middle one stays the same when a
record is shifted or stretched in time, while another honest drive there meets other lights and traffic. Place and
share, rounded, make one hash; a copy has most of its hashes in common with the original, another
drive on the same road a few. Hashes are kept sorted, so that a search touches only equal ones. What it finds
are candidates: `tracking.fraud_history` compares them with the record and alone accuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from tracking.track import Columns

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

GRID_E6 = 5_000
"""Millionths of a degree between two lines: 400 to 550 m."""

_PLACE_E6 = 20_000
_SHARES = 48
_LEAST_S = 40
_MOST_S = 3_600
_REACH = 3
_MERGE_AT = 200_000
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored trip that shares hashes with a record.

    Attributes:
        trip: its name.
        shared_permille: share of the record's hashes that it has too.
    """

    trip: str
    shared_permille: int


def crossings(fixes: Columns) -> tuple[Ints, Floats]:
    """Places (as hashes) and instants (unix seconds) at which a record crosses the grid, in order.

    The fixes are taken by device time; instants lie between fixes by uniform motion.
    """
    order = np.argsort(fixes.time, kind="stable")
    time, lat, lon = (column[order] for column in (fixes.time, fixes.lat_e6, fixes.lon_e6))
    fresh = np.ones(len(time), dtype=np.bool_)
    fresh[1:] = np.diff(time) > 0
    time, lat, lon = time[fresh], lat[fresh], lon[fresh]
    places: list[Ints] = []
    instants: list[Floats] = []
    for axis, (across, beside) in enumerate(((lat, lon), (lon, lat))):
        cell = across // GRID_E6
        step = np.diff(cell)
        # A leap over many lines is a gap or a jump, and says nothing about when they were passed.
        rows = np.flatnonzero((step != 0) & (np.abs(step) <= 4) & (np.diff(time) <= 120))
        if len(rows) == 0:
            continue
        lines = np.abs(step[rows])
        source = np.repeat(rows, lines)
        count = np.arange(len(source)) - np.repeat(np.cumsum(lines) - lines, lines)
        forward = step[source] > 0
        line = np.where(forward, cell[source] + 1 + count, cell[source] - count)
        part = (line * GRID_E6 - across[source]) / (across[source + 1] - across[source])
        at = beside[source] + part * (beside[source + 1] - beside[source])
        places.append(
            _mixed(
                line, np.rint(at).astype(np.int64) // _PLACE_E6, forward.astype(np.int64) + 2 * axis
            )
        )
        instants.append(time[source] + part * (time[source + 1] - time[source]))
    if not places:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    where, when = np.concatenate(places), np.concatenate(instants)
    order = np.argsort(when, kind="stable")
    return where[order], when[order]


def signature(fixes: Columns) -> tuple[Ints, Ints]:
    """Hashes of a record: those to store, and those to ask for (the neighbouring shares too).

    Returns:
        (stored, asked): sorted arrays without duplicates; asked has three a stored one.
    """
    return signature_of(*crossings(fixes))


def signature_of(where: Ints, when: Floats) -> tuple[Ints, Ints]:
    """The signature of crossings in order."""
    if len(where) < 2 * _REACH + 1:
        none = np.zeros(0, dtype=np.int64)
        return none, none
    first, middle, last = (
        slice(None, -2 * _REACH),
        slice(_REACH, -_REACH),
        slice(2 * _REACH, None),
    )
    whole = when[last] - when[first]
    able = (whole >= _LEAST_S) & (whole <= _MOST_S)
    share = np.floor((when[middle] - when[first])[able] / whole[able] * _SHARES).astype(np.int64)
    triple = _mixed(where[first][able], where[middle][able], where[last][able])
    stored = np.unique(_mixed(triple, share, share * 0))
    asked = np.unique(
        np.concatenate([_mixed(triple, share + near, share * 0) for near in (-1, 0, 1)])
    )
    return stored, asked


def _mixed(*columns: Ints) -> Ints:
    """One 64-bit hash a row (splitmix's finish over each column in turn)."""
    state = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        state = (state ^ column.astype(np.uint64)) * np.uint64(_MIX[0])
        state = (state ^ (state >> np.uint64(30))) * np.uint64(_MIX[1])
        state = (state ^ (state >> np.uint64(27))) * np.uint64(_MIX[2])
        state ^= state >> np.uint64(31)
    return state.astype(np.int64)


class TripIndex:
    """Signatures of stored trips, searchable. Adding is cheap; sorting happens in batches."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._rows: dict[str, int] = {}
        self._keys = np.zeros(0, dtype=np.int64)
        self._trips = np.zeros(0, dtype=np.int32)
        self._fresh_keys: list[Ints] = []
        self._fresh_trips: list[NDArray[np.int32]] = []
        self._fresh = 0

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, trip: str) -> bool:
        return trip in self._rows

    def add(self, trip: str, fixes: Columns) -> None:
        """Stores a trip; one stored already is left as it is."""
        self.add_signature(trip, signature(fixes)[0])

    def add_signature(self, trip: str, stored: Ints) -> None:
        """Stores a trip by its signature, as kept in a database."""
        if trip in self._rows:
            return
        row = self._rows[trip] = len(self._names)
        self._names.append(trip)
        self._fresh_keys.append(stored)
        self._fresh_trips.append(np.full(len(stored), row, dtype=np.int32))
        self._fresh += len(stored)
        if self._fresh >= _MERGE_AT + len(self._keys) // 4:
            self._merge()

    def _merge(self) -> None:
        keys = np.concatenate((self._keys, *self._fresh_keys))
        trips = np.concatenate((self._trips, *self._fresh_trips))
        order = np.argsort(keys, kind="stable")
        self._keys, self._trips = keys[order], trips[order]
        self._fresh_keys, self._fresh_trips, self._fresh = [], [], 0

    def search(
        self,
        fixes: Columns,
        *,
        least_permille: int = 250,
        most: int = 20,
        besides: Iterable[str] = (),
    ) -> list[Candidate]:
        """Stored trips that share at least so many hashes with a record, most alike first.

        Args:
            fixes: the record.
            least_permille: share of its hashes.
            most: how many are given.
            besides: names left out (the trip itself).
        """
        stored, asked = signature(fixes)
        return self.search_signature(
            stored, asked, least_permille=least_permille, most=most, besides=besides
        )

    def search_signature(
        self,
        stored: Ints,
        asked: Ints,
        *,
        least_permille: int = 250,
        most: int = 20,
        besides: Iterable[str] = (),
    ) -> list[Candidate]:
        """The same by a record's signature."""
        if self._fresh:
            self._merge()
        if len(stored) == 0 or len(self._keys) == 0:
            return []
        low = np.searchsorted(self._keys, asked, side="left")
        high = np.searchsorted(self._keys, asked, side="right")
        parts = [
            self._trips[begin:end] for begin, end in zip(low, high, strict=True) if end > begin
        ]
        if not parts:
            return []
        votes = np.bincount(np.concatenate(parts), minlength=len(self._names))
        out = {self._rows[name] for name in besides if name in self._rows}
        found = np.flatnonzero(votes * 1000 >= least_permille * len(stored))
        ranked: Sequence[int] = sorted(
            (row for row in found.tolist() if row not in out),
            key=lambda row: (-int(votes[row]), row),
        )[:most]
        return [
            Candidate(self._names[row], min(1000, int(votes[row]) * 1000 // len(stored)))
            for row in ranked
        ]
