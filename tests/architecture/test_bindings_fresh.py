"""The committed bindings are what the contracts generate, and both compilers make one bytecode."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from chain.bindings.errors import ERRORS
from chain.bindings.events import EVENTS
from chain.codegen import generate
from chain.compiler import compile_contracts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compilation():
    return compile_contracts(ROOT)


def test_bindings_are_those_of_the_contracts(compilation):
    files = generate(compilation)
    folder = ROOT / "chain" / "bindings"
    committed = {path.name: path.read_text("utf-8") for path in folder.glob("*.py")}
    stale = sorted(
        name for name in files.keys() | committed.keys() if files.get(name) != committed.get(name)
    )
    assert not stale, f"run `python -m chain.codegen`: {', '.join(stale)} differ"


def test_every_event_and_error_of_the_contracts_has_its_class(compilation):
    for artifact in compilation.artifacts.values():
        if artifact.source.startswith("contracts/interfaces/"):
            for entry in artifact.abi:
                if entry["type"] == "event":
                    assert entry["name"] in {event.__name__ for event in EVENTS.values()}
                if entry["type"] == "error":
                    assert entry["name"] in {error.__name__ for error in ERRORS.values()}


def test_forge_and_solcx_make_the_same_bytecode(compilation):
    forge = sorted((ROOT / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge"))
    if not forge:
        pytest.skip("forge is not in node_modules/@foundry-rs")
    subprocess.run(
        [forge[0], "build", "--skip", "test", "--quiet"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )
    compared = 0
    for name, artifact in compilation.artifacts.items():
        if not artifact.source.startswith("contracts/") or not artifact.bytecode:
            continue
        built = json.loads((ROOT / "out" / Path(artifact.source).name / f"{name}.json").read_text())
        assert bytes.fromhex(built["bytecode"]["object"][2:]) == artifact.bytecode, name
        assert bytes.fromhex(built["deployedBytecode"]["object"][2:]) == artifact.runtime, name
        compared += 1
    assert compared >= 7
