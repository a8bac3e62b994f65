"""The lender's standing word on a line: which advances are approved without another word of his.

The contract decides (``CreditFacility.setRule``, ``FreightAdvance.approveByRule``); this is how it reads there,
so that what it would refuse is not sent, and so that one person alone cannot widen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    from chain.bindings.structs import ApprovalRule
    from chain.ids import LineId, PartyId


@dataclass(frozen=True, slots=True)
class LineRule:
    """The rule of a line as the chain last said.

    Attributes:
        debtor: the only debtor whose debts it covers; None for any.
        most_fen: most of one advance, fen; 0 once the lender has ended it.
        until: last second at which it approves.
        valid_for_s: seconds from an approval by it to that approval's end.
        set_at: time of the block that set it.
    """

    line: LineId
    debtor: PartyId | None
    most_fen: int
    until: dt.datetime
    valid_for_s: int
    set_at: dt.datetime

    def is_in_force(self, now: dt.datetime) -> bool:
        """Whether it can approve anything at an instant."""
        return self.most_fen > 0 and now <= self.until


def widens(held: LineRule | None, form: ApprovalRule, now: dt.datetime) -> bool:
    """Whether a new rule lets through what the one in force does not; ending and narrowing do not."""
    if form.most == 0:
        return False
    if held is None or not held.is_in_force(now):
        return True
    return (
        form.most > held.most_fen
        or form.until > int(held.until.timestamp())
        or form.valid_for > held.valid_for_s
        or (held.debtor is not None and form.debtor != held.debtor)
    )
