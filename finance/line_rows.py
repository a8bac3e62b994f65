"""Rows of lenders, lines and decisions, and what the rules ask of them; values in and out."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key
from sqlmodel import col, select

from chain.clock import beijing_day
from chain.ids import AdvanceId, Hash32, LineId, PartyId, TripId
from chain.paging import behind
from chain.storage import insert_new, write_later
from finance.advance import OWING, AdvanceState
from finance.records import (
    BorrowerFacts,
    DecisionRecord,
    LenderPolicy,
    LineRecord,
    LineState,
)
from finance.risk import Decision, Reason, Verdict
from finance.tables import (
    AdvanceRow,
    CreditLineRow,
    LenderPolicyRow,
    PayeeRow,
    RiskDecisionRow,
)
from finance.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlmodel import Session


from finance.rows import LIVE, PAGE, SqlRows, assign, table_of

MOST_COUNTED: Final = 10_000
"""Counting for a rule stops here: no rule asks beyond it, and a long history stays cheap."""

_LOCKED: Final = (AdvanceState.APPROVED, AdvanceState.RELEASABLE)


_LINES: Final = table_of(CreditLineRow)
_UNHOLDING: Final = (
    sa.update(_LINES)
    .where(_LINES.c.line == sa.bindparam("line_"))
    .values(held_fen=_LINES.c.held_fen - sa.bindparam("amount", type_=_LINES.c.held_fen.type))
)


class SqlLines(SqlRows):
    """Lenders, lines, decisions."""

    def save_policy(self, policy: LenderPolicy, at: dt.datetime) -> None:
        """Keeps what a lender decides from a day on; the same day replaces."""
        self._session.merge(
            LenderPolicyRow(
                lender=str(policy.lender),
                effective_day=policy.effective_day,
                net_assets_fen=policy.net_assets_fen,
                lpr_ppm=policy.lpr_ppm,
                debtor_cap_bps=policy.debtor_cap_bps,
                recorded_at=at,
            )
        )

    def find_policy(self, lender: PartyId, day: int) -> LenderPolicy | None:
        """What is in force on a day."""
        row = self._session.exec(
            select(LenderPolicyRow)
            .where(LenderPolicyRow.lender == str(lender), LenderPolicyRow.effective_day <= day)
            .order_by(col(LenderPolicyRow.effective_day).desc())
        ).first()
        if row is None:
            return None
        return LenderPolicy(
            PartyId(int(row.lender)),
            row.effective_day,
            row.net_assets_fen,
            row.lpr_ppm,
            row.debtor_cap_bps,
        )

    def save_line(self, line: LineRecord) -> None:
        """Writes a line, new or known; the claims on a known line are left alone."""
        row = self._session.get(CreditLineRow, line.line)
        values: dict[str, Any] = {
            "lender": str(line.lender),
            "borrower": str(line.borrower),
            "state": line.state.value,
            "limit_fen": line.limit_fen,
            "reserved_fen": line.reserved_fen,
            "drawn_fen": line.drawn_fen,
            "frozen": line.frozen,
            "valid_until": line.valid_until,
            "rate_ppm": line.terms.rate_ppm,
            "penalty_ppm": line.terms.penalty_ppm,
            "ceiling_ppm": line.terms.ceiling_ppm,
            "fee_bps": line.terms.fee_bps,
            "advance_bps": line.advance_bps,
            "tolerance_bps": line.tolerance_bps,
            "tenor_days": line.terms.tenor_days,
            "grace_days": line.terms.grace_days,
            "attestor": str(line.attestor),
            "gated": line.gated,
            "terms_hash": line.terms_hash,
            "form": dict(line.form),
            "submitted_at": line.submitted_at,
            "opened_at": line.opened_at,
        }
        if row is None:
            self._session.add(CreditLineRow(line=line.line, held_fen=0, **values))
            self._session.flush()
        else:
            assign(row, values)

    def find_line(self, line: LineId) -> LineRecord | None:
        """A line."""
        row = self._session.get(CreditLineRow, line)
        return None if row is None else _line(row)

    def list_lines(
        self, *, lender: PartyId | None = None, borrower: PartyId | None = None
    ) -> list[LineRecord]:
        """Lines of a lender, of a borrower, or all, newest first."""
        query = select(CreditLineRow).order_by(col(CreditLineRow.submitted_at).desc())
        if lender is not None:
            query = query.where(CreditLineRow.lender == str(lender))
        if borrower is not None:
            query = query.where(CreditLineRow.borrower == str(borrower))
        return [_line(row) for row in self._session.exec(query)]

    def page_lines(
        self, party: PartyId, *, after: LineRecord | None = None, limit: int
    ) -> list[LineRecord]:
        """A page of a party's lines, as lender and as borrower, newest first."""
        mine = sa.or_(
            col(CreditLineRow.lender) == str(party), col(CreditLineRow.borrower) == str(party)
        )
        order = (col(CreditLineRow.submitted_at), col(CreditLineRow.line))
        place = None if after is None else (after.submitted_at, after.line)
        query = behind(select(CreditLineRow).where(mine), order, place, newest=True)
        return [_line(row) for row in self._session.exec(query.limit(limit))]

    def hold(self, line: LineId, amount: int) -> bool:
        """Claims headroom in one conditional statement; False if there is less."""
        table = table_of(CreditLineRow)
        used = table.c.reserved_fen + table.c.drawn_fen + table.c.held_fen
        changed = self._session.execute(
            sa.update(table)
            .where(table.c.line == line, used + amount <= table.c.limit_fen)
            .values(held_fen=table.c.held_fen + amount)
            .returning(table.c.line)
        ).all()
        self._forget(CreditLineRow, line)
        return bool(changed)

    def unhold(self, line: LineId, amount: int) -> None:
        """Gives a claim back."""
        held = self._session.identity_map.get(identity_key(CreditLineRow, line))
        if held is not None:  # what is read of it in this transaction must show it
            set_committed_value(held, "held_fen", held.held_fen - amount)
        write_later(self._session, _unhold, (line, amount))

    # -- decisions --------------------------------------------------------------------------------

    def add_decision(self, decision: DecisionRecord) -> None:
        """Keeps a decision; the same bytes again change nothing."""
        made = decision.decision
        insert_new(
            self._session,
            RiskDecisionRow,
            {
                "hash": made.hash,
                "subject": decision.subject,
                "stage": decision.stage,
                "forest": decision.forest,
                "verdict": made.verdict.value,
                "score": made.score,
                "asked_fen": decision.asked_fen,
                "cap_fen": made.cap_fen,
                "record": made.record,
                "reasons": [asdict(reason) for reason in made.reasons],
                "elapsed_us": decision.elapsed_us,
                "decided_at": decision.decided_at,
                "lender": decision.lender,
            },
            "hash",
        )

    def find_decision(self, decision: str) -> DecisionRecord | None:
        """A decision by its hash."""
        row = self._session.get(RiskDecisionRow, decision)
        return None if row is None else _decision(row)

    def list_decisions(
        self, since: dt.datetime | None = None, *, lender: PartyId | None = None
    ) -> Iterator[DecisionRecord]:
        """Decisions since an instant, on a lender's money or on anybody's, oldest first."""
        query = select(RiskDecisionRow).order_by(
            col(RiskDecisionRow.decided_at), col(RiskDecisionRow.hash)
        )
        if since is not None:
            query = query.where(RiskDecisionRow.decided_at >= since)
        if lender is not None:
            query = query.where(RiskDecisionRow.lender == str(lender))
        for row in self._session.exec(query.execution_options(yield_per=PAGE)):
            yield _decision(row)

    def borrower_facts(
        self, borrower: PartyId, lender: PartyId, debtor: PartyId, now: dt.datetime
    ) -> BorrowerFacts:
        """What the books know of a borrower with a lender; each question stays within an index."""
        table = table_of(AdvanceRow)
        mine = (table.c.borrower == str(borrower)) & (table.c.lender == str(lender))
        locked = table.c.state.in_([state.value for state in _LOCKED])
        used = sa.case((locked, table.c.principal_fen), else_=table.c.outstanding_fen)
        to_debtor = sa.case((table.c.debtor == str(debtor), used), else_=0)
        owes = sa.and_(sa.not_(locked), table.c.outstanding_fen > 0)
        first_due, balance, exposure = self._session.execute(
            sa.select(
                sa.func.min(sa.case((owes, table.c.due_day))),
                sa.func.coalesce(sa.func.sum(used), 0),
                sa.func.coalesce(sa.func.sum(to_debtor), 0),
            ).where(mine, table.c.state.in_([state.value for state in (*_LOCKED, *OWING)]))
        ).one()

        def count(*conditions: Any) -> Any:
            some = sa.select(sa.literal(1)).select_from(table).where(mine, *conditions)
            found = some.limit(MOST_COUNTED).subquery()
            return sa.select(sa.func.count()).select_from(found).scalar_subquery()

        released = [AdvanceState.REPAID.value, *(state.value for state in OWING)]
        week_ago, weeks_ago = now - dt.timedelta(days=7), now - dt.timedelta(days=63)
        delivered, week, before = self._session.execute(
            sa.select(
                count(table.c.state.in_(released)),
                count(table.c.submitted_at >= week_ago),
                count(table.c.submitted_at >= weeks_ago, table.c.submitted_at < week_ago),
            )
        ).one()
        today = beijing_day(now)
        return BorrowerFacts(
            overdue_days=0 if first_due is None else max(0, today - int(first_due)),
            balance_fen=int(balance),
            debtor_exposure_fen=int(exposure),
            delivered_trips=int(delivered),
            week_trips=int(week),
            usual_week_trips=int(before) // 8,
        )

    def is_account_shared(self, accounts: Mapping[str, PartyId]) -> bool:
        """Whether one of these payout accounts was used for another party before."""
        table = table_of(PayeeRow)
        found = self._session.execute(
            sa.select(table.c.account, table.c.party)
            .where(table.c.account.in_(list(accounts)))
            .distinct()
        )
        return any(accounts[row.account] != int(row.party) for row in found)

    def count_similar(self, fingerprint: str, trip: TripId, advance: AdvanceId | None) -> int:
        """Other live advances on the same receivable or trip."""
        table = table_of(AdvanceRow)
        found: set[str] = set()
        for same in (table.c.fingerprint == fingerprint, table.c.trip == trip):
            query = sa.select(table.c.advance).where(same, table.c.state.in_(LIVE))
            found |= set(self._session.execute(query.limit(MOST_COUNTED)).scalars())
        return len(found - {advance})


def _unhold(session: Session, given: list[tuple[LineId, int]]) -> None:
    """Gives claims back, one statement a line."""
    sums: dict[LineId, int] = {}
    for line, amount in given:
        sums[line] = sums.get(line, 0) + amount
    rows = [{"line_": line, "amount": amount} for line, amount in sorted(sums.items())]
    session.connection().execute(_UNHOLDING, rows)


def _line(row: CreditLineRow) -> LineRecord:
    return LineRecord(
        line=LineId(row.line),
        lender=PartyId(int(row.lender)),
        borrower=PartyId(int(row.borrower)),
        state=LineState(row.state),
        limit_fen=row.limit_fen,
        valid_until=row.valid_until,
        terms=Terms(
            rate_ppm=row.rate_ppm,
            penalty_ppm=row.penalty_ppm,
            ceiling_ppm=row.ceiling_ppm,
            fee_bps=row.fee_bps,
            tenor_days=row.tenor_days,
            grace_days=row.grace_days,
        ),
        advance_bps=row.advance_bps,
        tolerance_bps=row.tolerance_bps,
        attestor=PartyId(int(row.attestor)),
        gated=row.gated,
        terms_hash=Hash32(row.terms_hash),
        form=row.form,
        submitted_at=row.submitted_at,
        reserved_fen=row.reserved_fen,
        drawn_fen=row.drawn_fen,
        held_fen=row.held_fen,
        frozen=row.frozen,
        opened_at=row.opened_at,
    )


def _decision(row: RiskDecisionRow) -> DecisionRecord:
    return DecisionRecord(
        decision=Decision(
            verdict=Verdict(row.verdict),
            score=row.score,
            cap_fen=row.cap_fen,
            reasons=tuple(Reason(**reason) for reason in row.reasons),
            record=row.record,
            hash=row.hash,
        ),
        subject=row.subject,
        stage=row.stage,
        forest=row.forest,
        asked_fen=row.asked_fen,
        elapsed_us=row.elapsed_us,
        decided_at=row.decided_at,
        lender=row.lender,
    )
