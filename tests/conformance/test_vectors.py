"""Every case of ../shared/vectors/finance, and the form of the command's answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.__main__ import read_cases, report
from tests.conformance.finance import RUNNERS, matches, run_case
from tests.conformance.tracking import near, report_folder

ROOT = Path(__file__).parents[2]
FOLDER = ROOT.parent / "shared" / "vectors" / "finance"
CASES = read_cases(FOLDER) if FOLDER.is_dir() else []
NEEDED = {
    "day_count", "simple_interest", "segmented_interest", "early_payoff", "penal_interest",
    "waterfall", "delinquency", "dpd_class", "journal", "limit_check", "receivable_credit",
}  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case["id"]) for case in CASES if case["kind"] in RUNNERS]
    or [pytest.param(None, marks=pytest.mark.skip("../shared/vectors/finance is not here"))],
)
def test_product_answers_as_the_case_expects(case):
    got = run_case(case)
    assert matches(got, case["expect"]), got


@pytest.mark.skipif(not CASES, reason="../shared/vectors/finance is not here")
def test_every_needed_kind_is_run_and_none_of_the_rest_is_left_without_a_reason():
    rows = {row["kind"]: row for row in report(CASES)}
    assert {kind for kind in rows if rows[kind]["passed"]} >= NEEDED
    china = [row for row in rows.values() if row["file"] == "china_rules.json"]
    assert china
    assert all(row["passed"] and not row["failed"] for row in china)
    assert all(row["passed"] or len(row["skipped"]) > 10 for row in rows.values())


def run_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.conformance", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_wrong_expectation_is_reported_and_ends_with_exit_1(tmp_path):
    case = {
        "id": "x-1",
        "kind": "day_count",
        "given": {"convention": "ACT/365F", "start": "2026-01-01", "end": "2026-02-01"},
        "expect": {"days": 30},
    }
    (tmp_path / "day_count.json").write_text(json.dumps([case]))
    done = run_command("finance", str(tmp_path))
    row = json.loads(done.stdout)
    assert done.returncode == 1
    assert (row["kind"], row["passed"], row["failed"]) == ("day_count", 0, 1)
    assert row["failures"][0]["id"] == "x-1"
    assert row["failures"][0]["got"]["days"] == 31


def test_dates_in_the_wrong_order_and_dates_that_do_not_exist_are_errors_of_the_case():
    swapped = {"convention": "ACT/360", "start": "2026-02-02", "end": "2026-02-01"}
    got = run_case({"kind": "day_count", "given": swapped})
    assert matches(got, {"error": True})
    assert matches(got, {"error": "START_DATE_LATER_THAN_END_DATE"})
    missing = {"convention": "ACT/360", "start": "2026-02-30", "end": "2026-03-01"}
    assert run_case({"kind": "day_count", "given": missing})["error"] == "case_unreadable"


def test_amounts_as_floats_are_refused():
    given = {"limit": 1500.5, "used": "0", "requests": []}
    assert run_case({"kind": "limit_check", "given": given})["error"] == "case_unreadable"


@pytest.mark.parametrize("content", ["{", "{}", '[{"id": "a"}]'])
def test_a_file_of_another_form_ends_with_exit_2_and_one_line(tmp_path, content):
    (tmp_path / "broken.json").write_text(content)
    done = run_command("finance", str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "broken.json" in done.stderr


def test_an_unknown_kind_is_skipped_with_a_reason(tmp_path):
    case = {"id": "y", "kind": "lottery", "given": {}, "expect": {}}
    (tmp_path / "y.json").write_text(json.dumps([case]))
    row = json.loads(run_command("finance", str(tmp_path)).stdout)
    assert "no such kind" in row["skipped"]


def _answer(kind, **given):
    return run_case({"kind": kind, "given": given})


@pytest.mark.parametrize(
    ("rounding", "interest"),
    [("FLOOR", "0.12"), ("DOWN", "0.12"), ("CEILING", "0.13"), ("UP", "0.13"),
     ("HALF_EVEN", "0.12"), ("half-up", "0.13"), ("HALF_DOWN", "0.12")],
)  # fmt: skip
def test_every_rounding_is_a_parameter_of_the_case(rounding, interest):
    # 1.25 at 10% for one year of 365 days is 0.125 exactly
    got = _answer(
        "simple_interest", principal="1.25", annual_rate="0.1", convention="ACT/365F",
        start="2025-01-01", end="2026-01-01", scale=2, rounding=rounding,
    )  # fmt: skip
    assert matches(got, {"interest": interest})


def test_stretches_may_have_their_own_convention_rate_and_form():
    got = _answer(
        "segmented_interest", annual_rate="0.12", scale=0, rounding="FLOOR", convention="ACT/360",
        round_each_segment=True,
        segments=[
            {"principal": "1000", "start": "2026-01-01", "end": "2026-01-31"},  # 10.00
            {"principal": "1000", "start": "2026-01-01", "end": "2026-01-31", "convention": "ACT/365F"},  # 9.86
            {"principal": "1000", "days": 73, "basis": 365, "annual_rate": "0"},
            {"principal": "1000", "fraction": [1, 24]},  # 5
        ],
    )  # fmt: skip
    assert matches(got, {"interest": "24"})


def test_a_share_of_a_year_is_a_sum_whatever_the_order_of_its_parts():
    got = _answer("day_count", convention="act/act-isda", start="2012-12-28", end="2013-02-28")
    assert matches(got, {"days": 62, "year_fraction_parts": [[4, 366], [58, 365]]})
    assert not matches(got, {"year_fraction_parts": [[58, 366], [4, 365]]})


def test_a_phase_that_leaves_a_component_out_does_not_pay_it():
    got = _answer(
        "waterfall",
        instalments=[{"due": "2026-01-01", "principal": "1.000", "interest": "0.125", "fee": "1"}],
        phases=[{"scope": "due_or_past", "order": ["interest", "principal"]}],
        payments=[{"date": "2026-01-01", "amount": "2"}],
    )  # fmt: skip
    assert matches(
        got,
        {
            "allocations": [{
                "principal": "1", "interest": "0.125", "fee": "0", "penalty": "0",
                "unallocated": "0.875",
            }],
            "outstanding_by_instalment": ["1"],
            "overpaid": "0.875",
        },
    )  # fmt: skip
    twice = [{"scope": "any", "order": ["fee", "fee"]}]
    assert "error" in _answer("waterfall", instalments=[], phases=twice, payments=[])


def test_chargebacks_and_recoveries_with_money_too_much_are_booked_balanced():
    got = _answer("journal", event="CHARGEBACK", components={"principal": "250", "overpaid": "50"})
    assert matches(got, {"lines": [
        ["clearing", "credit", "300"],
        ["loan_principal", "debit", "250"],
        ["overpayment_liability", "debit", "50"],
    ]})  # fmt: skip
    got = _answer(
        "journal", event="RECOVERY_AFTER_CHARGE_OFF", components={"fee": "0.015", "overpaid": "1"}
    )
    assert matches(got, {"lines": [
        ["clearing", "debit", "1.015"],
        ["overpayment_liability", "credit", "1"],
        ["recoveries_income", "credit", "0.015"],
    ]})  # fmt: skip
    assert "error" in _answer("journal", event="DISBURSEMENT", components={"principal": "-1"})
    assert "error" in _answer("journal", event="DISBURSEMENT", components={"interest": "1"})


def test_late_interest_agreed_below_the_prime_rate_is_the_prime_rate():
    given = {"amount_fen": 36_500_000, "days_late": 10, "agreed_annual_rate": "0.01"}
    assert matches(_answer("sme_late_interest", **given), {"interest_fen": 10_000})
    assert matches(_answer("sme_late_interest", **given, lpr_1y="0.03"), {"interest_fen": 30_000})


# --- tracking ------------------------------------------------------------------------------------
TRACKS = ROOT.parent / "shared" / "vectors" / "tracking"


@pytest.mark.skipif(not TRACKS.is_dir(), reason="../shared/vectors/tracking is not here")
def test_every_shared_frame_sentence_request_and_drive_is_as_its_case_expects():
    rows = {row["kind"]: row for row in report_folder(TRACKS)}
    assert not [row["failures"] for row in rows.values() if row["failed"]]
    assert rows["jt808_frames"]["passed"] > 300
    drives = [row for kind, row in rows.items() if kind.startswith("fraud_cases.")]
    assert len(drives) > 20
    assert all(row["passed"] for row in drives)


def test_a_wrong_answer_and_a_case_that_cannot_be_run_are_told_by_their_names(tmp_path):
    good = "7e000200000123456789010001"
    frame = bytes.fromhex(good[2:])
    check = 0
    for byte in frame:
        check ^= byte
    row = {
        "id": "right", "expect": "ok", "hex": f"{good}{check:02x}7e", "message_id": "0x0002",
        "terminal_phone": "012345678901", "serial": 1, "body_len": 0, "fixes": [],
    }  # fmt: skip
    rows = [row, row | {"id": "wrong", "serial": 2}, {"id": "lacking", "expect": "ok"}]
    (tmp_path / "jt808_frames.jsonl").write_text("\n".join(json.dumps(one) for one in rows))
    (tmp_path / "strange.jsonl").write_text('{"id": "x"}\n')
    done = run_command("tracking", str(tmp_path))
    assert done.returncode == 1
    told = {row["kind"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert told["jt808_frames"]["passed"] == 1
    assert [one["id"] for one in told["jt808_frames"]["failures"]] == ["wrong", "lacking"]
    assert "KeyError" in told["jt808_frames"]["failures"][1]["got"]
    assert told["strange"]["skipped"]


def test_a_tracking_file_that_is_no_case_file_ends_with_one_line(tmp_path):
    assert run_command("tracking", str(tmp_path)).returncode == 2
    (tmp_path / "jt808_frames.jsonl").write_text("{oops\n")
    done = run_command("tracking", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "line 1 is not JSON" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_numbers_are_compared_within_the_tolerance_of_the_vectors():
    assert near({"lat": 31.2304159}, {"lat": 31.230416})
    assert not near({"lat": 31.23042}, {"lat": 31.230416})
    assert not near({"valid": 1}, {"valid": True})
    assert not near([1.0], [1.0, 2.0])
