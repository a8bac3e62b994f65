"""Faults for the contracts, by Slither's mutators: ``.venv-deep/bin/python mutators.py PROJECT FILE...``.

Runs with the deep tools' own Python. Prints a JSON list of ``{"file", "name", "line", "start", "end",
"old", "new"}``; offsets are in bytes. Statements are deleted, replaced by a revert, conditions are fixed or
turned round, operators and literals replaced. Mutators that change types or headers are left out: what they
make does not compile, or only costs gas; so is the one of initial values (MVIE), which stops at a variable without one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from slither import Slither  # type: ignore[import-not-found]  # stands in .venv-deep only
from slither.core.solidity_types import elementary_type  # type: ignore[import-not-found]  # the same
from slither.tools.mutator.mutators import all_mutators  # type: ignore[import-not-found]  # the same

# A literal's mutator asks its type for its bounds, and Slither knows none of a truth value: it would stop there.
elementary_type.MinValues.setdefault("bool", "false")
elementary_type.MaxValues.setdefault("bool", "true")

KINDS = ("RR", "CR", "MIA", "AOR", "ASOR", "BOR", "LIR", "LOR", "ROR", "UOR")


def _whole_statement(source: bytes, patch: dict[str, Any]) -> tuple[int, str]:
    """Slither comments out the first line of a statement only: here all of it goes, to its semicolon."""
    end = patch["end"]
    if source[end : end + 1] == b";":
        end += 1
    return end, ""


def faults(project: Path, names: list[str]) -> list[dict[str, object]]:
    """Every fault that the mutators know for these files, in the order of the source."""
    slither = Slither(str(project), foundry_compile_all=False)
    found: dict[tuple[str, int, int, str], dict[str, object]] = {}
    for unit in slither.compilation_units:
        for contract in unit.contracts:
            path = Path(contract.source_mapping.filename.absolute)
            if str(path.relative_to(project)) not in names or contract.is_interface:
                continue
            source = path.read_bytes()
            for kind in KINDS:
                mutator = getattr(all_mutators, kind)(
                    unit,
                    timeout=0,
                    testing_command="",
                    testing_directory="",
                    contract_instance=contract,
                    solc_remappings=None,
                    verbose=False,
                    output_folder=Path(),
                    dont_mutate_line=[],
                )
                # Not mutate(), which also runs the tests.
                patches = mutator._mutate().get("patches", {})
                for patch in patches.get(str(path), []):
                    end, new = patch["end"], patch["new_string"]
                    if kind == "CR":
                        end, new = _whole_statement(source, patch)
                    name = str(path.relative_to(project))
                    found[name, patch["start"], end, new] = {
                        "file": name,
                        "name": kind,
                        "line": source[: patch["start"]].count(b"\n") + 1,
                        "start": patch["start"],
                        "end": end,
                        "old": source[patch["start"] : end].decode(),
                        "new": new,
                    }
    return [found[key] for key in sorted(found)]


if __name__ == "__main__":
    print(json.dumps(faults(Path(sys.argv[1]).resolve(), sys.argv[2:])))
