"""The lender's approval rule of a line."""

from __future__ import annotations

from pydantic import Field

from api.schemas.values import AmountFen, Instant, PartyRefOrNone, Shown


class RuleShown(Shown):
    """The rule of a line as the chain last said: what is approved without another word of the lender."""

    debtor: PartyRefOrNone = Field(
        description="the only debtor whose debts it covers; empty for any"
    )
    most_fen: AmountFen = Field(description="most of one advance; 0 once the lender has ended it")
    until: Instant = Field(description="last second at which it approves")
    valid_for_s: int = Field(
        ge=0,
        description="seconds in which a delivery completes after an approval by it",
        examples=[604_800],
    )
    in_force: bool = Field(description="whether it can approve anything now")
    set_at: Instant
