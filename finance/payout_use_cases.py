"""What every family of the payouts' use cases shares: its ports, and the payout, the leg and the question at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chain.errors import InvalidValueError
from finance.payout_errors import UnknownPayoutError
from finance.payouts import Question

if TYPE_CHECKING:
    from chain.clock import Clock
    from chain.ids import Hash32
    from chain.ports import Outbox
    from finance.iso20022 import BankAccount
    from finance.payout_ports import Payers, PayoutDesk, Seal
    from finance.payouts import Leg, Payout, PayoutState, QuestionKind, Step

MOST_TEXT: Final = 500
"""Characters of a bank's or a person's words that are kept."""


class PayoutUseCases:
    """The ports. One object serves one database transaction.

    Args:
        desk: the rows.
        outbox: where calls to the chain are written.
        seal: keeps account numbers unreadable at rest.
        clock: the chain's time, of the stages.
        wall: the machine's time, for patience and latency.
        house: the custodian's account at the bank, from which payouts are made; None where no bank is joined.
        payers: is told who paid what came in under a reference; None keeps nothing of it.
    """

    def __init__(
        self,
        *,
        desk: PayoutDesk,
        outbox: Outbox,
        seal: Seal,
        clock: Clock,
        wall: Clock,
        house: BankAccount | None,
        payers: Payers | None = None,
    ) -> None:
        self._payers = payers
        self._desk = desk
        self._outbox = outbox
        self._seal = seal
        self._clock = clock
        self._wall = wall
        self._house = house

    @property
    def house(self) -> BankAccount:
        """The custodian's account at the bank.

        Raises:
            InvalidValueError: no bank is joined to this system.
        """
        if self._house is None:
            raise InvalidValueError("no bank is joined to this system", field="bank_url")
        return self._house

    # -- inside -----------------------------------------------------------------------------------

    def _settle(self, step: Step, before: Payout) -> PayoutState:
        if step.payout != before:
            self._save(step.payout, before=before)
        if step.question is not None:
            question = step.question
            self._ask(question.kind, question.subject, question.text, question.payout)
        return step.payout.state

    def _save(self, payout: Payout, *, before: Payout) -> None:
        self._desk.save_payout(payout, before=before.state)

    def _ask(self, kind: QuestionKind, subject: str, text: str, payout: str = "") -> None:
        question = Question(kind, subject, text[:MOST_TEXT], payout=payout)
        self._desk.raise_question(question, at=self._clock.now())

    def _get(self, payout: Hash32) -> Payout:
        held = self._desk.find_payout(payout)
        if held is None:
            raise UnknownPayoutError(field="payout", given=payout)
        return held

    def _leg(self, sequence: str) -> tuple[Leg, Payout]:
        leg = self._desk.find_leg(sequence)
        if leg is None:
            raise UnknownPayoutError(
                "no payment of ours has this sequence", field="sequence", given=sequence
            )
        return leg, self._get(leg.payout)
