"""Business days in China: weekdays, less announced days off, plus announced days worked on a weekend.

The State Council announces each year apart, so the table ends. Beyond it only weekends are off, and
``is_announced`` says so; interest days never depend on this, deadlines do.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
from importlib import resources


@functools.cache
def _announced() -> dict[int, tuple[frozenset[dt.date], frozenset[dt.date]]]:
    text = resources.files("finance").joinpath("holidays-cn.json").read_text(encoding="utf-8")
    return {
        int(year): (
            frozenset(map(dt.date.fromisoformat, days["off"])),
            frozenset(map(dt.date.fromisoformat, days["on"])),
        )
        for year, days in json.loads(text)["years"].items()
    }


def is_announced(year: int) -> bool:
    """Whether the table knows the year's days off."""
    return year in _announced()


def is_business_day(date: dt.date) -> bool:
    """Whether banks and offices work on a date.

    >>> is_business_day(dt.date(2026, 2, 17)), is_business_day(dt.date(2026, 2, 14))
    (False, True)
    """
    off, on = _announced().get(date.year, (frozenset(), frozenset()))
    if date in off:
        return False
    return date in on or date.weekday() < 5


def business_days_after(date: dt.date, days: int) -> dt.date:
    """The date so many business days after a date, that date not counted (T+2 for ``days`` = 2)."""
    for _ in range(days):
        date += dt.timedelta(days=1)
        while not is_business_day(date):
            date += dt.timedelta(days=1)
    return date
