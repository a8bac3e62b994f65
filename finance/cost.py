"""What a loan costs in a year, everything counted, and the ceiling it must keep (promise H)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finance.accrual import BPS, PPM

if TYPE_CHECKING:
    from finance.terms import Terms

YEAR_DAYS = 365


def all_in_ppm_up(charges_fen: int, principal_days: int) -> int | None:
    """The yearly cost of a loan, rounded up against the lender, in ppm.

    Args:
        charges_fen: everything that the borrower bears: interest, fees, penalty, others' fees.
        principal_days: sum over its days of the principal outstanding, fen x days.

    Returns:
        None where nothing was outstanding for a day.
    """
    if principal_days <= 0:
        return None
    return -(-charges_fen * YEAR_DAYS * PPM // principal_days)


def promised_ppm_up(terms: Terms, other_fees_bps: int = 0) -> int:
    """The all-in yearly cost of terms held to their due day (PBoC notice 2021 no. 3), rounded up.

    Fees are spread over the tenor; a tenor of 0 days counts as one day.
    """
    fees = (terms.fee_bps + other_fees_bps) * (PPM // BPS) * YEAR_DAYS
    return terms.rate_ppm + -(-fees // max(1, terms.tenor_days))


def ceiling_down(principal_days: int, ceiling_ppm: int) -> int:
    """The most that all charges may come to: floor(principal x days x ceiling / (365 x 1,000,000))."""
    return principal_days * ceiling_ppm // (YEAR_DAYS * PPM)
