"""Filters of lists kept by name, each party's own."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import sqlmodel
from sqlmodel import Session, col

from api.tables import SavedViewRow
from chain.clock import Clock
from chain.errors import InvalidValueError
from chain.ids import PartyId

MOST = 30


class SavedViews:
    """The kept filters in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def list_of(self, party: PartyId, page: str) -> list[tuple[str, str]]:
        """(name, query) of a party's filters of a page, by name."""
        query = (
            sqlmodel.select(SavedViewRow)
            .where(col(SavedViewRow.party) == str(party), col(SavedViewRow.page) == page)
            .order_by(col(SavedViewRow.name))
        )
        return [(row.name, row.query) for row in self._session.exec(query)]

    def keep(self, party: PartyId, page: str, name: str, filters: Mapping[str, str]) -> None:
        """Keeps a filter; the same name again replaces it.

        Raises:
            InvalidValueError: no name, an overlong filter, or too many of them.
        """
        text = urlencode({key: value for key, value in filters.items() if value})
        if not name.strip() or len(name) > 40 or not name.isprintable():
            raise InvalidValueError("a name has 1 to 40 printable characters", field="name")
        if len(text) > 500:
            raise InvalidValueError("this filter is too long to keep", field="filters")
        known = {kept for kept, _ in self.list_of(party, page)}
        if name not in known and len(known) >= MOST:
            raise InvalidValueError(f"{MOST} views can be kept; forget one first", field="name")
        self._session.merge(
            SavedViewRow(
                party=str(party),
                page=page,
                name=name.strip(),
                query=text,
                created_at=self._clock.now(),
            )
        )
        self._session.flush()

    def forget(self, party: PartyId, page: str, name: str) -> None:
        """Forgets a filter; twice is once."""
        row = self._session.get(SavedViewRow, (str(party), page, name))
        if row is not None:
            self._session.delete(row)
            self._session.flush()
