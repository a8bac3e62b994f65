"""Short runs of the fault bench in every test run; long ones behind `deep`."""

from __future__ import annotations

import pytest

from tests.faults import trips
from tests.faults.bench import Plan, run


def test_nothing_is_lost_or_doubled_under_kills_reorganisations_and_a_lying_proxy(tmp_path):
    verdict = run(Plan(jobs=80, kills=8, node_kills=0, reorgs=2, seed=11, longest_s=1.0), tmp_path)
    assert verdict.holds, verdict


def test_nothing_is_lost_or_doubled_when_the_node_is_killed_too(tmp_path):
    verdict = run(
        Plan(jobs=80, kills=8, node_kills=2, reorgs=1, seed=12, longest_s=1.0, confirmations=0),
        tmp_path,
    )
    assert verdict.holds, verdict


def test_two_workers_on_postgresql_send_nothing_twice(tmp_path, postgres_url):
    verdict = run(
        Plan(
            jobs=80,
            kills=8,
            node_kills=0,
            reorgs=2,
            workers=2,
            seed=13,
            longest_s=1.0,
            storage_url=postgres_url,
        ),
        tmp_path,
    )
    assert verdict.holds, verdict


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(10))
def test_two_hundred_kills_a_seed(tmp_path, seed):
    verdict = run(
        Plan(jobs=1000, kills=200, node_kills=5, reorgs=10, backlog=1000, seed=seed, quiet_s=600),
        tmp_path,
    )
    assert verdict.holds, verdict


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(3))
def test_two_hundred_kills_a_seed_on_postgresql(tmp_path, postgres_url, seed):
    verdict = run(
        Plan(
            jobs=1000,
            kills=200,
            node_kills=5,
            reorgs=10,
            workers=2,
            backlog=1000,
            seed=100 + seed,
            quiet_s=600,
            storage_url=postgres_url,
        ),
        tmp_path,
    )
    assert verdict.holds, verdict


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(3))
def test_whole_trips_are_released_once_whatever_happens_to_the_worker(tmp_path, seed):
    verdict = trips.run(trips=30, kills=60, reorgs=8, seed=seed, folder=tmp_path, quiet_s=900)
    assert verdict.holds, verdict
