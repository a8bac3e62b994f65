"""The long proofs of the contracts: ``python -m tests.contracts.deep proofs|slither|invariants|mutants|
echidna|peer [ONLY]``.

ONLY is a profile of the invariants (``deep``, ``deep_open``) or a part of a mutated file's name.

Halmos and Slither stand in ``.venv-deep``, put there by ``make test-deep``. Proofs run in a project of
their own with just the pure libraries, so that compiling takes seconds. Exit code 0 only if all held.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from eth_utils.crypto import keccak

from deploy import up
from tests.contracts import mutants as mutation

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-deep" / "bin"
LIBRARIES = ("Accrual", "Moves", "Waterfall")
FEWEST_PROOFS = 19
HALMOS = ("--solver-timeout-assertion", "60000")


def small_project(folder: Path) -> Path:
    """The pure libraries with what is to be proved of them, as a Foundry project."""
    sources = [f"contracts/libraries/{name}.sol" for name in LIBRARIES]
    for name in [*sources, "contracts/types/States.sol", "chain/solc-npm", "foundry.toml"]:
        _copy(name, folder / name)
    # Among the sources: halmos does not look among the tests.
    _copy("tests/contracts/proofs/Proofs.sol", folder / "contracts/Proofs.sol")
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    return folder


def _copy(name: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / name, to)


def run(command: list[object], folder: Path) -> tuple[int, str]:
    """Runs a tool with forge and the deep tools on PATH; gives its exit code and its words."""
    forge = Path(up.foundry("forge")).parent
    path = os.pathsep.join([str(TOOLS), str(forge), os.environ["PATH"]])
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | {"PATH": path, "FOUNDRY_OFFLINE": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def proofs(folder: Path, only: str) -> bool:
    """Halmos: every check_ holds for all values, and nothing was said that weakens it."""
    del only
    project = small_project(folder)
    code, said = run(["forge", "build", "--ast"], project)
    if code == 0:
        code, said = run(["halmos", "--contract", "Proofs", *HALMOS], project)
    print(said)
    passed = len(re.findall(r"\[PASS\]", said))
    doubts = re.findall(r"^.*\b(?:ERROR|WARN|WARNING|FAIL|TIMEOUT)\b.*$", said, re.MULTILINE)
    print(f"{passed} proofs hold, {len(doubts)} lines of doubt")
    return code == 0 and passed >= FEWEST_PROOFS and not doubts


def slither(folder: Path, only: str) -> bool:
    """Slither: no finding of high or medium impact but those that the settings and comments give a reason for."""
    del folder, only
    code, said = run(["slither", ".", "--config-file", "contracts/slither.config.json"], ROOT)
    print(said[-6000:])
    return code == 0


CAMPAIGNS = {"deep": "PromisesTest", "deep_open": "OpenPromisesTest"}
STATES = {
    "advance": "Requested Approved Releasable Released Repaid Defaulted WrittenOff Declined Voided",
    "trip": "Open Loaded Held Delivered Void",
    "waybill": "Issued InTransit Delivered Paid Cancelled",
}


def errors() -> dict[str, str]:
    """Selector and name of every custom error of the interfaces."""
    found = {"0xd93c0665": "EnforcedPause"}  # OpenZeppelin's
    types = {"PartyId": "uint64", "address": "address"}
    for name in ("WaybillId", "TripId", "AdvanceId", "LineId"):
        types[name] = "bytes32"
    for name in ("WaybillState", "TripState", "AdvanceState", "PayoutState", "Verdict"):
        types[name] = "uint8"
    for path in (ROOT / "contracts" / "interfaces").glob("I*.sol"):
        for name, told in re.findall(r"error (\w+)\(([^)]*)\)", path.read_text("utf-8")):
            kinds = [part.split()[0] for part in told.split(",") if part.strip()]
            signed = f"{name}({','.join(types.get(kind, kind) for kind in kinds)})"
            found["0x" + keccak(text=signed)[:4].hex()] = name
    return found


def reach(lines: list[str]) -> str:
    """How often each state was reached and each refusal met, summed over all runs, as Markdown."""
    counts: Counter[str] = Counter()
    for line in filter(None, lines):
        what, times = line.rsplit(",", 1)
        counts[what.replace("\0", "")] += int(times)
    told = []
    for machine, names in STATES.items():
        each = [f"{n} {counts[f'{machine} {i}']:,}" for i, n in enumerate(names.split(), 1)]
        told.append(f"- {machine}: " + ", ".join(each))
    names = errors()
    for kind in ("accepted", "refused"):
        each = [(n, w.removeprefix(f"{kind} ")) for w, n in counts.items() if w.startswith(kind)]
        told.append(
            f"- {kind}: " + ", ".join(f"{names.get(w, w)} {n:,}" for n, w in sorted(each)[::-1])
        )
    return "\n".join(told)


def invariants(folder: Path, only: str) -> bool:
    """All letters, 1,024 runs of 64 calls, with reverts as failures and with anybody calling anything."""
    held = True
    for profile, contract in CAMPAIGNS.items():
        if only not in {"", profile}:
            continue
        cache = ROOT / "cache" / f"reach-{profile}"
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(parents=True)
        os.environ |= {"FOUNDRY_PROFILE": profile, "YUNDAN_REACH": f"cache/{cache.name}"}
        begin = time.monotonic()
        code, said = run(["forge", "test", "--match-contract", f"^{contract}$"], ROOT)
        print(said)
        lines = (cache / "reach.csv").read_text("utf-8").splitlines()
        print(f"{profile}: {time.monotonic() - begin:.0f} s; in all runs together:\n{reach(lines)}")
        missed = [part for part in reach(lines).splitlines()[:3] if re.search(r" 0(,|$)", part)]
        if missed:
            print("never reached:", *missed, sep="\n")
        held = held and code == 0 and not missed
    del folder
    return held


ECHIDNA = ("@crytic/echidna@0.0.6", "bin/echidna/2.0.2/Ubuntu-18.04/echidna-test")
ECHIDNA_SETTINGS = """\
testLimit: 50000
seqLen: 100
seed: 20261128
testMaxGas: 4000000000
codeSize: 0x100000
maxTimeDelay: 86400
maxBlockDelay: 100
cryticArgs: []
"""


def echidna(folder: Path, only: str) -> bool:
    """Echidna 2.0.2 on promises A to L in its own virtual machine: 50,000 calls in sequences of 100."""
    del only
    package, binary = ECHIDNA
    code, said = run(["npm", "pack", "--silent", package], folder)
    if code or sys.platform != "linux":
        print(f"Echidna is published for Linux as {package} on npm; it could not be had:", said)
        return False
    run(["tar", "xzf", said.split()[-1]], folder)
    project = folder / "project"
    for name in ("contracts", "tests/contracts/echidna", "chain/solc-npm", "foundry.toml"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, project / name)
    (project / "tests/contracts/echidna/Play.t.sol").unlink()
    # Echidna looks among the sources only.
    shutil.move(project / "tests/contracts/echidna/Play.sol", project / "contracts/Play.sol")
    (project / "node_modules").symlink_to(ROOT / "node_modules")
    (project / "echidna.yaml").write_text(ECHIDNA_SETTINGS, "utf-8")
    command = [folder / "package" / binary, ".", "--contract", "Play", "--config", "echidna.yaml"]
    begin = time.monotonic()
    code, said = run([*command, "--format", "text"], project)
    print(said[-6000:], f"{time.monotonic() - begin:.0f} s", sep="\n")
    return code == 0 and "echidna_promises_A_to_L:  passed" in said


def mutants(folder: Path, only: str) -> bool:
    """At least 90 % of the faults put into money and state code are found; each other one is explained."""
    python = TOOLS / "python"
    return mutation.mutants(folder, python, up.foundry("forge"), run, only)


PEERS = ("solc@0.8.19", "@morpho-org/morpho-blue@1.0.0")
#: As Morpho publishes it.
PEER_SETTINGS = """\
[profile.default]
src = "src"
test = "test"
solc = "chain/solc-npm"
offline = true
evm_version = "paris"
optimizer = true
optimizer_runs = 999999
via_ir = true
remappings = [
  "morpho/=node_modules/@morpho-org/morpho-blue/",
  "forge-std/=forge-std/",
]
allow_paths = ["{root}"]
"""


def peer(folder: Path, only: str) -> bool:
    """What drawing and repaying one loan against a receivable costs on a public protocol, measured as ours is."""
    del only
    packages = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder]
    code, said = run([*packages, *PEERS], folder)
    if code:
        print("the packages of the other protocol could not be had:", said)
        return False
    _copy("chain/solc-npm", folder / "chain/solc-npm")
    shutil.copytree(ROOT / "tests" / "peers", folder / "test")
    forge_std = ROOT / "node_modules/@uniswap/v4-core/lib/forge-std/src"
    shutil.copytree(forge_std, folder / "forge-std")
    (folder / "src").mkdir()
    (folder / "foundry.toml").write_text(PEER_SETTINGS.format(root=ROOT), "utf-8")
    code, said = run(["forge", "test", "-vv"], folder)
    print(said)
    return code == 0


def main() -> int:
    """Runs one of the long proofs."""
    parser = argparse.ArgumentParser(description=__doc__)
    gates = {
        "proofs": proofs,
        "slither": slither,
        "invariants": invariants,
        "mutants": mutants,
        "echidna": echidna,
        "peer": peer,
    }
    parser.add_argument("what", choices=gates)
    parser.add_argument("only", nargs="?", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return 0 if gates[given.what](Path(name), given.only) else 1


if __name__ == "__main__":
    sys.exit(main())
