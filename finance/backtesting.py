"""A forest of rules run over what was decided before, each decision as it was known at its time.

The stored record holds the inputs of then, so a new rule is tried on the past without knowing its future; what
became of each case is joined afterwards: who would have come in or gone out, with the amounts, and how those
that were lent to went on.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from chain.clock import beijing_day
from chain.ids import TripId
from finance.advance import OWING, AdvanceState
from finance.risk import Verdict, redecide

if TYPE_CHECKING:
    import datetime as dt

    from chain.ids import PartyId
    from finance.ports import Books
    from finance.records import AdvanceRecord, DecisionRecord
    from finance.risk import Decision, Forest

MOST_DECISIONS: Final = 20_000
"""So many decisions are run at once; a longer past is run in pieces, by ``since``."""

MOST_TOLD: Final = 500
"""So many cases of each kind are told one by one; sums count all."""


@dataclass(frozen=True, slots=True)
class Case:
    """A decision that would have been another; amounts in fen.

    Attributes:
        outcome: not_lent, waiting, running, late, repaid, defaulted or written_off.
        lost_fen: principal written off, or outstanding in default.
    """

    decision: str
    subject: str
    before: Verdict
    after: Verdict
    asked_fen: int
    outcome: str
    lost_fen: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a forest would have done.

    Attributes:
        decided: decisions run; ``agreed`` of them with the same verdict.
        came_in: would have been approved and were not; ``went_out``: the other way; ``moved``: otherwise.
        in_fen, out_fen: what was asked in them; ``out_lost_fen`` what the lender would have been spared.
        out_outcomes: how those that would have gone out went on, counted.
        next_since: where the next piece begins; None at the end.
    """

    forest: str
    version: int
    hash: str
    decided: int = 0
    agreed: int = 0
    moved: int = 0
    in_fen: int = 0
    out_fen: int = 0
    out_lost_fen: int = 0
    came_in: tuple[Case, ...] = ()
    went_out: tuple[Case, ...] = ()
    out_outcomes: dict[str, int] = field(default_factory=dict)
    next_since: dt.datetime | None = None


def run_backtest(
    books: Books, forest: Forest, *, lender: PartyId, since: dt.datetime | None, now: dt.datetime
) -> Report:
    """Runs a forest over a lender's decisions since an instant, oldest first.

    Args:
        books: decisions and loans.
        forest: a version that shipped, or one that is being tried.
        lender: whose decisions.
        since: from when on.
        now: the day on which outcomes are looked at.

    Raises:
        RuleError: an input of a stored decision has another type in this forest.
    """
    changed: list[tuple[DecisionRecord, Decision]] = []
    came_in: list[Case] = []
    went_out: list[Case] = []
    outcomes: Counter[str] = Counter()
    decided = agreed = moved = in_fen = out_fen = out_lost = 0
    after_last = None
    for kept in books.list_decisions(since, lender=lender):
        if decided == MOST_DECISIONS:
            after_last = kept.decided_at
            break
        decided += 1
        made = redecide(forest, json.loads(kept.decision.record))
        if kept.decision.verdict is made.verdict:
            agreed += 1
            continue
        changed.append((kept, made))
    loans = _loans(books, lender, [kept.subject for kept, _ in changed])
    for kept, made in changed:
        before, after = kept.decision.verdict, made.verdict
        outcome, lost = _outcome(loans.get(kept.subject), beijing_day(now))
        case = Case(
            kept.decision.hash, kept.subject, before, after, kept.asked_fen or 0, outcome, lost,
            tuple(one.code for one in made.reasons),
        )  # fmt: skip
        if after is Verdict.APPROVE:
            in_fen += case.asked_fen
            came_in.append(case)
        elif before is Verdict.APPROVE:
            out_fen += case.asked_fen
            out_lost += lost
            outcomes[outcome] += 1
            went_out.append(case)
        else:
            moved += 1
    return Report(
        forest=forest.id,
        version=forest.version,
        hash=forest.hash,
        decided=decided,
        agreed=agreed,
        moved=moved,
        in_fen=in_fen,
        out_fen=out_fen,
        out_lost_fen=out_lost,
        came_in=tuple(came_in[:MOST_TOLD]),
        went_out=tuple(went_out[:MOST_TOLD]),
        out_outcomes=dict(sorted(outcomes.items())),
        next_since=after_last,
    )


def _loans(books: Books, lender: PartyId, trips: list[str]) -> dict[str, AdvanceRecord]:
    found: dict[str, AdvanceRecord] = {}
    for at in range(0, len(trips), 500):
        some = [TripId(trip) for trip in trips[at : at + 500]]
        found |= {loan.trip: loan for loan in books.list_advances(lender=lender, trips=some)}
    return found


def _outcome(loan: AdvanceRecord | None, today: int) -> tuple[str, int]:
    if loan is None:
        return "not_lent", 0
    if loan.state is AdvanceState.WRITTEN_OFF:
        return "written_off", loan.outstanding_fen
    if loan.state is AdvanceState.DEFAULTED:
        return "defaulted", loan.outstanding_fen
    if loan.state is AdvanceState.REPAID:
        return "repaid", 0
    if loan.state in OWING:
        late = bool(loan.due_day) and loan.outstanding_fen > 0 and today > loan.due_day
        return ("late" if late else "running"), 0
    if loan.state in (AdvanceState.DECLINED, AdvanceState.VOIDED):
        return "not_lent", 0
    return "waiting", 0
