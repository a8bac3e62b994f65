from __future__ import annotations

import pytest

from tracking.policy import POLICY_FILE, Policy, default_policy
from tracking.refusals import PolicyError

TEXT = POLICY_FILE.read_text(encoding="utf-8")


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
        ('version = "2026.11"', "version = [", "not TOML"),
    ],
)
def test_a_broken_policy_is_refused(was, now, says):
    with pytest.raises(PolicyError, match=says):
        Policy.of_toml(TEXT.replace(was, now, 1))
