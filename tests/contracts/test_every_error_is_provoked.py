"""Every custom error of the interfaces is provoked by a Foundry test, and every table stands in Python too."""

from __future__ import annotations

import json
import re
from pathlib import Path

from chain import delivery, waybill
from finance import advance

ROOT = Path(__file__).resolve().parents[2]
INTERFACES = sorted((ROOT / "contracts" / "interfaces").glob("I*.sol"))
TESTS = sorted((ROOT / "tests" / "contracts").rglob("*.t.sol"))


def test_every_custom_error_is_provoked_by_a_test() -> None:
    asked = "\n".join(path.read_text("utf-8") for path in TESTS)
    declared = {
        error: path.name
        for path in INTERFACES
        for error in re.findall(r"^\s*error (\w+)\(", path.read_text("utf-8"), re.MULTILINE)
    }
    assert declared, "no errors found: the test looks in the wrong place"
    silent = {e: where for e, where in declared.items() if f".{e}.selector" not in asked}
    assert not silent, f"errors that no test provokes: {silent}"


def test_every_custom_error_is_thrown_by_a_contract() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "contracts").glob("*.sol"))
    dead = [
        error
        for path in INTERFACES
        for error in re.findall(r"^\s*error (\w+)\(", path.read_text("utf-8"), re.MULTILINE)
        if f"revert {error}(" not in code
    ]
    assert not dead, f"errors that nothing throws: {dead}"


def test_the_promises_name_tests_and_functions_that_exist() -> None:
    told = (ROOT / "contracts" / "PROMISES.md").read_text("utf-8")
    tests = "\n".join(path.read_text("utf-8") for path in TESTS)
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "contracts").rglob("*.sol"))
    named = set(re.findall(r"`(test_\w+)\*?`", told))
    assert len(named) > 50, "no tests named: the reading is wrong"
    lost = {name for name in named if f"function {name}" not in tests}
    assert not lost, f"tests that PROMISES.md names and nobody wrote: {lost}"
    kept = {
        name
        for line in told.splitlines()
        if line.startswith("| ")
        for name in re.findall(r"`(?:\w+\.)?([_a-z]\w+)`", line.split(" | ")[1])
    }
    gone = {name for name in kept if not re.search(rf"\b{name}\b", code)}
    assert not gone, f"functions that PROMISES.md names and no contract has: {gone}"


def _table(moves: object, order: list[object]) -> set[tuple[int, int]]:
    assert isinstance(moves, dict)
    return {(order.index(a), order.index(b)) for a, many in moves.items() for b in many}


def test_the_state_tables_are_the_same_in_solidity_and_python() -> None:
    published = json.loads(
        (ROOT / "tests" / "contracts" / "data" / "moves.json").read_text("utf-8")
    )
    python = {
        "advance": _table(advance.MOVES, list(advance.AdvanceState)),
        "trip": _table(delivery.MOVES, list(delivery.TripState)),
        "waybill": _table(waybill.CHAIN_MOVES, list(waybill.WaybillState)),
    }
    assert {name: {tuple(pair) for pair in pairs} for name, pairs in published.items()} == python
