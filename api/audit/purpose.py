"""What a reader of a pack needs to see: the rest stays closed, as salted digests that can be opened later.

Data protection asks for the least that a purpose needs (PIPL, articles 6 and 19). A lender has the borrower's
consent to all of it, a court orders it; an auditor checks amounts, times and proofs and needs no plate and no
driver's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Purpose(StrEnum):
    """Who will read a pack, and what for."""

    LENDER = "lender"
    COURT = "court"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class View:
    """What stays closed.

    Attributes:
        papers: fields of a waybill's papers.
        kinds: kinds of parties whose names stay closed, those of natural persons.
        receipts: fields of a consignee's receipt.
        pictures: photos and drawn signatures are in the pack.
        orders: payment orders are shown whole, with the names and numbers of accounts; else their hashes.
    """

    papers: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    receipts: frozenset[str] = frozenset()
    pictures: bool = True
    orders: bool = False


VIEWS = {
    Purpose.LENDER: View(),
    Purpose.COURT: View(orders=True),
    Purpose.AUDITOR: View(
        papers=frozenset({"plate", "shipping_note"}),
        kinds=frozenset({"driver", "consignee"}),
        receipts=frozenset({"signer", "shipping_note", "note"}),
        pictures=False,
    ),
}
