"""Rows of what hangs together; values in and out."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlmodel import col, select

from chain.storage import insert_into, write_later
from finance.advance import OWING, AdvanceState
from finance.relations import IDENTITY, MOST_HOPS, Carriage, Link, LinkKind
from finance.rows import LIVE, SqlRows, batches, table_of
from finance.tables import AdvanceRow, CarriageRow, ReceivableRow, RelationLinkRow

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlmodel import Session

    from chain.ids import PartyId

_KEY: Final = ("a", "b", "kind", "about")

MOST_PARTIES: Final = 500
"""So many parties are looked at around one; a circle of six is found long before."""

MOST_PRICES: Final = 200
"""Earlier trips of a shipment that its price is compared with."""

LENT: Final = [state.value for state in (AdvanceState.REPAID, *OWING)]
"""States of an advance whose trip was delivered and paid out: what its freight was is no mere claim."""


class SqlLinks(SqlRows):
    """Links of identity and of business; what trips carry."""

    def save_carriage(self, carriage: Carriage) -> None:
        """Keeps what a trip carries; an amended trip replaces."""
        self._session.merge(
            CarriageRow(
                trip=carriage.trip,
                vehicle=carriage.vehicle,
                shipment=carriage.shipment,
                loads=carriage.loads,
                delivers=carriage.delivers,
                quantity=carriage.quantity,
            )
        )

    def list_financed_like(self, one: Carriage) -> list[Carriage]:
        """Other trips with a live advance, by the same vehicle or of the same shipment, whose windows overlap."""
        loan = table_of(AdvanceRow)
        rows: dict[str, Carriage] = {}
        for name, value in (("vehicle", one.vehicle), ("shipment", one.shipment)):
            if not value:
                continue
            query = (
                select(CarriageRow, loan.c.fingerprint, loan.c.borrower)
                .join(loan, loan.c.trip == CarriageRow.trip)
                .where(
                    getattr(CarriageRow, name) == value,
                    CarriageRow.trip != one.trip,
                    CarriageRow.loads < one.delivers,
                    CarriageRow.delivers > one.loads,
                    loan.c.state.in_(LIVE),
                )
                .limit(MOST_PARTIES)
            )
            for row, fingerprint, borrower in self._session.exec(query):
                rows[row.trip] = Carriage(
                    trip=row.trip,
                    fingerprint=fingerprint,
                    vehicle=row.vehicle,
                    shipment=row.shipment,
                    loads=row.loads,
                    delivers=row.delivers,
                    quantity=row.quantity,
                    borrower=borrower,
                )
        return [rows[trip] for trip in sorted(rows)]

    def list_shipment_prices(self, one: Carriage, debtor: PartyId) -> list[tuple[int, int]]:
        """(freight in fen, quantity) of earlier financed trips of the same shipment for the same debtor, latest first."""
        if not one.shipment:
            return []
        loan, owed, carried = (table_of(row) for row in (AdvanceRow, ReceivableRow, CarriageRow))
        query = (
            sa.select(owed.c.freight_fen, carried.c.quantity)
            .join(loan, loan.c.trip == carried.c.trip)
            .join(owed, owed.c.waybill == loan.c.waybill)
            .where(
                carried.c.shipment == one.shipment,
                carried.c.trip != one.trip,
                carried.c.loads < one.loads,
                owed.c.debtor == str(debtor),
                loan.c.state.in_(LENT),
            )
            .order_by(carried.c.loads.desc(), carried.c.trip)
            .limit(MOST_PRICES)
        )
        return [(int(fen), int(amount)) for fen, amount in self._session.execute(query)]

    def add_link(self, link: Link) -> None:
        """Keeps a link; the same again changes nothing. Freight that is new is summed by week as well."""
        is_freight = link.kind is LinkKind.FREIGHT
        write_later(self._session, _add_freight if is_freight else _keep_links, link)

    def list_links_around(self, names: Collection[str]) -> list[Link]:
        """Every identity link within reach of some names, one question a hop."""
        kinds = sorted(kind.value for kind in IDENTITY)
        found: dict[tuple[str, str, str, str], Link] = {}
        seen: set[str] = set()
        edge = set(names)
        for _ in range(MOST_HOPS):
            after: set[str] = set()
            for some in batches(sorted(edge)):
                query = select(RelationLinkRow).where(
                    col(RelationLinkRow.kind).in_(kinds),
                    sa.or_(col(RelationLinkRow.a).in_(some), col(RelationLinkRow.b).in_(some)),
                )
                for row in self._session.exec(query):
                    found[(row.a, row.b, row.kind, row.about)] = _link(row)
                    after |= {row.a, row.b}
            seen |= edge
            edge = after - seen
            if not edge:
                break
        return list(found.values())

    def list_links_from(self, name: str, kind: LinkKind, since_day: int) -> list[Link]:
        """What has hung on a thing in one way since a Beijing day, oldest first."""
        query = (
            select(RelationLinkRow)
            .where(
                RelationLinkRow.a == name,
                RelationLinkRow.kind == kind.value,
                col(RelationLinkRow.day) >= since_day,
            )
            .order_by(col(RelationLinkRow.day), col(RelationLinkRow.about))
        )
        return [_link(row) for row in self._session.exec(query)]

    def list_freight_around(self, name: str, since_day: int) -> list[Link]:
        """Who owes whom freight within reach of a party, one sum a pair; at most ``MOST_PARTIES`` parties.

        Whole weeks are summed: the week in which ``since_day`` lies counts.
        """
        table = table_of(RelationLinkRow)
        found: list[Link] = []
        seen: set[str] = set()
        edge = {name}
        for _ in range(MOST_HOPS):
            after: set[str] = set()
            for some in batches(sorted(edge)):
                query = (
                    sa.select(
                        table.c.a,
                        table.c.b,
                        sa.func.sum(table.c.amount_fen),
                        sa.func.max(table.c.day),
                    )
                    .where(
                        table.c.a.in_(some),
                        table.c.kind == LinkKind.FREIGHT_WEEK.value,
                        table.c.day >= since_day // 7 * 7,
                    )
                    .group_by(table.c.a, table.c.b)
                )
                for a, b, fen, day in self._session.execute(query):
                    if fen:
                        found.append(Link(a, b, LinkKind.FREIGHT, int(day), int(fen)))
                        after.add(b)
            seen |= edge
            edge = set(sorted(after - seen)[: max(0, MOST_PARTIES - len(seen))])
            if not edge:
                break
        return found


def _values(link: Link) -> dict[str, Any]:
    return {
        "a": link.a,
        "b": link.b,
        "kind": link.kind.value,
        "about": link.about,
        "day": link.day,
        "amount_fen": link.amount_fen,
    }


def _keep_links(session: Session, links: list[Link]) -> None:
    statement = _keeping(session.get_bind().dialect.name)
    session.connection().execute(statement, [_values(one) for one in links])


def _add_freight(session: Session, links: list[Link]) -> None:
    """Keeps freight that is new, and sums it by week."""
    dialect, connection = session.get_bind().dialect.name, session.connection()
    given = {(one.a, one.b, one.kind.value, one.about): one for one in reversed(links)}
    made = connection.execute(_adding_new(dialect), [_values(one) for one in given.values()])
    weeks: dict[tuple[str, str, int], int] = {}
    for key in made:
        new = given[key.a, key.b, key.kind, key.about]
        week = (new.a, new.b, new.day // 7)
        weeks[week] = weeks.get(week, 0) + new.amount_fen
    if weeks:
        rows = [
            {
                "a": a,
                "b": b,
                "kind": LinkKind.FREIGHT_WEEK.value,
                "about": f"week:{week}",
                "day": week * 7,
                "amount_fen": fen,
            }
            for (a, b, week), fen in sorted(weeks.items())
        ]
        connection.execute(_adding(dialect), rows)


@functools.cache
def _adding_new(dialect: str) -> Any:
    """The statement that keeps links that are new, and tells which were."""
    table = table_of(RelationLinkRow)
    insert = insert_into(dialect, table).on_conflict_do_nothing(index_elements=_KEY)
    return insert.returning(*(table.c[name] for name in _KEY))


@functools.cache
def _keeping(dialect: str) -> Any:
    """The statement that keeps a link, or what is new of it."""
    insert = insert_into(dialect, table_of(RelationLinkRow))
    anew = {name: insert.excluded[name] for name in ("day", "amount_fen")}
    return insert.on_conflict_do_update(index_elements=_KEY, set_=anew)


@functools.cache
def _adding(dialect: str) -> Any:
    """The statement that adds an amount to a link's."""
    table = table_of(RelationLinkRow)
    insert = insert_into(dialect, table)
    more = {"amount_fen": table.c.amount_fen + insert.excluded.amount_fen}
    return insert.on_conflict_do_update(index_elements=_KEY, set_=more)


def _link(row: RelationLinkRow) -> Link:
    return Link(row.a, row.b, LinkKind(row.kind), row.day, row.amount_fen, row.about)
