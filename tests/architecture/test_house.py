"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("chain", "tracking", "finance", "api", "deploy")
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    if name and (ROOT / name).is_file()
]
MODULES = [path for path in TRACKED if path.suffix == ".py"]


def of_package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def test_every_package_opens_with_a_readme():
    folders = (*PACKAGES, "contracts", "tests", "api/client")
    missing = [name for name in folders if not (ROOT / name / "README.md").is_file()]
    assert missing == []


def test_no_file_is_named_for_nothing_it_knows():
    banned = {"utils.py", "util.py", "common.py", "helpers.py", "models.py", "types.py", "misc.py"}
    assert [str(p.relative_to(ROOT)) for p in TRACKED if p.name in banned] == []


def test_one_word_for_one_thing():
    """What the glossary calls by one name is never an identifier under another."""
    other = re.compile(
        r"\b(milestone|shipper|ship_?note|credit_?limit_?line|geo_fence|lending_?bank)s?\b",
        re.IGNORECASE,
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in TRACKED
        if path.suffix in {".py", ".sol"} and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if other.search(line)
    ]
    assert found == []


def test_tracked_files_name_no_registry_and_no_machine():
    """An index address or a machine's path in a lock would bind everyone to one network."""
    leak = re.compile(
        r'"resolved": *"http|--(extra-)?index-url|registry *= *"http|(^|[^.A-Za-z0-9_])/(work|root)/'
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in TRACKED
        if path.suffix not in {".png", ".otf", ".zip"} and path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if leak.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("folder", ["api/portals"])
def test_pages_load_nothing_from_another_host(folder):
    outside = re.compile(r"""(src|href|action|url\()\s*=?\s*["']?(https?:)?//""", re.IGNORECASE)
    pages = [
        p for p in TRACKED if p.is_relative_to(ROOT / folder) and p.suffix not in {".py", ".png"}
    ]
    assert pages, f"no template under {folder}"
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in pages
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if outside.search(line)
    ]
    assert found == []


def is_money(path: Path) -> bool:
    if path == ROOT / "chain/money.py":
        return True
    return of_package(path) == "finance"


def test_floats_never_touch_money():
    """No float anywhere, and true division only in functions that say they work on exact Fractions."""
    found = []
    for path in filter(is_money, MODULES):
        tree = ast.parse(path.read_text())
        exact = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and "Fraction" in ast.unparse(node)
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            is_float = (isinstance(node, ast.Constant) and isinstance(node.value, float)) or (
                isinstance(node, ast.Name) and node.id == "float"
            )
            divides = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
            if is_float or (divides and id(node) not in exact):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert any(map(is_money, MODULES))
    assert found == []


def test_only_the_edge_commits():
    """One use case is one transaction: packages never commit; Storage.write() does."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        if of_package(path) in {"chain", "tracking", "finance", "api"}
        and path != ROOT / "chain/storage.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "commit"
        and "session" in ast.unparse(node.func.value).lower()
    ]
    assert found == []


READERS = {"api/settings.py", "deploy/up.py"}
PASSES_IT_ON = {"deploy/demo/supervisor.py", "deploy/node.py"}
"""These give their own environment to a child and read nothing of it."""


def test_only_settings_reads_the_environment():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        if of_package(path) in PACKAGES
        and path.relative_to(ROOT).as_posix() not in READERS | PASSES_IT_ON
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert found == []


def test_errors_have_distinct_codes():
    """A code is a promise to programs: two classes never share one unless one refines the other."""
    codes: dict[str, list[str]] = {}
    for path in MODULES:
        if of_package(path) not in PACKAGES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef) or not node.name.endswith("Error"):
                continue
            for item in node.body:
                if (
                    isinstance(item, ast.Assign | ast.AnnAssign)
                    and isinstance(item.value, ast.Constant)
                    and ast.unparse(
                        item.targets[0] if isinstance(item, ast.Assign) else item.target
                    )
                    == "code"
                ):
                    codes.setdefault(item.value.value, []).append(f"{of_package(path)}.{node.name}")
    assert codes
    assert {code: names for code, names in codes.items() if len(names) > 1} == {}


HOUR_OF_READING = 15_000
"""Words, at 250 a minute: what an auditor can read in an hour."""


def test_an_auditor_reads_the_check_of_a_pack_in_an_hour():
    """All of it but what checks many packs side by side."""
    files = [path for path in MODULES if path.parent == ROOT / "api" / "verifier"]
    words = sum(len(path.read_text().split()) for path in files if path.name != "portfolio.py")
    assert 1_000 < words <= HOUR_OF_READING
