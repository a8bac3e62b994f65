"""``yundan bench``: runs the benchmarks one after the other, each in a process of its own.

One JSON object a line: {"bench", "value", "unit", "baseline", "baseline_name", "ratio", "target", "holds"}.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from chain.errors import InvalidValueError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "benchmarks"

PARTS = {
    "chain": ("bench_chain",),
    "tracking": ("bench_tracking", "bench_gateway", "bench_judge"),
    "finance": ("bench_finance",),
    "api": ("bench_api",),
    "audit": ("bench_audit",),
    "contracts": ("bench_contracts",),
    "web": ("bench_web",),
}
"""The benchmarks by name; a name whose file is not there yet is not offered."""


def offered() -> dict[str, tuple[str, ...]]:
    """The benchmarks that can be run."""
    found = {
        name: tuple(part for part in parts if (FOLDER / f"{part}.py").exists())
        for name, parts in PARTS.items()
    }
    return {name: parts for name, parts in found.items() if parts}


def run_benches(name: str = "") -> int:
    """Runs one benchmark by name, or all: 0 if every one ran to its end.

    Raises:
        InvalidValueError: there is no benchmark of that name.
    """
    known = offered()
    if name and name not in known:
        raise InvalidValueError(f"benchmarks are {', '.join(known)}", field="NAME", given=name)
    failed = 0
    for part in known[name] if name else [part for parts in known.values() for part in parts]:
        done = subprocess.run(
            [sys.executable, "-m", f"tests.benchmarks.{part}"], cwd=ROOT, check=False
        )
        failed += done.returncode != 0
    return 1 if failed else 0
