"""Errors of payouts and of the bank's messages."""

from __future__ import annotations

from finance.errors import FinanceError


class MessageInvalidError(FinanceError):
    """The bank message is not of the form and content its schema asks for."""

    code = "bank_message_invalid"


class PayoutStateError(FinanceError):
    """The payout is in a state that does not allow this move."""

    code = "payout_unexpected_state"


class UnknownPayoutError(FinanceError):
    """There is no such payout here."""

    code = "payout_unknown"


class AccountRefusedError(FinanceError):
    """The payout account cannot be used."""

    code = "payout_account_refused"


class EntryRefusedError(FinanceError):
    """The bank entry cannot be assigned."""

    code = "bank_entry_refused"


class BankUnavailableError(FinanceError):
    """The bank has not answered; what became of the message is not known until it is asked."""

    code = "bank_unavailable"


class BankRefusedError(FinanceError):
    """The bank refuses the request itself; it says nothing about the payment's outcome."""

    code = "bank_refused"
