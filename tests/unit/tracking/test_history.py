from __future__ import annotations

import random

import pytest

from tests.unit.tracking import families
from tests.unit.tracking.test_judge import DRIVE, ROUTE, made_drive, made_road
from tracking.history import TripIndex, crossings, signature
from tracking.track import Columns

needs_shared = pytest.mark.skipif(
    not families.SHARED.exists(),
    reason="needs the shared tracks beside the repository (../shared/vectors)",
)


def columns(fixes):
    return Columns.of(list(fixes))


def shifted(fixes, seconds, stretch=1.0):
    begin = fixes[0].time
    return [
        fix._replace(time=begin + seconds + round((fix.time - begin) * stretch)) for fix in fixes
    ]


def test_crossings_lie_in_order_between_the_fixes():
    where, when = crossings(columns(DRIVE))
    assert len(where) == len(when) > 10
    assert (when[1:] >= when[:-1]).all()
    assert when[0] >= DRIVE[0].time
    assert when[-1] <= DRIVE[-1].time


def test_a_signature_does_not_depend_on_the_order_of_the_fixes():
    other = DRIVE.copy()
    random.Random(1).shuffle(other)
    for one, two in zip(signature(columns(DRIVE)), signature(columns(other)), strict=True):
        assert (one == two).all()


@pytest.mark.parametrize("stretch", [0.9, 1.0, 1.1])
def test_a_copy_is_found_though_shifted_and_stretched_in_time(stretch):
    index = TripIndex()
    for seed in range(20, 40):
        index.add(f"other day {seed}", columns(made_drive(ROUTE, seed=seed)))
    index.add("original", columns(DRIVE))
    found = index.search(columns(shifted(DRIVE, 86_400 * 3, stretch)))
    assert found[0].trip == "original"
    assert found[0].shared_permille >= 700


def test_other_roads_share_nothing():
    index = TripIndex()
    index.add("elsewhere", columns([fix._replace(lat_e6=fix.lat_e6 - 2_000_000) for fix in DRIVE]))
    assert index.search(columns(DRIVE)) == []


def test_a_trip_is_stored_once_and_can_be_left_out():
    index = TripIndex()
    index.add("one", columns(DRIVE))
    index.add("one", columns(made_drive(made_road(5.0))))
    assert len(index) == 1
    assert "one" in index
    assert index.search(columns(DRIVE), besides=["one"]) == []


def test_too_short_a_record_has_no_signature():
    assert len(signature(columns(DRIVE[:3]))[0]) == 0
    assert TripIndex().search(columns(DRIVE)) == []


@needs_shared
@pytest.mark.parametrize(
    ("family", "least"), [("replay_exact", 1.0), ("shared_track", 0.95), ("replay_jittered", 0.85)]
)
def test_copies_of_real_tracks_are_among_the_candidates(family, least):
    index, asked = TripIndex(), []
    for case in families.cases(families.bases(), 4, [family]):
        index.add(case.base, columns(case.others[0].fixes))
        asked.append(case)
    found = [
        any(one.trip == case.base for one in index.search(columns(case.fixes))) for case in asked
    ]
    assert sum(found) >= least * len(found)
