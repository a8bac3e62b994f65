"""What runs by itself: each job opens its own transactions and may be killed between any two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finance.day_end import DayEnd, midnight_after

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from chain.ids import PartyId
    from finance.records import DayEndRecord


def close_days(
    begin: Callable[[], AbstractContextManager[DayEnd]],
    find_last_block: Callable[[dt.datetime], int | None],
    *,
    lender: PartyId,
    until_day: int,
    most: int | None = None,
) -> list[DayEndRecord]:
    """Closes every business date of a lender up to a day, in order, batch by batch.

    Args:
        begin: opens a transaction with the use cases in it; it commits when the block ends well.
        find_last_block: the last block before an instant, None while the chain's events are not
            handled beyond that instant: the day then waits.
        lender: whose book.
        until_day: the last Beijing day to close; it must be over.
        most: days to close in this turn; the next turn goes on.

    Returns:
        The days sealed now.
    """
    sealed: list[DayEndRecord] = []
    while most is None or len(sealed) < most:
        with begin() as day_end:
            day = day_end.next_day(lender)
        if day is None or day > until_day:
            return sealed
        block = find_last_block(midnight_after(day))
        if block is None:
            return sealed
        record = None
        while record is None or not record.seal:
            with begin() as day_end:
                record = day_end.proceed(lender, day, block=block)
        sealed.append(record)
    return sealed
