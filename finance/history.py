"""What a borrower's verified trips say of him and his debtors: the figures of limits and warnings; pure.

A receivable counts once its delivery has completed (consignee signed, road attested): its due day stands. Its
debtor's days to pay run from the delivery to the day the freight came in.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Final

from chain.clock import beijing_day
from finance.accrual import BPS, PPM
from finance.credit import DebtorHistory, earned_limit
from finance.watch import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from finance.credit import Limit, LimitPolicy
    from finance.records import ReceivableRecord, WarningRecord

SPAN_DAYS: Final = 90

LEAST_DELIVERIES: Final = 5
"""Fewer deliveries say nothing of how consignees change."""

BEHAVIOUR_BPS: Final = {Action.WATCH: 1_000, Action.CALL: 2_500}
"""What each open warning takes off the behaviour factor; one that freezes or collects leaves no limit."""


@dataclass(frozen=True, slots=True)
class _Paid:
    debtor: str
    day: int
    days_to_pay: int
    freight_fen: int
    short_fen: int


def debtor_histories(
    receivables: Iterable[ReceivableRecord], today: int
) -> tuple[list[DebtorHistory], int]:
    """One row a debtor over the last 90 days, and the days since the first verified trip.

    A debtor who has paid nothing yet counts with the term that he was given.
    """
    delivered = [one for one in receivables if one.due_day is not None]
    first = min((_delivery_day(one) for one in delivered), default=today)
    recent: dict[str, list[ReceivableRecord]] = {}
    for one in delivered:
        if today - SPAN_DAYS < _delivery_day(one) <= today:
            recent.setdefault(str(one.debtor), []).append(one)
    rows = []
    for debtor, own in sorted(recent.items()):
        paid = [_paid(one) for one in own if one.settled_at is not None]
        asked = sum(one.freight_fen for one in paid)
        rows.append(
            DebtorHistory(
                debtor=debtor,
                freight_fen=sum(one.freight_fen for one in own),
                p75_days_to_pay=p75([one.days_to_pay for one in paid])
                if paid
                else max(one.term_days for one in own),
                short_pay_ppm=sum(one.short_fen for one in paid) * PPM // asked if asked else 0,
            )
        )
    return rows, today - first


def debtor_facts(receivables: Iterable[ReceivableRecord], today: int) -> dict[str, int | None]:
    """How the worst debtor's habits moved: p75 against the 90 days before, and short payment."""
    rises, shorts = [], []
    groups: dict[str, list[_Paid]] = {}
    for one in receivables:
        if one.due_day is not None and one.settled_at is not None:
            groups.setdefault(str(one.debtor), []).append(_paid(one))
    for own in groups.values():
        now = [one for one in own if today - SPAN_DAYS < one.day <= today]
        before = [one for one in own if today - 2 * SPAN_DAYS < one.day <= today - SPAN_DAYS]
        if now:
            asked = sum(one.freight_fen for one in now)
            shorts.append(sum(one.short_fen for one in now) * BPS // asked if asked else 0)
        if now and before:
            rises.append(
                p75([one.days_to_pay for one in now]) - p75([one.days_to_pay for one in before])
            )
    return {
        "debtor_p75_days_rise": max(rises, default=None),
        "debtor_short_pay_bps": max(shorts, default=None),
    }


DRIFT_TRIPS: Final = 15


def price_drift_milli(receivables: Iterable[ReceivableRecord], today: int) -> int | None:
    """How far the freight of the last 15 trips for one debtor has moved from his trips before, in 1/1000 of z.

    z = |mean of the last 15 - mean before| / (standard deviation before / sqrt 15), for the debtor whose freight
    moved most; None where no debtor has 15 trips before his last 15, or they never differed.
    """
    groups: dict[str, list[ReceivableRecord]] = {}
    for one in receivables:
        if one.due_day is not None and _delivery_day(one) <= today:
            groups.setdefault(str(one.debtor), []).append(one)
    drifts = []
    for own in groups.values():
        freight = [
            one.freight_fen for one in sorted(own, key=lambda o: (_delivery_day(o), o.waybill))
        ]
        now, before = freight[-DRIFT_TRIPS:], freight[:-DRIFT_TRIPS]
        count = len(before)
        if count < DRIFT_TRIPS:
            continue
        # whole numbers throughout: the deviation times count squared stays exact
        spread = isqrt(count * sum(one * one for one in before) - sum(before) ** 2)
        if spread:
            moved = abs(sum(now) * count - sum(before) * DRIFT_TRIPS)
            drifts.append(1_000 * moved // (isqrt(DRIFT_TRIPS * spread * spread)))
    return max(drifts, default=None)


LEAST_PRICES: Final = 15
"""Fewer trips of a shipment say nothing of what it usually costs."""

_MICRO: Final = 1_000_000


def price_z_milli(freight_fen: int, quantity: int, past: Sequence[tuple[int, int]]) -> int | None:
    """How far a trip's freight for its weight lies from what the same shipment cost before, in 1/1000 of z.

    z = (price - mean) / deviation, with a deviation of at least 1% of the mean: where a contract fixes the
    price, a fen more is no outlier.

    Args:
        freight_fen: of the trip.
        quantity: what it carries, in the waybill's unit.
        past: (freight, quantity) of earlier trips of the shipment for the same debtor.

    Returns:
        Negative where it is cheap; None without a weight, or with fewer than 15 earlier trips that have one.
    """
    before = [fen * _MICRO // amount for fen, amount in past if amount > 0]
    if quantity <= 0 or len(before) < LEAST_PRICES:
        return None
    count, total = len(before), sum(before)
    spread = isqrt(count * sum(one * one for one in before) - total**2)  # deviation times count
    spread = max(spread, total // 100, 1)
    moved = count * (freight_fen * _MICRO // quantity) - total
    z_milli = 1_000 * abs(moved) // spread
    return z_milli if moved >= 0 else -z_milli


def new_share_bps(recent: Sequence[str], before: Sequence[str]) -> int | None:
    """The share of recent deliveries whose consignee was not served before; None without enough of both."""
    if len(recent) < LEAST_DELIVERIES or len(before) < LEAST_DELIVERIES:
        return None
    known = set(before)
    return sum(one not in known for one in recent) * BPS // len(recent)


def days_full(used: Sequence[tuple[int, int]], limit_fen: int) -> int:
    """On how many days in a row, up to the last one told, more than 95% of a limit was in use."""
    days = 0
    for _, fen in reversed(used):
        if fen * 100 <= limit_fen * 95:
            break
        days += 1
    return days


def limit_of(
    receivables: Sequence[ReceivableRecord],
    warnings: Sequence[WarningRecord],
    today: int,
    *,
    present_fen: int | None,
    room_fen: Sequence[tuple[str, int]] = (),
    policy: LimitPolicy | None = None,
) -> Limit:
    """The limit that verified trips earn, less what open warnings take off at once (LENDING 4.3).

    Args:
        receivables: of the borrower.
        warnings: open ones.
        today: Beijing day.
        present_fen: the limit now; it rises by at most a quarter a month.
        room_fen: named caps of law and lender.
        policy: the parameters.
    """
    rows, tenure = debtor_histories(receivables, today)
    behaviour = BPS - sum(BEHAVIOUR_BPS.get(one.action, 0) for one in warnings)
    given = {} if policy is None else {"policy": policy}
    frozen = any(one.action in (Action.FREEZE, Action.COLLECT) for one in warnings)
    return earned_limit(
        [] if frozen else rows,
        tenure_days=tenure,
        behaviour_bps=behaviour,
        room_fen=room_fen,
        present_fen=present_fen,
        warned=bool(warnings),
        **given,
    )


def p75(days: Sequence[int]) -> int:
    """The third quartile: the smallest value that at least three quarters do not pass."""
    ordered = sorted(days)
    return ordered[max(0, -(-3 * len(ordered) // 4) - 1)]


def _delivery_day(one: ReceivableRecord) -> int:
    return (one.due_day or 0) - one.term_days


def _paid(one: ReceivableRecord) -> _Paid:
    assert one.settled_at is not None
    day = beijing_day(one.settled_at)
    return _Paid(
        debtor=str(one.debtor),
        day=day,
        days_to_pay=max(0, day - _delivery_day(one)),
        freight_fen=one.freight_fen,
        short_fen=max(0, one.freight_fen - one.received_fen),
    )
