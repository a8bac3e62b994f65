"""``python -m tests.conformance finance|tracking FOLDER``: one JSON object a kind; exit 1 if a case fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.conformance.finance import RUNNERS, SKIPPED, matches, run_case
from tests.conformance.tracking import report_folder

USAGE = "usage: python -m tests.conformance finance|tracking FOLDER"


def read_cases(folder: Path) -> list[dict[str, Any]]:
    """Every case of every ``*.json`` file in a folder, in order of file name.

    Raises:
        ValueError: a file is not a JSON list of objects with ``id``, ``kind``, ``given``, ``expect``.
    """
    cases: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as problem:
            raise ValueError(f"{path.name} is not JSON: {problem}") from None
        if not isinstance(rows, list):
            raise ValueError(f"{path.name} is not a list of cases")  # noqa: TRY004  a file of the wrong form is a bad value to whoever runs this
        for index, row in enumerate(rows):
            missing = {"id", "kind", "given", "expect"} - set(row if isinstance(row, dict) else ())
            if missing:
                raise ValueError(f"{path.name} case {index} lacks {', '.join(sorted(missing))}")
            cases.append(row | {"file": path.name})
    return cases


def report(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a kind, in order of first appearance."""
    rows: dict[str, dict[str, Any]] = {}
    for case in cases:
        kind = case["kind"]
        row = rows.setdefault(
            kind, {"kind": kind, "file": case["file"], "passed": 0, "failed": 0, "failures": []}
        )
        if kind not in RUNNERS:
            row["skipped"] = SKIPPED.get(kind, "the product knows no such kind")
            continue
        got = run_case(case)
        if matches(got, case["expect"]):
            row["passed"] += 1
        else:
            row["failed"] += 1
            row["failures"].append({"id": case["id"], "got": got, "expect": case["expect"]})
    return list(rows.values())


def main(arguments: list[str]) -> int:
    """Runs the command; 0 when all pass, 1 when a case fails, 2 on bad input."""
    if len(arguments) != 2 or arguments[0] not in {"finance", "tracking"}:
        print(USAGE, file=sys.stderr)
        return 2
    folder = Path(arguments[1])
    if not folder.is_dir():
        print(f"there is no folder {folder}", file=sys.stderr)
        return 2
    form = "*.json" if arguments[0] == "finance" else "*.jsonl"
    try:
        rows = report(read_cases(folder)) if form == "*.json" else report_folder(folder)
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    if not rows:
        print(f"no case files ({form}) in {folder}", file=sys.stderr)
        return 2
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))
    return 1 if any(row["failed"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
