"""Whatever is thrown at the judge, it answers: no exception, every fix accounted for, equal bytes for equal sets."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tracking.test_judge import DRIVE, PLAN
from tracking.fix import Fix
from tracking.judge import OtherTrack, examine, judge
from tracking.plan import Gate, Plan
from tracking.plot import trip_svg
from tracking.stream import LiveTrip
from tracking.verdict import Outcome

BEGIN = DRIVE[0].time
LON, LAT = DRIVE[0].lon_e6, DRIVE[0].lat_e6
ANY = st.builds(
    Fix,
    time=st.integers(BEGIN - 5, BEGIN + 400) | st.integers(-(2**40), 2**40),
    lat_e6=st.integers(LAT - 9_000, LAT + 9_000) | st.integers(-(2**31), 2**31),
    lon_e6=st.integers(LON - 9_000, LON + 9_000) | st.integers(-(2**31), 2**31),
    speed_dkmh=st.none() | st.integers(0, 3_000),
    heading=st.none() | st.integers(0, 359),
    received=st.none() | st.integers(BEGIN - 90_000, BEGIN + 90_000),
    terminal=st.sampled_from(["", "42", "43"]),
    valid=st.sampled_from([True, True, False]),
    odometer_dkm=st.none() | st.integers(0, 2**32),
    recorder_dkmh=st.none() | st.integers(0, 3_000),
    satellites=st.none() | st.integers(0, 40),
    status=st.none() | st.integers(0, 2**32 - 1),
    alarm=st.none() | st.integers(0, 2**32 - 1),
    altitude_m=st.none() | st.integers(-1_000, 40_000),
    late=st.booleans(),
    items_ok=st.booleans(),
)
PLANS = [
    PLAN,
    replace(PLAN, terminal=""),
    Plan.of_route([(179.99, -16.5), (-179.99, -16.5)]),
    Plan.of_route([(LON / 1e6, LAT / 1e6), (LON / 1e6 + 0.001, LAT / 1e6), (LON / 1e6, LAT / 1e6)]),
    Plan(PLAN.route, Gate(*PLAN.route[0], 1), Gate(*PLAN.route[-1], 100_000), 10, None, ""),
]


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY, max_size=30), st.sampled_from(PLANS), st.randoms(use_true_random=False))
def test_any_fixes_get_an_answer_and_every_one_is_accounted_for(fixes, plan, dice):
    verdict = judge(plan, fixes)
    assert verdict.given == len(fixes)
    assert verdict.used + sum(verdict.rejected.values()) == verdict.given
    shuffled = fixes.copy()
    dice.shuffle(shuffled)
    assert judge(plan, shuffled).canonical_bytes() == verdict.canonical_bytes()
    if verdict.outcome is Outcome.PASS:
        assert verdict.used >= 2


@settings(max_examples=20, deadline=None)
@given(st.lists(ANY, max_size=12), st.integers(0, len(DRIVE) - 1))
def test_strangers_in_a_good_record_break_neither_judge_picture_nor_live_view(strangers, at):
    fixes = [*DRIVE[:at], *strangers, *DRIVE[at:]]
    examination = examine(
        PLAN, fixes, others=[OtherTrack("x", strangers), OtherTrack("y", DRIVE, "42")]
    )
    assert trip_svg(examination).endswith("</svg>\n")
    live = LiveTrip(PLAN)
    live.feed(fixes)
    live.tick(BEGIN + 100_000)
    assert live.progress().length_m > 0


def test_a_record_in_two_places_a_thousand_times_is_answered_in_a_moment():
    rng = random.Random(2)
    fixes = []
    for lap in range(20):
        for fix in DRIVE:
            moved = fix._replace(time=fix.time + lap * 7, received=None)
            fixes.append(
                moved if rng.random() < 0.5 else moved._replace(lat_e6=moved.lat_e6 + 900_000)
            )
    verdict = judge(PLAN, fixes)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.used + sum(verdict.rejected.values()) == len(fixes)
