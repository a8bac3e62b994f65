"""How late a debt is, and what class that makes it.

Days past due count from the due day; grace delays penalty and delinquency, never the count.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from finance.advance import AdvanceState
from finance.errors import InvalidDateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from finance.advance import Advance


class FiveTier(IntEnum):
    """The five classes of 商业银行金融资产风险分类办法 (2023); a higher number is worse."""

    NORMAL = 1
    SPECIAL_MENTION = 2
    SUBSTANDARD = 3
    DOUBTFUL = 4
    LOSS = 5

    @property
    def zh(self) -> str:
        """正常 关注 次级 可疑 损失."""
        return ("正常", "关注", "次级", "可疑", "损失")[self - 1]

    @property
    def word(self) -> str:
        """The class in the API."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class ClassificationPolicy:
    """The thresholds, in days past due, and what a cure needs; dated parameters with a source."""

    special_mention_after: int = 0
    substandard_after: int = 90
    doubtful_after: int = 270
    loss_after: int = 360
    clean_days: int = 180
    effective_from: dt.date = dt.date(2023, 7, 1)
    source: str = (
        "商业银行金融资产风险分类办法 (2023) art. 10-12; thresholds from memory, confidence C"
    )


PRESENT_POLICY = ClassificationPolicy()


@dataclass(frozen=True, slots=True)
class Classified:
    """A class with what led to it, worst first."""

    tier: FiveTier
    reasons: tuple[str, ...]


def five_tier_floor(days_past_due: int, policy: ClassificationPolicy = PRESENT_POLICY) -> FiveTier:
    """The best class that days past due alone allow; never falls as days grow."""
    if days_past_due > policy.loss_after:
        return FiveTier.LOSS
    if days_past_due > policy.doubtful_after:
        return FiveTier.DOUBTFUL
    if days_past_due > policy.substandard_after:
        return FiveTier.SUBSTANDARD
    if days_past_due > policy.special_mention_after:
        return FiveTier.SPECIAL_MENTION
    return FiveTier.NORMAL


def classify(
    days_past_due: int,
    *,
    policy: ClassificationPolicy = PRESENT_POLICY,
    previous: FiveTier = FiveTier.NORMAL,
    clean_days: int = 0,
    facts: Iterable[tuple[FiveTier, str]] = (),
) -> Classified:
    """The class of a loan: days, then facts that may only make it worse, then the cure rule.

    Args:
        days_past_due: today.
        policy: the thresholds in force.
        previous: the class of yesterday.
        clean_days: days since arrears were last above zero.
        facts: (floor, reason) pairs, e.g. a restructuring or another loan of the debtor in default.
    """
    floors = [(five_tier_floor(days_past_due, policy), f"{days_past_due} days past due"), *facts]
    tier = max(floor for floor, _ in floors)
    reasons = tuple(reason for floor, reason in floors if floor == tier)
    if previous > tier and (days_past_due > 0 or clean_days < policy.clean_days):
        return Classified(previous, (f"a better class needs {policy.clean_days} clean days",))
    return Classified(tier, reasons)


def facts_of(loan: Advance) -> list[tuple[FiveTier, str]]:
    """The best class that a loan's own story allows, whatever its days past due."""
    facts = [(FiveTier.SPECIAL_MENTION, "restructured")] if loan.restructured else []
    if loan.state is AdvanceState.DEFAULTED:
        facts.append((FiveTier.SUBSTANDARD, "defaulted"))
    if loan.state is AdvanceState.WRITTEN_OFF:
        facts.append((FiveTier.LOSS, "written off"))
    return facts


def days_past_due(as_of: dt.date, first_unpaid_due: dt.date, *, count_due_day: bool = False) -> int:
    """Days from the oldest unpaid due date to a date; 0 before it.

    Args:
        as_of: the date asked about.
        first_unpaid_due: the oldest due date with something unpaid.
        count_due_day: counts the due date itself as the first day.
    """
    days = (as_of - first_unpaid_due).days
    return max(0, days + 1 if count_due_day else days)


def range_of(days: int, ranges: Iterable[tuple[str, int, int | None]]) -> str | None:
    """The name of the range (name, from, to; both counted, None = no end) a number lies in."""
    for name, first, last in ranges:
        if days >= first and (last is None or days <= last):
            return name
    return None


@dataclass(frozen=True, slots=True)
class Delinquency:
    """How late a schedule is on a date; amounts in the smallest unit.

    Attributes:
        amount: unpaid of instalments due before the date.
        since: oldest such due date + grace, None when nothing is late.
        days: days from ``since`` to the date, less paused days.
        past_due_days: days from the oldest due date, pauses or not.
        by_range: unpaid amount by range, each instalment by its own days past due.
    """

    amount: int
    since: dt.date | None
    days: int
    past_due_days: int
    by_range: dict[str, int]


def delinquency(
    unpaid: Sequence[tuple[dt.date, int]],
    as_of: dt.date,
    *,
    grace_days: int = 0,
    pauses: Iterable[tuple[dt.date, dt.date]] = (),
    ranges: Sequence[tuple[str, int, int | None]] = (),
) -> Delinquency:
    """The delinquency of a schedule at the start of a day.

    Args:
        unpaid: (due date, unpaid amount) of each instalment.
        as_of: the day.
        grace_days: days by which delinquency (not days past due) starts later.
        pauses: [start, end) stretches that do not count; they may touch and overlap.
        ranges: names for spans of days.

    Raises:
        InvalidDateError: a pause ends before it starts.
    """
    stretches = list(pauses)
    for start, end in stretches:
        if end < start:
            raise InvalidDateError("a pause ends before it starts", field="pauses")
    late = sorted((due, amount) for due, amount in unpaid if due < as_of and amount > 0)
    if not late:
        return Delinquency(0, None, 0, 0, {})
    since = late[0][0] + dt.timedelta(days=grace_days)
    by_range: dict[str, int] = {}
    for due, amount in late:
        name = range_of((as_of - due).days, ranges)
        if name is not None:
            by_range[name] = by_range.get(name, 0) + amount
    return Delinquency(
        amount=sum(amount for _, amount in late),
        since=since,
        days=_days_without_pauses(since, as_of, stretches),
        past_due_days=(as_of - late[0][0]).days,
        by_range=by_range,
    )


def _days_without_pauses(
    start: dt.date, end: dt.date, pauses: Iterable[tuple[dt.date, dt.date]]
) -> int:
    days, seen = max(0, (end - start).days), start
    for first, after in sorted(pauses):
        lower, upper = max(first, seen), min(after, end)
        if upper > lower:
            days -= (upper - lower).days
            seen = upper
    return days
