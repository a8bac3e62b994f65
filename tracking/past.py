"""All drives judged before, as one index in memory that follows what the records hold."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from tracking.history import TripIndex, signature

if TYPE_CHECKING:
    from chain.ids import TripId
    from tracking.ports import Records
    from tracking.track import Columns

OVERLAP_S = 3600
"""Signatures judged this long before the newest known are read again: transactions overlap."""


class Past:
    """The index of one process; several processes each have their own and read what the others add."""

    def __init__(self) -> None:
        self._index = TripIndex()
        self._read_until = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._index)

    def find_alike(self, records: Records, fixes: Columns, *, trip: TripId, most: int) -> list[str]:
        """Earlier drives that this one may copy, most alike first."""
        with self._lock:
            for name, judged, hashes in records.list_signatures(self._read_until - OVERLAP_S):
                self._index.add_signature(name, np.frombuffer(hashes, dtype="<i8").astype(np.int64))
                self._read_until = max(self._read_until, judged)
            found = self._index.search(fixes, most=most, besides=[trip])
        return [candidate.trip for candidate in found]

    def remember(self, records: Records, fixes: Columns, *, trip: TripId, judged: int) -> None:
        """Writes down what a drive is found by; the index reads it once that is committed."""
        records.save_signature(trip, judged, signature(fixes)[0].astype("<i8").tobytes())
