"""Waybills of a file before they are written: rows are checked against the database and against each other.

``Ahead`` stands where the records stand, so the rules that a single waybill must keep (``chain.service``)
are the rules of a file, each written once. It writes nothing; ``Basis`` tells, at the moment of writing,
whether what the rows were checked against is still so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chain.ids import PartyId, TripId, WaybillId
from chain.party import Party
from chain.ports import Records
from chain.waybill import HeldWaybill


class Below(Records, Protocol):
    """The stored records, and the lists of many at once."""

    def list_leaves(self, trips: Sequence[TripId]) -> dict[TripId, HeldWaybill]:
        """The latest waybill that names each of some trips."""
        ...


Basis = frozenset[tuple[str, str, int]]
"""(waybill, stage, freight) of every stored waybill that rows were checked against."""


@dataclass
class Ahead:
    """The records with the rows of a file on top; keeps what an import needs of ``chain.ports.Records``.

    Args:
        below: the stored records.
    """

    below: Below
    added: list[HeldWaybill] = field(default_factory=list)
    _by_id: dict[str, HeldWaybill] = field(default_factory=dict)
    _children: dict[str, list[HeldWaybill]] = field(default_factory=dict)
    _leaves: dict[str, HeldWaybill] = field(default_factory=dict)
    _parties: dict[int, Party | None] = field(default_factory=dict)
    _stored_paths: dict[str, list[HeldWaybill]] = field(default_factory=dict)
    _stored_children: dict[str, list[HeldWaybill]] = field(default_factory=dict)
    _stored_leaves: dict[str, HeldWaybill | None] = field(default_factory=dict)

    def know(self, parties: Collection[PartyId], trips: Collection[TripId]) -> None:
        """Asks for many at once what rows will ask for one by one."""
        unknown = [party for party in parties if party not in self._parties]
        found = self.below.list_parties(unknown)
        self._parties |= {party: found.get(party) for party in unknown}
        new = [trip for trip in trips if trip not in self._stored_leaves]
        leaves = self.below.list_leaves(new)
        self._stored_leaves |= {trip: leaves.get(trip) for trip in new}

    def find_waybill(self, waybill: WaybillId) -> HeldWaybill | None:
        """One of the file: a new draft has a salt that no stored one has."""
        return self._by_id.get(waybill)

    def find_party(self, party: PartyId) -> Party | None:
        """A party by its id."""
        if party not in self._parties:
            self._parties[party] = self.below.find_party(party)
        return self._parties[party]

    def list_ancestors(self, waybill: WaybillId) -> list[HeldWaybill]:
        """The waybill itself first, then upwards to its root."""
        path: list[HeldWaybill] = []
        at: str = waybill
        while at in self._by_id:
            path.append(self._by_id[at])
            at = self._by_id[at].form.parent
        if path and path[-1].tier == 0:
            return path
        if at not in self._stored_paths:
            self._stored_paths[at] = self.below.list_ancestors(WaybillId(at))
        return path + self._stored_paths[at]

    def list_children(self, waybill: WaybillId) -> list[HeldWaybill]:
        """The waybills right below one."""
        if waybill in self._by_id:
            return self._children.get(waybill, [])
        if waybill not in self._stored_children:
            self._stored_children[waybill] = self.below.list_children(waybill)
        return self._stored_children[waybill] + self._children.get(waybill, [])

    def find_leaf(self, trip: TripId) -> HeldWaybill | None:
        """The latest waybill that names a trip."""
        if trip in self._leaves:
            return self._leaves[trip]
        if trip not in self._stored_leaves:
            self._stored_leaves[trip] = self.below.find_leaf(trip)
        return self._stored_leaves[trip]

    def add_waybill(self, waybill: HeldWaybill) -> None:
        """Takes a row as good; nothing is stored."""
        self.added.append(waybill)
        self._by_id[waybill.id] = waybill
        self._children.setdefault(waybill.form.parent, []).append(waybill)
        if waybill.is_leaf:
            self._leaves[waybill.form.trip] = waybill

    def basis(self) -> Basis:
        """The stored waybills that rows were checked against, as they were then."""
        seen: list[HeldWaybill] = [
            leaf for leaf in self._stored_leaves.values() if leaf is not None
        ]
        for path in self._stored_paths.values():
            seen += path
        for children in self._stored_children.values():
            seen += children
        return _basis(seen)

    def basis_now(self, records: Below) -> Basis:
        """The same as they are now, in another transaction."""
        seen: list[HeldWaybill] = []
        for at in self._stored_paths:
            seen += records.list_ancestors(WaybillId(at))
        for at in self._stored_children:
            seen += records.list_children(WaybillId(at))
        seen += records.list_leaves(sorted(TripId(trip) for trip in self._stored_leaves)).values()
        return _basis(seen)


def _basis(waybills: Sequence[HeldWaybill]) -> Basis:
    return frozenset((one.id, one.stage.value, one.freight) for one in waybills)
