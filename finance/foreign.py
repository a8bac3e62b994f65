"""What the chain tells of lines, requests and waybills that were made elsewhere.

Logs carry ids. Terms, payees and freight of what was never written down here are asked of the contracts
before the database transaction begins in which the event is handled: terms and payees never change, and
what a debtor owes is asked at the event's own block. So a handler asks no wire, and a rebuild from the
same chain comes out equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chain.bindings.events import AdvanceRequested, LineOpened
from finance.errors import UnknownLineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chain.abi import Occurred
    from chain.bindings.structs import CreditLine, Payee
    from chain.ids import AdvanceId, LineId, WaybillId
    from finance.ports import Books, OnChain
    from finance.records import ReceivableRecord


ASKING = (LineOpened, AdvanceRequested)
"""The events that may be about what is not held here."""


@dataclass(frozen=True, slots=True)
class ForeignFacts:
    """Terms by line, payees by advance, and what is owed on its waybill by advance."""

    lines: dict[LineId, CreditLine] = field(default_factory=dict)
    payees: dict[AdvanceId, tuple[Payee, ...]] = field(default_factory=dict)
    receivables: dict[AdvanceId, ReceivableRecord] = field(default_factory=dict)

    def terms_of(self, line: LineId) -> CreditLine:
        """The terms of a line.

        Raises:
            UnknownLineError: nobody asked for them.
        """
        if line not in self.lines:
            raise UnknownLineError(field="line", given=line)
        return self.lines[line]


def ask_foreign(
    seen: Sequence[Occurred[Any]],
    *,
    books: Books,
    chain: OnChain,
    is_known: Callable[[WaybillId], bool] = lambda _: False,
) -> ForeignFacts:
    """Asks for everything that handling some events will need and the database does not hold.

    Args:
        seen: events about to be handled.
        books: as they are before.
        chain: the contracts.
        is_known: whether a waybill's terms are held here.
    """
    facts = ForeignFacts()
    for one in seen:
        event = one.event
        if not isinstance(event, ASKING):
            continue
        if isinstance(event, AdvanceRequested):
            if not is_known(event.waybill) and books.find_receivable(event.waybill) is None:
                owed = chain.fetch_receivable(event.waybill, block=one.block_hash)
                facts.receivables[event.advance] = owed
            if books.find_advance(event.advance) is not None:
                continue  # it was asked for here, on a line that is known here
            facts.payees[event.advance] = chain.fetch_payees(event.advance)
        if event.line not in facts.lines and books.find_line(event.line) is None:
            facts.lines[event.line] = chain.fetch_line(event.line)
    return facts
