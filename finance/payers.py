"""Who pays a freight: its debtor, or somebody else in his stead, which is an early sign (LENDING 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain.clock import beijing_day
from chain.ids import WaybillId
from finance.payout_accounts import is_name_of
from finance.relations import Link, LinkKind, party_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from chain.clock import Clock
    from finance.payout_ports import Parties
    from finance.ports import Books


class PayerBook:
    """Keeps that freight owed to a borrower was paid by a stranger. One object serves one transaction.

    Args:
        books: the receivables, and where links are kept.
        parties: debtors' names.
        clock: the chain's time.
        blind: keyed hash of a name: the same payer is seen, his name is not.
    """

    def __init__(
        self, *, books: Books, parties: Parties, clock: Clock, blind: Callable[[str], str]
    ) -> None:
        self._books = books
        self._parties = parties
        self._clock = clock
        self._blind = blind

    def note(self, about: str, name: str, reference: str) -> None:
        """Money came in for a waybill from somebody of a name.

        Nothing is kept where the bank told no name, no advance hangs on the waybill, or the debtor paid.
        """
        if not name.strip() or not about.startswith("0x"):
            return
        owed = self._books.find_receivable(WaybillId(about))
        if owed is None:
            return
        debtor = self._parties.find_party(owed.debtor)
        if debtor is None or is_name_of(name, debtor):
            return
        self._books.add_link(
            Link(
                party_name(owed.owner),
                f"payer:{self._blind(name)}",
                LinkKind.PAID_BY,
                beijing_day(self._clock.now()),
                about=reference,
            )
        )
