"""Use cases of a payout that the bank sent back: its payee names another account of his, the custodian agrees.

The contract wants both signatures. The payee's is kept until the custodian has looked; then both go to the
chain, and when it has said so (``PayoutService.on_payout_redirected``) a person lets the next leg begin.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import PayoutRedirect
from chain.errors import InvalidValueError, NotFoundError, SignatureRefusedError
from finance.payout_accounts import Redirect
from finance.payout_errors import AccountRefusedError, PayoutStateError
from finance.payouts import PayoutState
from finance.use_cases import new_salt

if TYPE_CHECKING:
    from chain.clock import Clock
    from chain.ids import Hash32, PartyId
    from chain.ports import Outbox
    from finance.payout_ports import PayoutDesk, Signatures
    from finance.payouts import Payout

CONTRACT: Final = "SettlementToken"


class Redirects:
    """Other accounts for payouts that came back. One object serves one database transaction.

    Args:
        desk: the rows.
        outbox: where calls to the chain are written.
        signatures: whose key signed a form.
        clock: the chain's time.
    """

    def __init__(
        self, *, desk: PayoutDesk, outbox: Outbox, signatures: Signatures, clock: Clock
    ) -> None:
        self._desk = desk
        self._outbox = outbox
        self._signatures = signatures
        self._clock = clock

    def prepare(
        self, payout: Hash32, party: PartyId, account: Hash32, expires: int
    ) -> PayoutRedirect:
        """The form by which a payee names another account; nothing is kept.

        Raises:
            NotFoundError: he has no such payout.
            PayoutStateError: it is on its way or paid.
            AccountRefusedError: the account is not his, or may not be paid to.
        """
        self._require(payout, party, account)
        return PayoutRedirect(payout=payout, account=account, expires=expires, salt=new_salt())

    def ask(self, form: PayoutRedirect, signature: bytes, party: PartyId) -> Redirect:
        """Takes a payee's signed wish; a new wish for the same payout replaces one nobody has agreed to.

        Raises:
            NotFoundError, PayoutStateError, AccountRefusedError: as ``prepare``.
            SignatureRefusedError: not signed by the payee, or expired.
        """
        self._require(form.payout, party, form.account)
        self._require_fresh(form)
        if not self._signatures.is_signed(party, CONTRACT, form, signature):
            raise SignatureRefusedError("the payee has not signed this", field="signature")
        asked = Redirect(form, party, signature, self._clock.now())
        self._desk.save_redirect(asked)
        return asked

    def approve(self, payout: Hash32, signature: bytes, *, custodian: PartyId, by: str) -> Redirect:
        """The custodian agrees: both signatures go to the chain, once.

        Args:
            payout: with a payee's wish.
            signature: by the first custodian, over the very form that the payee signed.
            custodian: who that is.
            by: who acted; kept.

        Raises:
            NotFoundError: no payee has asked.
            SignatureRefusedError: not signed by the custodian, or expired.
            PayoutStateError, AccountRefusedError: as ``prepare``; the account may have been forgotten since.
        """
        asked = self._desk.find_redirect(payout)
        if asked is None:
            raise NotFoundError("no payee has asked for that", field="payout")
        if not by.strip():
            raise InvalidValueError("an approval needs the name of who gives it", field="by")
        self._require(payout, asked.party, asked.form.account)
        self._require_fresh(asked.form)
        if not self._signatures.is_signed(custodian, CONTRACT, asked.form, signature):
            raise SignatureRefusedError("the custodian has not signed this", field="signature")
        agreed = replace(asked, approved_at=self._clock.now(), approved_by=by)
        self._desk.save_redirect(agreed)
        self._outbox.queue(
            SettlementToken.redirect_payout(asked.form, asked.payee_signature, signature),
            key=f"redirect:{payout}:{asked.form.salt}",
            about=payout,
        )
        return agreed

    def list_open(self) -> list[Redirect]:
        """What payees wish and nobody has agreed to, oldest first."""
        return self._desk.list_redirects()

    def _require(self, payout: Hash32, party: PartyId, account: Hash32) -> Payout:
        held = self._desk.find_payout(payout)
        if held is None or held.party != party:
            raise NotFoundError("there is no such payout")
        present = self._desk.find_account(held.account)
        stuck = held.state is PayoutState.QUEUED and (present is None or not present.is_usable)
        if held.state is not PayoutState.REJECTED and not stuck:
            raise PayoutStateError(
                "only a payout that the bank has rejected, or whose account cannot be paid to, goes elsewhere",
                payout=payout,
                current=held.state.value,
            )
        wanted = self._desk.find_account(account)
        if wanted is None or wanted.party != party or not wanted.is_usable:
            raise AccountRefusedError(
                "enter the account first: it must be the payee's own, or vouched for",
                field="account",
            )
        if account == held.account:
            raise AccountRefusedError("that is the account it was for", field="account")
        return held

    def _require_fresh(self, form: PayoutRedirect) -> None:
        if form.expires < int(self._clock.now().timestamp()):
            raise SignatureRefusedError(
                "the form has expired; prepare a new one", field="expires", given=form.expires
            )
