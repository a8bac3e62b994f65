"""Use cases of the custodian: bank money received becomes token, a payout carried out burns it.

Both need the signatures of two people of the custodian; a bank reference mints once and a payment
sequence burns once, whoever sends them and however often (promise G).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain.bindings.settlement_token import SettlementToken
from chain.errors import InvalidValueError, SignatureRefusedError

if TYPE_CHECKING:
    from chain.abi import Struct
    from chain.bindings.structs import MintReceipt, PayoutReceipt
    from chain.ids import PartyId
    from chain.ports import ChainReader, Outbox
    from finance.ports import OnChain


class Custody:
    """The custodian's side of the token. One object serves one database transaction."""

    def __init__(self, *, outbox: Outbox, chain: OnChain, reader: ChainReader) -> None:
        self._outbox = outbox
        self._chain = chain
        self._reader = reader

    def fetch_signers(self) -> tuple[PartyId, PartyId]:
        """The two parties whose signatures mint and burn."""
        first, second = self._reader.fetch_many(
            [SettlementToken.first_custodian(), SettlementToken.second_custodian()]
        )
        return first, second

    def mint(self, form: MintReceipt, first: bytes, second: bytes) -> None:
        """Bank money received: the token for it goes to a party's or a waybill's account.

        Raises:
            SignatureRefusedError: not signed by both people of the custodian.
            InvalidValueError: nothing was received.
        """
        if form.amount <= 0:
            raise InvalidValueError("a receipt has an amount above zero", field="amount")
        self._require_both(form, first, second)
        self._outbox.queue(
            SettlementToken.mint(form, first, second),
            key=f"mint:{form.bank_reference}",
            about=form.bank_reference,
        )

    def confirm_payout(self, form: PayoutReceipt, first: bytes, second: bytes) -> None:
        """The bank has paid a queued payout: its token is burned.

        Raises:
            SignatureRefusedError: not signed by both people of the custodian.
        """
        self._require_both(form, first, second)
        self._outbox.queue(
            SettlementToken.confirm_payout(form, first, second),
            key=f"burn:{form.sequence}",
            about=form.payout,
        )

    def _require_both(self, form: Struct, first: bytes, second: bytes) -> None:
        for party, signature, which in zip(
            self.fetch_signers(), (first, second), ("first", "second"), strict=True
        ):
            if not self._chain.is_signed(party, "SettlementToken", form, signature):
                raise SignatureRefusedError(
                    f"the {which} signature is not by party {party} of the custodian",
                    field=f"{which}_signature",
                    party=str(party),
                )
