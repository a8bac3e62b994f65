"""Rows of what hangs together; values in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import col, select

from finance.relations import IDENTITY, MOST_HOPS, Link, LinkKind
from finance.rows import SqlRows, batches
from finance.tables import RelationLinkRow

if TYPE_CHECKING:
    from collections.abc import Collection


class SqlLinks(SqlRows):
    """Links of identity and of business."""

    def add_link(self, link: Link) -> None:
        """Keeps a link; the same again changes nothing."""
        self._session.merge(
            RelationLinkRow(
                a=link.a,
                b=link.b,
                kind=link.kind.value,
                about=link.about,
                day=link.day,
                amount_fen=link.amount_fen,
            )
        )
        self._session.flush()

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

    def list_freight_links(self, since_day: int) -> list[Link]:
        """Who has owed whom freight since a Beijing day."""
        query = select(RelationLinkRow).where(
            RelationLinkRow.kind == LinkKind.FREIGHT.value, col(RelationLinkRow.day) >= since_day
        )
        return [_link(row) for row in self._session.exec(query)]


def _link(row: RelationLinkRow) -> Link:
    return Link(row.a, row.b, LinkKind(row.kind), row.day, row.amount_fen, row.about)
