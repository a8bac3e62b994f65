"""Rows of what the bank has paid out of a lender's advances; values out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from chain.ids import AdvanceId, Hash32, PartyId, TripId, WaybillId
from finance.fund_flows import FundFlow
from finance.payouts import PayoutState
from finance.rows import SqlRows, table_of
from finance.tables import AdvanceRow, PayeeRow, PayoutRow

if TYPE_CHECKING:
    import datetime as dt


class SqlFundFlows(SqlRows):
    """Payouts of advances, as the regulator asks for them."""

    def list_fund_flows(
        self, lender: PartyId, since: dt.datetime, until: dt.datetime, limit: int
    ) -> list[FundFlow]:
        """What was paid of a lender's advances from an instant to before another, oldest first."""
        advances, payees, payouts = (table_of(row) for row in (AdvanceRow, PayeeRow, PayoutRow))
        rows = self._session.execute(
            sa.select(
                payouts.c.payout,
                advances.c.advance,
                advances.c.trip,
                payees.c.waybill,
                payouts.c.party,
                payouts.c.account,
                payouts.c.sequence,
                payouts.c.bank_reference,
                payouts.c.amount_fen,
                payouts.c.paid_at,
            )
            .join(payees, payees.c.payout == payouts.c.payout)
            .join(advances, advances.c.advance == payees.c.advance)
            .where(
                advances.c.lender == str(lender),
                payouts.c.state.in_([PayoutState.PAID.value, PayoutState.CONFIRMED.value]),
                payouts.c.paid_at >= since,
                payouts.c.paid_at < until,
            )
            .order_by(payouts.c.paid_at, payouts.c.payout)
            .limit(limit)
        )
        return [
            FundFlow(
                payout=Hash32(row.payout),
                advance=AdvanceId(row.advance),
                trip=TripId(row.trip),
                waybill=WaybillId(row.waybill),
                payee=PartyId(int(row.party)),
                account=Hash32(row.account),
                sequence=Hash32(row.sequence),
                bank_reference=row.bank_reference,
                amount_fen=row.amount_fen,
                paid_at=row.paid_at,
            )
            for row in rows
        ]
