"""Errors of the finance package; each has a stable code and carries its facts."""

from __future__ import annotations

from chain.errors import YundanError


class FinanceError(YundanError):
    """The finance part refused."""

    code = "finance_error"


class InvalidTermsError(FinanceError):
    """The terms of the loan contradict themselves or the law parameters."""

    code = "invalid_terms"


class InvalidDateError(FinanceError):
    """The date does not exist or stands in the wrong order."""

    code = "invalid_date"


class InvalidAmountError(FinanceError):
    """The amount is not one that the books can hold."""

    code = "invalid_amount"


class UnbalancedEntryError(FinanceError):
    """Debits and credits of a journal entry must be equal."""

    code = "unbalanced_entry"


class AdvanceStateError(FinanceError):
    """The advance is in a state that does not allow this move."""

    code = "advance_unexpected_state"


class LineStateError(FinanceError):
    """The credit line is in a state that does not allow this."""

    code = "line_unexpected_state"


class HeadroomError(FinanceError):
    """The credit line has not enough headroom for the amount."""

    code = "headroom_exceeded"


class RuleError(FinanceError):
    """A rule cannot be read or evaluated."""

    code = "rule_invalid"


class CaseError(FinanceError):
    """A case file does not have the documented form."""

    code = "case_invalid"


class DuplicateError(FinanceError):
    """This was booked before with other content."""

    code = "duplicate_conflict"


class DecisionRefusedError(FinanceError):
    """The rules refuse this advance; the reasons say why."""

    code = "decision_refused"


class DecisionStaleError(FinanceError):
    """The decision is unknown, too old, or was made for another request; ask for a new one."""

    code = "decision_stale"


class UnknownAdvanceError(FinanceError):
    """There is no such advance here."""

    code = "advance_unknown"


class UnknownLineError(FinanceError):
    """There is no such credit line here."""

    code = "line_unknown"


class DayEndError(FinanceError):
    """The business date cannot be closed now."""

    code = "day_end_refused"
