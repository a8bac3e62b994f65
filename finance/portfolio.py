"""The lender's portfolio on a day: outstanding, where, at risk; ageing, concentration, vintages; pure.

Fed with one row a loan; every figure is a sum of those rows, so it can be drilled down to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from finance.accrual import BPS
from finance.classification import FiveTier
from finance.cost import all_in_ppm_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AGEING: Final = (
    ("current", 0, 0), ("1-7", 1, 7), ("8-30", 8, 30), ("31-90", 31, 90), ("91-270", 91, 270),
    ("271-360", 271, 360), ("361+", 361, None),
)  # fmt: skip
"""Name, first and last day past due of each band."""


@dataclass(frozen=True, slots=True)
class LoanRow:
    """One loan on the day. Amounts in fen.

    Attributes:
        released_day: Beijing day of the release; its month is the vintage.
        lane: from where to where the truck drove; "" if nobody has named it.
        received_income_fen: interest, fees and penalty received so far.
        principal_days: sum over its days of the principal outstanding.
    """

    advance: str
    borrower: str
    debtor: str
    released_day: int
    released_fen: int
    outstanding_fen: int
    days_past_due: int
    tier: FiveTier
    month: str
    received_income_fen: int = 0
    principal_days: int = 0
    written_off_fen: int = 0
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the outstanding principal."""

    name: str
    loans: int
    outstanding_fen: int
    bps: int


@dataclass(frozen=True, slots=True)
class Vintage:
    """Loans released in one month.

    Attributes:
        late_bps: share of the released amount that is more than 30 days past due now.
        lost_bps: share of the released amount written off.
    """

    month: str
    loans: int
    released_fen: int
    outstanding_fen: int
    late_bps: int
    lost_bps: int


@dataclass(frozen=True, slots=True)
class Portfolio:
    """The portfolio on a day. Amounts in fen.

    Attributes:
        at_risk_fen: outstanding of loans more than 30 days past due or worse than special mention.
        utilisation_bps: drawn and reserved of all limits.
        yield_ppm: income received a year of principal lent; None before a day has passed.
        top_debtor_bps: the largest debtor's share; top_lane_bps: the largest lane's.
    """

    outstanding_fen: int
    loans: int
    overdue_fen: int
    at_risk_fen: int
    utilisation_bps: int
    yield_ppm: int | None
    top_debtor_bps: int
    top_lane_bps: int
    ageing: tuple[Share, ...]
    classes: tuple[Share, ...]
    debtors: tuple[Share, ...]
    lanes: tuple[Share, ...]
    borrowers: tuple[Share, ...]
    vintages: tuple[Vintage, ...]


def portfolio(rows: Sequence[LoanRow], *, limit_fen: int, used_fen: int) -> Portfolio:
    """Everything the first screen of a lender shows."""
    live = [row for row in rows if row.outstanding_fen > 0]
    total = sum(row.outstanding_fen for row in live)
    debtors = _shares([(row.debtor, row) for row in live], total)
    lanes = _shares([(row.lane, row) for row in live], total)
    return Portfolio(
        outstanding_fen=total,
        loans=len(live),
        overdue_fen=sum(row.outstanding_fen for row in live if row.days_past_due > 0),
        at_risk_fen=sum(row.outstanding_fen for row in live if is_at_risk(row)),
        utilisation_bps=used_fen * BPS // limit_fen if limit_fen > 0 else 0,
        yield_ppm=all_in_ppm_up(
            sum(row.received_income_fen for row in rows), sum(row.principal_days for row in rows)
        ),
        top_debtor_bps=debtors[0].bps if debtors else 0,
        top_lane_bps=lanes[0].bps if lanes else 0,
        ageing=tuple(
            _share(name, [row for row in live if _in_band(row.days_past_due, first, last)], total)
            for name, first, last in AGEING
        ),
        classes=tuple(
            _share(tier.word, [row for row in live if row.tier is tier], total) for tier in FiveTier
        ),
        debtors=debtors,
        lanes=lanes,
        borrowers=_shares([(row.borrower, row) for row in live], total),
        vintages=_vintages(rows),
    )


def is_at_risk(row: LoanRow) -> bool:
    """Whether a loan counts as at risk."""
    return row.days_past_due > 30 or row.tier > FiveTier.SPECIAL_MENTION


def _in_band(days: int, first: int, last: int | None) -> bool:
    return days >= first and (last is None or days <= last)


def _share(name: str, rows: Sequence[LoanRow], total: int) -> Share:
    fen = sum(row.outstanding_fen for row in rows)
    return Share(name, len(rows), fen, fen * BPS // total if total else 0)


def _shares(named: Iterable[tuple[str, LoanRow]], total: int) -> tuple[Share, ...]:
    groups: dict[str, list[LoanRow]] = {}
    for name, row in named:
        groups.setdefault(name, []).append(row)
    shares = [_share(name, rows, total) for name, rows in groups.items()]
    return tuple(sorted(shares, key=lambda one: (-one.outstanding_fen, one.name)))


def _vintages(rows: Sequence[LoanRow]) -> tuple[Vintage, ...]:
    months: dict[str, list[LoanRow]] = {}
    for row in rows:
        months.setdefault(row.month, []).append(row)
    found = []
    for month in sorted(months):
        of_month = months[month]
        released = sum(row.released_fen for row in of_month)
        late = sum(row.outstanding_fen for row in of_month if row.days_past_due > 30)
        lost = sum(row.written_off_fen for row in of_month)
        found.append(
            Vintage(
                month=month,
                loans=len(of_month),
                released_fen=released,
                outstanding_fen=sum(row.outstanding_fen for row in of_month),
                late_bps=late * BPS // released if released else 0,
                lost_bps=lost * BPS // released if released else 0,
            )
        )
    return tuple(found)
