"""Use cases of approval by the lender's rule: the rule prepared, set and ended; what it covers, sent by itself.

Whoever submits ``approveByRule`` has no say: the contract checks the rule, the line, the vault and everybody's
word. So it is the worker who sends it, through the outbox, as soon as debtor and payees have agreed.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from chain.bindings.credit_facility import CreditFacility
from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.structs import ApprovalRule
from chain.clock import instant_of
from chain.errors import InvalidValueError
from chain.ids import PartyId
from chain.money import JSON_MAX_FEN
from chain.ports import TransactionState
from finance.approval_rule import LineRule
from finance.errors import LineStateError
from finance.records import LineState
from finance.use_cases import MoneyUseCases, new_salt
from finance.watch import Action

if TYPE_CHECKING:
    from chain.abi import Occurred
    from chain.bindings import events
    from chain.ids import AdvanceId, Hash32, LineId
    from finance.records import AdvanceRecord

RETRY_AFTER: Final = dt.timedelta(minutes=10)
"""After a refusal by the chain (vault too low, paused) the same advance is tried again after this, each time
twice as long as before."""

LONGEST_WAIT: Final = dt.timedelta(hours=6)

AT_ONCE: Final = 200
"""Advances looked at in one turn."""

NOBODY: Final = PartyId(0)
_STOPPED: Final = frozenset({Action.FREEZE, Action.COLLECT})
_REFUSED: Final = frozenset({TransactionState.REVERTED, TransactionState.DROPPED})


class ApprovingUseCases(MoneyUseCases):
    """A rule's life, and the approvals that come of it."""

    def prepare_rule(
        self,
        line: LineId,
        *,
        most_fen: int,
        until: dt.datetime,
        valid_for_s: int,
        debtor: PartyId | None = None,
        document: Hash32,
    ) -> ApprovalRule:
        """The form by which a lender sets his rule on a line, in place of the one before.

        Args:
            line: of the lender.
            most_fen: most of one advance, fen.
            until: last second at which the rule approves.
            valid_for_s: seconds from an approval by it to that approval's end.
            debtor: the only debtor whose debts it covers; None for any.
            document: hash of what the lender writes of it.

        Raises:
            UnknownLineError, LineStateError, InvalidValueError: names the field.
        """
        self._get_line(line)
        form = ApprovalRule(
            line=line,
            debtor=debtor or NOBODY,
            most=most_fen,
            until=int(until.timestamp()),
            valid_for=valid_for_s,
            document=document,
            expires=self._form_expiry(),
            salt=new_salt(),
        )
        self._require_rule(form)
        return form

    def prepare_rule_end(self, line: LineId, *, document: Hash32) -> ApprovalRule:
        """The form by which a lender ends his rule on a line: a rule of zero. What it approved stays approved."""
        self._get_line(line)
        return ApprovalRule(
            line=line,
            debtor=NOBODY,
            most=0,
            until=0,
            valid_for=0,
            document=document,
            expires=self._form_expiry(),
            salt=new_salt(),
        )

    def set_rule(self, form: ApprovalRule, lender_signature: bytes) -> None:
        """Sends a rule that the lender has signed, or its end; it is in force when the chain says so.

        Raises:
            UnknownLineError: there is no such line here.
            LineStateError: the chain has not opened the line yet.
            InvalidValueError: the rule could approve nothing; names the field.
            SignatureRefusedError: not signed by the lender, or the form has expired.
        """
        line = self._get_line(form.line)
        self._require_rule(form)
        if line.state is not LineState.OPEN:
            raise LineStateError("the credit line is not open on chain yet", field="line")
        self._require_fresh(form.expires)
        self._require_signed(line.lender, "CreditFacility", form, lender_signature)
        self._queue(CreditFacility.set_rule(form, lender_signature), form, about=form.line)

    def _require_rule(self, form: ApprovalRule) -> None:
        if form.most == 0:
            return
        if form.most > JSON_MAX_FEN:
            raise InvalidValueError(
                "a rule covers at most 2^53 - 1 fen an advance", field="most", given=form.most
            )
        if form.valid_for == 0:
            raise InvalidValueError(
                "an approval by the rule needs a time in which the delivery completes",
                field="validFor",
            )
        if form.until <= int(self._clock.now().timestamp()):
            raise InvalidValueError("the rule would be over before it begins", field="until")

    def approve_by_rules(self) -> int:
        """Sends the approvals that lenders' rules cover by now; how many.

        An advance goes when debtor and every payee have agreed, its line's rule covers it, the line is open, the
        platform's own decision on it was to approve (one that asks for a person gets a person) and no early
        warning has stopped the borrower. Harmless to run twice: a try has a key of its own.
        """
        now, sent = self._clock.now(), 0
        for record in self._books.list_ruled(now, limit=AT_ONCE):
            tries = self._books.count_rule_tries(record.advance)
            if self._may_be_sent(record, tries):
                tries += 1
                self._outbox.queue(
                    FreightAdvance.approve_by_rule(record.advance),
                    key=_key(record.advance, tries),
                    about=record.trip,
                )
                sent += 1
            wait = min(RETRY_AFTER * 2 ** max(0, tries - 1), LONGEST_WAIT)
            self._books.save_rule_try(record.advance, tries=tries, next_at=now + wait)
        return sent

    def _may_be_sent(self, record: AdvanceRecord, tries: int) -> bool:
        """Whether no try is on its way and nothing here has stopped the borrower."""
        last = self._outbox.find(_key(record.advance, tries)) if tries else None
        if last is not None and last.state not in _REFUSED:
            return False
        warned = self._books.list_warnings(lender=record.lender, borrower=record.borrower)
        return not any(one.action in _STOPPED for one in warned)

    def on_line_rule_set(self, seen: Occurred[events.LineRuleSet]) -> None:
        """A lender's rule on a line stands on chain, in place of the one before."""
        event = seen.event
        self._books.save_rule(
            LineRule(
                line=event.line,
                debtor=event.debtor or None,
                most_fen=event.most,
                until=instant_of(event.until),
                valid_for_s=event.valid_for,
                set_at=seen.at,
            )
        )


def _key(advance: AdvanceId, number: int) -> str:
    return f"rule:{advance}:{number}"
