"""A lender's loans as lists and sums, asked of the rows at once: quick with a hundred thousand of them.

Days past due and class follow from the due day alone, as the contracts have it; what a replay of events
tells more exactly stands on the page of each loan.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from chain.ids import AdvanceId, PartyId, TripId
from finance.accrual import date_of
from finance.advance import AdvanceState
from finance.classification import PRESENT_POLICY, FiveTier
from finance.portfolio import AGEING
from finance.tables import AdvanceRow

OWING = (AdvanceState.RELEASED, AdvanceState.DEFAULTED)
RISK_AFTER = 30
"""More days past due than this counts as at risk, as ``finance.portfolio.is_at_risk`` has it."""


@dataclass(frozen=True, slots=True)
class LoanFilter:
    """Which loans: every field narrows; empty ones do not.

    Attributes:
        band: an ageing band of ``finance.portfolio.AGEING``.
        tier: a five-tier class by its word.
        month: of the release, YYYY-MM.
        due: due on this ISO date.
        only: ``owing``, ``overdue``, ``risk`` or ``open`` (asked or approved, not released).
    """

    state: str = ""
    band: str = ""
    tier: str = ""
    debtor: str = ""
    borrower: str = ""
    month: str = ""
    due: str = ""
    only: str = ""


@dataclass(frozen=True, slots=True)
class LoanLine:
    """One loan in a list. Amounts in fen."""

    advance: AdvanceId
    trip: TripId
    borrower: PartyId
    debtor: str
    state: AdvanceState
    principal_fen: int
    released_fen: int
    outstanding_fen: int
    due_day: int
    released_at: dt.datetime | None
    days_past_due: int
    tier: FiveTier

    @property
    def due(self) -> dt.date | None:
        """The date by which it is due; None before the release."""
        return date_of(self.due_day) if self.due_day else None


@dataclass(frozen=True, slots=True)
class LoanSum:
    """Loans in sum. Amounts in fen."""

    key: str
    loans: int = 0
    principal_fen: int = 0
    released_fen: int = 0
    outstanding_fen: int = 0


def tier_after(days: int, state: AdvanceState) -> FiveTier:
    """The class that days past due and a default make at best."""
    policy = PRESENT_POLICY
    tier = FiveTier.NORMAL
    for above, worse in (
        (policy.special_mention_after, FiveTier.SPECIAL_MENTION),
        (policy.substandard_after, FiveTier.SUBSTANDARD),
        (policy.doubtful_after, FiveTier.DOUBTFUL),
        (policy.loss_after, FiveTier.LOSS),
    ):
        if days > above:
            tier = worse
    return max(tier, FiveTier.SUBSTANDARD) if state is AdvanceState.DEFAULTED else tier


class LoanList:
    """The loans in one database session, on a Beijing day."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(
        self,
        lender: PartyId | None,
        wanted: LoanFilter,
        day: int,
        *,
        after: tuple[int, str] | None = None,
        limit: int,
    ) -> list[LoanLine]:
        """A page of loans, the first due first; (due day, id) of the last one begins the next."""
        query = sa.select(AdvanceRow.__table__).where(*_conditions(lender, wanted, day))  # type: ignore[attr-defined]  # every table class has it
        if after is not None:
            query = query.where(sa.tuple_(col(AdvanceRow.due_day), col(AdvanceRow.advance)) > after)
        query = query.order_by(col(AdvanceRow.due_day), col(AdvanceRow.advance)).limit(limit)
        return [_line(row, day) for row in self._session.execute(query)]

    def total(self, lender: PartyId | None, wanted: LoanFilter, day: int) -> LoanSum:
        """All loans that fit, in sum."""
        return self._sums(lender, wanted, day, sa.literal(""))[0]

    def by_debtor(self, lender: PartyId | None, day: int) -> list[LoanSum]:
        """What is owed, by who must pay the freight."""
        return self._sums(lender, LoanFilter(only="owing"), day, col(AdvanceRow.debtor))

    def by_borrower(self, lender: PartyId | None, day: int) -> list[LoanSum]:
        """What is owed, by who borrowed."""
        return self._sums(lender, LoanFilter(only="owing"), day, col(AdvanceRow.borrower))

    def by_band(self, lender: PartyId | None, day: int) -> list[LoanSum]:
        """What is owed, by ageing band; every band, empty ones too."""
        return [
            LoanSum(name, *_figures(self.total(lender, LoanFilter(only="owing", band=name), day)))
            for name, _, _ in AGEING
        ]

    def by_due_day(self, lender: PartyId | None, day: int, until: int) -> list[tuple[int, int]]:
        """(day, fen) of principal that falls due from a day to another."""
        query = (
            sa.select(col(AdvanceRow.due_day), sa.func.sum(col(AdvanceRow.outstanding_fen)))
            .where(*_conditions(lender, LoanFilter(only="owing"), day))
            .where(col(AdvanceRow.due_day).between(day, until))
            .group_by(col(AdvanceRow.due_day))
            .order_by(col(AdvanceRow.due_day))
        )
        return [(int(due), int(fen)) for due, fen in self._session.execute(query)]

    def by_month(self, lender: PartyId | None, day: int) -> list[tuple[LoanSum, int]]:
        """Vintages: loans by the month of their release, each with what of it is overdue by over 30 days."""
        late = sa.case(
            (
                sa.and_(
                    col(AdvanceRow.state).in_([state.value for state in OWING]),
                    col(AdvanceRow.due_day) < day - RISK_AFTER,
                ),
                col(AdvanceRow.outstanding_fen),
            ),
            else_=0,
        )
        query = (
            sa.select(
                col(AdvanceRow.start_day),
                sa.func.count(),
                sa.func.sum(col(AdvanceRow.released_fen)),
                sa.func.sum(col(AdvanceRow.outstanding_fen)),
                sa.func.sum(late),
            )
            .where(*_conditions(lender, LoanFilter(), day), col(AdvanceRow.released_fen) > 0)
            .group_by(col(AdvanceRow.start_day))
        )
        months: dict[str, list[int]] = {}
        for start, loans, released, outstanding, overdue in self._session.execute(query):
            month = months.setdefault(date_of(int(start)).strftime("%Y-%m"), [0, 0, 0, 0])
            for place, value in enumerate((loans, released, outstanding, overdue)):
                month[place] += int(value)
        return [
            (LoanSum(month, loans, 0, released, outstanding), overdue)
            for month, (loans, released, outstanding, overdue) in sorted(months.items())
        ]

    def _sums(
        self, lender: PartyId | None, wanted: LoanFilter, day: int, key: Any
    ) -> list[LoanSum]:
        columns = (AdvanceRow.principal_fen, AdvanceRow.released_fen, AdvanceRow.outstanding_fen)
        query = sa.select(
            key, sa.func.count(), *(sa.func.coalesce(sa.func.sum(col(one)), 0) for one in columns)
        ).where(*_conditions(lender, wanted, day))
        if not isinstance(key, sa.BindParameter):
            query = query.group_by(key)
        found = [
            LoanSum(str(name), *(int(value) for value in values))
            for name, *values in self._session.execute(query)
        ]
        return sorted(found, key=lambda one: (-one.outstanding_fen, one.key))


def _figures(one: LoanSum) -> tuple[int, int, int, int]:
    return one.loans, one.principal_fen, one.released_fen, one.outstanding_fen


def _line(row: Any, day: int) -> LoanLine:
    state = AdvanceState(row.state)
    late = max(0, day - row.due_day) if state in OWING and row.due_day else 0
    return LoanLine(
        advance=AdvanceId(row.advance),
        trip=TripId(row.trip),
        borrower=PartyId(int(row.borrower)),
        debtor=row.debtor,
        state=state,
        principal_fen=row.principal_fen,
        released_fen=row.released_fen,
        outstanding_fen=row.outstanding_fen,
        due_day=row.due_day,
        released_at=row.released_at,
        days_past_due=late,
        tier=tier_after(late, state),
    )


def _conditions(
    lender: PartyId | None, wanted: LoanFilter, day: int
) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    due, state = col(AdvanceRow.due_day), col(AdvanceRow.state)
    if lender is not None:
        found.append(col(AdvanceRow.lender) == str(lender))
    if wanted.state:
        found.append(state == wanted.state)
    if wanted.debtor:
        found.append(col(AdvanceRow.debtor) == wanted.debtor)
    if wanted.borrower:
        found.append(col(AdvanceRow.borrower) == wanted.borrower)
    owing = state.in_([one.value for one in OWING])
    if wanted.only == "open":
        found.append(state.in_([AdvanceState.REQUESTED.value, AdvanceState.APPROVED.value]))
    elif wanted.only or wanted.band or wanted.tier or wanted.due:
        found.append(owing)
    if wanted.only == "overdue":
        found.append(due < day)
    if wanted.only == "risk":
        defaulted = state == AdvanceState.DEFAULTED.value
        found.append(sa.or_(due < day - RISK_AFTER, defaulted))
    for name, first, last in AGEING:
        if name == wanted.band:
            found.append(due >= day if last == 0 else due <= day - first)
            if last:
                found.append(due >= day - last)
    if wanted.tier:
        found += _of_tier(wanted.tier, day)
    span = _month_days(wanted.month)
    if span is not None:
        found.append(col(AdvanceRow.start_day).between(*span))
    if wanted.due:
        found.append(due == _day_of(wanted.due))
    return found


def _of_tier(word: str, day: int) -> list[sa.ColumnElement[bool]]:
    policy, due = PRESENT_POLICY, col(AdvanceRow.due_day)
    ends = (
        policy.special_mention_after, policy.substandard_after, policy.doubtful_after,
        policy.loss_after,
    )  # fmt: skip
    place = next((tier - 1 for tier in FiveTier if tier.word == word), 0)
    found: list[sa.ColumnElement[bool]] = []
    if place > 0:
        found.append(due < day - ends[place - 1])
    if place < len(ends):
        found.append(due >= day - ends[place])
    return found


def _day_of(text: str) -> int:
    try:
        return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days
    except ValueError:
        return -1


def _month_days(month: str) -> tuple[int, int] | None:
    first = _day_of(f"{month}-01") if month else -1
    if first < 0:
        return None
    begin = date_of(first)
    after = (begin.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
    return first, (after - dt.date(1970, 1, 1)).days - 1
