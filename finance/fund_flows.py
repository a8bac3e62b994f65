"""The fund-flow record (资金流水单): each bank payout of a lender's advances with its payment sequence; pure.

The regulator's monitoring compares these records with the waybills, field by field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from finance.payouts import end_to_end_id

if TYPE_CHECKING:
    import datetime as dt

    from chain.ids import AdvanceId, Hash32, PartyId, TripId, WaybillId

MOST_FLOWS: Final = 10_000
"""Records of one answer; who has more asks for fewer days."""

MOST_DAYS: Final = 366

BANK_TRANSFER: Final = "32"
"""The regulator's code of the means of payment: a transfer between bank accounts (银行转账)."""


@dataclass(frozen=True, slots=True)
class FundFlow:
    """One payout that the bank has paid. Amounts in fen.

    Attributes:
        waybill: the payee's own waybill, for which he is paid.
        account: salted hash of the payee's account.
        sequence: the payment sequence of the leg that was paid.
        bank_reference: the bank's own number of the booking; "" where no bank is joined.
        paid_at: when the bank booked it.
    """

    payout: Hash32
    advance: AdvanceId
    trip: TripId
    waybill: WaybillId
    payee: PartyId
    account: Hash32
    sequence: Hash32
    bank_reference: str
    amount_fen: int
    paid_at: dt.datetime

    @property
    def document(self) -> str:
        """The record's own number: the sequence as the bank knows it, at most 35 characters."""
        return end_to_end_id(self.sequence)
