from __future__ import annotations

import copy

import pytest

from chain.errors import InvalidValueError, YundanError
from finance.errors import CaseError, DuplicateError
from finance.simulate import read_case, simulate

CASE = {
    "terms": {
        "rate_ppm": 109_500, "penalty_ppm": 164_250, "ceiling_ppm": 240_000, "tenor_days": 60, "grace_days": 3,
    },
    "principal_fen": 10_000_000,
    "released_on": "2026-01-26",
    "events": [{"type": "payment", "on": "2026-02-12", "amount_fen": 5_000_000}],
}  # fmt: skip


def case(**change):
    return copy.deepcopy(CASE) | change


def test_a_payment_after_seventeen_days_clears_510_yuan_of_interest_first():
    paid = simulate(CASE)["events"][-1]
    assert (paid["interest_fen"], paid["principal_fen"], paid["residue_fen"]) == (
        51_000,
        4_949_000,
        0,
    )


def test_a_row_a_day_with_debt_class_and_cost():
    rows = simulate(case(events=[], until="2026-04-05"))["days"]
    assert len(rows) == 70
    by_day = {row["on"]: row for row in rows}
    assert by_day["2026-01-26"]["payoff_fen"] == 10_000_000
    assert by_day["2026-01-27"]["interest_due_fen"] == 3_000
    assert (by_day["2026-03-27"]["days_past_due"], by_day["2026-03-28"]["days_past_due"]) == (0, 1)
    assert by_day["2026-03-28"]["class_zh"] == "关注"
    assert by_day["2026-03-30"]["penalty_due_fen"] == 0
    assert by_day["2026-03-31"]["penalty_due_fen"] == 4_500


def test_events_in_any_order_end_the_same():
    events = [
        {"type": "payment", "on": "2026-02-12", "amount_fen": 100_000, "id": "a"},
        {
            "type": "payment",
            "on": "2026-02-01",
            "amount_fen": 300_000,
            "id": "b",
            "known_on": "2026-03-01",
        },
        {"type": "waive", "on": "2026-02-20", "amount_fen": 5_000, "id": "c"},
    ]
    assert simulate(case(events=events)) == simulate(case(events=events[::-1]))


def test_a_payment_on_a_repaid_loan_is_refused_with_the_reason_and_is_all_residue():
    events = [
        {"type": "payment", "on": "2026-02-12", "amount_fen": 10_051_000, "id": "a"},
        {"type": "payment", "on": "2026-02-13", "amount_fen": 700, "id": "b"},
    ]
    end = simulate(case(events=events))
    assert end["end"]["state"] == "repaid"
    assert end["refused"] == [{"id": "b", "reason": "nothing is owed on an advance that is repaid"}]
    assert end["events"][-1]["residue_fen"] == 700


def test_the_yearly_cost_of_a_loan_held_to_its_day_is_the_contract_rate():
    end = simulate(case(events=[{"type": "payment", "on": "2026-03-27", "amount_fen": 10_180_000}]))
    assert end["end"]["yearly_cost_ppm"] == 109_500
    assert end["promised_yearly_cost_ppm"] == 109_500


def test_the_ceiling_holds_back_fees_of_a_short_loan():
    terms = CASE["terms"] | {"fee_bps": 100, "ceiling_ppm": 200_000}
    end = simulate(
        case(
            terms=terms, events=[{"type": "payment", "on": "2026-02-05", "amount_fen": 11_000_000}]
        )
    )
    assert (
        end["end"]["charged_fen"]
        == end["end"]["ceiling_fen"]
        == 10_000_000 * 20 * 10 // (100 * 365)
    )
    assert end["end"]["above_ceiling_fen"] > 0
    assert end["end"]["yearly_cost_ppm"] <= 200_000


def test_other_conventions_are_parameters():
    def interest(convention):
        found = simulate(
            case(terms=CASE["terms"] | {"day_count": convention}, events=[], until="2026-02-26")
        )
        return found["end"]["interest_due_fen"]

    assert [interest(c) for c in ("ACT/365F", "ACT/360", "30E/360")] == [93_000, 94_291, 91_250]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"principal_fen": -1}, "principal_fen"),
        ({"principal_fen": 0}, "principal_fen"),
        ({"principal_fen": 1.5}, "principal_fen"),
        ({"principal_fen": "100"}, "principal_fen"),
        ({"released_on": "2026-02-30"}, "released_on"),
        ({"released_on": 5}, "released_on"),
        ({"until": "2025-01-01"}, "until"),
        ({"until": "2999-01-01"}, "until"),
        ({"currency": "USD"}, "currency"),
        ({"events": {}}, "events"),
        ({"events": [7]}, "events[0]"),
        ({"events": [{"type": "gift", "on": "2026-02-01"}]}, "events[0].type"),
        (
            {"events": [{"type": "payment", "on": "2026-02-01", "amount_fen": -5}]},
            "events[0].amount_fen",
        ),
        ({"events": [{"type": "payment", "on": "2026-02-01"}]}, "events[0].amount_fen"),
        ({"events": [{"type": "payment", "on": "01.02.2026", "amount_fen": 5}]}, "events[0].on"),
        (
            {"events": [{"type": "payment", "on": "2026-02-01", "amount_fen": 5, "note": "x"}]},
            "events[0].note",
        ),
        ({"events": [{"type": "reverse", "on": "2026-02-01"}]}, "events[0].target"),
        (
            {"events": [{"type": "restructure", "on": "2026-02-01", "to": "2026-05-01"}]},
            "events[0].terms",
        ),
        ({"terms": {"rate_ppm": 1}}, "terms.ceiling_ppm"),
        ({"terms": CASE["terms"] | {"day_count": "ACT/364"}}, "terms"),
        ({"terms": CASE["terms"] | {"order": ["fee"]}}, "order"),
        ({"terms": CASE["terms"] | {"rate": 5}}, "terms.rate"),
        ({"terms": 5}, "terms"),
        ({"terms": CASE["terms"] | {"order": 5}}, "terms.order"),
        ({"events": [{"type": ["payment"], "on": "2026-02-01"}]}, "events[0].type"),
        ({"released_on": "9999-12-31"}, "released_on"),
    ],
)
def test_bad_cases_are_refused_with_the_field(change, field):
    with pytest.raises(YundanError) as refused:
        simulate(case(**change))
    assert refused.value.field == field
    assert isinstance(refused.value, CaseError | InvalidValueError | YundanError)


def test_one_id_for_two_events_is_refused():
    events = [
        {"type": "payment", "on": "2026-02-12", "amount_fen": 5, "id": "a"},
        {"type": "payment", "on": "2026-02-13", "amount_fen": 5, "id": "a"},
    ]
    with pytest.raises(DuplicateError):
        simulate(case(events=events))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("[]", "one JSON object"),
        ("[" * 100_000, "too deeply"),
        ('{"principal_fen": 1, "principal_fen": 2}', "principal_fen stands twice"),
        ('{"terms": {"rate_ppm": 1, "rate_ppm": 2}}', "rate_ppm stands twice"),
    ],
)
def test_what_is_no_case_is_refused_before_it_is_played(text, word):
    with pytest.raises(CaseError, match=word):
        read_case(text)


def test_an_amount_in_yuan_says_so():
    assert simulate(case(currency="CNY"))["end"] == simulate(CASE)["end"]
