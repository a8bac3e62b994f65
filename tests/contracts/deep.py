"""The long proofs of the contracts: ``python -m tests.contracts.deep proofs|slither``.

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
from pathlib import Path

from deploy import up

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-deep" / "bin"
LIBRARIES = ("Accrual", "Waterfall")
FEWEST_PROOFS = 10
HALMOS = ("--solver-timeout-assertion", "60000")


def small_project(folder: Path) -> Path:
    """The pure libraries with what is to be proved of them, as a Foundry project."""
    sources = [f"contracts/libraries/{name}.sol" for name in LIBRARIES]
    for name in [*sources, "chain/solc-npm", "foundry.toml"]:
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


def proofs(folder: Path) -> bool:
    """Halmos: every check_ holds for all values, and nothing was said that weakens it."""
    project = small_project(folder)
    code, said = run(["forge", "build", "--ast"], project)
    if code == 0:
        code, said = run(["halmos", "--contract", "Proofs", *HALMOS], project)
    print(said)
    passed = len(re.findall(r"\[PASS\]", said))
    doubts = re.findall(r"^.*\b(?:ERROR|WARN|WARNING|FAIL|TIMEOUT)\b.*$", said, re.MULTILINE)
    print(f"{passed} proofs hold, {len(doubts)} lines of doubt")
    return code == 0 and passed >= FEWEST_PROOFS and not doubts


def slither(folder: Path) -> bool:
    """Slither: no finding of high or medium impact but those that the settings and comments give a reason for."""
    del folder
    code, said = run(["slither", ".", "--config-file", "contracts/slither.config.json"], ROOT)
    print(said[-6000:])
    return code == 0


def main() -> int:
    """Runs one of the long proofs."""
    parser = argparse.ArgumentParser(description=__doc__)
    gates = {"proofs": proofs, "slither": slither}
    parser.add_argument("what", choices=gates)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return 0 if gates[given.what](Path(name)) else 1


if __name__ == "__main__":
    sys.exit(main())
