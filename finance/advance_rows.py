"""Rows of advances, their events, payees, receivables and settlements; values in and out."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlmodel import col, select

from chain.ids import AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
from chain.paging import behind
from chain.storage import insert_later
from finance.accrual import Charges
from finance.advance import AdvanceEvent, AdvanceState, EventKind
from finance.records import (
    AdvanceRecord,
    PayeeRecord,
    PayeeState,
    ReceivableRecord,
    SettlementRecord,
)
from finance.tables import (
    AdvanceEventRow,
    AdvanceRow,
    PayeeRow,
    ReceivableRow,
    SettlementRow,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlmodel import Session

from finance.rows import SqlRows, assign, batches, table_of


class SqlAdvances(SqlRows):
    """Advances and what hangs on them."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        # what events of one database transaction ask for again and again
        self._of_trip: dict[TripId, list[AdvanceRow]] = {}
        self._payees: dict[AdvanceId, list[PayeeRow]] = {}
        self._events: dict[AdvanceId, list[AdvanceEvent]] = {}
        self._receivables: dict[str, ReceivableRow | None] = {}

    def read_ahead(
        self, advances: Collection[AdvanceId], trips: Collection[TripId]
    ) -> list[AdvanceRecord]:
        """Reads what many events are about in few questions, so that each is answered from memory.

        For a transaction that holds on to its rows (``Storage.write_at_length``).

        Args:
            advances: read with their payees and receivables.
            trips: whose advances are read likewise.

        Returns:
            The advances.
        """
        rows: dict[str, AdvanceRow] = {}
        for column, values in ((AdvanceRow.advance, advances), (AdvanceRow.trip, trips)):
            for some in batches(values):
                query = select(AdvanceRow).where(col(column).in_(some))
                rows |= {row.advance: row for row in self._session.exec(query)}
        self._ahead |= {AdvanceId(advance) for advance in rows}
        self._of_trip |= {trip: [] for trip in trips}
        for row in rows.values():
            if row.trip in self._of_trip:
                self._of_trip[TripId(row.trip)].append(row)
        self._read_payees([AdvanceId(advance) for advance in rows])
        for some in batches({row.waybill for row in rows.values()} - self._receivables.keys()):
            self._receivables |= dict.fromkeys(some)
            owed = select(ReceivableRow).where(col(ReceivableRow.waybill).in_(some))
            self._receivables |= {one.waybill: one for one in self._session.exec(owed)}
        return [advance_of(row) for row in rows.values()]

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
            "acknowledged_at": advance.acknowledged_at,
            "released_at": advance.released_at,
            "closed_at": advance.closed_at,
        }
        row = self._session.get(AdvanceRow, advance.advance)
        if row is not None:
            assign(row, values)
            return
        row = AdvanceRow(advance=advance.advance, **values)
        self._session.add(row)
        self._session.flush()
        if advance.trip in self._of_trip:
            self._of_trip[advance.trip].append(row)

    def find_advance(self, advance: AdvanceId) -> AdvanceRecord | None:
        """An advance."""
        row = self._session.get(AdvanceRow, advance)
        return None if row is None else advance_of(row)

    def find_advance_of_trip(self, trip: TripId) -> AdvanceRecord | None:
        """The latest advance on a trip."""
        if trip in self._of_trip:
            latest = max(self._of_trip[trip], key=lambda one: one.submitted_at, default=None)
            return None if latest is None else advance_of(latest)
        row = self._session.exec(
            select(AdvanceRow)
            .where(AdvanceRow.trip == trip)
            .order_by(col(AdvanceRow.submitted_at).desc())
        ).first()
        return None if row is None else advance_of(row)

    def list_advances(
        self,
        *,
        lender: PartyId | None = None,
        borrower: PartyId | None = None,
        debtor: PartyId | None = None,
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
        if debtor is not None:
            query = query.where(AdvanceRow.debtor == str(debtor))
        if trips is not None:
            query = query.where(col(AdvanceRow.trip).in_(trips))
        if states is not None:
            query = query.where(col(AdvanceRow.state).in_([state.value for state in states]))
        if after:
            query = query.where(AdvanceRow.advance > after)
        if limit is not None:
            query = query.limit(limit)
        return [advance_of(row) for row in self._session.exec(query)]

    def add_event(self, advance: AdvanceId, event: AdvanceEvent) -> None:
        """Keeps an event; one that is known already changes nothing."""
        known = self._events.get(advance)
        if known is not None and all(one.id != event.id for one in known):
            known.append(event)
        insert_later(
            self._session,
            AdvanceEventRow,
            {
                "id": event.id,
                "advance": advance,
                "kind": event.kind.value,
                "at": event.at,
                "known": event.known,
                "amount_fen": event.amount,
                "day": event.day,
                "block_number": event.position[0],
                "log_index": event.position[1],
                "target": event.target,
                "facts": {},
            },
            "id",
        )

    def list_events(self, advances: Collection[AdvanceId]) -> dict[AdvanceId, list[AdvanceEvent]]:
        """The events of many advances, by id; what was read ahead is read at once when one is asked for."""
        missing = set(advances) - self._events.keys()
        if missing & self._ahead:
            self._events |= self._read_events(self._ahead - self._events.keys())
            missing -= self._ahead
        found = self._read_events(missing) | {
            advance: sorted(self._events[advance], key=lambda one: one.id)
            for advance in advances
            if advance in self._events
        }
        return {advance: found[advance] for advance in advances}

    def _read_events(self, advances: Collection[AdvanceId]) -> dict[AdvanceId, list[AdvanceEvent]]:
        found: dict[AdvanceId, list[AdvanceEvent]] = {advance: [] for advance in advances}
        table = table_of(AdvanceEventRow)
        for some in batches(advances):
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
        new = []
        for payee in payees:
            values: dict[str, Any] = {
                "party": str(payee.party),
                "waybill": payee.waybill,
                "account": payee.account,
                "amount_fen": payee.amount_fen,
                "paid_fen": payee.paid_fen,
                "state": payee.state.value,
                "payout": payee.payout,
                "consented_at": payee.consented_at,
                "paid_at": payee.paid_at,
                "bank_paid_at": payee.bank_paid_at,
            }
            row = self._session.get(PayeeRow, (payee.advance, payee.place))
            if row is None:
                new.append(PayeeRow(advance=payee.advance, place=payee.place, **values))
                self._payees.pop(payee.advance, None)
            else:
                assign(row, values)
        if new:
            self._session.add_all(new)
            self._session.flush()

    def list_payees(self, advances: Collection[AdvanceId]) -> dict[AdvanceId, list[PayeeRecord]]:
        """The payees of many advances, each in order of payment."""
        self._read_payees([advance for advance in advances if advance not in self._payees])
        return {
            advance: [_payee(row) for row in self._payees.get(advance, ())] for advance in advances
        }

    def _read_payees(self, advances: Sequence[AdvanceId]) -> None:
        self._payees |= {advance: [] for advance in advances}
        for some in batches(advances):
            query = select(PayeeRow).where(col(PayeeRow.advance).in_(some))
            for row in self._session.exec(query.order_by(col(PayeeRow.place))):
                self._payees[AdvanceId(row.advance)].append(row)

    def list_payees_of_payouts(self, payouts: Collection[Hash32]) -> dict[Hash32, PayeeRecord]:
        """Who is paid by each of some payouts; one that a party took out itself is left out."""
        query = select(PayeeRow).where(col(PayeeRow.payout).in_(payouts))
        return {Hash32(row.payout): _payee(row) for row in self._session.exec(query)}

    def list_advances_by_id(
        self, advances: Collection[AdvanceId]
    ) -> dict[AdvanceId, AdvanceRecord]:
        """Advances by id."""
        found: dict[AdvanceId, AdvanceRecord] = {}
        for some in batches(advances):
            query = select(AdvanceRow).where(col(AdvanceRow.advance).in_(some))
            found |= {AdvanceId(row.advance): advance_of(row) for row in self._session.exec(query)}
        return found

    def find_payee_of_payout(self, payout: str) -> PayeeRecord | None:
        """Who is paid by a payout."""
        row = self._session.exec(select(PayeeRow).where(PayeeRow.payout == payout)).first()
        return None if row is None else _payee(row)

    def save_receivable(self, receivable: ReceivableRecord) -> None:
        """Writes a receivable, new or known."""
        values: dict[str, Any] = {
            "debtor": str(receivable.debtor),
            "owner": str(receivable.owner),
            "lender": receivable.lender,
            "freight_fen": receivable.freight_fen,
            "received_fen": receivable.received_fen,
            "term_days": receivable.term_days,
            "due_day": receivable.due_day,
            "notice": receivable.notice,
            "acknowledged_at": receivable.acknowledged_at,
            "settled_at": receivable.settled_at,
        }
        row = self._receivable_row(receivable.waybill)
        if row is not None:
            assign(row, values)
            return
        made = ReceivableRow(waybill=receivable.waybill, **values)
        self._session.add(made)
        if receivable.waybill in self._receivables:
            self._receivables[receivable.waybill] = made

    def _receivable_row(self, waybill: WaybillId) -> ReceivableRow | None:
        if waybill in self._receivables:
            return self._receivables[waybill]
        return self._session.get(ReceivableRow, waybill)

    def find_receivable(self, waybill: WaybillId) -> ReceivableRecord | None:
        """What is owed on a waybill."""
        row = self._receivable_row(waybill)
        return None if row is None else _receivable(row)

    def list_receivables(
        self, *, lender: PartyId | None = None, owner: PartyId | None = None
    ) -> list[ReceivableRecord]:
        """Receivables pledged to a lender, of an owner, or all."""
        query = select(ReceivableRow).order_by(col(ReceivableRow.waybill))
        if lender is not None:
            query = query.where(ReceivableRow.lender == str(lender))
        if owner is not None:
            query = query.where(ReceivableRow.owner == str(owner))
        return [_receivable(row) for row in self._session.exec(query)]

    def page_receivables(
        self, party: PartyId, side: str, *, after: str = "", limit: int
    ) -> list[ReceivableRecord]:
        """A page by waybill of what a party is owed (owner), owes (debtor) or holds in pledge (lender)."""
        query = (
            select(ReceivableRow)
            .where(getattr(ReceivableRow, side) == str(party), col(ReceivableRow.waybill) > after)
            .order_by(col(ReceivableRow.waybill))
            .limit(limit)
        )
        return [_receivable(row) for row in self._session.exec(query)]

    def add_settlement(self, settlement: SettlementRecord) -> bool:
        """Keeps a settlement; False if it is known already."""
        if self._session.get(SettlementRow, settlement.id) is not None:
            return False
        self._session.add(SettlementRow(**asdict(settlement)))
        self._session.flush()
        return True

    def find_settlement(self, settlement: str) -> SettlementRecord | None:
        """A settlement by its id."""
        row = self._session.get(SettlementRow, settlement)
        return None if row is None else _settlement(row)

    def list_settlements(
        self,
        waybill: WaybillId,
        *,
        after: SettlementRecord | None = None,
        limit: int | None = None,
    ) -> list[SettlementRecord]:
        """Settlements of a waybill, oldest first."""
        query = select(SettlementRow).where(SettlementRow.waybill == waybill)
        place = None if after is None else (after.at, after.id)
        query = behind(query, (col(SettlementRow.at), col(SettlementRow.id)), place)
        return [_settlement(row) for row in self._session.exec(query.limit(limit))]


def _settlement(row: SettlementRow) -> SettlementRecord:
    return SettlementRecord(**(row.model_dump() | {"waybill": WaybillId(row.waybill)}))


def advance_of(row: AdvanceRow) -> AdvanceRecord:
    """The row as services see it."""
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
        acknowledged_at=row.acknowledged_at,
        released_at=row.released_at,
        closed_at=row.closed_at,
    )


def _payee(row: PayeeRow) -> PayeeRecord:
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
