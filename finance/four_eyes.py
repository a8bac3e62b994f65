"""Use cases of maker and checker: proposed by one person of the lender, approved by another, carried out once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from chain.document import document_hash
from chain.typed_data import struct_hash
from finance.control import (
    ActKind,
    EveryoneOfTheLender,
    FourEyesError,
    Proposal,
    carry_out,
    decide,
    withdraw,
)

if TYPE_CHECKING:
    from chain.abi import Struct
    from chain.clock import Clock
    from chain.ids import PartyId
    from finance.control import Duties
    from finance.ports import Books

VALID: Final = dt.timedelta(days=7)
"""How long a proposal may be decided and carried out."""


class FourEyes:
    """Proposals. One object serves one database transaction.

    Args:
        books: where they are kept.
        clock: the chain's time.
        duties: who may make and check what; every key of the lender, until firms have members.
    """

    def __init__(self, *, books: Books, clock: Clock, duties: Duties | None = None) -> None:
        self._books = books
        self._clock = clock
        self._duties = duties or EveryoneOfTheLender()

    def propose(
        self,
        kind: ActKind,
        form: Struct,
        *,
        lender: PartyId,
        subject: str,
        body: dict[str, Any],
        amount_fen: int,
        maker: str,
    ) -> Proposal:
        """A first person wants something signed; the same wish again is the same proposal.

        Args:
            kind: what it is.
            form: exactly what the lender is to sign.
            lender: for whom.
            subject: line or advance it is about.
            body: the form's values as the checker sees them.
            amount_fen: what it may cost.
            maker: who proposes.

        Raises:
            FourEyesError: it is not his duty.
        """
        if not self._duties.may_make(maker, lender, kind):
            raise FourEyesError("this person may not propose such an act", field="maker")
        hashed = struct_hash(form)
        name = document_hash({"kind": kind.value, "lender": str(lender), "form": hashed})
        known = self._books.find_proposal(name)
        if known is not None:
            return known
        now = self._clock.now()
        made = Proposal(
            id=name,
            kind=kind,
            lender=lender,
            subject=subject,
            form=hashed,
            body=body,
            amount_fen=amount_fen,
            maker=maker,
            made_at=now,
            expires_at=now + VALID,
        )
        self._books.save_proposal(made)
        return made

    def decide(
        self, proposal: str, *, lender: PartyId, approve: bool, checker: str, note: str = ""
    ) -> Proposal:
        """A second person approves or refuses.

        Raises:
            FourEyesError: unknown, his own, not his duty, expired or decided already.
        """
        decided = decide(
            self._get(proposal, lender),
            approve=approve,
            checker=checker,
            now=self._clock.now(),
            duties=self._duties,
            note=note,
        )
        self._books.save_proposal(decided)
        return decided

    def withdraw(self, proposal: str, *, lender: PartyId, by: str) -> Proposal:
        """Its maker takes it back.

        Raises:
            FourEyesError: unknown, somebody else's, or over already.
        """
        taken = withdraw(self._get(proposal, lender), by=by, now=self._clock.now())
        self._books.save_proposal(taken)
        return taken

    def _get(self, proposal: str, lender: PartyId) -> Proposal:
        found = self._books.find_proposal(proposal)
        if found is None or found.lender != lender:
            raise FourEyesError("there is no such proposal", field="proposal", given=proposal)
        return found


def require_two(books: Books, lender: PartyId, form: str, *, day: int, now: dt.datetime) -> None:
    """Passes an act of a lender who asks for two people only if they have agreed to exactly this form.

    Raises:
        FourEyesError: they have not.
    """
    policy = books.find_policy(lender, day)
    if policy is None or not policy.four_eyes:
        return
    books.save_proposal(carry_out(books.find_proposal_for(form), form=form, now=now))
