"""Asking for a line, and what the graph of firms and trips says at each decision, on a real database."""

from __future__ import annotations

import copy
import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from chain.bindings.structs import Payee
from chain.clock import FixedClock
from chain.errors import NotFoundError, UnexpectedStateError
from chain.ids import Hash32, LineId, PartyId, WaybillId
from chain.storage import Storage
from finance import forests
from finance.advance import AdvanceState
from finance.applications import end_by_line
from finance.backtesting import run_backtest
from finance.errors import InvalidAmountError, InvalidTermsError
from finance.records import (
    ApplicationState,
    LenderPolicy,
    PayeeFacts,
    ReceivableRecord,
    RequestFacts,
    WarningRecord,
)
from finance.relations import Carriage, Link, LinkKind, Relations, party_name
from finance.repository import SqlBooks
from finance.risk import Verdict, read_forest, redecide
from finance.risk import decide as decide_by_rules
from finance.service import FinanceService
from finance.watch import Action
from tests.integration.finance.loan_book import (
    DAY,
    FIRM,
    LENDER,
    LINE,
    TERMS,
    at,
    lend,
    open_line,
    trip_of,
    word,
)

NEW = PartyId(90)


@pytest.fixture
def storage(tmp_path):
    made = Storage(f"sqlite:///{tmp_path / 'admission.db'}")
    made.create_all()
    open_line(made)
    yield made
    made.close()


class StillChain:
    """The chain's answers to a request, as a node would give them."""

    def fetch_request_facts(self, _line, form, _fingerprint):
        return RequestFacts(
            block=1, limit_fen=10**12, reserved_fen=0, drawn_fen=0, line_frozen=False,
            line_valid_until=at(DAY + 900), receivable_fen=10**7, debtor=PartyId(21),
            debtor_signed=True, performer=FIRM, term_days=45, trip_state="open",
            leaf=form.payees[0].waybill, pledged=False, trip_taken=False,
            payees=(PayeeFacts(form.payees[0].party, 10**7),),
        )  # fmt: skip


def service(session, day=DAY + 1):
    return FinanceService(
        books=SqlBooks(session), outbox=None, chain=StillChain(), clock=FixedClock(at(day))
    )


def apply(storage, *, borrower=NEW, asked=10_000_000, day=DAY + 1, **more):
    with storage.write() as session:
        return service(session, day).apply_for_line(
            lender=LENDER, borrower=borrower, asked_fen=asked, tenor_days=60, by="acc_1", **more
        )


def effects(decided):
    return {one.code: one.effect for one in decided.decision.reasons}


# -- applying -----------------------------------------------------------------------------------------


def test_a_firm_without_history_is_offered_a_starter_line_at_once_with_every_rules_outcome(storage):
    made, decided = apply(storage)
    assert made.state is ApplicationState.OFFERED
    assert (made.asked_fen, made.offered_fen) == (10_000_000, 5_000_000)
    assert effects(decided)["ABOVE_EARNED"] == "info"
    assert decided.elapsed_us < 1_000_000
    answers = {one["rule"] for one in json.loads(decided.decision.record)["answers"]}
    assert {"admit-warned", "admit-lender-related", "overdue-hard", "circular"} <= answers
    again = redecide(forests.shipped_forest(), json.loads(decided.decision.record))
    assert again.record == decided.decision.record


def test_verified_trips_raise_the_offer_up_to_what_is_asked_and_the_law_caps_it(storage):
    with storage.write() as session:
        books = SqlBooks(session)
        for number in range(40):
            books.save_receivable(
                ReceivableRecord(
                    waybill=WaybillId(word(300 + number)), debtor=PartyId(20 + number % 4),
                    owner=NEW, freight_fen=3_000_000, term_days=45, due_day=DAY - number + 45,
                )
            )  # fmt: skip
    made, _ = apply(storage, asked=8_000_000)
    assert made.offered_fen == 8_000_000  # all that was asked: his trips earn more
    with storage.write() as session:
        service(session).set_policy(LenderPolicy(LENDER, DAY, net_assets_fen=60_000_000))
    made, decided = apply(storage, asked=8_000_000)
    assert made.offered_fen == 6_000_000  # 10% of net assets
    assert effects(decided)["SINGLE_BORROWER_10PCT"] == "cap"


@pytest.mark.parametrize(
    ("arrange", "code"),
    [
        (lambda b: b.save_warning(WarningRecord(
            LENDER, NEW, "WAYBILLS_FALL", 5_000, Action.FREEZE, "risk", DAY, DAY + 3, DAY)),
         "WARNING_OPEN"),
        (lambda b: [b.add_link(Link(party_name(one), "account:x", LinkKind.ACCOUNT, DAY))
                    for one in (NEW, LENDER)], "LENDER_RELATED"),
    ],
)  # fmt: skip
def test_a_refusal_names_its_reason_and_offers_nothing(storage, arrange, code):
    with storage.write() as session:
        arrange(SqlBooks(session))
    made, decided = apply(storage)
    assert (made.state, made.offered_fen, made.ended_by) == (ApplicationState.REFUSED, 0, "rules")
    assert effects(decided)[code] == "refuse"
    assert made.reason
    with storage.read() as session:
        kept = SqlBooks(session)
        assert kept.find_application(made.id) == made
        assert kept.find_decision(Hash32(made.decision)) is not None


def test_a_late_borrower_is_refused_and_a_late_kinsman_makes_a_person_look(storage):
    lend(storage, 1)
    late = DAY + TERMS.tenor_days + 8
    made, decided = apply(storage, borrower=FIRM, day=late)
    assert effects(decided)["BORROWER_OVERDUE"] == "refuse"
    assert made.state is ApplicationState.REFUSED
    with storage.write() as session:
        for one in (FIRM, NEW):
            SqlBooks(session).add_link(Link(party_name(one), "account:x", LinkKind.ACCOUNT, DAY))
    made, decided = apply(storage, day=late)
    assert effects(decided)["GROUP_OVERDUE"] == "review"
    assert made.state is ApplicationState.OFFERED


def test_an_application_ends_once_by_line_by_refusal_or_by_its_maker(storage):
    first, _ = apply(storage)
    second, _ = apply(storage, asked=9_000_000)
    third, _ = apply(storage, asked=8_000_000)
    with storage.write() as session:
        finance = service(session)
        refused = finance.refuse_application(second.id, by="acc_2", reason="no lane we know")
        assert (refused.state, refused.reason) == (ApplicationState.REFUSED, "no lane we know")
        assert finance.withdraw_application(third.id, by="acc_1").ended_by == "acc_1"
        for over in (second, third):
            with pytest.raises(UnexpectedStateError):
                finance.withdraw_application(over.id, by="acc_1")
        with pytest.raises(NotFoundError):
            finance.refuse_application(word(1), by="acc_2", reason="x")
    with storage.write() as session:
        books = SqlBooks(session)
        line = replace(books.find_line(LINE), line=LineId(word(4)), borrower=NEW)
        end_by_line(books, line, at(DAY + 2))
        kept = {one.id: one for one in books.list_applications(borrower=NEW)}
    assert (kept[first.id].state, kept[first.id].line) == (ApplicationState.OPENED, word(4))
    assert kept[second.id].state is ApplicationState.REFUSED
    assert len(kept) == 3


def test_what_is_no_wish_is_refused_and_nothing_is_kept(storage):
    with storage.write() as session:
        finance = service(session)
        for asked in (0, -1):
            with pytest.raises(InvalidAmountError):
                finance.apply_for_line(lender=LENDER, borrower=NEW, asked_fen=asked, tenor_days=60)
        for tenor in (0, 4_000):
            with pytest.raises(InvalidTermsError):
                finance.apply_for_line(lender=LENDER, borrower=NEW, asked_fen=1, tenor_days=tenor)
        with pytest.raises(InvalidTermsError, match="himself"):
            finance.apply_for_line(lender=LENDER, borrower=LENDER, asked_fen=1, tenor_days=60)
    with storage.read() as session:
        assert SqlBooks(session).list_applications(lender=LENDER) == []


# -- rings and doubles at a decision --------------------------------------------------------------------


def carriage(number, vehicle="0x" + "aa" * 32, shipment="", **more):
    return Carriage(
        trip=trip_of(number)[0], fingerprint="", vehicle=vehicle, shipment=shipment,
        loads=at(DAY, 8), delivers=at(DAY, 20), quantity=30_000, **more,
    )  # fmt: skip


def decide(storage, number, carries=None):
    trip, waybill = trip_of(number)
    payee = Payee(PartyId(9), WaybillId(word(77)), Hash32(word(10_000)), 400_000)
    with storage.write() as session:
        prepared = service(session).prepare_advance(
            line=LINE, waybill=waybill, trip=trip, principal=400_000, payees=[payee],
            fingerprint=Hash32(word(20_000 + number)), carriage=carries,
        )  # fmt: skip
    return effects(prepared.decision)


def test_one_vehicle_on_two_financed_trips_at_once_makes_a_person_look(storage):
    lend(storage, 2)
    assert "SIMILAR_FINANCED" not in decide(storage, 7, carriage(7))
    with storage.write() as session:
        SqlBooks(session).save_carriage(carriage(0))
    assert decide(storage, 7, carriage(7))["SIMILAR_FINANCED"] == "review"
    assert "SIMILAR_FINANCED" not in decide(storage, 8, carriage(8, vehicle="0x" + "bb" * 32))
    later = Carriage(trip_of(9)[0], "", "0x" + "aa" * 32, "", at(DAY, 20), at(DAY + 1), 30_000)
    assert "SIMILAR_FINANCED" not in decide(storage, 9, later)  # the windows only touch


def test_one_shipment_under_two_borrowers_is_seen_and_ones_own_trucks_on_a_job_are_not(storage):
    lend(storage, 1)
    one = carriage(7, vehicle="0x" + "bb" * 32, shipment="0x" + "cc" * 32)
    with storage.write() as session:
        SqlBooks(session).save_carriage(carriage(0, shipment="0x" + "cc" * 32))
    assert "SIMILAR_FINANCED" not in decide(storage, 7, one)  # the same borrower's second truck
    with storage.write() as session:
        books = SqlBooks(session)
        (loan,) = books.list_advances(lender=LENDER)
        books.save_advance(replace(loan, borrower=PartyId(55)))
    assert decide(storage, 7, one)["SIMILAR_FINANCED"] == "review"


def test_freight_that_comes_back_in_a_circle_makes_a_person_look(storage):
    ring = [FIRM, PartyId(31), PartyId(32), FIRM]
    with storage.write() as session:
        books = SqlBooks(session)
        for number, (a, b) in enumerate(itertools.pairwise(ring)):
            books.add_link(Link(
                party_name(a), party_name(b), LinkKind.FREIGHT, DAY, 900_000 + number, word(number)
            ))  # fmt: skip
    assert decide(storage, 7)["CIRCULAR_TRADE"] == "review"
    _, decided = apply(storage, borrower=FIRM)
    assert effects(decided)["CIRCULAR_TRADE"] == "review"
    assert "CIRCULAR_TRADE" not in effects(apply(storage)[1])
    # three months later it is no news any more
    assert "CIRCULAR_TRADE" not in effects(apply(storage, borrower=FIRM, day=DAY + 98)[1])


def carried_before(storage, count, freight, shipment="0x" + "dd" * 32):
    """So many lent trips of a shipment before today's, each with its debtor's freight."""
    with storage.write() as session:
        books = SqlBooks(session)
        for number in range(count):
            books.save_receivable(
                ReceivableRecord(
                    waybill=trip_of(number)[1], debtor=PartyId(21), owner=FIRM, freight_fen=freight(number)
                )
            )  # fmt: skip
            books.save_carriage(
                replace(
                    carriage(number, vehicle=word(number), shipment=shipment),
                    loads=at(DAY - 1, number), delivers=at(DAY - 1, number + 1),
                )
            )  # fmt: skip


def test_freight_far_from_what_the_shipment_cost_before_counts_and_without_enough_trips_it_does_not(
    storage,
):
    lend(storage, 20)
    today = carriage(50, vehicle=word(50), shipment="0x" + "dd" * 32)  # 10^7 fen for 30,000
    carried_before(storage, 14, lambda number: 5_000_000 + number)
    assert "PRICE_OUTLIER" not in decide(storage, 50, today)  # fourteen trips say nothing
    carried_before(storage, 20, lambda number: 5_000_000 + number)
    assert decide(storage, 50, today)["PRICE_OUTLIER"] == "score"
    assert "PRICE_OUTLIER" not in decide(
        storage, 50, replace(today, quantity=60_000)
    )  # twice the weight
    assert "PRICE_OUTLIER" not in decide(storage, 50, replace(today, shipment="0x" + "ee" * 32))
    assert "PRICE_OUTLIER" not in decide(storage, 50, replace(today, shipment=""))
    carried_before(storage, 20, lambda number: 9_500_000 + 100_000 * (number % 10))
    assert "PRICE_OUTLIER" not in decide(storage, 50, today)  # within the usual spread
    with storage.write() as session:
        books = SqlBooks(session)
        for number in range(20):  # another debtor's prices
            (waybill,) = {trip_of(number)[1]}
            books.save_receivable(
                replace(books.find_receivable(waybill), debtor=PartyId(22), freight_fen=1)
            )
    assert "PRICE_OUTLIER" not in decide(storage, 50, today)


def test_every_figure_that_a_rule_of_release_asks_about_is_measured(storage, monkeypatch):
    told = {}

    def remember(forest, given, **more):
        told.update(given)
        return decide_by_rules(forest, given, **more)

    monkeypatch.setattr("finance.asking.decide", remember)
    lend(storage, 1)
    trip, waybill = trip_of(7)
    payee = Payee(PartyId(9), WaybillId(word(77)), Hash32(word(10_000)), 400_000)
    with storage.write() as session:
        service(session).prepare_advance(
            line=LINE, waybill=waybill, trip=trip, principal=400_000, payees=[payee],
            fingerprint=Hash32(word(20_007)), carriage=carriage(7),
        )  # fmt: skip
    asked = {
        name
        for rule in forests.shipped_forest().rules
        if "release" in rule.stages
        for name in rule.inputs
    }
    assert asked - set(told) == set()


def test_a_thick_net_of_freight_cannot_hold_a_decision_up():
    names = [party_name(one) for one in range(40)]
    net = Relations(
        [Link(a, b, LinkKind.FREIGHT, DAY, 100) for a in names for b in names if a != b]
    )
    assert len(net.rings_of(names[0])) == 20
    assert net.rings_of(names[0], most_steps=3) == ()


# -- what other rules would have done ------------------------------------------------------------------


def stricter(rule, when):
    """The rules in force with one made stricter, as data."""
    document = copy.deepcopy(
        json.loads((Path(forests.__file__).parent / forests.PRESENT).read_text("utf-8"))
    )
    (found,) = [one for one in document["rules"] if one["id"] == rule]
    found["when"] = when
    found["cases"] = [
        {"given": dict.fromkeys(found["inputs"], 10**6), "expect": "hit"},
        {"given": dict.fromkeys(found["inputs"], -1), "expect": "miss"},
    ]
    document["version"] += 1
    return read_forest(document)


def test_other_rules_tell_who_would_have_gone_out_and_what_became_of_them(storage):
    loans = lend(storage, 3)
    with storage.write() as session:
        service(session).set_policy(
            LenderPolicy(LENDER, DAY, net_assets_fen=10**12, lpr_ppm=80_000)
        )
    for number in range(4):
        decide(storage, number)  # of the first three trips loans were made
    with storage.write() as session:
        books = SqlBooks(session)
        kept = list(books.list_decisions(lender=LENDER))
        by_trip = {trip_of(n)[0]: n for n in range(4)}
        assert {by_trip[one.subject] for one in kept} == {0, 1, 2, 3}
        first, second, third = (books.find_advance(one) for one in loans)
        books.save_advance(replace(first, state=AdvanceState.WRITTEN_OFF, outstanding_fen=70))
        books.save_advance(replace(second, state=AdvanceState.REPAID, outstanding_fen=0))
    with storage.read() as session:
        books = SqlBooks(session)
        now = at(third.due_day + 1)
        same = run_backtest(books, forests.shipped_forest(), lender=LENDER, since=None, now=now)
        verdicts = {one.subject: one.decision.verdict for one in kept}
        assert (same.decided, same.agreed, same.went_out) == (4, 4, ())
        other = run_backtest(
            books, stricter("term-long", "term_days > 30"), lender=LENDER, since=None, now=now
        )
        assert other.version == same.version + 1
        hard = run_backtest(
            books, stricter("overdue-hard", "borrower_overdue_days >= 0"),
            lender=LENDER, since=None, now=now,
        )  # fmt: skip
        nobody = run_backtest(books, forests.shipped_forest(), lender=FIRM, since=None, now=now)
    assert nobody.decided == 0
    approved = [trip for trip, verdict in verdicts.items() if verdict is Verdict.APPROVE]
    assert [one.subject for one in hard.went_out] == [
        one.subject for one in kept if one.subject in approved
    ]
    assert hard.out_fen == 400_000 * len(approved)
    assert hard.moved == 4 - len(approved)
    told = {by_trip[one.subject]: one for one in hard.went_out}
    assert told[3].outcome == "not_lent" if 3 in told else True
    outcomes = {0: "written_off", 1: "repaid", 2: "late", 3: "not_lent"}
    assert approved, "the decisions must be approvals for this test to say anything"
    assert {n: one.outcome for n, one in told.items()} == {n: outcomes[n] for n in told}
    assert hard.out_lost_fen == (70 if 0 in told else 0)
    assert all("BORROWER_OVERDUE" in one.codes for one in hard.went_out)
