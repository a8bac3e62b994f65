from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tracking.fix import Fix
from tracking.track import Columns, Track, fixes_of

FIXES = st.builds(
    Fix,
    time=st.integers(1_772_000_000, 1_772_000_050),
    lat_e6=st.integers(30_000_000, 30_000_004),
    lon_e6=st.integers(110_000_000, 110_000_003),
    speed_dkmh=st.none() | st.integers(0, 900),
    received=st.none() | st.integers(1_772_000_000, 1_772_000_090),
    terminal=st.sampled_from(["", "1", "2"]),
    heading=st.none(),
    altitude_m=st.none(),
    satellites=st.none(),
    valid=st.just(value=True),
    odometer_dkm=st.none(),
    recorder_dkmh=st.none(),
    status=st.none(),
    alarm=st.none(),
    late=st.booleans(),
    items_ok=st.just(value=True),
)


@given(st.lists(FIXES, max_size=25), st.randoms(use_true_random=False))
def test_order_and_duplication_of_the_fixes_never_matter(fixes, dice):
    one = Track.of(fixes)
    other = [*fixes, *dice.sample(fixes, len(fixes) // 2)]
    dice.shuffle(other)
    two = Track.of(other)
    assert fixes_of(one.fixes) == fixes_of(two.fixes)
    assert one.leaves() == two.leaves()


@given(st.lists(FIXES, max_size=25))
def test_every_fix_is_used_or_rejected_with_a_code(fixes):
    track = Track.of(fixes, terminal="1")
    assert len(track) + sum(track.rejected.values()) == track.given == len(fixes)


def test_columns_hold_what_the_fixes_held():
    fixes = [
        Fix(
            time=1_772_000_000,
            lat_e6=-1,
            lon_e6=2,
            speed_dkmh=None,
            heading=7,
            terminal="9",
            valid=False,
        ),
        Fix(
            time=1_772_000_001,
            lat_e6=3,
            lon_e6=4,
            speed_dkmh=55,
            altitude_m=-154,
            late=True,
            items_ok=False,
        ),
    ]
    assert fixes_of(Columns.of(fixes)) == fixes


def test_each_kind_of_refusal_has_its_code():
    good = {"time": 1_772_000_000, "lat_e6": 30_000_000, "lon_e6": 110_000_000}
    fixes = [
        Fix(**good),
        Fix(**good, valid=False),
        Fix(**good, status=1 << 5),
        Fix(**{**good, "lat_e6": 90_000_001}),
        Fix(**{**good, "lat_e6": 0, "lon_e6": 0}),
        Fix(**{**good, "time": 0}),
        Fix(**good, terminal="7"),
        Fix(**good, speed_dkmh=3),
    ]
    random.Random(5).shuffle(fixes)
    track = Track.of(fixes, terminal="8")
    assert dict(track.rejected) == {
        "no_position": 1,
        "encrypted": 1,
        "out_of_range": 1,
        "null_island": 1,
        "bad_time": 1,
        "other_terminal": 1,
        "duplicate": 1,
    }
    assert len(track) == 1


def test_of_two_reports_of_one_place_the_one_received_first_counts():
    late = Fix(
        time=1_772_000_000, lat_e6=1_000_000, lon_e6=1_000_000, received=1_772_000_900, speed_dkmh=1
    )
    live = Fix(
        time=1_772_000_000, lat_e6=1_000_000, lon_e6=1_000_000, received=1_772_000_002, speed_dkmh=2
    )
    assert fixes_of(Track.of([late, live]).fixes) == [live]
