"""Fixes as columns: one order whatever the arrival, no duplicates, every fix used or rejected with a code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tracking.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

NONE = np.iinfo(np.int64).min
"""Stands in an integer column where the source gave nothing."""

_STATUS_ENCRYPTED = 1 << 5
_COLUMNS = (
    "time",
    "lat_e6",
    "lon_e6",
    "speed_dkmh",
    "heading",
    "received",
    "altitude_m",
    "satellites",
    "odometer_dkm",
    "recorder_dkmh",
    "status",
    "alarm",
    "valid",
    "late",
    "items_ok",
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Fixes of one record, a column an attribute; integer columns hold NONE where nothing was given."""

    ints: NDArray[np.int64]
    terminals: NDArray[Any]

    @classmethod
    def of(cls, fixes: Iterable[Fix]) -> Columns:
        """Columns of fixes in the order given."""
        some = fixes if isinstance(fixes, list) else list(fixes)
        count = len(some)
        table = np.empty((len(_COLUMNS), count), dtype=np.int64)
        terminals = np.empty(count, dtype=object)
        if count:
            given = dict(zip(Fix._fields, zip(*some, strict=True), strict=True))
            terminals[:] = given["terminal"]
            for row, name in enumerate(_COLUMNS):
                values = given[name]
                missing = values.count(None) if name in _OPTIONAL else 0
                if missing == count:
                    table[row] = NONE
                elif missing:
                    table[row] = [NONE if value is None else value for value in values]
                else:
                    table[row] = values
        return cls(table, terminals)

    @classmethod
    def of_lists(cls, columns: Mapping[str, Sequence[int]], terminals: Sequence[str]) -> Columns:
        """Columns from lists by attribute name; absent ones hold NONE, an absent `valid` is true."""
        count = len(terminals)
        table = np.full((len(_COLUMNS), count), NONE, dtype=np.int64)
        for row, name in enumerate(_COLUMNS):
            if name in columns:
                table[row] = columns[name]
            elif name not in _OPTIONAL:
                table[row] = 0 if name == "late" else 1
        names = np.empty(count, dtype=object)
        names[:] = terminals
        return cls(table, names)

    def __len__(self) -> int:
        return int(self.ints.shape[1])

    def __getattr__(self, name: str) -> Ints:
        try:
            column: Ints = self.ints[_COLUMNS.index(name)]
        except ValueError:
            raise AttributeError(name) from None
        return column

    def take(self, chosen: NDArray[Any]) -> Columns:
        """The fixes of a mask or of positions."""
        return Columns(self.ints[:, chosen], self.terminals[chosen])


_FLAGS = frozenset({"valid", "late", "items_ok"})
_OPTIONAL = frozenset(_COLUMNS) - {"time", "lat_e6", "lon_e6"} - _FLAGS


@dataclass(frozen=True, slots=True)
class Track:
    """A record of one trip, put in order.

    Attributes:
        fixes: the fixes that may be judged, by device time.
        given: how many were given, duplicates included.
        rejected: how many were refused, by code.
        others: fixes that are not evidence but tell why (their code beside them).
    """

    fixes: Columns
    given: int
    rejected: Counter[str]
    terminals: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.fixes)

    @classmethod
    def of(cls, fixes: Iterable[Fix] | Columns, *, terminal: str = "") -> Track:
        """Puts fixes in order and refuses those that are no position of this terminal.

        Any shuffle, batching or duplication of the same fixes gives the same track. Two reports of the
        same instant and place are one; of these the one received first counts.

        Args:
            fixes: in any order.
            terminal: the normalised id whose fixes count, "" for any.
        """
        raw = fixes if isinstance(fixes, Columns) else Columns.of(fixes)
        given = len(raw)
        rejected: Counter[str] = Counter()
        keep = np.ones(given, dtype=np.bool_)

        def refuse(code: str, wrong: Bools) -> None:
            wrong = wrong & keep
            count = int(np.count_nonzero(wrong))
            if count:
                rejected[code] += count
                keep[wrong] = False

        if terminal and given:
            refuse(
                "other_terminal",
                np.array([own not in {"", terminal} for own in raw.terminals], dtype=np.bool_),
            )
        refuse("no_position", raw.valid == 0)
        status = raw.status
        refuse("encrypted", (status != NONE) & ((status & _STATUS_ENCRYPTED) != 0))
        refuse(
            "out_of_range", (np.abs(raw.lat_e6) > 90_000_000) | (np.abs(raw.lon_e6) > 180_000_000)
        )
        refuse("null_island", (np.abs(raw.lat_e6) < 100) & (np.abs(raw.lon_e6) < 100))
        refuse("bad_time", (raw.time <= 0) | (raw.time >= 1 << 33))
        kept = raw.take(keep)
        kept = kept.take(_canonical_order(kept))
        if len(kept) > 1:
            same = np.zeros(len(kept), dtype=np.bool_)
            same[1:] = (
                (np.diff(kept.time) == 0)
                & (np.diff(kept.lat_e6) == 0)
                & (np.diff(kept.lon_e6) == 0)
            )
            if same.any():
                rejected["duplicate"] += int(np.count_nonzero(same))
                kept = kept.take(~same)
        names = tuple(sorted(set(kept.terminals.tolist()) - {""}))
        return cls(kept, given, rejected, names)

    def leaves(self, chosen: Bools | None = None) -> list[tuple[int, int, int, int]]:
        """Merkle leaves of the fixes, or of those chosen."""
        some = self.fixes if chosen is None else self.fixes.take(chosen)
        return list(
            zip(
                range(len(some)),
                some.time.tolist(),
                some.lat_e6.tolist(),
                some.lon_e6.tolist(),
                strict=True,
            )
        )


def _canonical_order(some: Columns) -> Ints:
    """By device time; ties by place, then by who was received first, then by every other column."""
    order: Ints = np.argsort(some.time, kind="stable")
    time = some.time[order]
    equal = time[1:] == time[:-1]
    if equal.any():
        tied = np.zeros(len(order), dtype=np.bool_)
        tied[1:] |= equal
        tied[:-1] |= equal
        slots = np.flatnonzero(tied)
        rows = order[slots]
        part = some.take(rows)
        received = np.where(part.received == NONE, np.iinfo(np.int64).max, part.received)
        text = part.terminals.astype(str)
        inner = np.lexsort(
            (text, *part.ints[::-1][:-3], received, part.lon_e6, part.lat_e6, part.time)
        )
        order[slots] = rows[inner]
    return order


def fixes_of(columns: Columns) -> list[Fix]:
    """Fixes again, from columns."""
    rows = []
    for values, terminal in zip(columns.ints.T.tolist(), columns.terminals.tolist(), strict=True):
        facts: dict[str, Any] = {
            name: bool(value) if name in _FLAGS else None if value == NONE else value
            for name, value in zip(_COLUMNS, values, strict=True)
        }
        rows.append(Fix(terminal=terminal, **facts))
    return rows
