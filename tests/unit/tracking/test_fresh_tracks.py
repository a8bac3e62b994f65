"""Honest drives pass on tracks that no rule has seen; all families there are measured by the benchmark."""

from __future__ import annotations

import pytest

from tests.unit.tracking import families, fresh_tracks
from tracking.judge import judge
from tracking.verdict import Outcome

pytestmark = pytest.mark.skipif(
    not families.SHARED.exists(),
    reason="needs the shared tracks beside the repository (../shared/vectors)",
)


@pytest.mark.parametrize(("town", "seed"), [(True, 901), (False, 901)])
def test_honest_drives_on_fresh_tracks_do_not_fail(town, seed):
    seen = []
    for case in fresh_tracks.cases(seed, ["clean"], town=town):
        verdict = judge(case.plan, case.fixes)
        seen.append(verdict.outcome)
        assert verdict.outcome is not Outcome.FAIL or not case.arrives, (case.name, verdict.reasons)
        assert (verdict.arrived_at is not None) is case.arrives, case.name
    assert len(seen) > 10
    assert seen.count(Outcome.REVIEW) <= 0.03 * len(seen) + 1


@pytest.mark.deep
@pytest.mark.parametrize("family", [make.__name__ for make in families.HONEST])
def test_every_honest_family_on_fresh_tracks(family):
    outcomes = [
        judge(case.plan, case.fixes, others=case.others).outcome
        for town in (True, False)
        for seed in range(910, 915)
        for case in fresh_tracks.cases(seed, [family], town=town)
        if case.arrives
    ]
    assert Outcome.FAIL not in outcomes
    assert outcomes.count(Outcome.REVIEW) <= 0.03 * len(outcomes)
