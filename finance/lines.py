"""Use cases of credit lines and vaults: opened, changed, funded, by the signatures of both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain.bindings.credit_facility import CreditFacility
from chain.bindings.structs import CreditLine
from chain.clock import beijing_day
from chain.ids import LineId
from chain.typed_data import struct_hash
from finance import law
from finance.accrual import date_of
from finance.errors import (
    DecisionRefusedError,
)
from finance.records import (
    LineRecord,
    LineState,
)

if TYPE_CHECKING:
    from chain.bindings.structs import LineChange, VaultMove
    from chain.ids import PartyId
    from finance.records import LenderPolicy
    from finance.terms import Terms

from finance.use_cases import MoneyUseCases


class LineUseCases(MoneyUseCases):
    """Lenders, lines, vaults."""

    def set_policy(self, policy: LenderPolicy) -> None:
        """Keeps what a lender decides or must report (net assets, LPR, caps) from a day on."""
        self._books.save_policy(policy, self._clock.now())

    def open_line(
        self, form: CreditLine, lender_signature: bytes, borrower_signature: bytes
    ) -> LineRecord:
        """Opens a credit line whose terms both sides have signed.

        Raises:
            InvalidTermsError: the terms contradict themselves.
            DecisionRefusedError: the law's cost cap forbids them.
            SignatureRefusedError: one side has not signed these terms, or they have expired.
        """
        line = LineId(struct_hash(form))
        known = self._books.find_line(line)
        if known is not None:
            return known
        self._require_fresh(form.expires)
        record = self._line_record(line, form, LineState.SUBMITTED)
        self._require_lawful(record.terms)
        self._require_signed(form.lender, "CreditFacility", form, lender_signature)
        self._require_signed(form.borrower, "CreditFacility", form, borrower_signature)
        self._books.save_line(record)
        call = CreditFacility.open_line(form, lender_signature, borrower_signature)
        self._outbox.queue(call, key=f"line:{line}", about=line)
        return record

    def change_line(
        self, form: LineChange, lender_signature: bytes, borrower_signature: bytes = b""
    ) -> None:
        """Changes limit, freeze or end of a line; a higher limit needs the borrower too."""
        line = self._get_line(form.line)
        self._require_fresh(form.expires)
        self._require_signed(line.lender, "CreditFacility", form, lender_signature)
        if form.limit > line.limit_fen:
            self._require_signed(line.borrower, "CreditFacility", form, borrower_signature)
        call = CreditFacility.change_line(form, lender_signature, borrower_signature)
        self._queue(call, form, about=form.line)

    def check_line_form(
        self, form: CreditLine | LineChange, side: PartyId, signature: bytes
    ) -> None:
        """Looks at one side's signature of a line's form before the other side has signed; keeps nothing.

        Raises:
            InvalidTermsError, DecisionRefusedError: the terms contradict themselves, or the law forbids them.
            SignatureRefusedError: it is not this side's, or the form has expired.
        """
        self._require_fresh(form.expires)
        if isinstance(form, CreditLine):
            opened = self._line_record(LineId(struct_hash(form)), form, LineState.SUBMITTED)
            self._require_lawful(opened.terms)
        self._require_signed(side, "CreditFacility", form, signature)

    def move_vault(self, form: VaultMove, lender_signature: bytes) -> None:
        """Moves the lender's own money into or out of his vault."""
        self._require_fresh(form.expires)
        self._require_signed(form.lender, "CreditFacility", form, lender_signature)
        self._queue(
            CreditFacility.move_vault(form, lender_signature), form, about=f"lender:{form.lender}"
        )

    def _require_lawful(self, terms: Terms) -> None:
        cap = law.parameter("yearly_cost_cap_ppm", date_of(beijing_day(self._clock.now())))
        if terms.ceiling_ppm > cap:
            raise DecisionRefusedError(
                f"the yearly cost ceiling lies above the law's {cap} ppm",
                field="ceilingPpm",
                given=terms.ceiling_ppm,
                most=cap,
            )


def raises_risk(line: LineRecord, form: LineChange) -> bool:
    """Whether a change gives room (raises, unfreezes, ends later); what only takes room away does not."""
    return (
        form.limit > line.limit_fen
        or (line.frozen and not form.frozen)
        or form.valid_until > int(line.valid_until.timestamp())
    )
