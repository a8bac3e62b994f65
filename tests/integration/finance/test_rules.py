"""Approval by the lender's rule on the real contracts: set, met by a request, sent by itself, ended."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
import sqlalchemy as sa

from chain.bindings.credit_facility import CreditFacility
from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.structs import LineChange, VaultMove
from chain.clock import LAST_INSTANT, beijing_day
from chain.errors import InvalidValueError, SignatureRefusedError
from chain.ids import LineId, PartyId
from finance.advance import AdvanceState
from finance.approving import RETRY_AFTER
from finance.errors import UnknownLineError
from finance.records import LenderPolicy, WarningRecord
from finance.repository import SqlBooks
from finance.watch import Action
from tests.integration.finance.town import FAR


@pytest.fixture
def line(town):
    town.fund(2_000_000)
    lender = town.parties["lender"]
    assets = LenderPolicy(
        lender, beijing_day(town.clock.now()), net_assets_fen=10**12, lpr_ppm=30_000
    )
    town.do(lambda s: s.set_policy(assets))
    return town.open_line()


def rule_form(town, line, **change):
    given = {
        "most_fen": 500_000,
        "until": town.clock.now() + dt.timedelta(days=30),
        "valid_for_s": 5 * 86_400,
        "document": town.number(),
    }
    return town.look(lambda s: s.prepare_rule(line, **given | change))


def set_rule(town, form, who="lender"):
    town.do(lambda s: s.set_rule(form, town.sign(who, form, "CreditFacility")))


def line_change(town, line, *, frozen=False, valid_until=FAR):
    return LineChange(line, 5_000_000, frozen, valid_until, FAR, town.number())


def ready(town, line, amount=300_000):
    """An advance to which everybody but the lender has agreed."""
    advance = town.ask(line, town.issue_trip(), amount)
    town.agree(advance)
    return advance


def state(town, advance):
    return town.books(lambda b: b.find_advance(advance)).state


def turn(town):
    return town.do(lambda s: s.approve_by_rules())


def test_a_rule_approves_by_itself_what_it_covers_once_all_have_agreed(town, line):
    set_rule(town, rule_form(town, line, debtor=town.parties["carrier"]))
    kept = town.books(lambda b: b.list_rules([line]))[line]
    assert (kept.debtor, kept.most_fen, kept.valid_for_s) == (
        town.parties["carrier"], 500_000, 432_000,
    )  # fmt: skip
    advance = town.ask(line, town.issue_trip(), 300_000)
    assert turn(town) == 0  # debtor and driver have not agreed yet
    town.agree(advance)
    assert turn(town) == 1
    assert not town.refused, town.refused
    record = town.books(lambda b: b.find_advance(advance))
    assert record.state is AdvanceState.APPROVED
    assert record.approved_until - town.clock.now() <= dt.timedelta(days=5)
    assert town.client.fetch(CreditFacility.reserved(line)) == 300_000
    assert turn(town) == 0
    assert town.reconcile() == []


def test_two_workers_send_one_call_and_a_second_turn_sends_none(town, line):
    set_rule(town, rule_form(town, line))
    advance = ready(town, line)
    with town.storage.write() as session:  # nobody sends yet
        assert town.service(session).approve_by_rules() == 1
    with town.storage.write() as session:
        assert town.service(session).approve_by_rules() == 0
    with town.storage.write() as session:
        session.execute(sa.text("DELETE FROM rule_try"))
        assert town.service(session).approve_by_rules() == 1  # the same key and the same call
    with town.storage.read() as session:
        sent = town.outbox(session).list_about(town.books(lambda b: b.find_advance(advance)).trip)
    assert [one.key for one in sent if one.function == "approveByRule"] == [f"rule:{advance}:1"]
    town.settle_down()
    assert state(town, advance) is AdvanceState.APPROVED


def test_what_a_rule_does_not_cover_waits_for_the_lender(town, line):
    set_rule(town, rule_form(town, line, most_fen=299_999))
    advance = ready(town, line)
    assert turn(town) == 0
    set_rule(town, rule_form(town, line, debtor=town.parties["consignor"]))
    assert turn(town) == 0
    set_rule(town, rule_form(town, line, until=town.clock.now() + dt.timedelta(hours=1)))
    town.later(hours=2)
    assert turn(town) == 0
    assert state(town, advance) is AdvanceState.REQUESTED
    town.approve(advance)
    assert state(town, advance) is AdvanceState.APPROVED


def test_a_decision_that_asks_for_a_person_gets_one(town):
    town.fund(2_000_000)
    line = town.open_line()  # net assets unknown: the decision is to review
    set_rule(town, rule_form(town, line))
    advance = ready(town, line)
    assert turn(town) == 0
    assert state(town, advance) is AdvanceState.REQUESTED
    # the contract knows no decision of ours: whoever sends it himself is held by the rule alone
    town.send(FreightAdvance.approve_by_rule(advance))
    assert state(town, advance) is AdvanceState.APPROVED


def test_a_warned_borrower_and_a_frozen_line_are_not_approved_by_rule(town, line):
    set_rule(town, rule_form(town, line))
    advance = ready(town, line)
    change = line_change(town, line, frozen=True)
    town.do(lambda s: s.change_line(change, town.sign("lender", change, "CreditFacility")))
    assert turn(town) == 0
    change = replace(change, frozen=False, salt=town.number())
    town.do(lambda s: s.change_line(change, town.sign("lender", change, "CreditFacility")))
    day = beijing_day(town.clock.now())
    warning = WarningRecord(
        town.parties["lender"], town.parties["firm"], "LIMIT_FULL", 12, Action.FREEZE, "risk",
        day, day + 5, day,
    )  # fmt: skip
    with town.storage.write() as session:
        SqlBooks(session).save_warning(warning)
    assert turn(town) == 0
    with town.storage.write() as session:
        SqlBooks(session).save_warning(replace(warning, closed_day=day, closed_by="risk"))
    assert turn(town) == 0  # its next look is due later
    town.later(seconds=RETRY_AFTER.total_seconds() + 1)
    assert turn(town) == 1
    assert state(town, advance) is AdvanceState.APPROVED


def test_an_approval_that_the_chain_refuses_is_tried_again_later_and_lands(town, line):
    set_rule(town, rule_form(town, line, most_fen=5_000_000))
    form = VaultMove(
        lender=town.parties["lender"],
        deposit=False,
        amount=1_800_000,
        expires=FAR,
        salt=town.number(),
    )
    town.do(lambda s: s.move_vault(form, town.sign("lender", form, "CreditFacility")))
    advance = ready(town, line)
    assert turn(town) == 1
    assert [error for _, error, _ in town.refused] == ["VaultCashTooLow"]
    assert turn(town) == 0
    town.fund(1_000_000)
    town.later(seconds=RETRY_AFTER.total_seconds() + 1)
    assert turn(town) == 1
    assert state(town, advance) is AdvanceState.APPROVED
    assert town.books(lambda b: b.count_rule_tries(advance)) == 2


def test_the_end_of_a_rule_stops_it_and_leaves_what_it_approved(town, line):
    set_rule(town, rule_form(town, line))
    first, second = ready(town, line), ready(town, line)
    with town.storage.write() as session:
        session.execute(_only(first))
        assert town.service(session).approve_by_rules() == 1
    town.settle_down()
    end = town.look(lambda s: s.prepare_rule_end(line, document=town.number()))
    set_rule(town, end)
    kept = town.books(lambda b: b.list_rules([line]))[line]
    assert not kept.is_in_force(town.clock.now())
    town.later(hours=1)
    assert turn(town) == 0
    assert [state(town, one) for one in (first, second)] == [
        AdvanceState.APPROVED, AdvanceState.REQUESTED,
    ]  # fmt: skip


def _only(advance):
    """All others wait for their next turn."""
    return sa.text(
        "INSERT INTO rule_try (advance, tries, next_at) "
        "SELECT advance, 0, '9000-01-01 00:00:00' FROM advance WHERE advance != :one"
    ).bindparams(one=advance)


def test_a_rule_is_signed_by_the_lender_and_could_approve_something(town, line):
    form = rule_form(town, line)
    with pytest.raises(SignatureRefusedError, match="not signed by party"):
        set_rule(town, form, who="firm")
    with pytest.raises(SignatureRefusedError, match="expired"):
        set_rule(town, replace(form, expires=1))
    for change, field in (
        ({"until": town.clock.now()}, "until"),
        ({"valid_for_s": 0}, "validFor"),
        ({"most_fen": 2**53}, "most"),
    ):
        with pytest.raises(InvalidValueError) as refused:
            rule_form(town, line, **change)
        assert refused.value.field == field
    with pytest.raises(UnknownLineError):
        rule_form(town, LineId(town.number()))


def test_a_rule_set_elsewhere_for_ever_is_read_and_a_rebuild_reads_it_again(town, line):
    form = replace(rule_form(town, line), until=2**64 - 1, debtor=PartyId(0))
    town.send(CreditFacility.set_rule(form, town.sign("lender", form, "CreditFacility")))
    change = line_change(town, line, valid_until=2**64 - 1)
    town.send(
        CreditFacility.change_line(change, town.sign("lender", change, "CreditFacility"), b"")
    )
    assert not town.refused, town.refused
    before = town.books(lambda b: b.list_rules([line]))
    assert before[line].until == LAST_INSTANT
    assert town.books(lambda b: b.find_line(line)).valid_until == LAST_INSTANT
    advance = ready(town, line)
    known = town.books(lambda b: b.find_advance(advance))
    assert known.acknowledged_at is not None
    town.indexer.rebuild(lambda session: SqlBooks(session).forget_projection())
    assert town.books(lambda b: b.list_rules([line])) == before
    assert town.books(lambda b: b.find_advance(advance)) == known
