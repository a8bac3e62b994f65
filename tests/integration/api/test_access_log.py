"""The access log: any row that is flipped, taken out or cut off is named. On both databases."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
import sqlalchemy as sa
from sqlmodel import col

from api.auth import Caller
from api.privacy.access import AccessLog
from api.privacy.tables import AccessHeadRow, AccessRow
from chain.clock import FixedClock
from chain.ids import PartyId
from chain.sealing import Keyring

CLOCK = FixedClock(dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC))
RING = Keyring([bytes(range(32))])
ASKER = Caller("mem_1", PartyId(7), frozenset())


@pytest.fixture
def storage(empty_storage):
    empty_storage.create_all()
    for number in range(6):
        with empty_storage.write() as session:
            AccessLog(session, CLOCK, RING).note(ASKER, "evidence", f"trip {number}")
    return empty_storage


def broken(storage, noted=None):
    with storage.read() as session:
        return AccessLog(session, CLOCK, RING).find_broken(noted)


def test_an_untouched_log_holds(storage):
    assert broken(storage) is None


@pytest.mark.parametrize(
    "column", ["at", "caller", "party_id", "action", "about", "request_id", "mac", "previous"]
)
def test_any_flipped_value_names_its_row(storage, column):
    value = CLOCK.now() + dt.timedelta(seconds=1) if column == "at" else "other"
    with storage.write() as session:
        session.execute(
            sa.update(AccessRow).where(col(AccessRow.number) == 3).values({column: value})
        )
    assert broken(storage).number == 3


@pytest.mark.parametrize("number", [1, 3, 6])
def test_any_deleted_row_is_named(storage, number):
    with storage.write() as session:
        session.execute(sa.delete(AccessRow).where(col(AccessRow.number) == number))
    assert broken(storage).number == number


def test_rows_that_were_swapped_are_named(storage):
    with storage.write() as session:
        two = session.get(AccessRow, 2)
        three = session.get(AccessRow, 3)
        two.about, three.about = three.about, two.about
        session.add_all([two, three])
    assert broken(storage).number == 2


def test_a_chain_made_anew_without_the_key_does_not_hold(storage):
    with storage.write() as session:
        session.execute(sa.delete(AccessRow))
        session.execute(sa.delete(AccessHeadRow))
        forger = AccessLog(session, CLOCK, Keyring([bytes(range(1, 33))]))
        for number in range(6):
            forger.note(ASKER, "evidence", f"trip {number + 10}")
    assert broken(storage).number == 1


def test_a_log_taken_back_is_seen_against_a_noted_end(storage):
    with storage.read() as session:
        noted = AccessLog(session, CLOCK, RING).head()
    with storage.write() as session:
        session.execute(sa.delete(AccessRow).where(col(AccessRow.number) > 4))
        head = session.get(AccessHeadRow, 1)
        head.number, head.mac = 4, session.get(AccessRow, 4).mac
        session.add(head)
    assert broken(storage) is None
    assert broken(storage, noted).number == 5


def test_many_at_once_make_one_chain(storage):
    def ask():
        for _ in range(5):
            with storage.write() as session:
                AccessLog(session, CLOCK, RING).note(ASKER, "export", "many")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken(storage) is None
    with storage.read() as session:
        assert AccessLog(session, CLOCK, RING).head()[0] == 26
