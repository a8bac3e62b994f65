from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tests.unit.tracking import families
from tests.unit.tracking.families import hurried
from tests.unit.tracking.test_judge import (
    CASES,
    DRIVE,
    PLAN,
    ROUTE,
    fixes_in,
    labelled,
    needs_shared,
)
from tracking.fix import Fix
from tracking.judge import judge
from tracking.plan import Plan
from tracking.policy import (
    EARLIER,
    POLICY_FILE,
    Policy,
    default_policy,
    find_policy,
    find_policy_text,
)
from tracking.refusals import PolicyError

TEXT = POLICY_FILE.read_text(encoding="utf-8")


def played():
    """The road of the made drive played at a lively speed under white noise: forty reports."""
    rng = np.random.default_rng(5)
    road = np.array(ROUTE)
    steps = families.metres(road[:-1, 0], road[:-1, 1], road[1:, 0], road[1:, 1])
    way = np.concatenate(([0], np.cumsum(steps)))
    out = []
    for at, place in enumerate(np.clip(np.cumsum(rng.uniform(120, 330, 40)), 0, way[-1])):
        lat = np.interp(place, way, road[:, 1]) + rng.normal(0, 3) / 111_200
        lon = np.interp(place, way, road[:, 0]) + rng.normal(0, 3) / 85_000
        out.append(
            Fix(
                time=1_773_000_000 + 15 * at,
                lat_e6=round(lat * 1e6),
                lon_e6=round(lon * 1e6),
                terminal="42",
            )
        )
    return out


def test_the_hash_names_the_rules_and_not_the_layout_of_the_file():
    spaced = TEXT.replace("\n\n", "\n\n\n# a remark\n")
    assert Policy.of_toml(spaced).policy_hash == default_policy().policy_hash
    changed = TEXT.replace("cap_kmh = 250", "cap_kmh = 251", 1)
    assert Policy.of_toml(changed).policy_hash != default_policy().policy_hash


def test_a_rule_that_the_judge_does_not_know_is_refused_by_name():
    with pytest.raises(PolicyError, match="knows no rule frobnicate"):
        Policy.of_toml(TEXT + '\n[rules.frobnicate]\nversion = 1\nseverity = "info"\n')


def test_a_policy_without_a_rule_is_refused_by_name():
    with pytest.raises(PolicyError, match="lacks rule teleport"):
        Policy.of_toml(TEXT.replace("[rules.teleport]", "[rules.teleports]"))


def test_a_missing_threshold_is_refused_by_name():
    with pytest.raises(PolicyError, match=r"rule dwell.*least_s"):
        Policy.of_toml(TEXT.replace("least_s = 60\n\n[rules.replay]", "\n[rules.replay]"))


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("cap_kmh = 250", "cap_kmh = 250.5", "whole number"),
        ('severity = "fail"', 'severity = "death"', "info, review or fail"),
        ('version = "2026.11.2"', "version = [", "not TOML"),
    ],
)
def test_a_broken_policy_is_refused(was, now, says):
    with pytest.raises(PolicyError, match=says):
        Policy.of_toml(TEXT.replace(was, now, 1))


def test_a_rule_in_a_version_that_the_judge_does_not_compute_is_refused():
    text = TEXT.replace("[rules.teleport]\nversion = 3", "[rules.teleport]\nversion = 4")
    assert text != TEXT
    with pytest.raises(PolicyError, match="teleport: the judge computes no version 4"):
        Policy.of_toml(text)


def test_a_policy_that_was_signed_for_is_found_by_its_hash_beside_todays():
    first = "0x2f0300671d6f4e09a3a37b24f7539cf4c04f711d1fac34d2989d2b950e4fc7ff"
    today = default_policy()
    assert find_policy(today.policy_hash).version == today.version
    assert find_policy_text(today.policy_hash) == TEXT
    assert find_policy(first).version == "2026.11"
    assert Policy.of_toml(find_policy_text(first)).policy_hash == first
    assert find_policy("0x" + "00" * 32) is None
    assert find_policy_text("0x" + "00" * 32) is None


def test_rules_that_compute_the_same_have_the_same_version_in_every_policy():
    by_version = {}
    for file in (POLICY_FILE, *EARLIER.glob("*.toml")):
        for rule in Policy.of_toml(file.read_text(encoding="utf-8")).rules:
            shape = by_version.setdefault((rule.code, rule.version), set(rule.limits))
            assert shape == set(rule.limits), rule.code


FIRST_VERDICTS = {
    "whole": "dcc65b7d9373cb0d4061",
    "part": "a7643a8e97a1483ba14f",
    "hurried": "df25e1487475393f87f1",
    "noise": "22f5d1114f387803a262",
}
"""What the judge said under the policy 2026.11 when that was the shipped one: the beginning of a hash of the bytes."""


def test_what_an_earlier_policy_judged_it_judges_to_the_same_bytes():
    policy = Policy.of_toml((EARLIER / "2026.11.toml").read_text(encoding="utf-8"))
    drives = {
        "whole": DRIVE,
        "part": DRIVE[:60],
        "hurried": hurried(DRIVE, 20, 50, 3.0),
        "noise": played(),
    }
    said = {
        name: hashlib.sha256(judge(PLAN, fixes, policy=policy).canonical_bytes()).hexdigest()[:20]
        for name, fixes in drives.items()
    }
    assert said == FIRST_VERDICTS
    assert (
        judge(PLAN, drives["noise"]).reasons != judge(PLAN, drives["noise"], policy=policy).reasons
    )


@needs_shared
def test_all_shared_cases_are_judged_to_the_same_bytes_under_the_first_policy():
    policy = Policy.of_toml((EARLIER / "2026.11.toml").read_text(encoding="utf-8"))
    together = hashlib.sha256()
    for row in labelled():
        plan = Plan.from_json({**row["waybill"], "terminal": row["terminal"]})
        fixes = fixes_in(CASES / row["points_file"])
        together.update(judge(plan, fixes, policy=policy).canonical_bytes())
    assert (
        together.hexdigest() == "1983a6f86021668eb62c74c1009427e9015c83c4edfa68857c390ce473f800f2"
    )
