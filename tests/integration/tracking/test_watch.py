"""The watch over trips under way: from stored fixes to alerts and progress, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.bindings.enums import TripState
from chain.clock import FixedClock
from chain.ids import Hash32, TripId
from tests.unit.tracking.test_judge import DRIVE, PLAN
from tracking.instants import instant
from tracking.repository import SqlRecords
from tracking.service import TrackingService
from tracking.watch import MOST_NEW, Watch

VEHICLE = Hash32("0x" + "11" * 32)
OPENS, CLOSES = DRIVE[0].time - 60, DRIVE[-1].time + 86_400


def trip_id(number: int) -> TripId:
    return TripId(f"0x{number:064x}")


@pytest.fixture
def storage(empty_storage):
    empty_storage.create_all()
    return empty_storage


class Desk:
    """A platform that takes fixes and looks."""

    def __init__(self, storage):
        self.storage, self.watch = storage, Watch()

    def service(self, session, now):
        return TrackingService(records=SqlRecords(session), clock=FixedClock(instant(now)))

    def open(self, number, plan=PLAN):
        with self.storage.write() as session:
            service = self.service(session, OPENS)
            service.register_terminal(str(number), VEHICLE)
            plan = replace(plan, terminal=str(number))
            service.open_trip(
                trip_id(number),
                terminal=str(number),
                vehicle=VEHICLE,
                plan=plan,
                opens=OPENS,
                closes=CLOSES,
            )
            service.on_trip_moved(trip_id(number), TripState.LOADED)

    def take(self, number, fixes):
        with self.storage.write() as session:
            self.service(session, fixes[-1].time).take_fixes(str(number), fixes)

    def look(self, now):
        with self.storage.read() as session:
            seen = self.watch.look(SqlRecords(session), now=now)
        with self.storage.write() as session:
            return self.service(session, now).note_seen(seen)

    def at(self, ask):
        with self.storage.read() as session:
            return ask(self.service(session, OPENS))


@pytest.fixture
def desk(storage):
    return Desk(storage)


def codes(raised):
    return [one.alert.code for one in raised]


def test_what_comes_in_is_told_at_the_next_look_and_only_once(desk):
    desk.open(7)
    desk.take(7, DRIVE[:40])
    assert codes(desk.look(DRIVE[39].time)) == ["loading_reached", "departed"]
    assert desk.look(DRIVE[39].time + 1) == []
    desk.take(7, DRIVE[40:])
    fresh = desk.look(DRIVE[-1].time)
    assert codes(fresh) == ["arrived"]
    assert fresh[0].raised == DRIVE[-1].time
    progress = desk.at(lambda s: s.find_progress(trip_id(7)))
    assert progress.arrived_at == fresh[0].alert.at
    listed = desk.at(lambda s: s.list_alerts([trip_id(7)]))
    assert codes(listed) == ["arrived", "departed", "loading_reached"]
    assert codes(desk.at(lambda s: s.list_alerts(since=DRIVE[-1].time))) == ["arrived"]


def test_after_a_restart_the_same_is_known_and_nothing_is_told_twice(desk):
    desk.open(7)
    desk.take(7, DRIVE[:40])
    desk.look(DRIVE[39].time)
    before = desk.at(lambda s: s.find_progress(trip_id(7)))
    desk.watch = Watch()
    assert desk.look(DRIVE[39].time) == []
    assert desk.at(lambda s: s.find_progress(trip_id(7))) == before
    desk.watch.forget()
    desk.take(7, DRIVE[40:])
    assert codes(desk.look(DRIVE[-1].time)) == ["arrived"]


def test_silence_is_told_by_the_clock_alone(desk):
    desk.open(7)
    desk.take(7, DRIVE[:40])
    desk.look(DRIVE[39].time)
    assert codes(desk.look(DRIVE[39].time + 700)) == ["gap"]


def test_many_trips_are_looked_at_in_a_few_questions_and_a_few_are_taken_up_at_a_time(desk):
    for number in range(1, MOST_NEW + 6):
        desk.open(number)
        desk.take(number, DRIVE[:30])
    now = DRIVE[29].time
    desk.look(now)
    assert len(desk.watch) == MOST_NEW
    desk.look(now)
    assert len(desk.watch) == MOST_NEW + 5
    told = desk.at(lambda s: s.list_alerts())
    assert len({one.trip for one in told}) == MOST_NEW + 5


def test_a_trip_that_is_over_is_watched_no_more(desk):
    desk.open(7)
    desk.take(7, DRIVE[:40])
    desk.look(DRIVE[39].time)
    with desk.storage.write() as session:
        desk.service(session, OPENS).on_trip_moved(trip_id(7), TripState.VOID)
    assert desk.look(DRIVE[39].time + 700) == []
    assert len(desk.watch) == 0
