"""What is kept of the road: once, whatever the order; packed by day; forgotten only where allowed."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace

import pytest
import sqlalchemy as sa

from chain.bindings.enums import TripState
from chain.clock import FixedClock
from chain.ids import Hash32, TripId
from tests.integration.tracking.road import PHONE, VEHICLE, drive
from tracking import fix_days, jt808
from tracking.errors import TerminalUnknownError, TripInvalidError
from tracking.fix import Fix
from tracking.fix_records import fix_digest
from tracking.ports import RawEntry
from tracking.repository import SqlRecords
from tracking.service import TrackingService
from tracking.trip import RawFrame

DAY = 86_400
START = 1_767_571_200 // DAY * DAY
TRIP = TripId("0x" + "ab" * 32)


@pytest.fixture
def storage(empty_storage):
    empty_storage.create_all()
    return empty_storage


def use(storage, work, at=START):
    clock = FixedClock(dt.datetime.fromtimestamp(at, dt.UTC))
    with storage.write() as session:
        return work(TrackingService(records=SqlRecords(session), clock=clock), SqlRecords(session))


def register(storage):
    return use(storage, lambda s, _: s.register_terminal(PHONE, VEHICLE)).number


def test_a_fix_is_one_row_however_and_how_often_it_came(storage):
    number = register(storage)
    fixes = [fix._replace(received=fix.time + 3) for fix in drive(2_500, step=1)]
    again = [fix._replace(received=fix.time + 900, late=True) for fix in fixes]
    other = [fix._replace(speed_dkmh=1) for fix in fixes[:10]]  # another statement of the device
    everything = fixes + again + other
    orders = []
    for seed in (1, 2):
        shuffled = random.Random(seed).sample(everything, len(everything))
        use(storage, lambda _, r, f=shuffled: r.add_fixes([(number, fix) for fix in f]))
        stored = use(storage, lambda _, r: r.list_fixes(PHONE, 0, 1 << 40))
        orders.append([fix._replace(received=None, late=False, terminal="") for fix in stored])
    assert orders[0] == orders[1]
    assert len(orders[0]) == 2_510


def test_extremes_are_kept_as_they_are(storage):
    number = register(storage)
    odd = [
        Fix(0, 0, 0),
        Fix(4_102_415_999, 4_294_967_295, -4_294_967_295, 65_535, 359, None, "", -32_768, 255, valid=False,
            odometer_dkm=2**32 - 1, recorder_dkmh=65_535, status=2**32 - 1, alarm=2**32 - 1,
            late=True, items_ok=False),
    ]  # fmt: skip
    use(storage, lambda _, r: r.add_fixes([(number, fix) for fix in odd]))
    stored = use(storage, lambda _, r: r.list_fixes(PHONE, 0, 1 << 40))
    assert [fix._replace(terminal="") for fix in stored] == odd
    # a place off the Earth is kept as evidence and is no leaf
    members = use(storage, lambda _, r: r.list_members(PHONE, 0, 1 << 40))
    assert [member.time for member, _ in members] == [0]


def test_the_digest_names_what_the_device_said_and_nothing_else():
    fix = drive(1)[0]
    same = fix._replace(received=9, late=True, terminal="x")
    assert fix_digest(fix) == fix_digest(same)
    for name, value in (("speed_dkmh", None), ("valid", False), ("status", 0), ("items_ok", False)):
        assert fix_digest(fix) != fix_digest(fix._replace(**{name: value})), name


def raw_of(fix):
    data = jt808.write_frame(jt808.LOCATION, PHONE, fix.time & 0xFFFF, jt808.write_location(fix))
    return RawFrame("jt808", fix.time + 2, data[1:-1])


def keep(storage, number, fixes):
    entries = [RawEntry(number, raw_of(fix), fix.time, fix.time) for fix in fixes]
    use(storage, lambda _, r: (r.add_raw(entries), r.add_fixes([(number, f) for f in fixes])))


def all_raw(storage, since=0, until=1 << 40):
    return use(storage, lambda _, r: r.list_raw(PHONE, since, until))


def test_past_days_are_packed_and_read_back_to_the_byte(storage):
    number = register(storage)
    fixes = [fix for day in range(3) for fix in drive(300, start=START + day * DAY + 3_600)]
    keep(storage, number, fixes)
    before = all_raw(storage)
    now = START + 2 * DAY + 50_000
    assert use(storage, lambda s, _: s.pack_raw(), at=now) == 1  # yesterday and today stay
    assert use(storage, lambda s, _: s.pack_raw(), at=now + 5 * DAY) == 2
    assert use(storage, lambda s, _: s.pack_raw(), at=now + 5 * DAY) == 0
    assert all_raw(storage) == before == sorted(before, key=lambda raw: raw.received)
    some = all_raw(storage, START + DAY, START + 2 * DAY - 1)
    assert some == [raw for raw in before if START + DAY <= raw.received < START + 2 * DAY]
    # what comes in after its day was packed is packed beside it, once
    straggler = drive(1, start=START + 7_200, lat=30_000_000)
    keep(storage, number, straggler)
    keep(storage, number, fixes[:5])
    use(storage, lambda s, _: s.pack_raw(), at=now + 5 * DAY)
    assert len(all_raw(storage)) == len(before) + 1


def test_old_positions_are_forgotten_but_not_those_that_are_still_needed(storage):
    number = register(storage)
    days = 6
    fixes = [fix for day in range(days) for fix in drive(10, start=START + day * DAY + 43_200)]
    keep(storage, number, fixes)
    plan = {"planned_route": [[121.0, 31.0], [121.0, 31.1]]}
    for n, state in ((1, None), (2, TripState.VOID), (3, TripState.VOID)):
        trip, begin = TripId(f"0x{n:064x}"), START + n * DAY + 43_000
        use(storage, lambda s, _, t=trip, b=begin: s.open_trip(
            t, terminal=PHONE, vehicle=VEHICLE, plan=plan, opens=b, closes=b + 1_000))  # fmt: skip
        if state is not None:
            use(storage, lambda s, _, t=trip, to=state: s.on_trip_moved(t, to))
    use(storage, lambda s, _: s.pack_raw(), at=START + 2 * DAY)
    protected = [TripId(f"0x{3:064x}")]
    now = START + 8 * DAY
    use(storage, lambda s, _: s.forget(keep_days=3, protected=protected), at=now)
    left = {
        (fix.time - START) // DAY for fix in use(storage, lambda _, r: r.list_fixes(PHONE, 0, now))
    }
    assert left == {1, 3, 5}  # on the road still, protected, young
    assert {(raw.received - START) // DAY for raw in all_raw(storage)} == {1, 3, 5}
    with pytest.raises(TripInvalidError):
        use(storage, lambda s, _: s.forget(keep_days=0))


def test_the_latest_fix_of_each_terminal_is_one_question(storage):
    number = register(storage)
    other = use(storage, lambda s, _: s.register_terminal("777", VEHICLE)).number
    use(storage, lambda _, r: r.add_fixes(
        [(number, f) for f in drive(50)] + [(other, f) for f in drive(20, lat=40_000_000)]))  # fmt: skip
    last = use(storage, lambda _, r: r.last_fixes([PHONE, "777", "none"], 0))
    assert {name: fix.time for name, fix in last.items()} == {
        PHONE: drive(50)[-1].time, "777": drive(20)[-1].time,
    }  # fmt: skip
    assert use(storage, lambda _, r: r.last_fixes([PHONE], 1 << 40)) == {}


def test_an_unknown_terminal_has_nothing(storage):
    assert use(storage, lambda _, r: r.list_fixes("404", 0, 1 << 40)) == []
    assert use(storage, lambda _, r: r.list_raw("404", 0, 1 << 40)) == []
    assert use(storage, lambda _, r: r.list_members("404", 0, 1 << 40)) == []
    assert use(storage, lambda _, r: r.find_trip(TRIP)) is None
    with pytest.raises(TerminalUnknownError):
        use(storage, lambda s, _: s.release_device("404"))


def test_attestors_with_the_highest_party_ids_are_kept(storage):
    from chain.ids import PartyId
    from tracking.trip import AttestationRecord

    zero = Hash32("0x" + "00" * 32)
    one = AttestationRecord(TRIP, PartyId(2**64 - 1), "pass", zero, zero, 1)
    use(storage, lambda _, r: r.save_attestation(one))
    use(storage, lambda _, r: r.save_attestation(replace(one, attested=5)))
    assert use(storage, lambda _, r: r.list_attestations(TRIP)) == [replace(one, attested=5)]
    assert use(storage, lambda _, r: r.find_attestation(TRIP, one.attestor)).attested == 5


def test_days_are_kept_apart_moved_into_their_own_and_dropped_whole(storage):
    number = register(storage)
    early = [fix for day in range(4) for fix in drive(10, start=START + day * DAY + 3_600)]
    keep(storage, number, early)  # before there is room for their days
    now = START + DAY + 50_000
    made = use(storage, lambda s, _: s.prepare_days(), at=now)
    assert made == (0 if storage.is_sqlite else 5)
    assert use(storage, lambda s, _: s.prepare_days(), at=now) == 0
    keep(storage, number, early)  # once more: still one row each
    keep(storage, number, drive(5, start=START + 900 * DAY))  # a clock that is years ahead
    assert len(use(storage, lambda _, r: r.list_fixes(PHONE, 0, 1 << 40))) == 45
    if not storage.is_sqlite:
        with storage.read() as session:
            apart = {
                name: session.execute(sa.text(f"SELECT count(*) FROM fix_day.{name}")).scalar_one()
                for name in session.execute(
                    sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'fix_day'")
                ).scalars()
            }
        assert sum(apart.values()) == 45
        assert apart["other"] == 5
        assert sorted(apart.values()) == [0, 5, 10, 10, 10, 10]
    plan = {"planned_route": [[121.0, 31.0], [121.0, 31.1]]}
    use(storage, lambda s, _: s.open_trip(
        TRIP, terminal=PHONE, vehicle=VEHICLE, plan=plan, opens=START + 2 * DAY + 3_600,
        closes=START + 2 * DAY + 7_200))  # fmt: skip
    use(storage, lambda s, _: s.forget(keep_days=3), at=START + 6 * DAY + 60)
    left = use(storage, lambda _, r: r.list_fixes(PHONE, 0, START + 5 * DAY))
    assert {(fix.time - START) // DAY for fix in left} == {2, 3}  # on the road still; young
    if not storage.is_sqlite:
        with storage.read() as session:
            days = [one.name for one in fix_days.list_days(session)]
        assert (
            len(days) == 4
        )  # the first is gone with its table; the trip's margin reaches into the second
