"""Loans for the tests: terms, and events by Beijing day."""

from __future__ import annotations

import datetime as dt

from finance.accrual import date_of, day_number
from finance.advance import AdvanceEvent, EventKind
from finance.terms import Terms

RELEASED = dt.date(2026, 1, 26)
DAY = day_number(RELEASED)
TERMS = Terms(
    rate_ppm=109_500, penalty_ppm=164_250, ceiling_ppm=240_000, tenor_days=60, grace_days=3
)


def noon(day):
    return dt.datetime.combine(date_of(day), dt.time(4), dt.UTC)


def event(kind, after, *, name=None, known=None, **more):
    at = noon(DAY + after)
    return AdvanceEvent(
        id=name or f"{kind.value}-{after}", kind=kind, at=at, known=known or at, **more
    )


def opening(principal=10_000_000):
    return [
        event(kind, 0, amount=principal)
        for kind in (
            EventKind.REQUESTED,
            EventKind.APPROVED,
            EventKind.RELEASED,
            EventKind.DRAWN,
        )
    ]


def paid(after, amount, **more):
    return event(EventKind.PAID, after, amount=amount, **more)
