"""Warnings looked for and kept, limits they lower at once, contacts of the dunning plan, on a real database."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from dataclasses import replace
from types import SimpleNamespace

import pytest

from chain.clock import FixedClock
from chain.ids import LineId, PartyId, WaybillId
from chain.storage import Storage
from finance.day_end import DayEnd
from finance.history import (
    days_full,
    debtor_facts,
    debtor_histories,
    limit_of,
    p75,
    price_drift_milli,
)
from finance.jobs import close_days
from finance.payers import PayerBook
from finance.records import ReceivableRecord, WarningRecord
from finance.relations import Link, LinkKind, party_name
from finance.repository import SqlBooks
from finance.warning import CreditWatch, UnknownWarningError
from finance.watch import SIGNALS, Action
from tests.integration.finance.loan_book import (
    DAY,
    FIRM,
    LENDER,
    LINE,
    TERMS,
    at,
    lend,
    open_line,
    word,
)

FINANCED = word(600)


@pytest.fixture
def storage(tmp_path):
    made = Storage(f"sqlite:///{tmp_path / 'watch.db'}")
    made.create_all()
    open_line(made)
    yield made
    made.close()


def desk(session, day):
    return CreditWatch(books=SqlBooks(session), clock=FixedClock(at(day)))


def look(storage, day):
    with storage.write() as session:
        return {one.code: one for one in desk(session, day).look(LENDER)}


def test_a_warning_opens_with_owner_and_deadline_ages_and_closes_by_itself_or_by_a_person(storage):
    (loan,) = lend(storage, 1)
    due = DAY + TERMS.tenor_days
    assert look(storage, due) == {}
    opened = look(storage, due + 1)["OWN_OVERDUE"]
    assert (opened.owner, opened.action, opened.value) == ("risk", Action.FREEZE, 1)
    assert opened.due_day == due + 2
    again = look(storage, due + 3)["OWN_OVERDUE"]
    assert (again.since_day, again.value, again.last_day) == (due + 1, 3, due + 3)
    with storage.write() as session:
        watch = desk(session, due + 3)
        with pytest.raises(UnknownWarningError):
            watch.close(LENDER, FIRM, "OWN_OVERDUE", by=" ")
        closed = watch.close(LENDER, FIRM, "OWN_OVERDUE", by="person:li")
        assert closed.closed_day == due + 3
        with pytest.raises(UnknownWarningError):
            watch.close(LENDER, FIRM, "OWN_OVERDUE", by="person:li")
    assert "OWN_OVERDUE" in look(storage, due + 4)  # still late: it opens again
    with storage.write() as session:
        books = SqlBooks(session)
        books.save_advance(replace(books.find_advance(loan), outstanding_fen=0))
    assert look(storage, due + 5) == {}


def test_the_dunning_plan_is_kept_day_by_day_and_a_weeks_contacts_have_a_limit(storage):
    (loan,) = lend(storage, 1)
    due = DAY + TERMS.tenor_days
    seen = []
    for day in range(due - 4, due + 6):
        with storage.write() as session:
            seen += [(day - due, one.code) for one in desk(session, day).plan_contacts(LENDER)]
    assert seen == [
        (-3, "REMIND"),
        (0, "DUE_TODAY"),
        (1, "LATE"),
        (2, "LATE"),
        (4, "CALL"),
        (5, "CALL"),
    ]
    with storage.write() as session:
        watch = desk(session, due + 5)
        made = watch.note_contact(loan, "CALL", by="person:li")
        assert made.made_by == "person:li"
        with pytest.raises(UnknownWarningError):
            watch.note_contact(loan, "LEGAL", by="person:li")


def receivable(
    number, *, debtor=20, freight=9_000_000, delivered=DAY, term=30, paid_after=None, short=0
):
    return ReceivableRecord(
        waybill=WaybillId(word(number)),
        debtor=PartyId(debtor),
        owner=FIRM,
        freight_fen=freight,
        term_days=term,
        due_day=delivered + term,
        received_fen=0 if paid_after is None else freight - short,
        settled_at=None if paid_after is None else at(delivered + paid_after),
    )


def test_verified_trips_raise_a_limit_and_warnings_lower_it_at_once(storage):
    own = [
        receivable(n, debtor=20 + n % 4, freight=90_000_000, delivered=DAY + n % 80, paid_after=30)
        for n in range(40)
    ]
    with storage.write() as session:
        for one in own:
            SqlBooks(session).save_receivable(one)
    today = DAY + 120
    free = limit_of(own, [], today, present_fen=None)
    assert free.amount_fen > limit_of(own[:10], [], today, present_fen=None).amount_fen
    warned = WarningRecord(
        LENDER, FIRM, "LIMIT_FULL", 11, Action.WATCH, "risk", today, today + 5, today
    )
    lowered = limit_of(own, [warned], today, present_fen=None)
    assert lowered.amount_fen == free.amount_fen * 9 // 10 // 1_000_000 * 1_000_000
    frozen = limit_of(own, [replace(warned, action=Action.FREEZE)], today, present_fen=None)
    assert frozen.amount_fen == 0
    with storage.write() as session:
        books = SqlBooks(session)
        watch = desk(session, today)
        line = books.find_line(LINE)
        assert watch.earned_limit(line).amount_fen == free.amount_fen
        books.save_warning(warned)
        assert watch.earned_limit(line).amount_fen == lowered.amount_fen


def test_a_firm_without_history_gets_a_starter_line_unless_a_warning_stands():
    assert limit_of([], [], DAY, present_fen=None).amount_fen == 5_000_000
    warned = WarningRecord(LENDER, FIRM, "X", 1, Action.WATCH, "risk", DAY, DAY, DAY)
    assert limit_of([], [warned], DAY, present_fen=None).amount_fen == 0


def test_debtors_are_measured_by_when_and_how_fully_they_pay():
    before = [receivable(n, delivered=DAY, paid_after=20) for n in range(4)]
    after = [receivable(10 + n, delivered=DAY + 100, paid_after=35, short=90_000) for n in range(4)]
    facts = debtor_facts([*before, *after], DAY + 140)
    assert facts == {"debtor_p75_days_rise": 15, "debtor_short_pay_bps": 100}
    assert debtor_facts(before, DAY + 400) == {
        "debtor_p75_days_rise": None,
        "debtor_short_pay_bps": None,
    }
    rows, tenure = debtor_histories([*before, *after], DAY + 140)
    assert tenure == 140
    assert [(row.freight_fen, row.p75_days_to_pay, row.short_pay_ppm) for row in rows] == [
        (36_000_000, 35, 10_000)
    ]
    assert [p75([7]), p75([1, 2, 3, 4]), p75([4, 1, 2, 3, 9])] == [7, 3, 4]


def test_a_driver_who_waits_for_his_bank_more_than_a_day_is_a_warning(storage):
    from finance.records import PayeeRecord, PayeeState

    (loan,) = lend(storage, 1)
    with storage.write() as session:
        SqlBooks(session).save_payees(
            [
                PayeeRecord(
                    advance=loan, place=0, party=PartyId(30), waybill=WaybillId(word(1)),
                    account=word(2), amount_fen=5, state=PayeeState.PAID, paid_fen=5,
                    paid_at=at(DAY) - dt.timedelta(hours=1),
                )
            ]
        )  # fmt: skip
    assert look(storage, DAY + 1)["DRIVER_PAID_LATE"].value == 25


def test_a_related_firms_lateness_warns_of_its_kin_and_an_account_they_share_relates_them(storage):
    lend(storage, 1)
    kin = PartyId(99)
    with storage.write() as session:
        books = SqlBooks(session)
        line = books.find_line(LINE)
        books.save_line(replace(line, line=LineId(word(77)), borrower=kin))
        for party in (FIRM, kin):
            books.add_link(Link(party_name(party), "account:x", LinkKind.ACCOUNT, DAY))
            books.add_link(Link(party_name(party), "account:x", LinkKind.ACCOUNT, DAY))
        books.add_link(Link(party_name(FIRM), party_name(5), LinkKind.FREIGHT, DAY, 7, word(1)))
        books.add_link(Link(party_name(FIRM), party_name(5), LinkKind.FREIGHT, DAY, 8, word(2)))
        assert len(books.list_links_around([party_name(kin)])) == 2
        books.add_link(Link(party_name(FIRM), party_name(5), LinkKind.FREIGHT, DAY, 8, word(2)))
        (owed,) = books.list_freight_around(party_name(FIRM), DAY)
        assert (owed.amount_fen, owed.b) == (15, party_name(5))  # told twice, counted once
        assert books.list_freight_around(party_name(FIRM), DAY + 7) == []
    late = DAY + TERMS.tenor_days + 8
    with storage.write() as session:
        found = {(one.borrower, one.code): one for one in desk(session, late).look(LENDER)}
    assert found[(kin, "RELATED_OVERDUE")].value == 8
    assert (FIRM, "RELATED_OVERDUE") not in found


def test_consignees_that_change_warn_once_there_are_enough_deliveries_to_say_so(storage):
    def deliver(number, consignee, day):
        with storage.write() as session:
            SqlBooks(session).add_link(
                Link(
                    party_name(FIRM), party_name(consignee), LinkKind.DELIVERS, day,
                    about=word(number),
                )
            )  # fmt: skip

    for number in range(5):
        deliver(number, 40, DAY - 60 + number)
    for number in range(4):
        deliver(10 + number, 41, DAY - number)
    assert "CONSIGNEES_CHANGE" not in look(storage, DAY)  # four deliveries say nothing
    deliver(20, 40, DAY)
    warned = look(storage, DAY)["CONSIGNEES_CHANGE"]
    assert (warned.value, warned.owner, warned.due_day) == (8_000, "risk", DAY + 5)
    for number in range(9):
        deliver(30 + number, 40, DAY)
    assert "CONSIGNEES_CHANGE" not in look(storage, DAY)  # 4 of 14 are 28.57%


def test_freight_that_drifts_from_what_a_debtor_paid_before_warns(storage):
    def trip(number, freight, day):
        return ReceivableRecord(
            waybill=WaybillId(word(500 + number)), debtor=PartyId(21), owner=FIRM,
            freight_fen=freight, term_days=45, due_day=day + 45,
        )  # fmt: skip

    before = [trip(n, 1_000_000 + 10_000 * (n % 3 - 1), DAY - 100 + n) for n in range(30)]
    steady = [trip(30 + n, 1_000_000 + 10_000 * (n % 3 - 1), DAY - 20 + n) for n in range(15)]
    moved = [trip(30 + n, 1_010_000, DAY - 20 + n) for n in range(15)]
    assert price_drift_milli([*before, *steady], DAY) == 0
    # deviation before is 8,165 fen; 10,000 away on 15 trips is z = 10,000 / (8,165 / 3.873)
    assert price_drift_milli([*before, *moved], DAY) == 4_743
    assert price_drift_milli(before[:29], DAY) is None  # 14 before the last 15
    flat = [trip(n, 1_000_000, DAY - 100 + n) for n in range(30)]
    assert price_drift_milli(flat, DAY) is None  # never differed: no measure
    with storage.write() as session:
        for one in (*before, *moved):
            SqlBooks(session).save_receivable(one)
    warned = look(storage, DAY)["PRICE_DRIFT"]
    assert (warned.value, warned.owner, warned.due_day) == (4_743, "risk", DAY + 5)


def test_a_line_used_above_95_percent_for_more_than_ten_closed_days_warns(storage):
    lend(storage, 1)
    with storage.write() as session:
        books = SqlBooks(session)
        (loan,) = books.list_advances(lender=LENDER)
        line = books.find_line(LINE)
        books.save_line(replace(line, limit_fen=loan.outstanding_fen * 100 // 96))

    @contextlib.contextmanager
    def begin():
        with storage.write() as session:
            yield DayEnd(books=SqlBooks(session), clock=FixedClock(at(DAY + 30)))

    close_days(begin, lambda _end: 1, lender=LENDER, until_day=DAY + 9)
    assert "LIMIT_FULL" not in look(storage, DAY + 10)  # ten days
    close_days(begin, lambda _end: 1, lender=LENDER, until_day=DAY + 10)
    warned = look(storage, DAY + 11)["LIMIT_FULL"]
    assert (warned.value, warned.owner, warned.due_day) == (11, "risk", DAY + 16)
    assert days_full([(1, 96), (2, 95), (3, 96)], 100) == 1


def test_freight_paid_by_a_stranger_warns_and_the_debtors_own_name_does_not(storage):
    class Firms:
        def find_party(self, party):
            return SimpleNamespace(name_zh="苏州糖业有限公司", name_en="Suzhou Sugar Ltd")

    def pay(name, reference, about=FINANCED):
        with storage.write() as session:
            PayerBook(
                books=SqlBooks(session), parties=Firms(), clock=FixedClock(at(DAY)),
                blind=lambda text: hashlib.sha256(text.encode()).hexdigest(),
            ).note(about, name, reference)  # fmt: skip

    with storage.write() as session:
        SqlBooks(session).save_receivable(
            ReceivableRecord(
                waybill=WaybillId(word(600)), debtor=PartyId(21), owner=FIRM,
                freight_fen=5, term_days=45,
            )
        )  # fmt: skip
    pay("苏州糖业 有限公司", "R1")
    pay("", "R2")
    pay("Somebody Else", "R3", about=word(601))  # no advance hangs on it
    pay("Somebody Else", "R4", about="party:9")
    assert "PAID_BY_STRANGER" not in look(storage, DAY)
    pay("Somebody Else", "R5")
    pay("Somebody Else", "R5")  # told twice
    warned = look(storage, DAY)["PAID_BY_STRANGER"]
    assert (warned.value, warned.action, warned.owner) == (1, Action.CALL, "finance")
    with storage.read() as session:
        (link,) = SqlBooks(session).list_links_from(party_name(FIRM), LinkKind.PAID_BY, DAY)
    assert "Somebody" not in link.b


def test_every_signal_reads_a_figure_that_somebody_measures(storage):
    with storage.read() as session:
        measured = desk(session, DAY)._facts(LENDER, FIRM)
    assert {one.fact for one in SIGNALS} == set(measured)
    assert all(one.owner and one.deadline_days > 0 for one in SIGNALS)
