"""Mutation testing of the money and state code: ``python -m tests.contracts.deep mutants``.

Slither's mutators put one fault at a time into a contract (``mutators.py``); only that contract is compiled
anew and its bytecode laid over the artifact that the tests deploy, so that a mutant takes seconds. It is killed
if a test of its own suite fails. What does not compile, or compiles to the same bytecode, is no mutant.
Where there are more faults than ``SAMPLE``, that many are drawn from them, always the same ones.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = 12
SEED = 20261128
FEWEST_KILLED = 0.90
SURVIVORS = Path(__file__).parent / "data" / "survivors.json"

_ADVANCE = (
    "FreightAdvanceTest|AdvanceBoundsTest|ApprovalRuleTest|EventsTest|AttacksTest|HostileTokenTest"
)
_WAYBILL = "WaybillRegistryTest|WaybillBoundsTest|EventsTest|FreightSettlementTest"
_DELIVERY = "DeliveryRegistryTest|DeliveryBoundsTest|EventsTest|AttacksTest"

#: The mutated file; the artifact that holds its code; the suites that must notice.
TARGETS = {
    "contracts/libraries/Accrual.sol": ("Pure", "LibrariesTest"),
    "contracts/libraries/Waterfall.sol": ("Pure", "LibrariesTest"),
    "contracts/libraries/Moves.sol": ("Pure", "StatesTest"),
    "contracts/libraries/Calendar.sol": ("Pure", "LibrariesTest"),
    "contracts/libraries/Accounts.sol": ("Pure", "LibrariesTest"),
    "contracts/libraries/AdvanceTerms.sol": ("Pure", "LibrariesTest"),
    "contracts/CreditFacility.sol": (
        "CreditFacility",
        "CreditFacilityTest|ApprovalRuleTest|MoneyBoundsTest|FreightAdvanceTest|AdvanceBoundsTest|EventsTest",
    ),
    "contracts/SettlementToken.sol": (
        "SettlementToken",
        "SettlementTokenTest|MoneyBoundsTest|EventsTest|FreightAdvanceTest",
    ),
    "contracts/FreightSettlement.sol": (
        "FreightSettlement",
        "FreightSettlementTest|MoneyBoundsTest|EventsTest|HostileTokenTest",
    ),
    "contracts/FreightAdvance.sol": ("FreightAdvance", _ADVANCE),
    "contracts/AdvanceBook.sol": ("FreightAdvance", _ADVANCE),
    "contracts/WaybillRegistry.sol": ("WaybillRegistry", _WAYBILL),
    "contracts/WaybillBook.sol": ("WaybillRegistry", _WAYBILL),
    "contracts/DeliveryRegistry.sol": ("DeliveryRegistry", _DELIVERY),
    "contracts/TripBook.sol": ("DeliveryRegistry", _DELIVERY),
}
HOMES = {"Pure": "tests/contracts/unit/Pure.sol"}


@dataclass(frozen=True)
class Mutant:
    """One fault: what stands in place of what, and where."""

    file: str
    name: str
    line: int
    start: int
    end: int
    old: str
    new: str

    @property
    def told(self) -> str:
        """One line for a reader, and the key under which a survivor is explained."""
        old, new = " ".join(self.old.split()), " ".join(self.new.split())
        return f"{self.name} {self.file}: {old} -> {new or 'nothing'}"

    def applied(self, source: bytes) -> str:
        """The whole file with the fault in it."""
        return (source[: self.start] + self.new.encode() + source[self.end :]).decode()


def copied(folder: Path) -> Path:
    """The project with its compiled tests, to be spoilt."""
    for name in ("contracts", "tests/contracts", "out", "cache", "foundry.toml", "chain/solc-npm"):
        source, to = ROOT / name, folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("solc", "invariant", "fuzz"))
        else:
            shutil.copy(source, to)
    # Sources behind a link have other paths than in the cache: forge would compile all that imports them anew.
    (folder / "node_modules").mkdir()
    for package in sorted((ROOT / "node_modules").iterdir()):
        to = folder / "node_modules" / package.name
        if package.name in {"@openzeppelin", "@uniswap"}:
            shutil.copytree(package, to)
        else:
            to.symlink_to(package)
    return folder


def faults(project: Path, deep_python: Path, files: list[str], run: Any) -> list[Mutant]:
    """What Slither's mutators make of these files, a sample of each."""
    small = project / "mutators"
    small.mkdir()
    for name in ("contracts", "foundry.toml", "chain/solc-npm"):
        (small / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (project / name).is_dir() else shutil.copy
        copy(project / name, small / name)
    (small / "node_modules").symlink_to(ROOT / "node_modules")
    code, said = run([deep_python, Path(__file__).with_name("mutators.py"), small, *files], small)
    lines = [line for line in said.splitlines() if line.startswith("[{")]
    if code or not lines:
        print(said[-3000:])
        raise SystemExit("Slither made no mutants")
    shutil.rmtree(small)
    drawn: list[Mutant] = []
    for file in files:
        every = [Mutant(**fault) for fault in json.loads(lines[-1]) if fault["file"] == file]
        chance = random.Random(f"{SEED} {file}")  # a sample, no secret
        # More than are wanted: some do not compile.
        drawn += chance.sample(every, len(every))
    return drawn


class Compiler:
    """The pinned compiler, loaded once."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.asked = subprocess.Popen(
            ["node", ROOT / "tests" / "contracts" / "solc-many.js"],
            cwd=project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def compiled(self, contract: str, changed: dict[str, str]) -> str | None:
        """Creation code of a contract with some of its sources changed; None if it does not compile."""
        home = HOMES.get(contract, f"contracts/{contract}.sol")
        settings = {
            "optimizer": {"enabled": True, "runs": 200},
            "evmVersion": "paris",
            "metadata": {"bytecodeHash": "none", "appendCBOR": False},
            "remappings": [
                "@openzeppelin/contracts/=node_modules/@openzeppelin/contracts/",
                "forge-std/=node_modules/@uniswap/v4-core/lib/forge-std/src/",
            ],
            "outputSelection": {home: {contract: ["evm.bytecode.object"]}},
        }
        sources = {home: {"content": (self.project / home).read_text("utf-8")}}
        sources |= {name: {"content": text} for name, text in changed.items()}
        order = {"language": "Solidity", "sources": sources, "settings": settings}
        assert self.asked.stdin
        assert self.asked.stdout
        self.asked.stdin.write(json.dumps(order) + "\n")
        self.asked.stdin.flush()
        output = json.loads(self.asked.stdout.readline())
        if any(error["severity"] == "error" for error in output.get("errors", [])):
            return None
        return str(output["contracts"][home][contract]["evm"]["bytecode"]["object"])


class Bench:
    """A project whose tests deploy what is laid over its artifacts."""

    def __init__(self, project: Path, forge: str, run: Any) -> None:
        self.project, self.forge, self.run = project, forge, run

    def passes(self, contract: str, code: str, suites: str) -> bool:
        """Whether the suites hold with this creation code in the contract's place."""
        home = Path(HOMES.get(contract, f"contracts/{contract}.sol")).name
        path = self.project / "out" / home / f"{contract}.json"
        artifact = json.loads(path.read_text("utf-8"))
        kept = artifact["bytecode"]["object"]
        artifact["bytecode"]["object"] = "0x" + code
        path.write_text(json.dumps(artifact), "utf-8")
        try:
            # A fault may make a loop endless: that is noticed too.
            command = ["timeout", "300", self.forge, "test", "--fail-fast", "--match-contract"]
            done, said = self.run([*command, f"^({suites})$"], self.project)
        finally:
            artifact["bytecode"]["object"] = kept
            path.write_text(json.dumps(artifact), "utf-8")
        if "Compiling" in said:
            raise SystemExit(
                f"the tests were compiled anew, so the fault was lost:\n{said[-2000:]}"
            )
        return bool(done == 0)


def mutants(folder: Path, deep_python: Path, forge: str, run: Any, only: str = "") -> bool:
    """At least 90 % of the mutants are killed and every survivor is explained in data/survivors.json."""
    code, said = run([forge, "build"], ROOT)
    if code:
        print(said[-3000:])
        return False
    project = copied(folder)
    files = [name for name in TARGETS if only in name]
    bench = Bench(project, forge, run)
    compiler = Compiler(project)
    explained = json.loads(SURVIVORS.read_text("utf-8"))
    killed: Counter[str] = Counter()
    lived: Counter[str] = Counter()
    unexplained: list[str] = []
    clean: dict[str, str | None] = {}
    for mutant in faults(project, deep_python, files, run):
        if killed[mutant.file] + lived[mutant.file] == SAMPLE:
            continue
        contract, suites = TARGETS[mutant.file]
        source = (project / mutant.file).read_bytes()
        if mutant.file not in clean:
            # Without a fault the same way must lead to tests that pass, or every kill is worth nothing.
            clean[mutant.file] = compiler.compiled(contract, {})
            if not bench.passes(contract, clean[mutant.file] or "", suites):
                print(f"{mutant.file}: the tests fail without a fault")
                return False
        code_with_fault = compiler.compiled(contract, {mutant.file: mutant.applied(source)})
        if code_with_fault is None or code_with_fault == clean[mutant.file]:
            continue
        if bench.passes(contract, code_with_fault, suites):
            lived[mutant.file] += 1
            reason = explained.get(mutant.told)
            if reason is None:
                unexplained.append(mutant.told)
            print(f"SURVIVED line {mutant.line}: {mutant.told}  [{reason or 'not explained'}]")
        else:
            killed[mutant.file] += 1
            print(f"killed line {mutant.line}: {mutant.told}")
        sys.stdout.flush()
    for file in files:
        print(f"{file}: {killed[file]} of {killed[file] + lived[file]} killed")
    compiler.asked.terminate()
    every = killed.total() + lived.total()
    print(f"{killed.total()} of {every} mutants killed ({100 * killed.total() / every:.1f} %)")
    return killed.total() >= FEWEST_KILLED * every and not unexplained
