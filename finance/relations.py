"""Who hangs together with whom: firms, people, vehicles, phones, accounts and trips as a graph; pure.

Two parties are related where a chain of identity links joins them: the same bank account, the same phone, the
same vehicle owned, a declared stake. Doing business is no identity link. The same freight financed twice
shows in another way: one vehicle on overlapping trips, or one shipment under two names.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import networkx as nx

from chain.ids import PartyId
from finance.accrual import BPS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence


class LinkKind(StrEnum):
    """What a link says; the first ones make parties related, the last ones are business."""

    ACCOUNT = "account"
    """A party is paid into a bank account (keyed hash of its number)."""
    PHONE = "phone"
    """A party is reached under a phone (keyed hash)."""
    OWNS = "owns"
    """A party owns a vehicle, or has a stake in another party."""
    DRIVES = "drives"
    """A vehicle carried a trip of a party: business."""
    FREIGHT = "freight"
    """A party owes another freight: business, with an amount."""
    FREIGHT_WEEK = "week"
    """The freight of one week between two parties, summed, so that a decision reads sums and not waybills."""
    DELIVERS = "delivers"
    """A party carried to a consignee: business."""
    PAID_BY = "paid_by"
    """Freight owed to a party was paid by somebody who is not the debtor (keyed hash of his name)."""


IDENTITY: Final = frozenset({LinkKind.ACCOUNT, LinkKind.PHONE, LinkKind.OWNS})

MOST_HOPS: Final = 6
"""Farther than three shared things apart is no relation any more."""

MOST_RINGS: Final = 20
MOST_STEPS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Link:
    """Two things that hang together; names are ``kind:id`` (``party:7``, ``account:0x..``).

    Attributes:
        day: Beijing day on which it was known.
        amount_fen: of freight owed; 0 otherwise.
        about: what shows it, e.g. the waybill; links of one pair that differ in it add up.
    """

    a: str
    b: str
    kind: LinkKind
    day: int
    amount_fen: int = 0
    about: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """Why two parties are related: the things that join them, from one to the other."""

    a: str
    b: str
    path: tuple[str, ...]


class Relations:
    """The graph of what was known on a day.

    Args:
        links: every link known.
        day: links known later are left out; None takes all.
    """

    def __init__(self, links: Iterable[Link], day: int | None = None) -> None:
        self._same: nx.Graph = nx.Graph()
        self._money: nx.DiGraph = nx.DiGraph()
        for link in links:
            if day is not None and link.day > day:
                continue
            if link.kind in IDENTITY:
                self._same.add_edge(link.a, link.b)
            elif link.kind is LinkKind.FREIGHT:
                owed = self._money.get_edge_data(link.a, link.b, {"fen": 0})["fen"]
                self._money.add_edge(link.a, link.b, fen=owed + link.amount_fen)

    def find_relation(self, a: str, b: str) -> Relation | None:
        """The shortest chain of shared things between two parties; None if they are not related."""
        if a == b:
            return Relation(a, b, (a,))
        if a not in self._same or b not in self._same:
            return None
        try:
            path = nx.bidirectional_shortest_path(self._same, a, b)
        except nx.NetworkXNoPath:
            return None
        return Relation(a, b, tuple(path)) if len(path) - 1 <= MOST_HOPS else None

    def group_of(self, party: str) -> tuple[str, ...]:
        """A party and every party related to it, in order."""
        if party not in self._same:
            return (party,)
        reached = nx.single_source_shortest_path_length(self._same, party, cutoff=MOST_HOPS)
        return tuple(sorted(node for node in reached if node.startswith("party:")))

    def rings_of(
        self,
        party: str,
        *,
        ratio_bps: int = 8_000,
        longest: int = MOST_HOPS,
        most: int = MOST_RINGS,
        most_steps: int = MOST_STEPS,
    ) -> tuple[tuple[str, ...], ...]:
        """Circles in which freight of like amounts comes back to a party (3 to ``longest`` parties).

        Args:
            party: where the circle begins and ends.
            ratio_bps: smallest over largest amount of the circle, at least.
            longest: parties in a circle at most.
            most: so many circles are told; a caller asks whether there are any, and sees a few.
            most_steps: so many steps are walked at most, so that a thick net cannot hold a decision up.
        """
        found: list[tuple[str, ...]] = []
        if party not in self._money:
            return ()
        home = nx.single_source_shortest_path_length(
            self._money.reverse(copy=False), party, cutoff=longest
        )
        stack: list[tuple[str, ...]] = [(party,)]
        steps = 0
        while stack and len(found) < most and steps < most_steps:
            path = stack.pop()
            for after in sorted(self._money.successors(path[-1])):
                steps += 1
                if after == party and len(path) >= 3:
                    if self._is_even((*path, party), ratio_bps):
                        found.append(path)
                elif after not in path and len(path) + home.get(after, longest + 1) <= longest:
                    stack.append((*path, after))
        return tuple(sorted(found[:most]))

    def _is_even(self, path: Sequence[str], ratio_bps: int) -> bool:
        amounts = [self._money.edges[a, b]["fen"] for a, b in itertools.pairwise(path)]
        most, least = int(max(amounts)), int(min(amounts))
        return most > 0 and least * BPS >= most * ratio_bps


def party_name(party: int) -> str:
    """How the graph names a party."""
    return f"party:{party}"


def party_of_name(name: str) -> PartyId:
    """The party behind a name of the graph."""
    return PartyId(int(name.removeprefix("party:")))


# -- the same freight financed twice --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Carriage:
    """A financed trip, as far as it can be compared.

    Attributes:
        fingerprint: keyed hash of (consignor, shipping note, serial, tier).
        vehicle: keyed hash of the plate.
        shipment: keyed hash of (consignor, consignee, goods), to see one freight under two numbers; "" if
            the goods are not known.
        borrower: decimal party id of who was lent to on it; "" while nobody is.
    """

    trip: str
    fingerprint: str
    vehicle: str
    shipment: str
    loads: dt.datetime
    delivers: dt.datetime
    quantity: int
    borrower: str = ""


class Suspicion(StrEnum):
    """How two financings look like one."""

    SAME_RECEIVABLE = "same_receivable"
    VEHICLE_TWICE = "vehicle_twice"
    """One vehicle on two trips whose windows overlap."""
    SAME_SHIPMENT = "same_shipment"
    """The same consignor, consignee and goods, a weight within 1.5 %, overlapping windows, another number,
    and another borrower: one firm's own trucks on one job are no suspicion."""


WEIGHT_BPS: Final = 150


def doubles_of(one: Carriage, others: Iterable[Carriage]) -> tuple[tuple[str, Suspicion], ...]:
    """The other financed trips that look like this freight again, each with the gravest suspicion."""
    found = []
    for other in others:
        if other.trip == one.trip:
            continue
        if one.fingerprint and other.fingerprint == one.fingerprint:
            found.append((other.trip, Suspicion.SAME_RECEIVABLE))
        elif other.loads < one.delivers and one.loads < other.delivers:
            if one.vehicle and other.vehicle == one.vehicle:
                found.append((other.trip, Suspicion.VEHICLE_TWICE))
            elif (
                one.shipment
                and other.shipment == one.shipment
                and other.borrower != one.borrower
                and _like(one, other)
            ):
                found.append((other.trip, Suspicion.SAME_SHIPMENT))
    return tuple(sorted(found))


def _like(one: Carriage, other: Carriage) -> bool:
    return abs(one.quantity - other.quantity) * BPS <= one.quantity * WEIGHT_BPS
