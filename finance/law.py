"""Rules of Chinese law that bind a loan, as functions of dated parameters with their source.

Our reading, to be confirmed by a lawyer before any live use. Each parameter carries where it is from
and how sure we are (A text read, B secondary source, C general knowledge).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from finance.accrual import BPS, PPM, Rounding, rounded
from finance.errors import InvalidDateError
from finance.waterfall import split_by_weight

if TYPE_CHECKING:
    from collections.abc import Sequence


class Ruling(StrEnum):
    """What a rule says, worst last."""

    ALLOW = "ALLOW"
    WARN = "WARN"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class Ruled:
    """A ruling with its reason code, "" when allowed."""

    decision: Ruling
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of the law, from a date on."""

    name: str
    value: int
    effective_from: dt.date
    source: str
    confidence: str


PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "borrower_share_bps", 1_000, dt.date(2024, 12, 31), "小额贷款公司监督管理暂行办法 金规〔2024〕26号", "B"
    ),
    Parameter(
        "group_share_bps", 1_500, dt.date(2024, 12, 31), "小额贷款公司监督管理暂行办法 金规〔2024〕26号", "B"
    ),
    Parameter(
        "online_business_cap_fen", 1_000_000_000, dt.date(2024, 12, 31), "金规〔2024〕26号", "B"
    ),
    Parameter(
        "online_consumer_cap_fen", 20_000_000, dt.date(2024, 12, 31), "金规〔2024〕26号", "B"
    ),
    Parameter(
        "yearly_cost_cap_ppm", 240_000, dt.date(2025, 12, 1), "小额贷款公司综合融资成本管理工作指引", "B"
    ),
    Parameter(
        "lpr_multiple", 4, dt.date(2025, 12, 1), "小额贷款公司综合融资成本管理工作指引", "B"
    ),
    Parameter(
        "sme_days_public", 30, dt.date(2025, 6, 1), "保障中小企业款项支付条例 art. 9", "A"
    ),
    Parameter("sme_days_most", 60, dt.date(2025, 6, 1), "保障中小企业款项支付条例 art. 9", "A"),
    Parameter(
        "sme_late_ppm_a_day", 500, dt.date(2025, 6, 1), "保障中小企业款项支付条例 art. 17", "A"
    ),
)  # fmt: skip

LPR_CAP_FROM = dt.date(2028, 1, 1)
"""From here on a cost above 4 x one-year LPR is refused; before it is a warning ("by the end of 2027")."""


def parameter(name: str, on: dt.date | None = None) -> int:
    """The value in force on a date (the latest known, if none is given; the first, if before it)."""
    rows = sorted((p for p in PARAMETERS if p.name == name), key=lambda p: p.effective_from)
    if not rows:
        raise KeyError(name)
    in_force = [row for row in rows if on is None or row.effective_from <= on]
    return (in_force or rows)[-1 if in_force else 0].value


def concentration(
    *,
    net_assets_fen: int,
    borrower_balance_fen: int,
    group_balance_fen: int,
    new_loan_fen: int,
    online: bool = True,
    purpose: str = "business",
    on: dt.date | None = None,
) -> Ruled:
    """One borrower at most 10%, with related parties 15% of last year-end net assets; online caps.

    The online cap speaks first, then the borrower's share, then the group's.
    """
    borrower, group = borrower_balance_fen + new_loan_fen, group_balance_fen + new_loan_fen
    if online:
        cap = "online_business_cap_fen" if purpose == "business" else "online_consumer_cap_fen"
        if borrower > parameter(cap, on):
            return Ruled(Ruling.REFUSE, cap.removesuffix("_fen").upper())
    if borrower * BPS > net_assets_fen * parameter("borrower_share_bps", on):
        return Ruled(Ruling.REFUSE, "SINGLE_BORROWER_10PCT")
    if group * BPS > net_assets_fen * parameter("group_share_bps", on):
        return Ruled(Ruling.REFUSE, "GROUP_15PCT")
    return Ruled(Ruling.ALLOW)


def concentration_room_fen(
    *, net_assets_fen: int, borrower_balance_fen: int, group_balance_fen: int
) -> tuple[tuple[str, int], ...]:
    """What the 10% and 15% rules leave, as named caps for ``credit.earned_limit``."""
    return (
        (
            "borrower_room",
            net_assets_fen * parameter("borrower_share_bps") // BPS - borrower_balance_fen,
        ),
        ("group_room", net_assets_fen * parameter("group_share_bps") // BPS - group_balance_fen),
    )


def rate_cap(*, contract_date: dt.date, lpr_1y: Fraction, all_in: Fraction) -> Ruled:
    """The yearly all-in cost: above 24% refused; above 4 x LPR a warning, refused from 2028."""
    if all_in * PPM > parameter("yearly_cost_cap_ppm", contract_date):
        return Ruled(Ruling.REFUSE, "ABOVE_24PCT")
    if all_in > parameter("lpr_multiple", contract_date) * lpr_1y:
        hard = contract_date >= LPR_CAP_FROM
        return Ruled(Ruling.REFUSE if hard else Ruling.WARN, "ABOVE_4X_LPR")
    return Ruled(Ruling.ALLOW)


def legal_principal_fen(contract_fen: int, deducted_fen: int) -> int:
    """Interest taken from the principal at release does not count as lent (Civil Code 670)."""
    return contract_fen - deducted_fen


@dataclass(frozen=True, slots=True)
class Claim:
    """One financier's claim on a receivable (Civil Code 768)."""

    id: str
    advance_fen: int
    registered_at: dt.datetime | None = None
    notified_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Priority:
    """Who comes first, and what each gets; ``winner`` is "" where claims share."""

    winner: str
    split_fen: dict[str, int]


def assignment_priority(claims: Sequence[Claim], receivable_fen: int) -> Priority:
    """Registered before unregistered, earlier registration first; else earlier notice; else pro rata.

    Factoring, pledge and assignment compete in one order (担保制度解释 66). Nobody gets more than he
    advanced; claims of one rank share by their advances, to the last fen.
    """

    def rank(claim: Claim) -> tuple[int, dt.datetime]:
        if claim.registered_at is not None:
            return (0, claim.registered_at)
        if claim.notified_at is not None:
            return (1, claim.notified_at)
        return (2, dt.datetime.min)  # noqa: DTZ901  only compared with itself

    ranks = sorted({rank(claim) for claim in claims})
    rest, split = receivable_fen, {claim.id: 0 for claim in claims}
    for level in ranks:
        equal = [claim for claim in claims if rank(claim) == level]
        asked = sum(claim.advance_fen for claim in equal)
        if asked <= 0:
            continue
        given = min(rest, asked)
        shares = split_by_weight(given, [claim.advance_fen for claim in equal])
        for claim, share in zip(equal, shares, strict=True):
            split[claim.id] = share
        rest -= given
    first = [claim.id for claim in claims if ranks and rank(claim) == ranks[0]]
    return Priority(first[0] if len(first) == 1 else "", split)


def factoring_residue_fen(*, recourse: bool, collected_fen: int, owed_fen: int) -> int:
    """What goes back to the assignor: with recourse the surplus (766), without nothing (767)."""
    return max(0, collected_fen - owed_fen) if recourse else 0


def debtor_discharged(
    *, notice_received_at: dt.datetime | None, paid_at: dt.datetime, paid_to_assignor: bool
) -> bool:
    """Whether paying freed the debtor: until notice reaches him, paying the assignor does (546)."""
    if not paid_to_assignor:
        return True
    return notice_received_at is None or paid_at < notice_received_at


@dataclass(frozen=True, slots=True)
class SmePayment:
    """What 保障中小企业款项支付条例 art. 9 makes of a payment clause."""

    due_on: dt.date
    term_valid: bool
    clause_valid: bool


def sme_payment(
    *,
    buyer: str,
    delivered_on: dt.date,
    agreed_term_days: int | None = None,
    pay_when_paid_clause: bool = False,
) -> SmePayment:
    """Public buyers pay within 30 days of delivery (60 if agreed), large ones within 60.

    A longer term is not valid and falls back to the most that is; a clause that makes payment depend
    on a third party's paying is never valid.

    Raises:
        InvalidDateError: a negative term or an unknown kind of buyer.
    """
    if buyer not in ("PUBLIC", "LARGE") or (agreed_term_days or 0) < 0:
        raise InvalidDateError("a buyer is PUBLIC or LARGE and a term not negative", field="buyer")
    most = parameter("sme_days_most", delivered_on)
    default = parameter("sme_days_public", delivered_on) if buyer == "PUBLIC" else most
    days = default if agreed_term_days is None else min(agreed_term_days, most)
    return SmePayment(
        due_on=delivered_on + dt.timedelta(days=days),
        term_valid=agreed_term_days is None or agreed_term_days <= most,
        clause_valid=not pay_when_paid_clause,
    )


def sme_late_interest_down(
    amount_fen: int,
    days_late: int,
    agreed_annual_rate: Fraction | None = None,
    *,
    lpr_1y: Fraction = Fraction(0),
) -> int:
    """Late interest owed to a small firm: as agreed a year of 365 days, else 0.05% a day (art. 17).

    An agreed rate below the one-year LPR of the day of the contract is no agreement: the LPR stands in
    its place (the article's own floor; 0 where the LPR is not told).
    """
    if agreed_annual_rate is None:
        return amount_fen * days_late * parameter("sme_late_ppm_a_day") // PPM
    rate = max(agreed_annual_rate, lpr_1y)
    return rounded(amount_fen * rate * days_late / 365, Rounding.FLOOR)
