"""Pages: of rows that are numbered as they come (either way from a cursor), and of lists by what names a row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from sqlmodel import Session
from sqlmodel.sql.expression import SelectOfScalar

from chain.errors import InvalidValueError

Row = TypeVar("Row")
MOST = 100
"""Objects of a page."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, and where the next page begins.

    Attributes:
        next_cursor: names the last row, where more follow; None at the end of the list.
    """

    rows: list[Row]
    next_cursor: str | None

    @property
    def ends(self) -> dict[str, Any]:
        """What an answer says beside its ``data``."""
        return {"has_more": self.next_cursor is not None, "next_cursor": self.next_cursor}


class Asked:
    """Which page of a list a caller asks for."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=MOST, description="objects of a page")] = 20,
        starting_after: Annotated[
            str | None,
            Query(min_length=1, max_length=300, description="`next_cursor` of the page before"),
        ] = None,
    ) -> None:
        self.limit = limit
        self.starting_after = starting_after

    def cut(
        self, rows: Sequence[Row], name: Callable[[Row], str], *, by_name: bool = False
    ) -> Page[Row]:
        """A page of a list that was read whole; for lists that are short by their nature.

        Args:
            rows: all of it, in its order.
            name: what names a row.
            by_name: whether the names themselves are the order: then a row that has left the list since still
                names its place.

        Raises:
            InvalidValueError: the cursor names no row of the list.
        """
        first = 0
        if self.starting_after is not None:
            names = [name(row) for row in rows]
            if by_name:
                first = bisect_right(names, self.starting_after)
            elif self.starting_after in names:
                first = names.index(self.starting_after) + 1
            else:
                raise no_such_cursor()
        return self.page(rows[first : first + self.limit + 1], name)

    def page(self, rows: Sequence[Row], name: Callable[[Row], str]) -> Page[Row]:
        """A page of what was read behind the cursor, one row more than the limit at most."""
        shown = list(rows[: self.limit])
        return Page(shown, name(shown[-1]) if len(rows) > self.limit else None)


ThePage = Annotated[Asked, Depends()]


def no_such_cursor() -> InvalidValueError:
    """What a caller is told whose cursor names nothing in his list."""
    return InvalidValueError(
        "starting_after is no `next_cursor` of this list", field="starting_after"
    )


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
