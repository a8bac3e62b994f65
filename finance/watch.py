"""Early warnings and dunning as data: what to look at, who does it, by when; pure.

A signal is a fact with a threshold; a warning is a signal that fired, with its code, owner and deadline.
The dunning plan says what follows days past due, step by step; contacts have limits and never go to third
parties (LENDING 4.4). Thresholds are the lender's parameters, in LENDING's values by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from finance.accrual import BPS

if TYPE_CHECKING:
    from collections.abc import Sequence


class Action(StrEnum):
    """What a warning or a dunning step asks for, mildest first."""

    WATCH = "watch"
    FREEZE = "freeze"
    """No new advances on the line."""
    CALL = "call"
    COLLECT = "collect"


@dataclass(frozen=True, slots=True)
class Signal:
    """One early-warning signal.

    Attributes:
        code: stable.
        fact: name of the figure it reads; larger is worse.
        above: it fires when the figure is larger than this.
        action: what it asks for; ``owner`` does it within ``deadline_days``.
    """

    code: str
    fact: str
    above: int
    action: Action
    owner: str
    deadline_days: int
    zh: str
    en: str


SIGNALS: Final = (
    Signal("DEBTOR_PAYS_LATER", "debtor_p75_days_rise", 10, Action.WATCH, "risk", 5, "债务人付款天数P75上升超过10天", "the debtor's p75 days to pay rose by more than 10"),
    Signal("DEBTOR_SHORT_PAYS", "debtor_short_pay_bps", 300, Action.WATCH, "risk", 5, "债务人短付超过3%", "the debtor pays more than 3% short"),
    Signal("WAYBILLS_FALL", "waybills_fall_bps", 4_000, Action.FREEZE, "risk", 3, "运单量较自身8周均值下降超过40%", "waybills fell by more than 40% against the own 8 weeks"),
    Signal("DRIVER_PAID_LATE", "driver_delay_hours", 24, Action.CALL, "operations", 1, "司机到账延迟超过24小时", "a driver waited more than 24 hours for his money"),
    Signal("CONSIGNEES_CHANGE", "new_consignee_bps", 3_000, Action.WATCH, "risk", 5, "收货人变更超过30%", "more than 30% of consignees are new"),
    Signal("PRICE_DRIFT", "price_z_milli", 2_000, Action.WATCH, "risk", 5, "15单运价漂移z>2", "a debtor's freight drifted by z > 2 over 15 trips"),
    Signal("LIMIT_FULL", "days_above_95_percent", 10, Action.WATCH, "risk", 5, "额度使用超过95%达10天", "more than 95% of the limit used for 10 days"),
    Signal("PAID_BY_STRANGER", "third_party_payments", 0, Action.CALL, "finance", 2, "第三方首次代付", "a third party paid for the debtor"),
    Signal("RELATED_OVERDUE", "group_overdue_days", 7, Action.FREEZE, "risk", 1, "关联企业逾期超过7天", "a related firm is more than 7 days past due"),
    Signal("OWN_OVERDUE", "overdue_days", 0, Action.FREEZE, "risk", 1, "借款人逾期", "the borrower is past due"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Warned:
    """A signal that fired for a borrower.

    Attributes:
        value: the figure.
        due_day: Beijing day by which its owner must have acted.
    """

    signal: Signal
    value: int
    since_day: int
    due_day: int


def warnings_of(
    facts: dict[str, int | None], day: int, signals: Sequence[Signal] = SIGNALS
) -> list[Warned]:
    """The signals that fire on these facts, the gravest action first; a missing fact fires nothing.

    Args:
        facts: figures by name; None or absent is missing.
        day: Beijing day on which the facts were known.
        signals: the lender's signals.
    """
    fired = [
        Warned(signal, value, day, day + signal.deadline_days)
        for signal in signals
        if (value := facts.get(signal.fact)) is not None and value > signal.above
    ]
    gravity = list(Action)
    return sorted(fired, key=lambda one: (-gravity.index(one.signal.action), one.due_day))


def used_bps(limit_fen: int, used_fen: int) -> int:
    """The share of a limit in use, rounded down; a limit of 0 in use counts as full."""
    if limit_fen <= 0:
        return BPS if used_fen else 0
    return used_fen * BPS // limit_fen


# -- dunning --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DunningStep:
    """What follows from a number of days past due.

    Attributes:
        from_day: days past due from which it applies.
        channel: how the borrower, and nobody else, is told.
        at_most_a_week: contacts of this step in seven days.
    """

    code: str
    from_day: int
    action: Action
    channel: str
    owner: str
    at_most_a_week: int
    zh: str
    en: str


PLAN: Final = (
    DunningStep("REMIND", -3, Action.WATCH, "message", "operations", 1, "到期前提醒", "reminder before the due day"),
    DunningStep("DUE_TODAY", 0, Action.WATCH, "message", "operations", 1, "到期日提醒", "reminder on the due day"),
    DunningStep("LATE", 1, Action.FREEZE, "message", "operations", 2, "逾期通知，冻结新垫付", "late: no new advances"),
    DunningStep("CALL", 4, Action.CALL, "call", "operations", 2, "电话沟通还款安排", "call about how to repay"),
    DunningStep("DEBTOR_DIRECT", 15, Action.CALL, "letter", "finance", 1, "书面催收，与债务人核对应收账款", "letter; the receivable is checked with its debtor"),
    DunningStep("DEMAND", 31, Action.COLLECT, "letter", "legal", 1, "催告函", "formal demand"),
    DunningStep("LEGAL", 91, Action.COLLECT, "legal", "legal", 1, "进入法律程序评估", "legal steps are weighed"),
)  # fmt: skip


def dunning_step(days_to_due: int, plan: Sequence[DunningStep] = PLAN) -> DunningStep | None:
    """The step that applies; ``days_to_due`` is negative before the due day."""
    reached = [step for step in plan if days_to_due >= step.from_day]
    return max(reached, key=lambda step: step.from_day) if reached else None


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact that was made."""

    code: str
    day: int


def next_contact(
    days_to_due: int, today: int, made: Sequence[Contact], plan: Sequence[DunningStep] = PLAN
) -> DunningStep | None:
    """The step to carry out today; None when nothing is due or the week's contacts are used up."""
    step = dunning_step(days_to_due, plan)
    if step is None:
        return None
    of_week = [one for one in made if one.code == step.code and today - 7 < one.day <= today]
    if any(one.day == today for one in of_week) or len(of_week) >= step.at_most_a_week:
        return None
    return step
