"""Use cases of payouts: what the chain queued is paid by the bank exactly once, and what comes in is minted once.

Each method works in the caller's database transaction and touches no wire. The bank is spoken to between
transactions (``payout_jobs``): the sequence is stored before, the answer is taken after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finance.payout_bookings import BookingUseCases
from finance.payout_orders import OrderUseCases, Told
from finance.payout_receipts import ReceiptUseCases
from finance.payouts import PayoutState, stages_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from chain.ids import Hash32, PartyId
    from finance.payouts import Payout, Question, Stage


class PayoutService(OrderUseCases, BookingUseCases, ReceiptUseCases):
    """Payouts and money received. One object serves one database transaction."""

    def stages(self, payout: Hash32) -> tuple[Stage, ...]:
        """The stages of a payout with their times, as the payee sees them.

        Raises:
            UnknownPayoutError: there is none.
        """
        return stages_of(self._get(payout))

    def get(self, payout: Hash32) -> Payout:
        """A payout.

        Raises:
            UnknownPayoutError: there is none.
        """
        return self._get(payout)

    def find(self, payouts: Collection[Hash32]) -> dict[Hash32, Payout]:
        """Payouts by id, a few at once."""
        return self._desk.find_payouts(payouts)

    def list_of(
        self, party: PartyId, *, after: Payout | None = None, limit: int | None = None
    ) -> list[Payout]:
        """A payee's payouts, oldest first."""
        return self._desk.list_payouts(party=party, after=after, limit=limit)

    def list_open(self, limit: int = 100, *, after: Payout | None = None) -> list[Payout]:
        """Payouts that the chain has not confirmed, oldest first."""
        states = [state for state in PayoutState if state is not PayoutState.CONFIRMED]
        return self._desk.list_payouts(states=states, after=after, limit=limit)

    def questions_of(self, payouts: Collection[Hash32]) -> list[Question]:
        """What waits for a person about some payouts, oldest first."""
        return self._desk.list_questions(payouts=payouts)

    def questions(
        self, *, after: Question | None = None, limit: int | None = None
    ) -> list[Question]:
        """What waits for a person, oldest first."""
        return self._desk.list_questions(after=after, limit=limit)

    def find_question(self, kind: str, subject: str) -> Question | None:
        """A question, open or closed."""
        return self._desk.find_question(kind, subject)


__all__ = ["PayoutService", "Told"]
