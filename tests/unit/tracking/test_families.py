"""Every family of honest and forged drive, made from real tracks that were held out while tuning."""

from __future__ import annotations

import pytest

from tests.unit.tracking import families
from tracking.judge import judge
from tracking.verdict import Outcome

pytestmark = pytest.mark.skipif(
    not families.SHARED.exists(),
    reason="needs the shared tracks beside the repository (../shared/vectors)",
)

LEAST_FOUND = {make.__name__: 0.95 for make in families.MECHANICAL}
LEAST_FOUND |= {
    "playback_perfect": 0.9,
    "speed_mismatch": 0.9,
    "replay_jittered": 0.7,
    "playback_noise": 0.7,
}
LEAST_FOUND |= {"detour": 1.0, "stops_short": 1.0}


def judged(family, seed):
    for case in families.cases(sorted(families.HELD_OUT), seed, [family]):
        yield case, judge(case.plan, case.fixes, others=case.others)


@pytest.mark.parametrize("family", [make.__name__ for make in families.HONEST])
def test_honest_drives_pass(family):
    for case, verdict in judged(family, seed=11):
        assert verdict.outcome is Outcome.PASS, (case.name, case.note, verdict.reasons)
        assert (verdict.arrived_at is not None) is case.arrives, (case.name, case.note)


@pytest.mark.parametrize("family", LEAST_FOUND)
def test_faults_and_forgeries_are_found(family):
    results = [
        (case, verdict.outcome is not Outcome.PASS, verdict.arrived_at is not None)
        for case, verdict in judged(family, seed=11)
    ]
    if family != "gap":  # few of the real tracks are long enough to hide half an hour
        assert len(results) >= 4
    missed = [case.name for case, found, _ in results if not found]
    # One miss in ten is what chance allows a rule that finds 95 % of all.
    assert len(missed) <= round(len(results) * (1 - LEAST_FOUND[family]) + 0.49), missed
    wrong = [
        case.name
        for case, _, arrived in results
        if case.arrives is not None and case.arrives != arrived
    ]
    assert not wrong
