"""Where the freight of a trip goes: the borrower's receivable as one bar, split to the last fen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.portals.views import TripPage

WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the bar: its word, amount, and where it lies on a width of ``WIDTH``."""

    name: str
    amount_fen: int
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The borrower's receivable and its parts, which add up to it."""

    whole_fen: int
    owner: str
    debtor: str
    parts: Sequence[Part]


def waterfall_of(page: TripPage) -> Waterfall | None:
    """The split of the borrower's freight; None without an advance that was paid out.

    The parts are what went to the payees, what the loan costs so far, what of it is reserved or still
    owed, and what is left for the borrower.
    """
    loan = page.loan
    if loan is None:
        return None
    own = next((one for one in page.contracts if one.performer == loan.borrower), None)
    if own is None:
        return None
    advanced = loan.released_fen or loan.principal_fen
    name = "part_advance" if loan.released_fen else "part_reserved"
    costs = [
        ("part_fee", loan.fee_fen + loan.paid_fee_fen),
        ("part_interest", loan.interest_fen + loan.paid_interest_fen),
        ("part_penalty", loan.penalty_fen + loan.paid_penalty_fen),
    ]
    spent = advanced + sum(amount for _, amount in costs)
    rest = max(0, own.freight_fen - spent)
    whole = max(own.freight_fen, spent)
    parts, x = [], 0
    for word, amount in ((name, advanced), *costs, ("part_rest", rest)):
        if amount:
            width = max(2, amount * WIDTH // whole) if whole else 0
            width = min(width, WIDTH - x)
            parts.append(Part(word, amount, x, width))
            x += width
    return Waterfall(own.freight_fen, own.performer, own.issuer, parts)
