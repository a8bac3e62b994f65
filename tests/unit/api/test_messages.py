"""What messages and documents name is there: settings, commands, operations; and every problem has its Chinese."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
import typer.main

import api
import chain
import finance
import tracking
from api.errors import STATUS_BY_CODE, ApiError
from api.problem_words import RULES, ZH, detail_zh, rule_zh, title_zh, wants_chinese
from api.routes import ALL_ROUTERS
from api.settings import Settings
from chain.errors import YundanError
from deploy.cli import app as commands

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("api", "chain", "tracking", "finance", "deploy")
PAGES = [*ROOT.glob("*.md"), *(one for name in PACKAGES for one in (ROOT / name).rglob("*.md"))]

OFFLINE = {
    "client_error", "compilation_failed", "not_signed", "pack_refused",
}  # fmt: skip
"""Codes that no door answers: the client's own, the compiler's, the pack verifier's."""


def texts():
    """Every literal text of the packages, docstrings too, with where it stands; and the documents."""
    for name in PACKAGES:
        for file in sorted((ROOT / name).rglob("*.py")):
            if "migrations" in file.parts:
                continue
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", node.value
    for page in PAGES:
        yield str(page.relative_to(ROOT)), page.read_text("utf-8")


TEXTS = list(texts())


def test_every_setting_that_a_message_names_can_be_set():
    settings = {f"YUNDAN_{name}".upper() for name in Settings.model_fields}
    read = {
        name
        for file in (ROOT / "deploy").rglob("*.py")
        for name in re.findall(
            r"environ(?:\.get)?[(\[]\s*\"(YUNDAN_[A-Z_]+)", file.read_text("utf-8")
        )
    }
    named = {
        (where, name)
        for where, text in TEXTS
        for name in re.findall(r"\bYUNDAN_[A-Z0-9_]*[A-Z0-9]\b", text)
    }
    assert len(named) > 50
    assert {one for one in named if one[1] not in settings | read} == set()


def test_every_command_that_a_message_names_can_be_run():
    known = {
        ("yundan", name, *([inner] if inner else []))
        for name, command in typer.main.get_command(commands).commands.items()
        for inner in ("", *getattr(command, "commands", {}))
    }
    named = {
        (where, tuple(found.split()))
        for where, text in TEXTS
        for found in re.findall(r"`(yundan [a-z]+(?:-[a-z]+)?(?: [a-z]+)?)", text)
    }
    wrong = {
        one for one in named if one[1] not in known and one[1][:2] not in {a[:2] for a in known if len(a) == 2 and not any(b[:2] == a for b in known if len(b) == 3)}
    }  # fmt: skip
    assert len(named) > 10
    assert wrong == set()


def test_every_operation_that_a_message_names_is_there():
    def form(path):
        return re.sub(r"\{[^}]*\}|[A-Z][A-Z0-9_]{2,}", "{}", path)

    there = {
        (method, form(f"/v1{route.path}"))
        for router in ALL_ROUTERS
        for route in router.routes
        for method in route.methods
    }
    named = {
        (where, method, form(path.rstrip("/.")))
        for where, text in TEXTS
        for method, path in re.findall(
            r"\b(GET|POST|PATCH|DELETE|PUT) (/v1/[A-Za-z0-9_/{}-]+)", text
        )
    }
    assert len(named) > 10
    assert {one for one in named if one[1:] not in there} == set()


def test_every_test_that_the_security_tables_name_is_there():
    rows = [
        line.split("|")[1:-1]
        for line in (ROOT / "SECURITY.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and line.count("|") == 4
    ]
    named = {
        found.replace("api/", "integration/api/", 1) if found.startswith("api/") else found
        for row in rows
        for found in re.findall(r"`((?:api|unit|integration|architecture|e2e)/[\w/]+\.py)`", row[2])
    }
    assert len(named) > 30
    assert sorted(one for one in named if not (ROOT / "tests" / one).is_file()) == []
    asked = [row for row in rows if re.fullmatch(r" \d+\.\d+\.\d+ ", row[0])]
    assert len(asked) > 190
    assert [one for one, how, shown in asked if not shown.strip() and "n/a" not in how] == []


def every_error():
    for package in (api, chain, tracking, finance):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    waiting, found = [YundanError], set()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.partition(".")[0] in {"api", "chain", "tracking", "finance"}:
            found.add(kind)
    return found


def test_every_problem_has_its_title_and_its_sentence_in_chinese():
    codes = {kind.code for kind in every_error()}
    assert len(codes) > 100
    assert sorted(codes - set(ZH) - OFFLINE) == []
    assert sorted(set(STATUS_BY_CODE) - set(ZH)) == []
    for title, sentence in ZH.values():
        assert re.search(r"[一-鿿]", title + sentence)
        assert sentence.endswith("。")


def test_what_an_error_says_beyond_its_own_sentence_is_kept():
    class LateError(ApiError):
        """It is late."""

        code = "busy"

    assert detail_zh(LateError()) == ZH["busy"][1]
    assert detail_zh(LateError("row 7 is late")) == ZH["busy"][1] + "（row 7 is late）"
    assert title_zh("busy") == ZH["busy"][0]
    assert title_zh("never_heard_of") == "never heard of"


@pytest.mark.parametrize(
    ("header", "chinese"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", True),
        ("en-GB,en;q=0.9,zh;q=0.8", False),
        ("", False),
        ("*", False),
        ("en;q=0.1, zh-Hans;q=0.2", True),
        ("zh;q=nonsense", False),
        ("zh;q=0", False),
    ],
)
def test_the_language_asked_for_first_is_the_one_that_is_spoken(header, chinese):
    assert wants_chinese(header) is chinese


def test_rules_of_fields_are_told_with_their_numbers():
    assert rule_zh("greater_than", {"gt": 0}, "x") == "须大于 0"
    assert rule_zh("greater_than", {}, "as it was said") == "as it was said"
    assert rule_zh("never_heard_of", {}, "as it was said") == "as it was said"
    assert all(re.search(r"[一-鿿]", one) for one in RULES.values())
