"""What a test or the demo may let go wrong at the bank."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What can be made to go wrong, a number of times."""

    DELAY = "delay"
    """Accepted, and booked only after some seconds."""
    ORDER_LOST = "order_lost"
    """The order never arrives: 504, nothing taken."""
    ANSWER_LOST = "answer_lost"
    """The order is taken and the answer is lost: 504 after some seconds."""
    STATUS_LOST = "status_lost"
    """A question about a payment gets no answer."""
    NOTICES_LOST = "notices_lost"
    """A look for notices gets no answer."""
    DUPLICATE_NOTICE = "duplicate_notice"
    """The notice of a booking comes twice."""
    REJECT = "reject"
    """Rejected in the answer itself."""
    REJECT_LATER = "reject_later"
    """Accepted, then rejected when it should be booked; the money goes back."""
    WRONG_AMOUNT = "wrong_amount"
    """Booked with another amount than was ordered."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to come.

    Attributes:
        account: only for payments to this account; "" for any.
        times: how often it happens.
        seconds: of a delay, or how long a lost answer hangs.
        delta_fen: what a wrong amount is off by.
        reason: ExternalStatusReason1Code of a rejection.
    """

    kind: FaultKind
    account: str = ""
    times: int = 1
    seconds: int = 0
    delta_fen: int = 0
    reason: str = ""
