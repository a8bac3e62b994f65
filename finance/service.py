"""Use cases of the money: lines, requests, consents, approval, repayment, and what the chain says of them.

Every use case checks, writes rows and an outgoing call in the caller's database transaction. Rows of what is
on chain, and the books, move in the ``on_`` methods alone, which ``api.flow`` calls for each event.
"""

from __future__ import annotations

from finance.applications import ApplicationUseCases
from finance.approving import ApprovingUseCases
from finance.asking import AskingUseCases, PreparedAdvance
from finance.hearing import HearingUseCases
from finance.lines import LineUseCases
from finance.looking import AdvancePosition, LookingUseCases, loan_row
from finance.running import RunningUseCases


class FinanceService(
    LineUseCases,
    ApplicationUseCases,
    AskingUseCases,
    ApprovingUseCases,
    RunningUseCases,
    LookingUseCases,
    HearingUseCases,
):
    """Lines, advances and books. One object serves one database transaction."""


__all__ = ["AdvancePosition", "FinanceService", "PreparedAdvance", "loan_row"]
