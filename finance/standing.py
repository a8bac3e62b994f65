"""How a borrower stands with a lender when something is decided: his balances, his group's, and the room of the law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain.clock import beijing_day
from finance import law
from finance.relations import Relations, party_name, party_of_name

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from chain.ids import PartyId
    from finance.ports import Books
    from finance.records import BorrowerFacts, LenderPolicy


@dataclass(frozen=True, slots=True)
class Standing:
    """What the books know of a borrower and of who hangs together with him.

    Attributes:
        known: his own facts with the lender.
        group: those of each related party.
        related: the graph that says who is related.
        policy: what the lender reports and decides, None before his first.
        rooms: fen that the law leaves, by name; empty where net assets are not known.
    """

    known: BorrowerFacts
    group: tuple[BorrowerFacts, ...]
    related: Relations
    policy: LenderPolicy | None
    rooms: Mapping[str, int]

    @property
    def net_assets_known(self) -> bool:
        """Whether the lender has said what he owns."""
        return self.policy is not None and self.policy.net_assets_fen is not None

    @property
    def group_overdue_days(self) -> int | None:
        """The longest lateness of a related party; None where nobody is related."""
        return max((one.overdue_days for one in self.group), default=None)


def stand(
    books: Books, *, lender: PartyId, borrower: PartyId, debtor: PartyId, now: dt.datetime
) -> Standing:
    """How a borrower stands at an instant.

    Args:
        books: the rows.
        lender: whose money.
        borrower: who asks.
        debtor: whose debt counts for concentration; the borrower himself where there is none yet.
        now: when.
    """
    today = beijing_day(now)
    own = party_name(borrower)
    known = books.borrower_facts(borrower, lender, debtor, now)
    related = Relations(books.list_links_around([own]), today)
    group = tuple(
        books.borrower_facts(party_of_name(name), lender, debtor, now)
        for name in related.group_of(own)
        if name != own
    )
    policy = books.find_policy(lender, today)
    rooms: dict[str, int] = {}
    if policy is not None and policy.net_assets_fen is not None:
        rooms = dict(
            law.concentration_room_fen(
                net_assets_fen=policy.net_assets_fen,
                borrower_balance_fen=known.balance_fen,
                group_balance_fen=known.balance_fen + sum(one.balance_fen for one in group),
            )
        )
    return Standing(known, group, related, policy, rooms)
