"""What every family of the money's rows shares: the session, batches, assignment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.orm.util import identity_key

from finance.advance import AdvanceState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sqlmodel import Session

    from chain.ids import AdvanceId


IN_AT_ONCE: Final = 500
"""Values of one IN list."""

PAGE: Final = 5_000
"""Rows read at once where a whole table passes by."""

LIVE: Final = [
    state.value
    for state in AdvanceState
    if state not in (AdvanceState.DECLINED, AdvanceState.VOIDED, AdvanceState.REPAID)
]
"""States of an advance that holds its trip and receivable."""


class SqlRows:
    """A database transaction that somebody else begins and ends."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ahead: set[AdvanceId] = set()
        """Advances that many events are about: what hangs on them is read for all when one is asked for."""

    def _forget(self, row: type[Any], key: str) -> None:
        """Lets the next read see what a statement changed behind the session's back."""
        held = self._session.identity_map.get(identity_key(row, key))
        if held is not None:
            self._session.expire(held)


def table_of(row: type[Any]) -> sa.Table:
    """The table behind a row's class."""
    table = row.__table__
    assert isinstance(table, sa.Table)
    return table


def assign(row: Any, values: Mapping[str, Any]) -> None:
    """Writes what differs, so that an unchanged row is not written."""
    for name, value in values.items():
        if getattr(row, name) != value:
            setattr(row, name, value)


def batches(values: Collection[Any]) -> Iterator[list[Any]]:
    """The values in pieces that fit into one IN list."""
    ordered = list(values)
    for at in range(0, len(ordered), IN_AT_ONCE):
        yield ordered[at : at + IN_AT_ONCE]
