"""The life of an advance on the real contracts, and the books that follow it to the fen."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import Amendment
from chain.bindings.waybill_registry import WaybillRegistry
from chain.errors import InvalidValueError, SignatureRefusedError
from finance.advance import AdvanceState
from finance.audit import DiscrepancyKind, book_of
from finance.errors import (
    AdvanceStateError,
    DecisionRefusedError,
    DecisionStaleError,
    HeadroomError,
    LineStateError,
)
from finance.records import PayeeState
from finance.repository import SqlBooks
from finance.risk import Verdict
from finance.waterfall import Component
from tests.integration.finance.town import FAR, ZERO


@pytest.fixture
def line(town):
    town.fund(4_000_000)
    return town.open_line()


def balance(town, name):
    return town.client.fetch(SettlementToken.balance_of(town.account(name)))


def accounts(town):
    """The lender's book, by account."""
    lender = book_of(town.parties["lender"])
    balances = town.books(lambda b: b.balances())
    assert sum(fen for (book, _), fen in balances.items() if book == lender) == 0
    return {account: fen for (book, account), fen in balances.items() if book == lender}


def show(town, advance):
    return town.look(lambda s: s.show_advance(advance))


def chain_due(town, advance):
    due = town.client.fetch(FreightAdvance.due(advance, town.client.fetch(FreightAdvance.today())))
    return {
        Component.FEE: due.fee,
        Component.PENALTY: due.penalty,
        Component.INTEREST: due.interest,
        Component.PRINCIPAL: due.principal,
    }


def test_a_trip_from_the_request_to_the_last_fen(town, line):
    trip, advance = town.released(line)
    shown = show(town, advance)
    assert shown.record.state is AdvanceState.RELEASED
    assert (shown.payees[0].state, shown.payees[0].paid_fen) == (PayeeState.PAID, 500_000)
    assert balance(town, "driver") == 500_000
    assert accounts(town)["loan_principal"] == 500_000
    assert town.reconcile() == []

    town.bank_pays(shown.payees[0].payout)
    assert show(town, advance).payees[0].state is PayeeState.BANKED
    assert balance(town, "driver") == 0

    town.later(days=45)
    shown = show(town, advance)
    assert shown.due == chain_due(town, advance)
    assert shown.due[Component.INTEREST] == 500_000 * 109_500 * 45 // 365_000_000
    assert shown.due[Component.FEE] == 500
    town.pay_debtor(trip, 900_000)
    closed = show(town, advance)
    assert closed.record.state is AdvanceState.REPAID
    assert closed.payoff_fen == 0
    assert balance(town, "firm") == 900_000 - shown.payoff_fen
    book = accounts(town)
    assert "loan_principal" not in book
    assert -book["interest_income"] == shown.due[Component.INTEREST]
    assert -book["fee_income"] == 500
    assert book["vault_free"] == 4_000_000 + shown.due[Component.INTEREST] + 500
    receivable = town.books(lambda b: b.find_receivable(trip.waybills[1]))
    assert receivable.received_fen == 900_000
    assert receivable.acknowledged_at is not None
    kept = town.books(lambda b: b.find_line(line))
    assert (kept.reserved_fen, kept.drawn_fen, kept.held_fen) == (0, 0, 0)
    assert town.reconcile() == []
    assert not town.refused


def test_every_partial_payment_is_shared_alike_by_contract_and_replay(town, line):
    _, advance = town.released(line)
    for days, amount in ((17, 100_000), (1, 3), (43, 200_000), (5, 1_000), (40, 90_000)):
        town.later(days=days)
        assert show(town, advance).due == chain_due(town, advance)
        town.repay(advance, amount)
        assert show(town, advance).due == chain_due(town, advance)
        assert town.reconcile() == []
    book = accounts(town)
    assert -book["penalty_income"] > 0
    shown = show(town, advance)
    assert shown.days_past_due == 46
    assert shown.tier == "special_mention"
    town.repay(advance, shown.payoff_fen + 5)
    assert show(town, advance).record.state is AdvanceState.REPAID
    assert balance(town, "firm") == 5
    assert not {"interest_receivable", "fee_receivable", "penalty_receivable"} & set(accounts(town))
    assert town.reconcile() == []


def test_closed_days_book_what_the_contract_charges_and_a_payment_finds_nothing_left_to_book(
    town, line
):
    _, advance = town.released(line)
    start = town.client.fetch(FreightAdvance.today())
    town.later(days=75)
    today = town.client.fetch(FreightAdvance.today())
    sealed = town.close_days(today - 1)
    assert [one.day for one in sealed][-1] == today - 1
    assert sealed[-1].day - start == 74
    assert town.close_days(today) == []  # it is not over
    book, due = accounts(town), chain_due(town, advance)
    for name in (Component.FEE, Component.PENALTY, Component.INTEREST):
        assert book[f"{name.value}_receivable"] == due[name]
    assert sealed[-1].report["by_class"]["special_mention"]["principal_fen"] == 500_000
    entries = town.books(lambda b: len(list(b.list_entries(book_of(town.parties["lender"])))))
    town.repay(advance, sum(due.values()))
    after = town.books(lambda b: len(list(b.list_entries(book_of(town.parties["lender"])))))
    assert after == entries + 1
    assert town.reconcile() == []


def test_a_shortage_cuts_the_loan_and_frees_the_rest_of_the_reserve(town):
    town.fund(4_000_000)
    line = town.open_line(tolerance_bps=5_000)
    trip = town.issue_trip()
    advance = town.ask(line, trip, 500_000)
    town.agree(advance)
    town.approve(advance)
    assert accounts(town)["vault_reserved"] == 500_000
    town.drive(trip, accepted=15_000)
    shown = show(town, advance)
    assert shown.record.released_fen == shown.payees[0].paid_fen == 250_000
    assert "vault_reserved" not in accounts(town)
    assert town.reconcile() == []


def test_a_shortage_beyond_tolerance_waits_and_a_closed_gate_gives_the_reserve_back(town, line):
    from chain.bindings.structs import Gate

    trip = town.issue_trip()
    advance = town.ask(line, trip, 500_000)
    town.agree(advance)
    town.approve(advance)
    town.drive(trip, accepted=15_000)
    shown = show(town, advance)
    assert (shown.record.state, shown.record.reason) == (AdvanceState.RELEASABLE, "shortage")
    form = Gate(advance=advance, open=False, reason=town.number(), expires=FAR, salt=town.number())
    town.do(lambda s: s.gate_advance(form, town.sign("lender", form, "FreightAdvance")))
    shown = show(town, advance)
    assert (shown.record.state, shown.payees[0].state) == (AdvanceState.VOIDED, PayeeState.CUT)
    assert accounts(town)["vault_free"] == 4_000_000
    assert balance(town, "driver") == 0
    assert town.reconcile() == []


def test_default_write_off_and_recovery_are_booked_and_the_claim_stands(town, line):
    _, advance = town.released(line)
    with pytest.raises(AdvanceStateError):
        town.act(advance, 2)
    town.later(days=70)
    owed = show(town, advance).due
    town.act(advance, 1)
    town.act(advance, 2)
    shown = show(town, advance)
    assert shown.record.state is AdvanceState.WRITTEN_OFF
    book = accounts(town)
    assert book["credit_loss"] == 500_000
    assert book["interest_charged_off"] == owed[Component.INTEREST]
    assert "loan_principal" not in book
    assert town.reconcile() == []
    town.later(days=3)
    assert show(town, advance).due == chain_due(town, advance)
    town.repay(advance, 100_000)
    assert -accounts(town)["recoveries_income"] == 100_000
    assert town.reconcile() == []
    town.repay(advance, show(town, advance).payoff_fen)
    assert show(town, advance).record.state is AdvanceState.REPAID
    assert town.reconcile() == []


def test_waived_charges_and_a_later_start_of_interest_follow_the_contract(town, line):
    _, advance = town.released(line)
    today = town.client.fetch(FreightAdvance.today())
    town.act(advance, 3, today + 2)
    town.later(days=12)
    due = show(town, advance).due
    assert due == chain_due(town, advance)
    assert due[Component.INTEREST] == 500_000 * 109_500 * 10 // 365_000_000
    town.act(advance, 5, due[Component.FEE] + 100)
    assert show(town, advance).due == chain_due(town, advance)
    assert show(town, advance).due[Component.INTEREST] == due[Component.INTEREST] - 100
    assert town.reconcile() == []
    town.repay(advance, show(town, advance).payoff_fen)
    assert not {"interest_receivable", "fee_receivable"} & set(accounts(town))
    assert town.reconcile() == []


def test_an_extended_loan_is_due_later_on_chain_and_in_the_books_and_stays_watched(town, line):
    _, advance = town.released(line)
    first = show(town, advance).record.due_day
    town.later(days=first + 13 - town.client.fetch(FreightAdvance.today()))  # ten days of penalty
    late = show(town, advance)
    assert (late.due[Component.PENALTY] > 0, late.days_past_due) == (True, 13)
    for day in (first, first + 3_651):
        with pytest.raises(InvalidValueError, match="later due day"):
            town.act(advance, 6, day)
    town.act(advance, 6, first + 90)
    held = show(town, advance)
    assert (held.record.due_day, held.days_past_due, held.due) == (first + 90, 0, late.due)
    assert held.tier == "special_mention"
    for days in (60, 30, 10):  # within the new term, past its grace, in penalty again
        town.later(days=days)
        assert show(town, advance).due == chain_due(town, advance)
    assert show(town, advance).due[Component.PENALTY] > late.due[Component.PENALTY]
    town.indexer.rebuild(lambda session: SqlBooks(session).forget_projection())
    assert show(town, advance).record.due_day == first + 90
    assert show(town, advance).due == chain_due(town, advance)
    town.repay(advance, show(town, advance).payoff_fen)
    assert show(town, advance).record.state is AdvanceState.REPAID
    assert town.reconcile() == []
    with pytest.raises(AdvanceStateError, match="repaid cannot be extended"):
        town.act(advance, 6, first + 500)


def test_chain_and_parameters_alone_rebuild_the_same_books(town, line):
    trip, advance = town.released(line)
    _, other = town.released(line, amount=300_000)
    town.later(days=20)
    town.repay(advance, 123_456)
    town.later(days=30)
    town.pay_debtor(trip, 900_000)
    before = town.books(lambda b: b.balances())
    loans = town.books(lambda b: [b.find_advance(one) for one in (advance, other)])
    town.indexer.rebuild(lambda session: SqlBooks(session).forget_projection())
    assert town.books(lambda b: b.balances()) == before
    assert town.books(lambda b: [b.find_advance(one) for one in (advance, other)]) == loans
    assert town.reconcile() == []
    lender = book_of(town.parties["lender"])
    shown = town.look(lambda s: s.show_trial_balance(lender))
    assert (shown.total, shown.wrong_signs()) == (0, [])
    text = town.look(lambda s: s.export_beancount(lender))
    assert text.count(" * ") == len(town.books(lambda b: list(b.list_entries(lender))))
    found = town.look(lambda s: s.show_portfolio(town.parties["lender"]))
    assert (found.outstanding_fen, found.loans) == (300_000, 1)
    assert 0 < found.yield_ppm < 116_800  # what came in so far, over all principal lent


def test_what_is_owed_is_read_at_the_requests_own_block_so_that_a_rebuild_is_equal(town, line):
    trip = town.issue_trip()
    town.ask(line, trip, 300_000)
    stands = town.client.fetch(WaybillRegistry.get(trip.waybills[1]))
    form = Amendment(
        waybill=trip.waybills[1],
        version=stands.version,
        freight=850_000,
        quantity=stands.quantity,
        load_from=stands.load_from,
        deliver_by=stands.deliver_by,
        vehicle=ZERO,
        plan=ZERO,
        document=town.number(),
        expires=FAR,
        salt=town.number(),
    )
    both = [town.sign(name, form, "WaybillRegistry") for name in ("carrier", "firm")]
    town.send(WaybillRegistry.amend(form, *both, b""))
    assert not town.refused, town.refused
    assert town.client.fetch(WaybillRegistry.get(trip.waybills[1])).freight == 850_000
    before = town.books(lambda b: b.find_receivable(trip.waybills[1]))
    assert before.freight_fen == 900_000
    town.indexer.rebuild(lambda session: SqlBooks(session).forget_projection())
    assert town.books(lambda b: b.find_receivable(trip.waybills[1])) == before


def test_one_corrupted_row_is_found_and_named_and_closed_when_it_is_put_right(town, line):
    town.released(line)
    assert town.reconcile() == []

    def add(fen):
        with town.storage.write() as session:
            session.execute(
                sa.text(
                    "UPDATE journal_line SET amount_fen = amount_fen + :fen WHERE id = "
                    "(SELECT MIN(id) FROM journal_line WHERE account = 'loan_principal')"
                ),
                {"fen": fen},
            )

    add(1)
    found = {one.kind: one for one in town.reconcile()}
    assert set(found) == {DiscrepancyKind.UNBALANCED, DiscrepancyKind.PRINCIPAL}
    assert found[DiscrepancyKind.PRINCIPAL].difference_fen == 1
    kept = town.books(lambda b: b.list_differences())
    assert {one.kind for one in kept} == {"unbalanced", "principal"}
    add(-1)
    assert town.reconcile() == []
    assert town.books(lambda b: b.list_differences()) == []


def test_a_difference_older_than_two_business_days_stops_new_advances(town, line):
    town.released(line)
    with town.storage.write() as session:
        session.execute(sa.text("UPDATE journal_line SET amount_fen = amount_fen + 1 WHERE id = 1"))
    assert town.reconcile()

    def codes():
        decision = town.prepare(line, town.issue_trip(), 1_000).decision.decision
        return {one.code for one in decision.reasons if one.effect == "refuse"}

    assert "DIFFERENCES_OPEN" not in codes()
    town.later(days=2)  # seen on a Tuesday in Beijing; Thursday is T+2
    assert "DIFFERENCES_OPEN" not in codes()
    town.later(days=1)
    assert "DIFFERENCES_OPEN" in codes()


def test_a_changed_token_entry_is_found_against_the_chain_alone(town, line):
    """Both sides changed, so the book still balances: only the chain knows."""
    town.released(line)
    with town.storage.write() as session:
        session.execute(
            sa.text(
                "UPDATE journal_line SET amount_fen = amount_fen * 2 WHERE entry = "
                "(SELECT MAX(entry) FROM journal_line WHERE book = 'custodian')"
            )
        )
    kinds = {one.kind for one in town.reconcile()}
    assert DiscrepancyKind.TOKEN_BALANCE in kinds
    assert DiscrepancyKind.UNBALANCED not in kinds


# -- asking -----------------------------------------------------------------------------------------


def test_the_decision_has_every_rules_answer_and_its_hash_stands_on_chain(town, line):
    trip = town.issue_trip()
    prepared = town.prepare(line, trip, 500_000)
    decision = prepared.decision.decision
    assert decision.verdict is Verdict.REVIEW  # nobody has reported net assets yet
    assert {one.code for one in decision.reasons if one.effect == "review"} == {
        "NET_ASSETS_UNKNOWN"
    }
    advance = town.request(prepared.form)
    kept = town.books(lambda b: b.find_advance(advance))
    assert kept.decision == decision.hash
    assert kept.state is AdvanceState.REQUESTED
    assert town.books(lambda b: b.find_decision(decision.hash)).decision == decision
    assert prepared.decision.elapsed_us < 1_000_000


@pytest.mark.parametrize(
    ("amount", "code"), [(900_001, "ADVANCE_RATE_EXCEEDED"), (6_000_000, "HEADROOM_EXCEEDED")]
)
def test_too_much_is_refused_with_the_rule(town, line, amount, code):
    trip = town.issue_trip()
    prepared = town.prepare(line, trip, amount)
    assert prepared.decision.decision.verdict is Verdict.REFUSE
    assert code in {one.code for one in prepared.decision.decision.reasons}
    with pytest.raises(DecisionRefusedError) as refused:
        town.request(prepared.form)
    assert code in {reason["code"] for reason in refused.value.facts["reasons"]}
    assert town.books(lambda b: b.find_line(line)).held_fen == 0


def test_a_payee_who_is_not_the_driver_is_refused(town, line):
    from dataclasses import replace

    trip = town.issue_trip()
    payee = replace(town.payees(trip, 1_000)[0], party=town.parties["consignor"])
    prepared = town.prepare(line, trip, 1_000, payees=[payee])
    assert {"DRIVER_NOT_FIRST", "PAYEE_ABOVE_OWED"} <= {
        one.code for one in prepared.decision.decision.reasons
    }


def test_a_second_request_on_the_same_trip_is_refused_once_the_first_is_approved(town, line):
    trip = town.issue_trip()
    advance = town.ask(line, trip, 100_000)
    town.agree(advance)
    town.approve(advance)
    again = town.prepare(line, trip, 100_000).decision.decision
    assert "TRIP_TAKEN" in {one.code for one in again.reasons}
    assert again.verdict is Verdict.REFUSE


def test_a_wrong_key_an_expired_form_and_a_foreign_decision_are_refused(town, line):
    from dataclasses import replace

    trip = town.issue_trip()
    form = town.prepare(line, trip, 100_000).form
    forged = town.sign("driver", form, "FreightAdvance")
    with pytest.raises(SignatureRefusedError, match="not signed by party"):
        town.do(lambda s: s.request_advance(form, forged))
    elsewhere = town.sign("firm", form, "CreditFacility")
    with pytest.raises(SignatureRefusedError):
        town.do(lambda s: s.request_advance(form, elsewhere))
    with pytest.raises(SignatureRefusedError, match="expired"):
        town.request(replace(form, expires=1))
    with pytest.raises(DecisionStaleError):
        town.request(replace(form, decision=town.number()))
    with pytest.raises(DecisionStaleError, match="another trip or amount"):
        town.request(replace(form, principal=99_999))
    town.later(hours=2)
    with pytest.raises(DecisionStaleError, match="too old"):
        town.request(form)
    assert town.books(lambda b: b.list_advances()) == []
    assert town.books(lambda b: b.find_line(line)).held_fen == 0


def test_headroom_counts_requests_in_flight_and_comes_back_when_they_end(town):
    town.fund(4_000_000)
    line = town.open_line(limit=1_000_000)
    trips = [town.issue_trip() for _ in range(3)]
    forms = [town.prepare(line, trip, 400_000).form for trip in trips]
    first = town.request(forms[0])
    town.request(forms[1])
    with pytest.raises(HeadroomError) as refused:
        town.request(forms[2])
    assert refused.value.facts == {"headroom_fen": 200_000, "asked_fen": 400_000}
    town.act(first, 4)
    assert town.books(lambda b: b.find_advance(first)).state is AdvanceState.DECLINED
    town.request(forms[2])
    assert town.books(lambda b: b.find_line(line)).held_fen == 800_000
    town.later(days=8)
    assert town.do(lambda s: s.release_stale_holds()) == 2
    assert town.books(lambda b: b.find_line(line)).held_fen == 0


def test_a_frozen_line_an_unknown_line_and_an_unlawful_line_are_refused(town, line):
    from chain.bindings.structs import LineChange
    from finance.errors import InvalidTermsError, UnknownLineError

    trip = town.issue_trip()
    form = town.prepare(line, trip, 100_000).form
    change = LineChange(
        line=line, limit=100, frozen=True, valid_until=FAR, expires=FAR, salt=town.number()
    )
    town.do(lambda s: s.change_line(change, town.sign("lender", change, "CreditFacility")))
    with pytest.raises(LineStateError, match="frozen"):
        town.request(form)
    with pytest.raises(UnknownLineError):
        town.prepare(town.number(), trip, 100_000)
    with pytest.raises(DecisionRefusedError, match="ceiling"):
        town.open_line(ceiling_ppm=240_001)
    with pytest.raises(InvalidTermsError):
        town.open_line(rate_ppm=240_001)


def test_only_the_performer_may_borrow_and_only_his_debtor_may_acknowledge(town, line):
    from dataclasses import replace

    trip = town.issue_trip()
    with (
        pytest.raises(InvalidValueError, match="only the performer"),
        town.storage.write() as session,
    ):
        town.service(session).prepare_advance(
            line=line,
            waybill=trip.waybills[0],
            trip=trip.trip,
            principal=1_000,
            payees=town.payees(trip, 1_000),
            fingerprint=town.number(),
        )
    advance = town.ask(line, trip, 1_000)
    form = town.look(lambda s: s.prepare_acknowledgement(advance, notice=town.number()))
    wrong = replace(form, debtor=town.parties["consignor"])
    with pytest.raises(InvalidValueError, match="issuer"):
        town.do(
            lambda s: s.acknowledge_debt(wrong, town.sign("consignor", wrong, "FreightAdvance"))
        )


def test_nothing_is_approved_before_debtor_and_payee_agree(town, line):
    trip = town.issue_trip()
    advance = town.ask(line, trip, 1_000)
    town.approve(advance)
    assert [error for _, error, _ in town.refused] == ["AdvanceNotAcknowledged"]
    assert town.books(lambda b: b.find_advance(advance)).state is AdvanceState.REQUESTED
