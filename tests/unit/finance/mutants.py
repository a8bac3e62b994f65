"""``python -m tests.unit.finance.mutants``: breaks the money's core in every small way and counts what no test sees.

Interest, waterfall, loans' states and the payout saga (``CORE``) are mutated by mutmut in a folder of their own
(``var/mutants``), in an environment of their own beside the project's; each mutant is run against the tests that
reach it. One JSON object a file: mutants, killed, survivors by name. Exit 0 if every file scores ``LEAST`` or more,
1 if not, 2 if the tool cannot run. ``--names A B`` runs only mutants of such names, ``--show`` prints each survivor.
What survives and why it may is told in ``finance/README.md``.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WORK = ROOT / "var" / "mutants"
ENVIRONMENT = ROOT / "var" / "mutants-env"
LOCK = ROOT / "deploy" / "mutation.requirements.lock"
CORE = ("accrual", "waterfall", "advance", "payouts")
TESTS = (
    "test_accrual", "test_waterfall", "test_advance", "test_payouts", "test_simulate", "test_credit",
    "test_exact_loans", "test_exact_payouts",
)  # fmt: skip
LEAST = 0.90

CONFIG = """
[project]
name = "core"
version = "0"

[tool.pytest.ini_options]
addopts = "--import-mode=importlib -q -p no:cacheprovider"
pythonpath = ["."]
markers = ["deep: long runs"]

[tool.mutmut]
source_paths = ["finance"]
only_mutate = {core}
also_copy = ["chain", "tests"]
pytest_add_cli_args_test_selection = {tests}
"""

QUICK = """
from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutants", derandomize=True, max_examples=40, database=None, deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutants")
"""


def prepare() -> Path:
    """The environment and a fresh copy of what is mutated; gives the environment's Python."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=False, symlinks=True)
        uv = Path(sys.executable).parent / "uv"
        subprocess.run(
            [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", LOCK], check=True
        )
        (site,) = ENVIRONMENT.glob("lib/python3*/site-packages")
        (ours,) = Path(sys.prefix).glob("lib/python3*/site-packages")
        (site / "project.pth").write_text(f"{ours}\n")
    shutil.rmtree(WORK, ignore_errors=True)
    forget = shutil.ignore_patterns("__pycache__")
    for folder in ("chain", "finance", "tests/unit/finance", "tests/conformance"):
        shutil.copytree(ROOT / folder, WORK / folder, ignore=forget)
    shutil.copy(ROOT / "tests" / "__init__.py", WORK / "tests")
    (WORK / "tests" / "conftest.py").write_text(QUICK)
    selection = [f"tests/unit/finance/{name}.py" for name in TESTS]
    core = [f"finance/{name}.py" for name in CORE]
    config = CONFIG.format(core=json.dumps(core), tests=json.dumps(selection))
    (WORK / "pyproject.toml").write_text(config)
    return python


def results(name: str) -> dict[str, int | None]:
    """What became of each mutant of a file: pytest's exit code, 33 if no test reaches it, None if it did not run."""
    found = json.loads((WORK / "mutants" / "finance" / f"{name}.py.meta").read_text())
    codes: dict[str, int | None] = found["exit_code_by_key"]
    return codes


def difference(name: str, mutant: str) -> str:
    """What a mutant changed, on one line."""
    tree = ast.parse((WORK / "mutants" / "finance" / f"{name}.py").read_text())
    bodies = {
        node.name: ast.unparse(node).split("\n")[1:]
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    own = mutant.rpartition(".")[2]
    before = bodies[re.sub(r"__mutmut_\d+$", "__mutmut_orig", own)]
    lines = difflib.unified_diff(before, bodies[own], lineterm="", n=0)
    return "  ".join(
        line.strip() for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")
    )


def main() -> int:
    """Runs the gate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", nargs="*", default=[])
    parser.add_argument("--children", type=int, default=2)
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    try:
        python = prepare()
    except (OSError, subprocess.CalledProcessError) as problem:
        print(f"mutmut cannot be set up: {problem}", file=sys.stderr)
        return 2
    run = subprocess.run(
        [python, "-m", "mutmut", "run", "--max-children", str(given.children), *given.names],
        cwd=WORK, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if run.returncode:
        print(f"mutmut ended with {run.returncode}", file=sys.stderr)
        return 2
    holds = True
    for name in CORE:
        ran = {mutant: code for mutant, code in results(name).items() if code is not None}
        left = sorted(mutant for mutant, code in ran.items() if code in (0, 33))
        score = 1 - len(left) / len(ran) if ran else 1.0
        holds &= score >= LEAST
        print(
            json.dumps(
                {
                    "file": f"finance/{name}.py", "mutants": len(ran), "killed": len(ran) - len(left),
                    "score": round(score, 4), "target": LEAST,
                    "survivors": [one.rpartition(".")[2] for one in left],
                }
            ),
            flush=True,
        )  # fmt: skip
        for mutant in left if given.show else ():
            print(f"  {mutant.rpartition('.')[2]}: {difference(name, mutant)}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
