"""What the sandbox bank refuses outright; a payment it takes and will not make is a status instead."""

from __future__ import annotations

from chain.errors import YundanError


class BankDoorError(YundanError):
    """The bank refuses the request."""

    code = "bank_door_refused"


class SequenceReusedError(BankDoorError):
    """The end-to-end id was used for another payment."""

    code = "bank_sequence_reused"


class UnknownPaymentError(BankDoorError):
    """The bank has never heard of this payment."""

    code = "bank_payment_unknown"


class BankAccountError(BankDoorError):
    """The account does not exist here, is closed, or does not hold enough."""

    code = "bank_account_refused"
