from __future__ import annotations

import copy
import datetime as dt
import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from finance.errors import RuleError
from finance.forests import shipped_forest
from finance.risk import Stage, Verdict, backtest, decide, read_forest, redecide

AT = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)


def rule(name="r", *, when="n > 10", outcome="REFUSE", missing="review", cases=None, **more):
    return {
        "id": name, "version": 1, "owner": "risk", "tree": "t", "stages": ["release"],
        "effective_from": "2026-01-01", "effective_to": None, "inputs": {"n": "int"},
        "when": when, "outcome": outcome, "missing": missing,
        "reason": {"code": name.upper(), "zh": "理由", "en": "a reason"}, "law": "",
        "cases": cases if cases is not None else [
            {"given": {"n": 11}, "expect": "hit"},
            {"given": {"n": 10}, "expect": "miss"},
            {"given": {}, "expect": "missing"},
        ],
    } | more  # fmt: skip


def forest(*rules, **more):
    document = {
        "id": "f",
        "version": 1,
        "review_at": 30,
        "refuse_at": None,
        "trees": {"t": 40, "u": 20},
    }
    return read_forest(document | {"rules": list(rules)} | more)


def ask(made, at=AT, asked=None, **given_values):
    return decide(made, given_values, stage=Stage.RELEASE, subject="trip", at=at, asked_fen=asked)


def test_the_worst_hard_outcome_wins():
    made = forest(rule("a"), rule("b", outcome="REVIEW"), rule("c", outcome="INFO"))
    assert ask(made, n=11).verdict is Verdict.REFUSE
    assert [one.effect for one in ask(made, n=11).reasons] == ["refuse", "review", "info"]
    assert ask(made, n=10).verdict is Verdict.APPROVE


@pytest.mark.parametrize(
    ("missing", "verdict"), [("pass", "APPROVE"), ("review", "REVIEW"), ("refuse", "REFUSE")]
)
def test_missing_data_does_what_the_rule_says(missing, verdict):
    assert ask(forest(rule(missing=missing))).verdict.value == verdict


def test_scores_add_up_with_a_cap_a_tree():
    family = [rule(f"s{i}", outcome="SCORE", score=15) for i in range(4)]
    assert ask(forest(*family), n=11).score == 40
    other = rule("u", outcome="SCORE", score=15, tree="u")
    assert ask(forest(*family, other), n=11).score == 55
    assert ask(forest(family[0]), n=11).verdict is Verdict.APPROVE
    assert ask(forest(family[0], family[1]), n=11).verdict is Verdict.REVIEW
    assert ask(forest(*family, refuse_at=40), n=11).verdict is Verdict.REFUSE


def test_the_smallest_cap_counts_and_an_amount_above_it_is_refused():
    made = forest(rule("a", outcome="CAP", cap="n * 10"), rule("b", outcome="CAP", cap="n * 5 + 1"))
    assert ask(made, n=11).cap_fen == 56
    assert ask(made, n=11, asked=56).verdict is Verdict.APPROVE
    assert ask(made, n=11, asked=57).verdict is Verdict.REFUSE


def test_a_rule_that_divides_by_zero_refuses_and_says_error():
    cases = [{"given": {"n": 1}, "expect": "hit"}, {"given": {"n": 200}, "expect": "miss"}]
    found = ask(forest(rule(when="100 // n > 1", cases=cases)), n=0)
    assert found.verdict is Verdict.REFUSE
    assert [one.effect for one in found.reasons] == ["error"]


def test_rules_are_asked_only_while_in_force_by_the_beijing_date():
    made = forest(rule(effective_from="2026-01-27", effective_to="2026-01-28"))
    beijing_27th = dt.datetime(2026, 1, 26, 16, 0, tzinfo=dt.UTC)
    assert ask(made, at=beijing_27th - dt.timedelta(seconds=1), n=11).verdict is Verdict.APPROVE
    assert ask(made, at=beijing_27th, n=11).verdict is Verdict.REFUSE
    assert ask(made, at=beijing_27th + dt.timedelta(days=1), n=11).verdict is Verdict.APPROVE


def test_only_rules_of_the_stage_are_asked():
    found = decide(forest(rule()), {"n": 11}, stage=Stage.ADMIT, subject="x", at=AT)
    assert found.verdict is Verdict.APPROVE
    assert json.loads(found.record)["answers"] == []


@given(
    st.integers(-(2**53), 2**53).map(lambda n: max(-(2**53) + 1, min(2**53 - 1, n))),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_a_record_is_in_the_canonical_form_whatever_it_is_about(number, subject):
    made = decide(
        forest(rule(), rule("other", when="n < 5", cases=[{"given": {"n": 1}, "expect": "hit"}, {"given": {"n": 9}, "expect": "miss"}])),
        {"n": number}, stage=Stage.RELEASE, subject=subject, at=AT, asked_fen=7,
    )  # fmt: skip
    assert made.record == rfc8785.dumps(json.loads(made.record))


@given(st.one_of(st.none(), st.integers(0, 30)))
def test_a_record_replays_to_the_same_bytes(number):
    made = forest(rule("a"), rule("b", outcome="SCORE", score=9), rule("c", outcome="CAP", cap="n"))
    first = ask(made, n=number, asked=5)
    again = redecide(made, json.loads(first.record))
    assert again == first
    assert again.record == first.record


def test_another_forest_another_input_or_another_time_gives_another_hash():
    base = ask(forest(rule()), n=5)
    assert ask(forest(rule(), version=2), n=5).hash != base.hash
    assert ask(forest(rule()), n=6).hash != base.hash
    assert ask(forest(rule()), n=5, at=AT + dt.timedelta(seconds=1)).hash != base.hash


def test_a_backtest_counts_who_would_come_in_and_who_would_go_out():
    old, new = forest(rule(when="n > 10")), forest(rule(when="n > 5 and n < 20", cases=[
        {"given": {"n": 11}, "expect": "hit"}, {"given": {"n": 5}, "expect": "miss"}]), version=2)  # fmt: skip
    records = [
        json.loads(ask(old, n=number, asked=number * 100).record) for number in (1, 7, 12, 25)
    ]
    swap = backtest(new, records)
    assert (swap.decided, swap.agreed) == (4, 2)
    assert (swap.in_fen, swap.out_fen) == (2_500, 700)
    assert backtest(old, records).agreed == 4


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"when": "n >"}, "when"),
        ({"when": "n + 1"}, "when"),
        ({"when": "n // 0 > 1"}, "when"),
        ({"outcome": "MAYBE"}, ""),
        ({"outcome": "SCORE"}, "score"),
        ({"outcome": "CAP"}, "cap"),
        ({"outcome": "CAP", "cap": "n > 1"}, "cap"),
        ({"missing": "default"}, ""),
        ({"inputs": {"n": "float"}}, ""),
        ({"inputs": {"n": "int", "unused": "int"}}, "inputs"),
        ({"tree": "none"}, "tree"),
        ({"effective_from": "2026-02-30"}, ""),
        ({"reason": {"code": "X", "zh": "x"}}, "en"),
        ({"cases": [{"given": {"n": 11}, "expect": "miss"}]}, "cases"),
        ({"cases": [{"given": {"n": 11}, "expect": "hit"}]}, "cases"),
        ({"cases": [{"given": {"n": "x"}, "expect": "hit"}]}, "cases"),
        ({"version": "1"}, "version"),
        ({"stages": ["sometimes"]}, ""),
    ],
)
def test_a_wrong_rule_is_refused_with_its_name_and_field(change, field):
    with pytest.raises(RuleError) as refused:
        forest(rule("odd-rule", **change))
    assert "odd-rule" in str(refused.value)
    assert refused.value.field == field


def test_two_rules_of_one_name_and_one_input_of_two_types_are_refused():
    with pytest.raises(RuleError, match="two rules"):
        forest(rule(), rule())
    text = rule("b", when='n == "x"', inputs={"n": "text"}, cases=[
        {"given": {"n": "x"}, "expect": "hit"}, {"given": {"n": "y"}, "expect": "miss"}])  # fmt: skip
    with pytest.raises(RuleError, match="another rule"):
        forest(rule(), text)


@pytest.mark.parametrize("wrong", [1.5, "7", True, 2**53])
def test_inputs_of_another_type_are_refused(wrong):
    with pytest.raises(RuleError) as refused:
        ask(forest(rule()), n=wrong)
    assert refused.value.field == "n"


# -- the forest that ships --------------------------------------------------------------------------

GOOD = {
    "line_frozen": False, "line_ended": False, "principal_fen": 500_000, "headroom_fen": 5_000_000,
    "limit_fen": 5_000_000, "reserved_fen": 0, "drawn_fen": 0, "receivable_fen": 900_000,
    "advance_bps": 8_000, "debtor_signed": True, "debtor_related": False,
    "receivable_pledged": False, "trip_taken": False, "trip_state": "open", "driver_first": True,
    "payees_fen": 500_000, "payee_above_owed": False, "payee_account_shared": False,
    "purpose": "freight", "ceiling_ppm": 120_000, "cost_cap_ppm": 240_000, "lpr_ppm": 30_000,
    "net_assets_known": True, "borrower_room_fen": 10**9, "group_room_fen": 10**9,
    "borrower_balance_fen": 0, "online_cap_fen": 10**9, "borrower_overdue_days": 0,
    "debtor_exposure_fen": 0, "debtor_cap_fen": 5_000_000, "term_days": 45, "delivered_trips": 10,
    "week_trips": 3, "usual_week_trips": 3, "similar_financed": 0, "old_differences": 0,
}  # fmt: skip


def test_every_shipped_rule_has_reasons_in_both_languages_and_its_edges():
    made = shipped_forest()
    assert len(made.rules) > 25
    for one in made.rules:
        assert one.zh.strip() != one.en.strip()
        assert any("\u4e00" <= letter <= "\u9fff" for letter in one.zh)
        expects = [case["expect"] for case in one.document["cases"]]
        assert {"hit", "miss"} <= set(expects)
    codes = [one.code for one in made.rules]
    assert len(codes) == len(set(codes))


def test_an_honest_request_is_approved_by_the_shipped_forest():
    found = ask(shipped_forest(), asked=500_000, **GOOD)
    assert found.verdict is Verdict.APPROVE
    assert found.reasons[0].code == "ADVANCE_RATE_EXCEEDED"  # as a cap that is not reached
    assert found.cap_fen == 720_000


@pytest.mark.parametrize(
    ("change", "verdict", "code"),
    [
        ({"line_frozen": True}, "REFUSE", "LINE_NOT_OPEN"),
        ({"headroom_fen": 499_999}, "REFUSE", "HEADROOM_EXCEEDED"),
        ({"receivable_fen": 624_999}, "REFUSE", "ADVANCE_RATE_EXCEEDED"),
        ({"debtor_signed": False}, "REFUSE", "DEBTOR_UNSIGNED"),
        ({"debtor_related": True}, "REFUSE", "DEBTOR_RELATED"),
        ({"debtor_related": None}, "REVIEW", "DEBTOR_RELATED"),
        ({"receivable_pledged": True}, "REFUSE", "RECEIVABLE_PLEDGED"),
        ({"trip_taken": True}, "REFUSE", "TRIP_TAKEN"),
        ({"trip_state": "delivered"}, "REFUSE", "TRIP_NOT_OPEN"),
        ({"driver_first": False}, "REFUSE", "DRIVER_NOT_FIRST"),
        ({"payees_fen": 499_999}, "REFUSE", "PAYEES_SUM"),
        ({"purpose": "repay_loan"}, "REFUSE", "PURPOSE_NOT_FREIGHT"),
        ({"ceiling_ppm": 240_001}, "REFUSE", "ABOVE_COST_CAP"),
        ({"borrower_room_fen": 499_999}, "REFUSE", "SINGLE_BORROWER_10PCT"),
        ({"group_room_fen": 499_999}, "REFUSE", "GROUP_15PCT"),
        ({"net_assets_known": False}, "REVIEW", "NET_ASSETS_UNKNOWN"),
        ({"borrower_overdue_days": 8}, "REFUSE", "BORROWER_OVERDUE"),
        ({"borrower_overdue_days": 1}, "REVIEW", "BORROWER_LATE"),
        ({"debtor_cap_fen": 499_999}, "REFUSE", "DEBTOR_CONCENTRATION"),
        ({"payee_account_shared": True}, "REVIEW", "PAYEE_ACCOUNT_SHARED"),
        ({"similar_financed": 1}, "REVIEW", "SIMILAR_FINANCED"),
        ({"old_differences": 1}, "REFUSE", "DIFFERENCES_OPEN"),
    ],
)
def test_each_fault_is_named_by_the_shipped_forest(change, verdict, code):
    found = ask(shipped_forest(), asked=500_000, **GOOD | change)
    assert found.verdict.value == verdict
    assert code in {one.code for one in found.reasons}


def test_soft_signs_need_each_other_to_bring_a_person_in():
    soft = [{"delivered_trips": 0}, {"week_trips": 90}, {"term_days": 90}]
    assert all(ask(shipped_forest(), **GOOD | one).verdict is Verdict.APPROVE for one in soft)
    together = GOOD | {name: fen for one in soft for name, fen in one.items()}
    assert ask(shipped_forest(), **together).verdict is Verdict.REVIEW


def test_a_cost_above_four_times_lpr_is_told_now_and_refused_from_2028():
    dear = GOOD | {"ceiling_ppm": 120_001}
    now = ask(shipped_forest(), **dear)
    assert now.verdict is Verdict.APPROVE
    assert "ABOVE_4X_LPR_NOTICE" in {one.code for one in now.reasons}
    later = ask(shipped_forest(), at=dt.datetime(2028, 1, 1, tzinfo=dt.UTC), **dear)
    assert later.verdict is Verdict.REFUSE


def test_reading_a_forest_does_not_change_its_document():
    document = {"id": "f", "version": 1, "review_at": 1, "trees": {"t": 1}, "rules": [rule()]}
    before = copy.deepcopy(document)
    read_forest(document)
    assert document == before
