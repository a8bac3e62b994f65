"""What is wrong is refused with its reason and recorded, and nothing of it is half-booked."""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import replace

import pytest

from chain.bindings.structs import LenderAct, Repayment
from chain.clock import FixedClock
from chain.errors import InvalidValueError
from chain.ids import AdvanceId, Hash32
from chain.money import fen
from chain.outbox import SqlOutbox
from chain.storage import Storage
from finance.advance import AdvanceEvent, AdvanceState, EventKind
from finance.audit import book_of
from finance.errors import AdvanceStateError, InvalidAmountError, RuleError, UnknownAdvanceError
from finance.iso20022 import BankAccount, BankEntry, Notice, write_notice
from finance.ledger import Booking, lines_of
from finance.payout_errors import BankUnavailableError
from finance.payout_jobs import run_payouts
from finance.payout_ports import EntryState, NoticePage
from finance.payout_repository import SqlPayoutDesk
from finance.payout_seal import RecordSeal
from finance.payout_service import PayoutService
from finance.payouts import QuestionKind
from finance.repository import SqlBooks
from finance.risk import read_forest
from finance.service import FinanceService
from tests.integration.finance.bank_rig import BANK, CUSTODIAN, KEYRING
from tests.integration.finance.loan_book import DAY, LENDER, at, lend, open_line, word

CLOCK = FixedClock(at(DAY))
HOUSE = BankAccount("存管银行", "6222999900000001", BANK)


class PaperBank:
    """A bank that says what it is told to say; nobody can be paid there."""

    def __init__(self):
        self.said = []

    def fetch_notices(self, account, after):
        pages = [(place, text) for place, text in enumerate(self.said, 1) if place > after]
        return NoticePage(tuple(pages))

    def send_order(self, _order):
        raise BankUnavailableError("paper")

    fetch_status = fetch_statement = send_order


class Office:
    def __init__(self, storage):
        self.storage = storage
        self.bank = PaperBank()

    @contextlib.contextmanager
    def begin(self):
        with self.storage.write() as session:
            yield PayoutService(
                desk=SqlPayoutDesk(session), outbox=self.outbox(session), seal=RecordSeal(KEYRING),
                clock=CLOCK, wall=CLOCK, house=HOUSE,
            )  # fmt: skip

    def outbox(self, session):
        return SqlOutbox(session, signer=CUSTODIAN.first.address, clock=CLOCK)

    def hear(self, *messages):
        """The messages, and after them a good one: what is broken must not stand in its way."""
        good = notice("good", 77)
        self.bank.said += [*messages, good]
        run_payouts(self.begin, self.bank, CLOCK)
        with self.storage.read() as session:
            desk = SqlPayoutDesk(session)
            entries = desk.list_entries(states=list(EntryState))
            return desk.list_questions(), {one.reference: one.amount_fen for one in entries}

    def finance(self, work):
        with self.storage.write() as session:
            return work(
                FinanceService(
                    books=SqlBooks(session), outbox=self.outbox(session), chain=None, clock=CLOCK
                )
            )

    def queued(self, about):
        with self.storage.read() as session:
            return self.outbox(session).list_about(about)


def entry(reference, amount, **more):
    told = {
        "reference": reference, "account": HOUSE.number, "amount_fen": amount, "is_credit": True,
        "value_day": dt.date(2026, 1, 26), "booked_at": at(DAY),
    }  # fmt: skip
    return BankEntry(**told | more)


def notice(name, *amounts, **more):
    entries = tuple(entry(f"{name}-{n}", one, **more) for n, one in enumerate(amounts))
    return write_notice(Notice(name, at(DAY), entries))


@pytest.fixture
def office(tmp_path):
    storage = Storage(f"sqlite:///{tmp_path / 'bad.db'}", keyring=KEYRING)
    storage.create_all()
    open_line(storage)
    yield Office(storage)
    storage.close()


def broken(message):
    text = message.decode()
    return {
        "another currency": text.replace('Ccy="CNY"', 'Ccy="USD"'),
        "a day that does not exist": text.replace("<ValDt><Dt>2026-01-26", "<ValDt><Dt>2026-02-30"),
        "a negative amount": text.replace(">10.01<", ">-10.01<"),
        "parts of a fen": text.replace(">10.01<", ">10.015<"),
        "cut off": text[: len(text) // 2],
        "no XML": "hello",
        "an entity": text.replace(
            '<?xml version="1.0"', '<!DOCTYPE a [<!ENTITY b "c">]><?xml version="1.0"', 1
        ),
    }


@pytest.mark.parametrize("how", list(broken(notice("x", 1001))))
def test_a_bank_message_with_an_error_in_one_entry_books_nothing_of_it_and_is_recorded(office, how):
    whole = notice("bad", 5, 1001)
    text = broken(whole)[how]
    assert text.encode() != whole
    questions, booked = office.hear(text.encode())
    assert booked == {"good-0": 77}  # not even the entry that was right
    kinds = [one.kind for one in questions]
    assert kinds.count(QuestionKind.BAD_MESSAGE) == 1
    (bad,) = [one for one in questions if one.kind is QuestionKind.BAD_MESSAGE]
    assert bad.text.strip()


def test_unknown_references_wait_in_suspense_and_a_person_is_asked(office):
    questions, booked = office.hear(notice("who", 500, remittance="YDAAAAAAAAAAAAAA freight"))
    assert booked == {"who-0": 500, "good-0": 77}
    with office.storage.read() as session:
        waiting = SqlPayoutDesk(session).list_entries(states=[EntryState.SUSPENSE])
    assert {one.reference for one in waiting} == {"who-0", "good-0"}
    assert {one.subject for one in questions} == {"who-0", "good-0"}


def test_a_message_told_twice_counts_once_and_other_content_under_its_number_is_recorded(office):
    message = notice("same", 500)
    questions, booked = office.hear(message, message, notice("same", 501))
    assert booked == {"same-0": 500, "good-0": 77}
    asked = [one for one in questions if one.kind is QuestionKind.REFERENCE_REUSED]
    assert [one.subject for one in asked] == ["same-0"]


@pytest.mark.parametrize(
    "state",
    [AdvanceState.REPAID, AdvanceState.VOIDED, AdvanceState.DECLINED, AdvanceState.APPROVED],
)
def test_a_repayment_of_a_loan_that_owes_nothing_is_refused_and_not_sent(office, state):
    (loan,) = lend(office.storage, 1)
    with office.storage.write() as session:
        books = SqlBooks(session)
        record = books.find_advance(loan)
        books.save_advance(replace(record, state=state))
    form = Repayment(loan, 100, int(at(DAY + 1).timestamp()), Hash32(word(1)))
    with pytest.raises(AdvanceStateError, match=state.value):
        office.finance(lambda f: f.repay_advance(form, b"x"))
    assert office.queued(record.trip) == []
    missing = replace(form, advance=AdvanceId(word(404)))
    with pytest.raises(UnknownAdvanceError):
        office.finance(lambda f: f.repay_advance(missing, b"x"))


def test_a_loan_that_is_written_off_is_not_written_off_again_and_its_books_stay(office):
    (loan,) = lend(office.storage, 1)
    with office.storage.write() as session:
        books = SqlBooks(session)
        record = books.find_advance(loan)
        books.save_advance(replace(record, state=AdvanceState.WRITTEN_OFF))
        before = books.balances(book=book_of(LENDER))
    for act in (1, 2, 4):
        form = LenderAct(
            loan, act, 0, Hash32(word(2)), int(at(DAY + 1).timestamp()), Hash32(word(3))
        )
        with pytest.raises(AdvanceStateError):
            office.finance(lambda f, form=form: f.act_on_advance(form, b"x"))
    assert office.queued(record.trip) == []
    with office.storage.read() as session:
        assert SqlBooks(session).balances(book=book_of(LENDER)) == before


@pytest.mark.parametrize("amount", [-1, 1.5, True, "100", 2**53])
def test_what_is_no_whole_fen_is_no_amount(amount):
    with pytest.raises(InvalidValueError):
        fen(amount, field="amount_fen")


@pytest.mark.parametrize("parts", [{"principal": -1}, {"principal": 0}, {"gold": 1}, {}])
def test_a_booking_of_nothing_of_less_or_of_what_it_does_not_know_makes_no_lines(parts):
    with pytest.raises(InvalidAmountError):
        lines_of(Booking.DISBURSEMENT, parts)


def test_an_event_with_an_amount_that_cannot_be_is_not_kept(office):
    (loan,) = lend(office.storage, 1)

    def keep():
        event = AdvanceEvent("bad", EventKind.PAID, at(DAY), at(DAY), -5, position=(9, 9))
        with office.storage.write() as session:
            SqlBooks(session).add_event(loan, event)

    with pytest.raises(InvalidAmountError):
        keep()
    with office.storage.read() as session:
        kept = SqlBooks(session).list_events([loan])[loan]
    assert "bad" not in {one.id for one in kept}


@pytest.mark.parametrize(
    "when", ["principal_fen >", "principal_fen > 1 // 0", "open('x')", "1 + 1"]
)
def test_a_rule_that_does_not_parse_or_divides_by_zero_makes_no_forest(when):
    rule = {
        "id": "r", "version": 1, "owner": "o", "tree": "t", "stages": ["release"],
        "effective_from": "2026-01-01", "inputs": {"principal_fen": "int"}, "when": when,
        "outcome": "REFUSE", "missing": "refuse", "reason": {"code": "R", "zh": "因", "en": "r"},
        "cases": [
            {"given": {"principal_fen": 2}, "expect": "hit"},
            {"given": {"principal_fen": 0}, "expect": "miss"},
        ],
    }  # fmt: skip
    forest = {"id": "f", "version": 1, "review_at": 1, "trees": {"t": 1}, "rules": [rule]}
    with pytest.raises(RuleError, match="r"):
        read_forest(forest)
    assert read_forest(forest | {"rules": [rule | {"when": "principal_fen > 1"}]}).rules
