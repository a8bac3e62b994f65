"""The case files of ``vectors/tracking`` through the product's own decoders and judge.

``jt808_frames*.jsonl``, ``jt808_streams*.jsonl``, ``jt808_subpackages*.jsonl``, ``nmea_sentences*.jsonl``,
``osmand_requests*.jsonl`` and ``fraud_cases/cases*.jsonl`` (a kind a label, so that a miss in one family is not hidden
by the others); a file the product has no use for is named with the reason.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from chain.clock import rfc3339
from tracking import jt808, osmand
from tracking.decode import decode_lines
from tracking.files import read_fixes
from tracking.fix import Fix
from tracking.instants import instant
from tracking.judge import OtherTrack, judge
from tracking.plan import Plan
from tracking.refusals import YundanError
from tracking.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEADER = ("message_id", "terminal_phone", "protocol_version", "version_byte", "serial", "body_len")
BODY = ("subpackage", "register", "auth", "ack", "register_ack", "reply_seq")
BATCH = ("batch_count", "batch_type")
TOLERANCE = {"lat": 1.1e-6, "lon": 1.1e-6, "speed_kmh": 0.051}

Row = dict[str, Any]


def near(got: Any, expect: Any, name: str = "") -> bool:
    """Whether an answer is the expected one; numbers within the vectors' tolerance."""
    if isinstance(expect, dict) and isinstance(got, dict):
        return expect.keys() == got.keys() and all(near(got[k], expect[k], k) for k in expect)
    if isinstance(expect, list) and isinstance(got, list):
        return len(expect) == len(got) and all(
            near(a, b, name) for a, b in zip(got, expect, strict=True)
        )
    if isinstance(expect, float) and isinstance(got, (int, float)):
        return math.isclose(got, expect, abs_tol=TOLERANCE.get(name, 1e-6), rel_tol=1e-9)
    return bool(got == expect) and isinstance(got, bool) == isinstance(expect, bool)


# --- JT/T 808 ------------------------------------------------------------------------------------
def _frame(row: Row) -> tuple[Any, Any]:
    """What a frame's line decodes to, and what it should; only what the row speaks of."""
    got = list(decode_lines([row["hex"]], "jt808"))
    wanted = row["expect"]
    if wanted == "two_frames":
        return [one.get("terminal_phone") for one in got if one["ok"]], row["expect_phones"]
    if wanted == "reject" and row["reject_reason"] == "flag_inside":
        # A flag inside ends one frame and begins the next: the pieces stand for themselves, never the whole.
        pieces = [piece for piece in bytes.fromhex(row["hex"]).split(b"\x7e") if piece]
        alone = [next(iter(decode_lines([f"7e{piece.hex()}7e"], "jt808"))) for piece in pieces]
        return [_told(one) for one in got], [_told(one) for one in alone]
    first = got[0] if len(got) == 1 else {"objects": len(got)}
    if wanted == "reject":
        return (
            {"ok": first.get("ok"), "error": first.get("error")},
            {"ok": False, "error": row["reject_reason"]},
        )
    if wanted == "frame_ok_body_reject":
        expect = {
            "ok": False,
            "error": row["reject_reason"],
            "message_id": row["message_id"],
            "fixes": [],
        }
        return {name: first.get(name) for name in expect}, expect
    if wanted == "fix_invalid":
        if row["reject_reason"] == "invalid_time":
            expect = {
                "ok": True,
                "fixes": [],
                "fixes_refused": [{"index": 0, "error": "invalid_time"}],
            }
            return {name: first.get(name) for name in expect}, expect
        used = [fix["valid"] and fix["range_ok"] for fix in first.get("fixes", [])]
        return {"ok": first.get("ok"), "used": used}, {
            "ok": True,
            "used": [False] * len(used or [0]),
        }
    names = [name for name in (*HEADER, *BODY, *BATCH, "fixes") if name in row]
    return (
        {"ok": first.get("ok"), **{name: first.get(name) for name in names}},
        {"ok": True, **{name: row[name] for name in names}},
    )


def _told(one: Row) -> Row:
    return {name: one.get(name) for name in ("ok", "error", "message_id", "serial")}


def _stream(row: Row) -> tuple[Any, Any]:
    """The good frames of a stream under its own chunking and five others."""
    data = b"".join(bytes.fromhex(chunk) for chunk in row["chunks"])
    found = []
    for size in (None, 1, 2, 7, 64, max(1, len(data))):
        chunks = (
            [bytes.fromhex(chunk) for chunk in row["chunks"]]
            if size is None
            else [data[at : at + size] for at in range(0, len(data), size)]
        )
        splitter = jt808.Splitter()
        payloads = [payload for chunk in chunks for payload in splitter.feed(chunk)]
        good = [p for p in payloads if not isinstance(jt808.parse_frame(p), jt808.Refusal)]
        found.append([f"7e{payload.hex()}7e" for payload in good])
    return found, [row["expect_frames"]] * len(found)


def _pieces(row: Row) -> tuple[Any, Any]:
    got = list(decode_lines(row["frames"], "jt808"))
    whole = sum("reassembled" in one for one in got)
    return (
        {"ok": all(one["ok"] for one in got), "whole": whole, "fixes": [f for one in got for f in one["fixes"]]},
        {"ok": True, "whole": int(row["expect"] == "ok"), "fixes": row["fixes"]},
    )  # fmt: skip


# --- NMEA, OsmAnd --------------------------------------------------------------------------------
def _sentence(row: Row) -> tuple[Any, Any]:
    (got,) = decode_lines([row["sentence"]], "nmea")
    if row["expect"] == "reject":
        expect = {"ok": False, "error": row["reject_reason"]}
        return {name: got.get(name) for name in expect}, expect
    return {"ok": got["ok"], **{n: got.get(n) for n in row["decode"]}}, {
        "ok": True,
        **row["decode"],
    }


def _request(row: Row) -> tuple[Any, Any]:
    report = osmand.read_report(row["request"])
    if row["expect"].startswith("reject"):
        told = report.code if isinstance(report, osmand.ReportRefusal) else "taken"
        return told, "device_missing"
    if isinstance(report, osmand.ReportRefusal):
        return report.code, row["expect"]
    fix, evidence = row["fix"], osmand.to_fix(report)
    if fix is None:
        code = "taken" if isinstance(evidence, Fix) else evidence.code
        return {"device_id": report.device, "code": code}, {
            "device_id": row["device_id"], "code": "position_missing",
        }  # fmt: skip
    got = {
        "lat": report.lat, "lon": report.lon, "heading_deg": report.heading_deg,
        "altitude_m": report.altitude_m, "speed_kmh": report.speed_kmh,
        "time_utc": None if report.time is None else rfc3339(instant(report.time)),
    }  # fmt: skip
    names = [name for name in got if name in fix]
    return (
        {"device_id": report.device, "evidence": isinstance(evidence, Fix), **{n: got[n] for n in names}},
        {
            "device_id": row["device_id"],
            # A server's clock never stands in for the device's: without a time there is no evidence.
            "evidence": fix.get("time_utc") is not None,
            **{n: fix[n] for n in names},
        },
    )  # fmt: skip


# --- labelled drives -----------------------------------------------------------------------------
def _drive(row: Row, folder: Path) -> tuple[Any, Any]:
    plan = Plan.from_json({**row["waybill"], "terminal": row["terminal"]})
    others = [
        OtherTrack(one["points_file"], read_fixes(folder / one["points_file"]))
        for one in row.get("related") or []
    ]
    verdict = judge(plan, read_fixes(folder / row["points_file"]), others=others)
    got: Row = {"flagged": verdict.outcome is not Outcome.PASS}
    expect: Row = {"flagged": row["should_flag"]}
    arrives = row["truth"].get("arrives_delivery")
    if arrives is not None:
        got["arrived"], expect["arrived"] = verdict.arrived_at is not None, arrives
    if got != expect:
        got["verdict"] = verdict.outcome.value
        got["findings"] = [f"{one.code}:{one.severity.value}" for one in verdict.findings]
    return got, expect


READERS: dict[str, Callable[[Row], tuple[Any, Any]]] = {
    "jt808_frames": _frame,
    "jt808_streams": _stream,
    "jt808_subpackages": _pieces,
    "nmea_sentences": _sentence,
    "osmand_requests": _request,
}


def report_folder(folder: Path) -> list[Row]:
    """One row a kind: passed, failed, and what each failed case got and should have got.

    Raises:
        ValueError: a line is not JSON, or not an object with an id.
    """
    rows: dict[str, Row] = {}

    def take(kind: str, file: Path, name: str, answer: Callable[[], tuple[Any, Any]]) -> None:
        row = rows.setdefault(
            kind, {"kind": kind, "file": file.name, "passed": 0, "failed": 0, "failures": []}
        )
        try:
            got, expect = answer()
        except (YundanError, KeyError, TypeError, ValueError) as wrong:
            # A case that cannot be run is a failure that says why, and never ends the run.
            got, expect = f"{type(wrong).__name__}: {wrong}", "an answer"
        if near(got, expect):
            row["passed"] += 1
        else:
            row["failed"] += 1
            row["failures"].append({"id": name, "got": got, "expect": expect})

    for path in sorted(folder.glob("*.jsonl")):
        kind = next((name for name in READERS if path.name.startswith(name)), None)
        if kind is None:
            rows[path.stem] = {"kind": path.stem, "file": path.name, "passed": 0, "failed": 0,
                               "failures": [], "skipped": "no decoder of the product reads this file"}  # fmt: skip
            continue
        for name, case in _lines(path, "id"):
            take(kind, path, name, lambda kind=kind, case=case: READERS[kind](case))
    for home in (folder, folder / "fraud_cases"):
        for path in sorted(home.glob("cases*.jsonl")):
            rows.pop(path.stem, None)
            for name, case in _lines(path, "case_id"):
                take(
                    f"fraud_cases.{case.get('label')}",
                    path,
                    name,
                    lambda case=case, home=home: _drive(case, home),
                )
    return list(rows.values())


def _lines(path: Path, key: str) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise ValueError(f"{path.name} line {number} is not JSON: {problem}") from None
        if not isinstance(row, dict) or key not in row:
            raise ValueError(f"{path.name} line {number} is not an object with {key}")
        yield str(row[key]), row
