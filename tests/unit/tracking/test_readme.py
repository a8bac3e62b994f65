from __future__ import annotations

import ast
from pathlib import Path

import tracking
from tracking.policy import default_policy

PACKAGE = Path(tracking.__file__).parent
README = (PACKAGE / "README.md").read_text(encoding="utf-8")


def test_every_rule_of_the_policy_is_listed_in_the_readme():
    codes = {rule.code for rule in default_policy().rules} - {"dwell"}
    codes |= {"dwell_loading", "dwell_unloading", "ended_under_way"}
    assert {code for code in codes if f"`{code}`" not in README} == set()


def test_every_code_of_an_error_is_listed_in_the_readme():
    codes = set()
    for name in ("errors.py", "refusals.py"):
        for node in ast.walk(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "code":
                codes.add(node.value.value)
    assert {code for code in codes - {"refused_input"} if f"`{code}`" not in README} == set()
