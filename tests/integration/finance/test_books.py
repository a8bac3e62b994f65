"""The books on both databases: races, replays and bad input."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from chain.ids import AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
from finance.advance import AdvanceEvent, AdvanceState, EventKind
from finance.errors import DuplicateError
from finance.forests import shipped_forest
from finance.ledger import Booking, Entry, lines_of
from finance.records import (
    AdvanceRecord,
    DecisionRecord,
    LenderPolicy,
    LineRecord,
    LineState,
    PayeeRecord,
)
from finance.repository import SqlBooks
from finance.risk import Stage, decide
from finance.terms import Terms

NOW = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)
LENDER, FIRM, DEBTOR = PartyId(2**63 + 7), PartyId(2**64 - 1), PartyId(9)


def word(number):
    return Hash32("0x" + number.to_bytes(32, "big").hex())


LINE = LineId(word(1))


def line(**change):
    values = {
        "line": LINE, "lender": LENDER, "borrower": FIRM, "state": LineState.OPEN,
        "limit_fen": 1_000, "valid_until": NOW + dt.timedelta(days=365),
        "terms": Terms(rate_ppm=100_000, penalty_ppm=150_000, ceiling_ppm=240_000),
        "advance_bps": 8_000, "tolerance_bps": 100, "attestor": PartyId(3), "gated": False,
        "terms_hash": word(5), "form": {"salt": "0x05"}, "submitted_at": NOW,
    }  # fmt: skip
    return LineRecord(**values | change)


def advance(number=1, **change):
    values = {
        "advance": AdvanceId(word(100 + number)), "line": LINE, "lender": LENDER, "borrower": FIRM,
        "waybill": WaybillId(word(200)), "trip": TripId(word(300 + number)),
        "principal_fen": 500, "decision": word(9), "submitted_at": NOW, "debtor": str(DEBTOR),
    }  # fmt: skip
    return AdvanceRecord(**values | change)


def entry(number, fen=5, *, day=1, known=NOW, about="", book="lender:7"):
    lines = lines_of(Booking.VAULT_DEPOSIT, {"cash": fen}, about=about)
    return Entry(f"e{number:05}", book, "VAULT_DEPOSIT", day, NOW, known, lines)


@pytest.fixture
def storage(empty_storage):
    empty_storage.create_all()
    return empty_storage


@pytest.fixture
def opened(storage):
    with storage.write() as session:
        SqlBooks(session).save_line(line())
    return storage


def write(storage, act):
    with storage.write() as session:
        return act(SqlBooks(session))


def read(storage, ask):
    with storage.read() as session:
        return ask(SqlBooks(session))


def test_twenty_requests_at_once_never_pass_the_limit(opened):
    taken, start = [], threading.Barrier(20)

    def ask():
        start.wait()
        with opened.write() as session:
            if SqlBooks(session).hold(LINE, 130):
                taken.append(1)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 7
    assert read(opened, lambda b: b.find_line(LINE)).held_fen == 910


def test_a_claim_counts_what_is_reserved_and_drawn_and_comes_back_whole(opened):
    write(opened, lambda b: b.save_line(line(reserved_fen=300, drawn_fen=400)))
    assert write(opened, lambda b: b.hold(LINE, 301)) is False
    assert write(opened, lambda b: b.hold(LINE, 300)) is True
    assert write(opened, lambda b: b.hold(LINE, 1)) is False
    write(opened, lambda b: b.unhold(LINE, 300))
    assert read(opened, lambda b: b.find_line(LINE)).held_fen == 0


def test_a_claim_is_seen_within_its_own_transaction_and_saving_the_line_keeps_it(opened):
    with opened.write() as session:
        books = SqlBooks(session)
        before = books.find_line(LINE)
        books.hold(LINE, 10)
        assert books.find_line(LINE).held_fen == 10
        books.save_line(replace(before, drawn_fen=5))
    kept = read(opened, lambda b: b.find_line(LINE))
    assert (kept.held_fen, kept.drawn_fen) == (10, 5)


def test_more_given_back_than_claimed_is_refused_by_the_database(opened):
    with pytest.raises(sa.exc.IntegrityError):
        write(opened, lambda b: b.unhold(LINE, 1))


def test_lines_advances_payees_and_policies_come_back_as_they_went_in(opened):
    kept = read(opened, lambda b: b.find_line(LINE))
    assert kept == line()
    one = advance(approved_until=NOW, form={"expires": 5}, held_fen=20)
    payee = PayeeRecord(one.advance, 0, PartyId(2**63), WaybillId(word(4)), word(6), 500)
    policy = LenderPolicy(LENDER, 20_000, net_assets_fen=10**12, lpr_ppm=30_000)

    def put(books):
        books.save_advance(one)
        books.save_payees([payee])
        books.save_policy(policy, NOW)

    write(opened, put)
    write(opened, put)
    assert read(opened, lambda b: b.find_advance(one.advance)) == one
    assert read(opened, lambda b: b.find_advance_of_trip(one.trip)) == one
    assert read(opened, lambda b: b.list_payees([one.advance])) == {one.advance: [payee]}
    assert read(opened, lambda b: b.find_policy(LENDER, 20_001)) == policy
    assert read(opened, lambda b: b.find_policy(LENDER, 19_999)) is None
    assert read(opened, lambda b: b.find_advance(AdvanceId(word(0)))) is None


def test_an_event_is_kept_once_with_both_its_times(opened):
    one = advance()
    event = AdvanceEvent(
        "tx:1", EventKind.PAID, NOW, NOW + dt.timedelta(days=2), amount=5, position=(7, 1)
    )
    write(opened, lambda b: b.save_advance(one))
    write(opened, lambda b: b.add_event(one.advance, event))
    write(opened, lambda b: [b.add_event(one.advance, event) for _ in range(2)])
    assert read(opened, lambda b: b.list_events([one.advance])) == {one.advance: [event]}


def test_a_decision_is_kept_with_its_bytes(opened):
    made = decide(shipped_forest(), {}, stage=Stage.RELEASE, subject="t", at=NOW, asked_fen=5)
    kept = DecisionRecord(made, "t", "release", shipped_forest().hash, 5, 900, NOW)
    write(opened, lambda b: b.add_decision(kept))
    write(opened, lambda b: b.add_decision(kept))
    assert read(opened, lambda b: b.find_decision(made.hash)) == kept
    assert read(opened, lambda b: list(b.list_decisions(NOW))) == [kept]
    assert read(opened, lambda b: list(b.list_decisions(NOW + dt.timedelta(seconds=1)))) == []


def test_facts_of_a_borrower_count_debts_lateness_and_pace(opened):
    def put(books):
        today = 20_479
        books.save_advance(
            advance(
                1,
                state=AdvanceState.RELEASED,
                released_fen=500,
                outstanding_fen=300,
                due_day=today - 4,
            )
        )
        books.save_advance(advance(2, state=AdvanceState.APPROVED, debtor="77"))
        books.save_advance(
            advance(3, state=AdvanceState.REPAID, released_fen=500, due_day=today - 90, submitted_at=NOW - dt.timedelta(days=30))
        )  # fmt: skip

    write(opened, put)
    found = read(opened, lambda b: b.borrower_facts(FIRM, LENDER, DEBTOR, NOW))
    assert found.overdue_days == 4
    assert found.balance_fen == 800
    assert found.debtor_exposure_fen == 300
    assert (found.delivered_trips, found.week_trips, found.usual_week_trips) == (2, 2, 0)
    stranger = read(opened, lambda b: b.borrower_facts(DEBTOR, LENDER, FIRM, NOW))
    assert (stranger.overdue_days, stranger.balance_fen, stranger.week_trips) == (0, 0, 0)


def test_a_payout_account_of_another_party_and_a_live_twin_are_noticed(opened):
    one = advance(fingerprint=word(50))

    def put(books):
        books.save_advance(one)
        books.save_payees([PayeeRecord(one.advance, 0, FIRM, WaybillId(word(4)), word(6), 500)])

    write(opened, put)
    assert read(opened, lambda b: b.is_account_shared({word(6): DEBTOR})) is True
    assert read(opened, lambda b: b.is_account_shared({word(6): FIRM})) is False
    assert read(opened, lambda b: b.count_similar(word(50), TripId(word(1)), None)) == 1
    assert read(opened, lambda b: b.count_similar(word(51), one.trip, one.advance)) == 0
    write(opened, lambda b: b.save_advance(replace(one, state=AdvanceState.VOIDED)))
    assert read(opened, lambda b: b.count_similar(word(50), one.trip, None)) == 0


# -- the journal ------------------------------------------------------------------------------------


def test_an_entry_books_once_and_another_content_under_its_id_books_nothing(storage):
    assert write(storage, lambda b: b.post([entry(1), entry(2)])) == 2
    assert write(storage, lambda b: b.post([entry(2, known=NOW + dt.timedelta(1)), entry(3)])) == 1
    with pytest.raises(DuplicateError):
        write(storage, lambda b: b.post([entry(4), entry(1, fen=6)]))
    with pytest.raises(DuplicateError):
        write(storage, lambda b: b.post([entry(5), entry(5, fen=6)]))
    assert read(storage, lambda b: b.balances())[("lender:7", "vault_free")] == 15


def test_balances_at_a_date_as_known_at_an_instant(storage):
    late = NOW + dt.timedelta(days=3)
    write(storage, lambda b: b.post([entry(1), entry(2, day=2), entry(3, known=late)]))
    key = ("lender:7", "vault_free")
    assert read(storage, lambda b: b.balances())[key] == 15
    assert read(storage, lambda b: b.balances(until_day=1))[key] == 10
    assert read(storage, lambda b: b.balances(known_by=NOW))[key] == 10
    assert read(storage, lambda b: b.balances(until_day=0)) == {}
    assert sum(read(storage, lambda b: b.balances()).values()) == 0


def test_entries_come_back_in_pages_as_they_were_booked(storage, monkeypatch):
    monkeypatch.setattr("finance.journal_rows.PAGE", 7)
    booked = [entry(i, day=i % 3) for i in range(30)]
    write(storage, lambda b: b.post(booked))
    back = read(storage, lambda b: list(b.list_entries("lender:7")))
    assert back == sorted(booked, key=lambda e: (e.day, e.id))
    assert read(storage, lambda b: list(b.list_entries("lender:8"))) == []
    assert len(read(storage, lambda b: list(b.list_entries("lender:7", until_day=0)))) == 10


def test_balances_by_what_the_lines_are_about_leave_zeros_out(storage):
    write(
        storage,
        lambda b: b.post([entry(1, about="0xa"), entry(2, about="0xb"), entry(3, about="0xa")]),
    )
    assert read(storage, lambda b: b.balances_about("vault_free")) == {"0xa": 10, "0xb": 5}
    assert read(storage, lambda b: b.balances_about("vault_free", book="lender:8")) == {}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credit_line SET reserved_fen = -1",
        "UPDATE credit_line SET limit_fen = -1",
        "UPDATE advance SET outstanding_fen = principal_fen + 1",
        "UPDATE advance SET principal_fen = 0",
        "UPDATE journal_line SET amount_fen = 0",
        "UPDATE payee SET paid_fen = amount_fen + 1",
    ],
)
def test_the_database_itself_refuses_impossible_amounts(opened, change):
    one = advance()

    def put(books):
        books.save_advance(one)
        books.save_payees([PayeeRecord(one.advance, 0, FIRM, WaybillId(word(4)), word(6), 500)])
        books.post([entry(1)])

    write(opened, put)
    with pytest.raises(sa.exc.IntegrityError), opened.write() as session:
        session.execute(sa.text(change))
