"""Use cases of the custodian's word on chain: what the bank has paid is burned, what came in is minted, each once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import MintReceipt, PayoutReceipt
from chain.clock import beijing_day
from chain.ids import Address, Hash32
from chain.ports import TransactionState
from finance.payout_errors import PayoutStateError
from finance.payout_ports import EntryState
from finance.payout_use_cases import PayoutUseCases
from finance.payouts import PayoutState, QuestionKind, confirm

if TYPE_CHECKING:
    from chain.abi import ContractCall, Occurred
    from chain.bindings import events
    from chain.ports import Domain, Outgoing, Signer

_FAILED: Final = (TransactionState.REVERTED, TransactionState.DROPPED)
_CAP: Final = "TokenDailyCapExceeded"
_USED: Final = "TokenBankReferenceUsed"


class ReceiptUseCases(PayoutUseCases):
    """Receipts of payouts and of money received, and what the chain says of them."""

    def on_payout_paid(self, seen: Occurred[events.PayoutPaid]) -> None:
        """The chain has burned the amount: the payout is done."""
        event = seen.event
        payout = self._get(event.payout)
        self._save(confirm(payout, event.sequence, event.value_day, seen.at), before=payout)

    def on_minted(self, seen: Occurred[events.Minted]) -> None:
        """Money received has been minted."""
        entry = self._desk.find_minted(seen.event.bank_reference)
        if entry is not None:
            self._desk.save_entry(replace(entry, state=EntryState.MINTED))

    def confirm_due(self, *, first: Signer, second: Signer, domain: Domain) -> int:
        """Signs the custodian's word for payouts that the bank has booked, and sends it; how many."""
        paid = self._desk.list_payouts(states=[PayoutState.PAID])
        blocked = self._desk.blocked([payout.payout for payout in paid])
        sent = 0
        for payout in paid:
            if payout.payout in blocked or payout.value_day is None:
                continue
            form = PayoutReceipt(payout.payout, Hash32(payout.sequence), payout.value_day)
            tries = self._tries(payout.payout, "confirmPayout")
            if not self._may_send(tries, payout.payout):
                continue
            call = SettlementToken.confirm_payout(
                form, first.sign_typed_data(form, domain), second.sign_typed_data(form, domain)
            )
            self._queue(call, f"confirm:{payout.sequence}:{len(tries)}", payout.payout)
            sent += 1
        return sent

    def mint_due(self, *, first: Signer, second: Signer, domain: Domain) -> int:
        """Signs receipts for money that came in, and sends them to be minted; how many."""
        today = beijing_day(self._clock.now())
        sent = 0
        for entry in self._desk.list_entries(states=[EntryState.MATCHED]):
            tries = self._tries(entry.mint_reference, "mint")
            if tries and tries[-1].error == _USED:  # minted before our rows were rebuilt
                self._desk.save_entry(replace(entry, state=EntryState.MINTED))
                continue
            over_cap = bool(tries) and tries[-1].error == _CAP
            if over_cap and entry.mint_day >= today:
                continue  # the cap is a day's; tomorrow is another
            if not over_cap and not self._may_send(tries, ""):
                continue
            form = MintReceipt(
                bank_reference=Hash32(entry.mint_reference),
                account=Address(entry.target),
                amount=entry.amount_fen,
                value_day=entry.value_day,
            )
            call = SettlementToken.mint(
                form, first.sign_typed_data(form, domain), second.sign_typed_data(form, domain)
            )
            self._queue(call, f"mint:{entry.mint_reference}:{len(tries)}", entry.mint_reference)
            attempts = entry.mint_attempts + 1
            self._desk.save_entry(replace(entry, mint_attempts=attempts, mint_day=today))
            sent += 1
        return sent

    def _tries(self, about: str, function: str) -> list[Outgoing]:
        return [one for one in self._outbox.list_about(about) if one.function == function]

    def _may_send(self, tries: list[Outgoing], payout: str) -> bool:
        """Whether nothing is under way; after a refusal only once a person has settled it."""
        if not tries:
            return True
        last = tries[-1]
        if last.state not in _FAILED:
            return False
        asked = self._desk.find_question(QuestionKind.CHAIN_REFUSED.value, last.key)
        if asked is None:
            self._ask(QuestionKind.CHAIN_REFUSED, last.key, last.message or last.error, payout)
            return False
        return asked.closed_at is not None

    def _queue(self, call: ContractCall, key: str, about: str) -> None:
        self._outbox.queue(call, key=key, about=about)

    def require_bank_word(self, payout: Hash32, sequence: Hash32, value_day: int) -> None:
        """Passes a receipt that says what the bank has said.

        Where no bank is joined the custodian's word is all there is.

        Raises:
            PayoutStateError: the bank has not booked it, or under another sequence or day.
            UnknownPayoutError: there is no such payout.
        """
        held = self._get(payout)
        if held.state is PayoutState.CONFIRMED or (self._house is None and not held.leg):
            return
        said = (held.sequence, held.value_day)
        if held.state is not PayoutState.PAID or said != (sequence, value_day):
            raise PayoutStateError(
                "the bank has not said that it paid this under this sequence and day",
                payout=payout,
                current=held.state.value,
                sequence=held.sequence,
            )
