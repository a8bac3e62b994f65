"""Rows to values and back, inside a session that is given; what is bulk here is a few statements."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm.util import identity_key
from sqlmodel import col, select

from chain.clock import beijing_day
from chain.ids import AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
from finance.accrual import Charges
from finance.advance import OWING, AdvanceEvent, AdvanceState, EventKind
from finance.audit import book_of
from finance.errors import DuplicateError
from finance.ledger import Entry, Line
from finance.records import (
    AdvanceRecord,
    BorrowerFacts,
    DayEndRecord,
    DayEndStep,
    DecisionRecord,
    Difference,
    LenderPolicy,
    LineRecord,
    LineState,
    LoanDay,
    PayeeRecord,
    PayeeState,
    ReceivableRecord,
    SettlementRecord,
)
from finance.risk import Decision, Reason, Verdict
from finance.tables import (
    AdvanceEventRow,
    AdvanceRow,
    CreditLineRow,
    DayEndRow,
    DifferenceRow,
    JournalEntryRow,
    JournalLineRow,
    LenderPolicyRow,
    LoanDayRow,
    PayeeRow,
    ReceivableRow,
    RiskDecisionRow,
    SettlementRow,
)
from finance.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlmodel import Session

    from finance.audit import Discrepancy

IN_AT_ONCE: Final = 500
"""Values of one IN list."""

PAGE: Final = 5_000
"""Rows read at once where a whole table passes by."""

MOST_COUNTED: Final = 10_000
"""Counting for a rule stops here: no rule asks beyond it, and a long history stays cheap."""

_LOCKED: Final = (AdvanceState.APPROVED, AdvanceState.RELEASABLE)
_LIVE: Final = [
    state.value
    for state in AdvanceState
    if state not in (AdvanceState.DECLINED, AdvanceState.VOIDED, AdvanceState.REPAID)
]


class SqlBooks:
    """``finance.ports.Books`` on SQLite and PostgreSQL; one object serves one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- lenders and lines ------------------------------------------------------------------------

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
        else:
            _assign(row, values)
        self._session.flush()

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

    def hold(self, line: LineId, amount: int) -> bool:
        """Claims headroom in one conditional statement; False if there is less."""
        table = _table(CreditLineRow)
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
        table = _table(CreditLineRow)
        self._session.execute(
            sa.update(table).where(table.c.line == line).values(held_fen=table.c.held_fen - amount)
        )
        self._forget(CreditLineRow, line)

    # -- decisions --------------------------------------------------------------------------------

    def add_decision(self, decision: DecisionRecord) -> None:
        """Keeps a decision; the same bytes again change nothing."""
        made = decision.decision
        if self._session.get(RiskDecisionRow, made.hash) is not None:
            return
        self._session.add(
            RiskDecisionRow(
                hash=made.hash,
                subject=decision.subject,
                stage=decision.stage,
                forest=decision.forest,
                verdict=made.verdict.value,
                score=made.score,
                asked_fen=decision.asked_fen,
                cap_fen=made.cap_fen,
                record=made.record,
                reasons=[asdict(reason) for reason in made.reasons],
                elapsed_us=decision.elapsed_us,
                decided_at=decision.decided_at,
            )
        )
        self._session.flush()

    def find_decision(self, decision: str) -> DecisionRecord | None:
        """A decision by its hash."""
        row = self._session.get(RiskDecisionRow, decision)
        return None if row is None else _decision(row)

    def list_decisions(self, since: dt.datetime | None = None) -> Iterator[DecisionRecord]:
        """Decisions since an instant, oldest first."""
        query = select(RiskDecisionRow).order_by(
            col(RiskDecisionRow.decided_at), col(RiskDecisionRow.hash)
        )
        if since is not None:
            query = query.where(RiskDecisionRow.decided_at >= since)
        for row in self._session.exec(query.execution_options(yield_per=PAGE)):
            yield _decision(row)

    def borrower_facts(
        self, borrower: PartyId, lender: PartyId, debtor: PartyId, now: dt.datetime
    ) -> BorrowerFacts:
        """What the books know of a borrower with a lender; each question stays within an index."""
        table = _table(AdvanceRow)
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
        table = _table(PayeeRow)
        found = self._session.execute(
            sa.select(table.c.account, table.c.party)
            .where(table.c.account.in_(list(accounts)))
            .distinct()
        )
        return any(accounts[row.account] != int(row.party) for row in found)

    def count_similar(self, fingerprint: str, trip: TripId, advance: AdvanceId | None) -> int:
        """Other live advances on the same receivable or trip."""
        table = _table(AdvanceRow)
        found: set[str] = set()
        for same in (table.c.fingerprint == fingerprint, table.c.trip == trip):
            query = sa.select(table.c.advance).where(same, table.c.state.in_(_LIVE))
            found |= set(self._session.execute(query.limit(MOST_COUNTED)).scalars())
        return len(found - {advance})

    # -- advances ---------------------------------------------------------------------------------

    def save_advance(self, advance: AdvanceRecord) -> None:
        """Writes an advance, new or known."""
        values: dict[str, Any] = {
            "line": advance.line,
            "lender": str(advance.lender),
            "borrower": str(advance.borrower),
            "debtor": advance.debtor,
            "waybill": advance.waybill,
            "trip": advance.trip,
            "state": advance.state.value,
            "principal_fen": advance.principal_fen,
            "held_fen": advance.held_fen,
            "released_fen": advance.released_fen,
            "outstanding_fen": advance.outstanding_fen,
            "start_day": advance.start_day,
            "due_day": advance.due_day,
            "accrued_day": advance.accrued_day,
            "accrued_fee_fen": advance.accrued.fee,
            "accrued_penalty_fen": advance.accrued.penalty,
            "accrued_interest_fen": advance.accrued.interest,
            "decision": advance.decision,
            "fingerprint": advance.fingerprint,
            "approved_until": advance.approved_until,
            "reason": advance.reason,
            "form": dict(advance.form),
            "submitted_at": advance.submitted_at,
            "requested_at": advance.requested_at,
            "released_at": advance.released_at,
            "closed_at": advance.closed_at,
        }
        row = self._session.get(AdvanceRow, advance.advance)
        if row is None:
            self._session.add(AdvanceRow(advance=advance.advance, **values))
        else:
            _assign(row, values)
        self._session.flush()

    def find_advance(self, advance: AdvanceId) -> AdvanceRecord | None:
        """An advance."""
        row = self._session.get(AdvanceRow, advance)
        return None if row is None else _advance(row)

    def find_advance_of_trip(self, trip: TripId) -> AdvanceRecord | None:
        """The latest advance on a trip."""
        row = self._session.exec(
            select(AdvanceRow)
            .where(AdvanceRow.trip == trip)
            .order_by(col(AdvanceRow.submitted_at).desc())
        ).first()
        return None if row is None else _advance(row)

    def list_advances(
        self,
        *,
        lender: PartyId | None = None,
        borrower: PartyId | None = None,
        trips: Collection[TripId] | None = None,
        states: Collection[AdvanceState] | None = None,
        after: str = "",
        limit: int | None = None,
    ) -> list[AdvanceRecord]:
        """Advances that fit every filter, by id."""
        query = select(AdvanceRow).order_by(col(AdvanceRow.advance))
        if lender is not None:
            query = query.where(AdvanceRow.lender == str(lender))
        if borrower is not None:
            query = query.where(AdvanceRow.borrower == str(borrower))
        if trips is not None:
            query = query.where(col(AdvanceRow.trip).in_(trips))
        if states is not None:
            query = query.where(col(AdvanceRow.state).in_([state.value for state in states]))
        if after:
            query = query.where(AdvanceRow.advance > after)
        if limit is not None:
            query = query.limit(limit)
        return [_advance(row) for row in self._session.exec(query)]

    def add_event(self, advance: AdvanceId, event: AdvanceEvent) -> bool:
        """Keeps an event; False if it is known already."""
        if self._session.get(AdvanceEventRow, event.id) is not None:
            return False
        self._session.add(
            AdvanceEventRow(
                id=event.id,
                advance=advance,
                kind=event.kind.value,
                at=event.at,
                known=event.known,
                amount_fen=event.amount,
                day=event.day,
                block_number=event.position[0],
                log_index=event.position[1],
                target=event.target,
            )
        )
        self._session.flush()
        return True

    def list_events(self, advances: Collection[AdvanceId]) -> dict[AdvanceId, list[AdvanceEvent]]:
        """The events of many advances."""
        found: dict[AdvanceId, list[AdvanceEvent]] = {advance: [] for advance in advances}
        table = _table(AdvanceEventRow)
        for some in _batches(advances):
            for row in self._session.execute(
                sa.select(table).where(table.c.advance.in_(some)).order_by(table.c.id)
            ):
                found[AdvanceId(row.advance)].append(
                    AdvanceEvent(
                        id=row.id,
                        kind=EventKind(row.kind),
                        at=row.at,
                        known=row.known,
                        amount=row.amount_fen,
                        day=row.day,
                        target=row.target,
                        position=(row.block_number, row.log_index),
                    )
                )
        return found

    def save_payees(self, payees: Iterable[PayeeRecord]) -> None:
        """Writes payees, new or known."""
        for payee in payees:
            self._session.merge(
                PayeeRow(
                    advance=payee.advance,
                    place=payee.place,
                    party=str(payee.party),
                    waybill=payee.waybill,
                    account=payee.account,
                    amount_fen=payee.amount_fen,
                    paid_fen=payee.paid_fen,
                    state=payee.state.value,
                    payout=payee.payout,
                    consented_at=payee.consented_at,
                    paid_at=payee.paid_at,
                    bank_paid_at=payee.bank_paid_at,
                )
            )
        self._session.flush()

    def list_payees(self, advances: Collection[AdvanceId]) -> dict[AdvanceId, list[PayeeRecord]]:
        """The payees of many advances, each in order of payment."""
        found: dict[AdvanceId, list[PayeeRecord]] = {advance: [] for advance in advances}
        table = _table(PayeeRow)
        for some in _batches(advances):
            for row in self._session.execute(
                sa.select(table).where(table.c.advance.in_(some)).order_by(table.c.place)
            ):
                found[AdvanceId(row.advance)].append(_payee(row))
        return found

    def find_payee_of_payout(self, payout: str) -> PayeeRecord | None:
        """Who is paid by a payout."""
        row = self._session.exec(select(PayeeRow).where(PayeeRow.payout == payout)).first()
        return None if row is None else _payee(row)

    def save_receivable(self, receivable: ReceivableRecord) -> None:
        """Writes a receivable, new or known."""
        self._session.merge(
            ReceivableRow(
                waybill=receivable.waybill,
                debtor=str(receivable.debtor),
                owner=str(receivable.owner),
                lender=receivable.lender,
                freight_fen=receivable.freight_fen,
                received_fen=receivable.received_fen,
                term_days=receivable.term_days,
                due_day=receivable.due_day,
                notice=receivable.notice,
                acknowledged_at=receivable.acknowledged_at,
                settled_at=receivable.settled_at,
            )
        )
        self._session.flush()

    def find_receivable(self, waybill: WaybillId) -> ReceivableRecord | None:
        """What is owed on a waybill."""
        row = self._session.get(ReceivableRow, waybill)
        return None if row is None else _receivable(row)

    def list_receivables(self, *, lender: PartyId | None = None) -> list[ReceivableRecord]:
        """Receivables pledged to a lender, or all."""
        query = select(ReceivableRow).order_by(col(ReceivableRow.waybill))
        if lender is not None:
            query = query.where(ReceivableRow.lender == str(lender))
        return [_receivable(row) for row in self._session.exec(query)]

    def add_settlement(self, settlement: SettlementRecord) -> bool:
        """Keeps a settlement; False if it is known already."""
        if self._session.get(SettlementRow, settlement.id) is not None:
            return False
        self._session.add(SettlementRow(**asdict(settlement)))
        self._session.flush()
        return True

    def list_settlements(self, waybill: WaybillId) -> list[SettlementRecord]:
        """Settlements of a waybill, oldest first."""
        rows = self._session.exec(
            select(SettlementRow)
            .where(SettlementRow.waybill == waybill)
            .order_by(col(SettlementRow.at), col(SettlementRow.id))
        )
        return [
            SettlementRecord(**(row.model_dump() | {"waybill": WaybillId(row.waybill)}))
            for row in rows
        ]

    # -- the journal ------------------------------------------------------------------------------

    def post(self, entries: Sequence[Entry]) -> int:
        """Books entries; one booked before changes nothing. How many were new."""
        known = self._find_entries([entry.id for entry in entries])
        new: dict[str, Entry] = {}
        for entry in entries:
            before = known.get(entry.id) or new.get(entry.id)
            if before is None:
                new[entry.id] = entry
            elif replace(before, known=entry.known) != entry:
                raise DuplicateError(
                    f"entry {entry.id} was booked with another content", entry=entry.id
                )
        if new:
            self._session.execute(
                sa.insert(_table(JournalEntryRow)),
                [
                    {
                        "id": entry.id,
                        "book": entry.book,
                        "kind": entry.kind,
                        "day": entry.day,
                        "at": entry.at,
                        "known": entry.known,
                        "source": entry.source,
                        "reverses": entry.reverses,
                    }
                    for entry in new.values()
                ],
            )
            self._session.execute(
                sa.insert(_table(JournalLineRow)),
                [
                    {
                        "entry": entry.id,
                        "book": entry.book,
                        "account": line.account,
                        "amount_fen": line.amount,
                        "about": line.about,
                    }
                    for entry in new.values()
                    for line in entry.lines
                ],
            )
        return len(new)

    def balances(
        self,
        *,
        until_day: int | None = None,
        known_by: dt.datetime | None = None,
        book: str | None = None,
    ) -> dict[tuple[str, str], int]:
        """Balances by (book, account), summed by the database."""
        lines, heads = _table(JournalLineRow), _table(JournalEntryRow)
        query = sa.select(
            lines.c.book, lines.c.account, sa.func.sum(lines.c.amount_fen).label("total")
        ).group_by(lines.c.book, lines.c.account)
        if book is not None:
            query = query.where(lines.c.book == book)
        if until_day is not None or known_by is not None:
            query = query.join(heads, heads.c.id == lines.c.entry)
            if until_day is not None:
                query = query.where(heads.c.day <= until_day)
            if known_by is not None:
                query = query.where(heads.c.known <= known_by)
        return {
            (row.book, row.account): int(row.total)
            for row in self._session.execute(query.order_by(lines.c.book, lines.c.account))
            if row.total
        }

    def balances_about(self, account: str, *, book: str | None = None) -> dict[str, int]:
        """The balance of an account by what its lines are about; zeros left out."""
        table = _table(JournalLineRow)
        total = sa.func.sum(table.c.amount_fen)
        query = (
            sa.select(table.c.about, total.label("total"))
            .where(table.c.account == account)
            .group_by(table.c.about)
            .having(total != 0)
        )
        if book is not None:
            query = query.where(table.c.book == book)
        return {row.about: int(row.total) for row in self._session.execute(query)}

    def list_entries(
        self, book: str, *, until_day: int | None = None, about: str | None = None
    ) -> Iterator[Entry]:
        """Entries of a book in order of business day, read in pages."""
        table, lines = _table(JournalEntryRow), _table(JournalLineRow)
        last: tuple[int, str] = (-1, "")
        while True:
            query = (
                sa.select(table)
                .where(table.c.book == book)
                .where(sa.tuple_(table.c.day, table.c.id) > last)
                .order_by(table.c.day, table.c.id)
                .limit(PAGE)
            )
            if until_day is not None:
                query = query.where(table.c.day <= until_day)
            if about is not None:
                named = sa.select(lines.c.entry).where(lines.c.about == about)
                query = query.where(table.c.id.in_(named))
            heads = self._session.execute(query).all()
            yield from self._with_lines(heads)
            if len(heads) < PAGE:
                return
            last = (heads[-1].day, heads[-1].id)

    def list_entries_of(self, sources: Collection[str]) -> list[Entry]:
        """Entries that these transactions gave rise to, in all books, in order of id."""
        table = _table(JournalEntryRow)
        found: list[Entry] = []
        for some in _batches(sources):
            query = sa.select(table).where(table.c.source.in_(some))
            found += self._with_lines(self._session.execute(query).all())
        return sorted(found, key=lambda entry: entry.id)

    def _find_entries(self, ids: Collection[str]) -> dict[str, Entry]:
        table = _table(JournalEntryRow)
        found: dict[str, Entry] = {}
        for some in _batches(ids):
            heads = self._session.execute(sa.select(table).where(table.c.id.in_(some))).all()
            found |= {entry.id: entry for entry in self._with_lines(heads)}
        return found

    def _with_lines(self, heads: Sequence[Any]) -> list[Entry]:
        table = _table(JournalLineRow)
        lines: dict[str, list[Line]] = {head.id: [] for head in heads}
        for some in _batches(lines):
            for row in self._session.execute(
                sa.select(table).where(table.c.entry.in_(some)).order_by(table.c.id)
            ):
                lines[row.entry].append(Line(row.account, row.amount_fen, row.about))
        return [
            Entry(
                id=head.id,
                book=head.book,
                kind=head.kind,
                day=head.day,
                at=head.at,
                known=head.known,
                lines=tuple(lines[head.id]),
                source=head.source,
                reverses=head.reverses,
            )
            for head in heads
        ]

    # -- the day's end ----------------------------------------------------------------------------

    def list_lenders(self) -> list[PartyId]:
        """Every lender with a line."""
        found = self._session.exec(select(CreditLineRow.lender).distinct())
        return sorted(PartyId(int(lender)) for lender in found)

    def first_day(self, lender: PartyId) -> int | None:
        """The business day of a lender's first entry."""
        table = _table(JournalEntryRow)
        query = sa.select(sa.func.min(table.c.day)).where(table.c.book == book_of(lender))
        first = self._session.execute(query).scalar_one()
        return None if first is None else int(first)

    def list_loans_on(
        self, lender: PartyId, before: dt.datetime, *, after: str, limit: int
    ) -> list[AdvanceRecord]:
        """Loans released before an instant and not closed before it, by id."""
        query = (
            select(AdvanceRow)
            .where(
                AdvanceRow.lender == str(lender),
                AdvanceRow.advance > after,
                col(AdvanceRow.released_at) < before,
                col(AdvanceRow.closed_at).is_(None) | (col(AdvanceRow.closed_at) >= before),
            )
            .order_by(col(AdvanceRow.advance))
            .limit(limit)
        )
        return [_advance(row) for row in self._session.exec(query)]

    def save_accrued(self, accrued: Sequence[tuple[AdvanceId, int, Charges]]) -> None:
        """Writes what is booked of many advances in one statement."""
        if not accrued:
            return
        table = _table(AdvanceRow)
        self._session.execute(
            sa.update(table)
            .where(table.c.advance == sa.bindparam("b_advance"))
            .values(
                accrued_day=sa.bindparam("b_day"),
                accrued_fee_fen=sa.bindparam("b_fee"),
                accrued_penalty_fen=sa.bindparam("b_penalty"),
                accrued_interest_fen=sa.bindparam("b_interest"),
            ),
            [
                {
                    "b_advance": advance,
                    "b_day": day,
                    "b_fee": booked.fee,
                    "b_penalty": booked.penalty,
                    "b_interest": booked.interest,
                }
                for advance, day, booked in accrued
            ],
        )
        for advance, _, _ in accrued:
            self._forget(AdvanceRow, advance)

    def find_loan_days(
        self, lender: PartyId, day: int, advances: Collection[AdvanceId]
    ) -> dict[AdvanceId, LoanDay]:
        """How these loans stood at the end of a day."""
        table = _table(LoanDayRow)
        found: dict[AdvanceId, LoanDay] = {}
        for some in _batches(advances):
            query = sa.select(table).where(
                table.c.lender == str(lender), table.c.day == day, table.c.advance.in_(some)
            )
            for row in self._session.execute(query):
                found[AdvanceId(row.advance)] = _loan_day(row)
        return found

    def add_loan_days(self, rows: Sequence[LoanDay]) -> None:
        """Keeps how loans stood; a row kept before stays."""
        if not rows:
            return
        dialect = self._session.get_bind().dialect.name
        insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._session.execute(
            insert(_table(LoanDayRow)).on_conflict_do_nothing(),
            [
                {
                    "lender": str(row.lender),
                    "day": row.day,
                    "advance": row.advance,
                    "principal_fen": row.principal_fen,
                    "interest_due_fen": row.interest_due_fen,
                    "penalty_due_fen": row.penalty_due_fen,
                    "fee_due_fen": row.fee_due_fen,
                    "days_past_due": row.days_past_due,
                    "tier": row.tier,
                    "clean_days": row.clean_days,
                }
                for row in rows
            ],
        )

    def list_loan_days(self, lender: PartyId, day: int) -> Iterator[LoanDay]:
        """Every loan of a lender at the end of a day, by id."""
        table = _table(LoanDayRow)
        query = (
            sa.select(table)
            .where(table.c.lender == str(lender), table.c.day == day)
            .order_by(table.c.advance)
            .execution_options(yield_per=PAGE)
        )
        for row in self._session.execute(query):
            yield _loan_day(row)

    def find_day_end(self, lender: PartyId, day: int) -> DayEndRecord | None:
        """How far a day has been closed."""
        row = self._session.get(DayEndRow, (str(lender), day))
        return None if row is None else _day_end(row)

    def last_sealed(self, lender: PartyId) -> DayEndRecord | None:
        """The latest day that is sealed."""
        row = self._session.exec(
            select(DayEndRow)
            .where(DayEndRow.lender == str(lender), DayEndRow.seal != "")
            .order_by(col(DayEndRow.day).desc())
        ).first()
        return None if row is None else _day_end(row)

    def save_day_end(self, record: DayEndRecord) -> None:
        """Writes how far a day has been closed."""
        self._session.merge(
            DayEndRow(
                lender=str(record.lender),
                day=record.day,
                step=record.step.value,
                resume_after=record.resume_after,
                block_number=record.block,
                seal=record.seal,
                report=dict(record.report),
                started_at=record.started_at,
                sealed_at=record.sealed_at,
            )
        )
        self._session.flush()

    # -- differences ------------------------------------------------------------------------------

    def record_differences(
        self, found: Sequence[Discrepancy], *, day: int, now: dt.datetime
    ) -> None:
        """Keeps what is new, dates what is still there, closes what is gone."""
        rows = self._session.exec(
            select(DifferenceRow).where(col(DifferenceRow.closed_at).is_(None))
        ).all()
        open_rows = {(row.kind, row.subject): row for row in rows}
        for one in found:
            row = open_rows.pop((one.kind.value, one.subject), None)
            if row is None:
                row = DifferenceRow(
                    kind=one.kind.value,
                    subject=one.subject,
                    chain_fen=0,
                    ledger_fen=0,
                    first_day=day,
                    last_day=day,
                )
            row.chain_fen, row.ledger_fen, row.last_day = one.chain_fen, one.ledger_fen, day
            self._session.add(row)
        for row in open_rows.values():
            row.closed_at = now
            self._session.add(row)
        self._session.flush()

    def list_differences(self) -> list[Difference]:
        """Open differences, oldest first."""
        rows = self._session.exec(
            select(DifferenceRow)
            .where(col(DifferenceRow.closed_at).is_(None))
            .order_by(col(DifferenceRow.first_day), col(DifferenceRow.id))
        )
        return [Difference(**row.model_dump(exclude={"id"})) for row in rows]

    def forget_projection(self) -> None:
        """Empties everything that the chain told, so that a re-index can tell it again.

        What was submitted here (forms, decisions, policies) stays; the day ends must be run again.
        """
        for row in (
            JournalLineRow,
            JournalEntryRow,
            AdvanceEventRow,
            SettlementRow,
            ReceivableRow,
            LoanDayRow,
            DayEndRow,
        ):
            self._session.execute(sa.delete(_table(row)))
        advances, lines, payees = _table(AdvanceRow), _table(CreditLineRow), _table(PayeeRow)
        self._session.execute(
            sa.update(advances).values(
                state=AdvanceState.NONE.value,
                debtor="",
                released_fen=0,
                outstanding_fen=0,
                start_day=0,
                due_day=0,
                accrued_day=None,
                accrued_fee_fen=0,
                accrued_penalty_fen=0,
                accrued_interest_fen=0,
                approved_until=None,
                reason="",
                requested_at=None,
                released_at=None,
                closed_at=None,
            )
        )
        self._session.execute(
            sa.update(lines).values(
                state=LineState.SUBMITTED.value,
                reserved_fen=0,
                drawn_fen=0,
                frozen=False,
                opened_at=None,
            )
        )
        self._session.execute(
            sa.update(payees).values(
                state=PayeeState.ASKED.value,
                paid_fen=0,
                payout="",
                consented_at=None,
                paid_at=None,
                bank_paid_at=None,
            )
        )
        self._session.expire_all()

    def _forget(self, row: type[Any], key: str) -> None:
        """Lets the next read see what a statement changed behind the session's back."""
        held = self._session.identity_map.get(identity_key(row, key))
        if held is not None:
            self._session.expire(held)


def _table(row: type[Any]) -> sa.Table:
    table = row.__table__
    assert isinstance(table, sa.Table)
    return table


def _assign(row: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if getattr(row, name) != value:
            setattr(row, name, value)


def _batches(values: Collection[Any]) -> Iterator[list[Any]]:
    ordered = list(values)
    for at in range(0, len(ordered), IN_AT_ONCE):
        yield ordered[at : at + IN_AT_ONCE]


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
    )


def _advance(row: AdvanceRow) -> AdvanceRecord:
    return AdvanceRecord(
        advance=AdvanceId(row.advance),
        line=LineId(row.line),
        lender=PartyId(int(row.lender)),
        borrower=PartyId(int(row.borrower)),
        waybill=WaybillId(row.waybill),
        trip=TripId(row.trip),
        principal_fen=row.principal_fen,
        decision=row.decision,
        submitted_at=row.submitted_at,
        state=AdvanceState(row.state),
        debtor=row.debtor,
        held_fen=row.held_fen,
        released_fen=row.released_fen,
        outstanding_fen=row.outstanding_fen,
        start_day=row.start_day,
        due_day=row.due_day,
        accrued_day=row.accrued_day,
        accrued=Charges(
            fee=row.accrued_fee_fen,
            penalty=row.accrued_penalty_fen,
            interest=row.accrued_interest_fen,
        ),
        fingerprint=row.fingerprint,
        approved_until=row.approved_until,
        reason=row.reason,
        form=row.form,
        requested_at=row.requested_at,
        released_at=row.released_at,
        closed_at=row.closed_at,
    )


def _loan_day(row: Any) -> LoanDay:
    return LoanDay(
        advance=AdvanceId(row.advance),
        lender=PartyId(int(row.lender)),
        day=row.day,
        principal_fen=row.principal_fen,
        interest_due_fen=row.interest_due_fen,
        penalty_due_fen=row.penalty_due_fen,
        fee_due_fen=row.fee_due_fen,
        days_past_due=row.days_past_due,
        tier=row.tier,
        clean_days=row.clean_days,
    )


def _day_end(row: DayEndRow) -> DayEndRecord:
    return DayEndRecord(
        lender=PartyId(int(row.lender)),
        day=row.day,
        step=DayEndStep(row.step),
        block=row.block_number,
        started_at=row.started_at,
        resume_after=row.resume_after,
        seal=row.seal,
        report=row.report,
        sealed_at=row.sealed_at,
    )


def _payee(row: Any) -> PayeeRecord:
    return PayeeRecord(
        advance=AdvanceId(row.advance),
        place=row.place,
        party=PartyId(int(row.party)),
        waybill=WaybillId(row.waybill),
        account=Hash32(row.account),
        amount_fen=row.amount_fen,
        state=PayeeState(row.state),
        paid_fen=row.paid_fen,
        payout=row.payout,
        consented_at=row.consented_at,
        paid_at=row.paid_at,
        bank_paid_at=row.bank_paid_at,
    )


def _receivable(row: ReceivableRow) -> ReceivableRecord:
    return ReceivableRecord(
        waybill=WaybillId(row.waybill),
        debtor=PartyId(int(row.debtor)),
        owner=PartyId(int(row.owner)),
        freight_fen=row.freight_fen,
        term_days=row.term_days,
        lender=row.lender,
        received_fen=row.received_fen,
        due_day=row.due_day,
        notice=row.notice,
        acknowledged_at=row.acknowledged_at,
        settled_at=row.settled_at,
    )
