"""Pages of rows that are numbered as they come: newest first, in either direction from a cursor."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlmodel import Session
from sqlmodel.sql.expression import SelectOfScalar

Row = TypeVar("Row")


def newest_first(  # the page before a cursor is read backwards and turned
    session: Session,
    query: SelectOfScalar[Row],
    number: Any,
    *,
    before: int | None,
    after: int | None,
    limit: int,
) -> list[Row]:
    """A page of rows, newest first.

    Args:
        session: the transaction.
        query: whose rows.
        number: the column that numbers them.
        before: only older ones.
        after: only newer ones, the oldest of them (the page before a cursor).
        limit: most of them.
    """
    if before is not None:
        query = query.where(number < before)
    if after is not None:
        rows = session.exec(query.where(number > after).order_by(number).limit(limit))
        return list(rows)[::-1]
    return list(session.exec(query.order_by(number.desc()).limit(limit)))
