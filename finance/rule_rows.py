"""Rows of lenders' rules, and of what was sent by them; values in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import col, select

from chain.ids import LineId, PartyId
from finance.advance import AdvanceState
from finance.advance_rows import advance_of
from finance.approval_rule import LineRule
from finance.records import LineState
from finance.risk import Verdict
from finance.rows import SqlRows, batches
from finance.tables import (
    AdvanceRow,
    CreditLineRow,
    LineRuleRow,
    PayeeRow,
    RiskDecisionRow,
    RuleTryRow,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection

    from chain.ids import AdvanceId
    from finance.records import AdvanceRecord


class SqlRules(SqlRows):
    """Lenders' rules."""

    def save_rule(self, rule: LineRule) -> None:
        """Writes the rule of a line in place of the one before."""
        self._session.merge(
            LineRuleRow(
                line=rule.line,
                debtor="" if rule.debtor is None else str(rule.debtor),
                most_fen=rule.most_fen,
                until=rule.until,
                valid_for_s=rule.valid_for_s,
                set_at=rule.set_at,
            )
        )

    def list_rules(self, lines: Collection[LineId]) -> dict[LineId, LineRule]:
        """The rules of some lines; a line that never had one is left out."""
        found: dict[LineId, LineRule] = {}
        for some in batches(lines):
            for row in self._session.exec(
                select(LineRuleRow).where(col(LineRuleRow.line).in_(some))
            ):
                found[LineId(row.line)] = _rule(row)
        return found

    def list_ruled(self, now: dt.datetime, *, limit: int) -> list[AdvanceRecord]:
        """Advances that wait for approval, are agreed to by all, and are covered by their line's rule; oldest first.

        Left out: what the platform's own decision did not approve, what stands on a line that is frozen or over,
        and what was tried and waits for its next turn.
        """
        advance, rule, line = col(AdvanceRow.advance), LineRuleRow, CreditLineRow
        silent = (
            sa.select(sa.literal(1))
            .where(col(PayeeRow.advance) == advance, col(PayeeRow.consented_at).is_(None))
            .exists()
        )
        waits = (
            sa.select(sa.literal(1))
            .where(col(RuleTryRow.advance) == advance, col(RuleTryRow.next_at) > now)
            .exists()
        )
        query = (
            select(AdvanceRow)
            .join(rule, col(rule.line) == col(AdvanceRow.line))
            .join(line, col(line.line) == col(AdvanceRow.line))
            .join(RiskDecisionRow, col(RiskDecisionRow.hash) == col(AdvanceRow.decision))
            .where(
                AdvanceRow.state == AdvanceState.REQUESTED.value,
                col(AdvanceRow.acknowledged_at).is_not(None),
                col(AdvanceRow.principal_fen) <= col(rule.most_fen),
                col(rule.until) >= now,
                sa.or_(col(rule.debtor) == "", col(rule.debtor) == col(AdvanceRow.debtor)),
                line.state == LineState.OPEN.value,
                ~col(line.frozen),
                col(line.valid_until) >= now,
                RiskDecisionRow.verdict == Verdict.APPROVE.value,
                ~silent,
                ~waits,
            )
            .order_by(col(AdvanceRow.requested_at), advance)
            .limit(limit)
        )
        return [advance_of(row) for row in self._session.exec(query)]

    def count_rule_tries(self, advance: AdvanceId) -> int:
        """How often an approval by rule was sent for an advance."""
        row = self._session.get(RuleTryRow, advance)
        return 0 if row is None else row.tries

    def save_rule_try(self, advance: AdvanceId, *, tries: int, next_at: dt.datetime) -> None:
        """Keeps how often an approval by rule was sent, and when the advance is looked at again."""
        self._session.merge(RuleTryRow(advance=advance, tries=tries, next_at=next_at))


def _rule(row: LineRuleRow) -> LineRule:
    return LineRule(
        line=LineId(row.line),
        debtor=PartyId(int(row.debtor)) if row.debtor else None,
        most_fen=row.most_fen,
        until=row.until,
        valid_for_s=row.valid_for_s,
        set_at=row.set_at,
    )
