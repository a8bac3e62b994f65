"""The rules in force, and what another version of them would have decided on the past."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from api.dependencies import MoneyMover, OnceIfNamed, Reader, TheContainer
from api.schemas.values import AmountFen, Given, HashText, Instant, Shown
from finance.backtesting import Case, run_backtest
from finance.forests import shipped_forest
from finance.risk import read_forest

router = APIRouter(prefix="/risk", tags=["risk"])


class RuleShown(Shown):
    """A rule, as data."""

    id: str
    version: int
    tree: str
    stages: list[str]
    outcome: str
    missing: str
    when: str
    code: str
    zh: str
    en: str
    law: str


class ForestShown(Shown):
    """The rules in force."""

    id: str
    version: int
    hash: HashText
    review_at: int
    rules: list[RuleShown]


class BacktestAsked(Given):
    """Which rules to try on the past."""

    forest: dict[str, Any] | None = Field(
        default=None,
        description="a forest as data (`finance/forests`); the one in force if left out",
    )
    since: Instant | None = None


class CaseShown(Shown):
    """A decision that would have been another, and what became of it."""

    decision: HashText
    subject: str
    before: str
    after: str
    asked_fen: AmountFen
    outcome: str
    lost_fen: AmountFen
    codes: list[str]


class BacktestShown(Shown):
    """The swap set of a version of the rules over the caller's decisions, as each was known at its time."""

    forest: str
    version: int
    hash: HashText
    decided: int
    agreed: int
    moved: int = Field(description="another verdict, and neither in nor out")
    in_fen: AmountFen
    out_fen: AmountFen
    out_lost_fen: AmountFen = Field(description="lost on what would have gone out")
    came_in: list[CaseShown]
    went_out: list[CaseShown]
    out_outcomes: dict[str, int]
    next_since: Instant | None = Field(description="where the next piece of a long past begins")


@router.get("/forest")
def get_forest(_: Reader) -> ForestShown:
    """The rules that decide today."""
    forest = shipped_forest()
    return ForestShown(
        id=forest.id,
        version=forest.version,
        hash=forest.hash,
        review_at=forest.review_at,
        rules=[
            RuleShown(
                id=rule.id,
                version=rule.version,
                tree=rule.tree,
                stages=sorted(stage.value for stage in rule.stages),
                outcome=rule.outcome.value.lower(),
                missing=rule.missing.value,
                when=str(rule.document["when"]),
                code=rule.code,
                zh=rule.zh,
                en=rule.en,
                law=rule.law,
            )
            for rule in forest.rules
        ],
    )


@router.post("/backtests", response_model=BacktestShown)
def backtest(
    asked: BacktestAsked, caller: MoneyMover, container: TheContainer, once: OnceIfNamed
) -> Response:
    """Runs a version of the rules over the caller's stored decisions; nothing is kept and nothing decided."""
    lender = caller.require_self()
    forest = shipped_forest() if asked.forest is None else read_forest(asked.forest)
    with container.read() as services:
        found = run_backtest(
            services.books, forest, lender=lender, since=asked.since, now=container.clock.now()
        )
    shown = BacktestShown(
        forest=found.forest,
        version=found.version,
        hash=found.hash,
        decided=found.decided,
        agreed=found.agreed,
        moved=found.moved,
        in_fen=found.in_fen,
        out_fen=found.out_fen,
        out_lost_fen=found.out_lost_fen,
        came_in=[_case(one) for one in found.came_in],
        went_out=[_case(one) for one in found.went_out],
        out_outcomes=found.out_outcomes,
        next_since=found.next_since,
    )
    return once.show(caller.name, shown)


def _case(one: Case) -> CaseShown:
    return CaseShown(
        decision=one.decision,
        subject=one.subject,
        before=one.before.value.lower(),
        after=one.after.value.lower(),
        asked_fen=one.asked_fen,
        outcome=one.outcome,
        lost_fen=one.lost_fen,
        codes=list(one.codes),
    )
