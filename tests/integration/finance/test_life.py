"""The life of an advance on the real contracts, and the books that follow it."""

from __future__ import annotations

from chain.bindings.settlement_token import SettlementToken
from finance.advance import AdvanceState
from finance.records import PayeeState


def test_a_trip_from_the_request_to_the_last_fen(town):
    town.fund(4_000_000)
    line = town.open_line()
    _trip, advance = town.released(line)
    shown = town.look(lambda s: s.show_advance(advance))
    assert shown.record.state is AdvanceState.RELEASED
    assert shown.payees[0].state is PayeeState.PAID
    assert shown.payees[0].paid_fen == 500_000
    assert town.client.fetch(SettlementToken.balance_of(town.account("driver"))) == 500_000
    assert town.reconcile() == []
