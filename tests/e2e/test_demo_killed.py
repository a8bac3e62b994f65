"""A demo that is killed and run again; a file of its own, so that it runs beside the other demo."""

from __future__ import annotations

import pytest

from tests.e2e.test_demo import LABELS, check_story, demo, trips


def test_a_demo_whose_worker_and_node_are_killed_is_resumed_without_a_trip_lost_or_paid_twice(
    tmp_path,
):
    for kill in ("worker@advances", "anvil@payouts"):
        killed = demo(tmp_path, "--kill", kill)
        assert killed.returncode == 1, killed.stdout[-2000:]
        assert "run again to resume" in killed.stdout
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "an unfinished run is resumed" in done.stdout
    check_story(done.stdout, trips(tmp_path))


@pytest.mark.deep
@pytest.mark.parametrize("what", ["worker", "anvil", "bank", "custodian"])
def test_the_demo_survives_a_kill_at_every_point(tmp_path, what):
    for label in LABELS:
        if what != "anvil" and label in {"contracts", "doors"}:
            continue  # there is no such process yet
        if what == "custodian" and label == "parties":
            continue  # it begins to work in this stage
        killed = demo(tmp_path, "--kill", f"{what}@{label}")
        assert killed.returncode == 1, f"{label}: {killed.stdout[-2000:]}"
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    check_story(done.stdout, trips(tmp_path))
