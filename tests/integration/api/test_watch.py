"""Maker and checker, warnings and the earned limit through the doors."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest

from api.client import ClientError, plain
from chain.clock import beijing_day, rfc3339
from chain.ids import LineId, PartyId
from finance import forests
from finance.advance import AdvanceState
from finance.forests import PRESENT
from finance.records import WarningRecord
from finance.running import GIVES_UP, Act
from finance.watch import Action
from tests.integration.api.people import open_account, signed_in
from tests.integration.api.test_etags import stand

FORESTS = Path(forests.__file__).parent


@pytest.fixture(scope="module")
def two(system):
    """A lender with two people, and his borrower with an open line under four eyes."""
    lender, borrower = system.party("lender", "lender"), system.party("haulier")
    open_account(system, lender, "two-owner")
    open_account(system, lender, "two-approver", "approver")
    boss, checker = signed_in(system, "two-owner"), signed_in(system, "two-approver")
    told = boss.request("PATCH", "/v1/lender-policy", json={"four_eyes": True, "lpr_ppm": 30_000})
    assert told.status_code == 200, told.text
    assert told.json() | {"effective_on": ""} == {
        "effective_on": "", "net_assets_fen": None, "lpr_ppm": 30_000, "debtor_cap_bps": 10_000,
        "four_eyes": True,
    }  # fmt: skip
    return lender, borrower, checker


def second_person_needed(act):
    with pytest.raises(ClientError) as error:
        act()
    return (error.value.status, error.value.reason) == (403, "second_person_needed")


def agreed(system, two, path, body, method="POST"):
    """The same request, proposed by the lender's program and approved by his second person."""
    lender, _, checker = two
    made = lender.post("/v1/proposals", {"method": method, "path": path, "body": body})
    answer = checker.post(f"/v1/proposals/{made['id']}/approval")
    assert answer.json()["state"] == "approved", answer.text


def signed_line(system, two):
    lender, borrower, _ = two
    asked = {
        "lender": str(lender.party), "borrower": str(borrower.party), "limit_fen": 10_000_000,
        "rate_ppm": 109_500, "penalty_ppm": 164_250, "ceiling_ppm": 240_000, "fee_bps": 10,
        "advance_bps": 9_000, "tolerance_bps": 100, "tenor_days": 60, "grace_days": 3,
        "attestor": str(system.party("witness", "attestor").party), "terms": "0x" + "7e" * 32,
        "valid_until": rfc3339(system.now() + dt.timedelta(days=365)),
    }  # fmt: skip
    form = lender.post("/v1/lines/form", asked)["to_sign"]
    ours, theirs = lender.sign(form), borrower.sign(form)
    return {
        "message": ours["message"],
        "lender_signature": ours["signature"],
        "borrower_signature": theirs["signature"],
    }


@pytest.fixture(scope="module")
def line(system, two):
    lender, borrower, _ = two
    wish = {"lender": str(lender.party), "limit_fen": 10_000_000, "tenor_days": 60}
    applied = borrower.post("/v1/line-applications", wish)
    assert (applied["state"], applied["verdict"]) == ("offered", "review")  # net assets unknown
    signed = signed_line(system, two)
    assert second_person_needed(lambda: lender.post("/v1/lines", signed))
    # nor may the borrower hand in what one person of the lender has signed
    assert second_person_needed(lambda: borrower.post("/v1/lines", signed))
    agreed(system, two, "/v1/lines", signed)
    made = lender.post("/v1/lines", signed)["id"]
    system.settle()
    ended = borrower.get(f"/v1/line-applications/{applied['id']}")
    assert (ended["state"], ended["line"]) == ("opened", made)
    return made


def changed(two, line, **change):
    lender, borrower, _ = two
    form = lender.get(f"/v1/lines/{line}/change", **change)["to_sign"]
    ours, theirs = lender.sign(form), borrower.sign(form)
    return {
        "message": ours["message"],
        "lender_signature": ours["signature"],
        "borrower_signature": theirs["signature"],
    }


def test_room_is_taken_by_one_person_and_given_by_two(system, two, line):
    lender, borrower, _ = two
    path = f"/v1/lines/{line}/change"
    lower = changed(two, line, limit_fen=8_000_000, frozen=True)
    assert lender.post(path, lower)["about"] == line  # one person may freeze and lower
    system.settle()
    seen = lender.get(f"/v1/lines/{line}")
    assert (seen["limit_fen"], seen["frozen"]) == (8_000_000, True)
    for wider in (
        changed(two, line, frozen=False),
        changed(two, line, limit_fen=9_000_000),
        changed(two, line, valid_until=rfc3339(system.now() + dt.timedelta(days=366))),
    ):
        assert second_person_needed(lambda wider=wider: lender.post(path, wider))
    raised = changed(two, line, limit_fen=9_000_000, frozen=False)
    with pytest.raises(ClientError) as error:
        borrower.post(path, raised)
    assert error.value.status == 422  # not his to hand in
    agreed(system, two, path, raised)
    lender.post(path, raised)
    system.settle()
    seen = lender.get(f"/v1/lines/{line}")
    assert (seen["limit_fen"], seen["frozen"]) == (9_000_000, False)
    other = changed(two, line, limit_fen=1)
    with pytest.raises(ClientError):
        lender.post("/v1/lines/0x" + "12" * 32 + "/change", other)


def test_every_door_that_moves_money_or_raises_risk_asks_for_two(two):
    lender, _, _ = two
    blank = {"message": {}, "signature": "0x" + "00" * 65}
    some = "0x" + "34" * 32
    for path in (
        f"/v1/advances/{some}/approval",
        f"/v1/advances/{some}/gate",
        f"/v1/advances/{some}/repayment",
        f"/v1/payouts/{some}/redirect",
        "/v1/advances",
        "/v1/vault",
        "/v1/payouts",
    ):
        assert second_person_needed(lambda path=path: lender.post(path, blank)), path
    for act, two_needed in (
        ("write_off", True),
        ("waive", True),
        ("extend", True),
        ("decline", False),
    ):
        assert ({Act[act.upper()]} <= GIVES_UP) is two_needed


def test_more_time_for_a_loan_needs_two_and_a_later_day(system, two):
    lender, _, _ = two
    _, advance = stand(system, lender.party, PartyId(90))
    today = beijing_day(system.now())
    with system.container.write() as services:
        held = services.books.find_advance(advance)
        due = {
            "state": AdvanceState.RELEASED,
            "released_fen": held.principal_fen,
            "due_day": today + 10,
        }
        services.books.save_advance(replace(held, **due))
    path = f"/v1/advances/{advance}/act"

    def signed(day):
        asked = {"act": "extend", "value": day, "reason": "展期"}
        return lender.sign(lender.get(path, **asked)["to_sign"])

    later, sooner = signed(today + 100), signed(today + 10)
    assert second_person_needed(lambda: lender.post(path, later))
    agreed(system, two, path, later)
    assert lender.post(path, later)["status"] == f"/v1/advances/{advance}"
    agreed(system, two, path, sooner)
    with pytest.raises(ClientError, match="later due day") as refused:
        lender.post(path, sooner)
    assert refused.value.status == 422


def test_a_lenders_policy_is_changed_by_two_and_only_by_an_owner(system, two, line):
    lender, _, _ = two
    wish = {"net_assets_fen": 10**12}
    assert second_person_needed(lambda: lender.patch("/v1/lender-policy", wish))
    agreed(system, two, "/v1/lender-policy", wish, "PATCH")
    assert lender.patch("/v1/lender-policy", wish)["net_assets_fen"] == 10**12
    off = {"four_eyes": False}
    agreed(system, two, "/v1/lender-policy", off, "PATCH")
    with pytest.raises(ClientError) as error:  # a program, even with two people's approval
        lender.patch("/v1/lender-policy", off)
    assert error.value.status == 403
    assert lender.get("/v1/lender-policy")["four_eyes"] is True


def test_warnings_and_the_earned_limit_through_the_doors(system, two, line):
    lender, borrower, _ = two
    day = beijing_day(system.now())
    told = lender.get(f"/v1/lines/{line}/limit")
    assert told["earned_fen"] == 5_000_000  # a starter line, with every step
    assert {"code": "starter_line", "amount_fen": 5_000_000} in told["steps"]
    with system.container.write() as services:
        services.books.save_warning(
            WarningRecord(
                lender.party, borrower.party, "LIMIT_FULL", 12, Action.WATCH, "risk",
                day, day + 5, day,
            )
        )  # fmt: skip
        assert services.books.find_line(LineId(plain(line))).limit_fen == 9_000_000
    assert borrower.get(f"/v1/lines/{line}/limit")["earned_fen"] == 0
    (warning,) = lender.get("/v1/warnings")["data"]
    assert (warning["code"], warning["owner"], warning["action"]) == ("LIMIT_FULL", "risk", "watch")
    assert borrower.get("/v1/warnings")["data"] == []
    left = lender.post("/v1/warnings", {"borrower": str(borrower.party), "code": "LIMIT_FULL"})
    assert left["data"] == []


def test_a_firm_applies_is_decided_on_at_once_and_reads_the_lenders_answer(system, two):
    lender, _, _ = two
    firm, stranger = system.party("applicant"), system.party("bystander")
    wish = {"lender": str(lender.party), "limit_fen": 20_000_000, "tenor_days": 45}
    for wrong in ({"limit_fen": 0}, {"limit_fen": -1}, {"limit_fen": 1.5}, {"tenor_days": 0}):
        with pytest.raises(ClientError) as error:
            firm.post("/v1/line-applications", wish | wrong)
        assert error.value.status == 422
    made = firm.post("/v1/line-applications", wish | {"note": "sugar to Suzhou"})
    assert (made["asked_fen"], made["offered_fen"]) == (20_000_000, 5_000_000)
    assert made["elapsed_us"] < 1_000_000
    assert made["answers"]["admit-above-earned"] == "hit"
    assert {"ABOVE_EARNED", "NEW_BORROWER"} <= {one["code"] for one in made["reasons"]}
    path = f"/v1/line-applications/{made['id']}"
    assert lender.get(path)["decision"] == made["decision"]
    assert made["id"] in {one["id"] for one in lender.get("/v1/line-applications")["data"]}
    for act in (
        lambda: stranger.get(path),
        lambda: stranger.post(f"{path}/refusal", {"reason": "x"}),
        lambda: stranger.post(f"{path}/withdrawal"),
    ):
        with pytest.raises(ClientError) as error:
            act()
        assert error.value.status == 404
    assert stranger.get("/v1/line-applications")["data"] == []
    refused = lender.post(f"{path}/refusal", {"reason": "no lane we know"})
    assert refused["state"] == "refused"
    told = firm.get(path)
    assert (told["state"], told["reason"], told["ended_by"]) == (
        "refused", "no lane we know", "person",
    )  # fmt: skip
    with pytest.raises(ClientError) as error:
        firm.post(f"{path}/withdrawal")
    assert error.value.status == 409


def test_rules_are_shown_and_tried_on_the_past_and_a_broken_one_is_refused_with_its_place(two):
    lender, borrower, _ = two
    rules = {one["id"]: one for one in lender.get("/v1/risk/forest")["rules"]}
    assert rules["circular"]["stages"] == ["admit", "release"]
    tried = lender.post("/v1/risk/backtests", {})
    assert tried["decided"] == tried["agreed"] >= 1
    assert borrower.post("/v1/risk/backtests", {})["decided"] == 0
    document = json.loads((FORESTS / PRESENT).read_text("utf-8"))
    for when in ("1 // 0 > 1", "(", "__import__('os')", "trade_cycles // (trade_cycles - 1) > 9"):
        broken = json.loads(json.dumps(document))
        (rule,) = [one for one in broken["rules"] if one["id"] == "circular"]
        rule["when"] = when
        with pytest.raises(ClientError) as error:
            lender.post("/v1/risk/backtests", {"forest": broken})
        assert (error.value.status, error.value.reason) == (422, "rule_invalid"), when
        assert "circular" in error.value.problem["detail"]
