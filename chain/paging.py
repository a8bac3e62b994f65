"""Reading a list page by page behind a place in its order, so that a page costs the same wherever it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Sequence

Query = TypeVar("Query", bound=sa.Select[Any])


def behind(
    query: Query, order: Sequence[Any], place: Sequence[Any] | None, *, newest: bool = False
) -> Query:
    """The query in an order, with the rows up to a place left out.

    Args:
        query: what is listed.
        order: the columns that order it; together they are unique.
        place: the values of these columns in the last row that was read; None from the beginning.
        newest: whether the order falls.
    """
    if place is not None:
        later = []
        for at, column in enumerate(order):
            beyond = column < place[at] if newest else column > place[at]
            same = [one == value for one, value in zip(order[:at], place[:at], strict=True)]
            later.append(sa.and_(*same, beyond))
        query = query.where(sa.or_(*later))
    return query.order_by(*(column.desc() if newest else column.asc() for column in order))
