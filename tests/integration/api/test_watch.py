"""Maker and checker, warnings and the earned limit through the doors."""

from __future__ import annotations

import datetime as dt

import pytest

from api.client import ClientError
from chain.clock import beijing_day, rfc3339
from chain.ids import LineId
from finance.records import LenderPolicy, WarningRecord
from finance.watch import Action


def test_a_lender_who_asks_for_two_people_opens_no_line_with_one(system):
    lender, borrower = system.party("lender", "lender"), system.party("haulier")
    witness = system.party("witness", "attestor")
    day = beijing_day(system.now())
    with system.container.write() as services:
        services.finance.set_policy(LenderPolicy(lender.party, day, four_eyes=True))
    asked = {
        "lender": str(lender.party), "borrower": str(borrower.party), "limit_fen": 10_000_000,
        "rate_ppm": 109_500, "penalty_ppm": 164_250, "ceiling_ppm": 240_000, "fee_bps": 10,
        "advance_bps": 9_000, "tolerance_bps": 100, "tenor_days": 60, "grace_days": 3,
        "attestor": str(witness.party), "terms": "0x" + "7e" * 32,
        "valid_until": rfc3339(system.now() + dt.timedelta(days=365)),
    }  # fmt: skip
    form = lender.post("/v1/lines/form", asked)["to_sign"]
    ours, theirs = lender.sign(form), borrower.sign(form)
    signed = {
        "message": ours["message"],
        "lender_signature": ours["signature"],
        "borrower_signature": theirs["signature"],
    }

    def refused(act) -> str:
        with pytest.raises(ClientError) as error:
            act()
        assert (error.value.status, error.value.reason) == (409, "four_eyes")
        return error.value.problem["detail"]

    assert "propose it first" in refused(lambda: lender.post("/v1/lines", signed))
    wish = {"form": "CreditLine", "message": ours["message"]}
    made = lender.post("/v1/lender-acts", wish)
    assert (made["kind"], made["amount_fen"], made["state"]) == ("open_line", 10_000_000, "open")
    assert lender.post("/v1/lender-acts", wish)["id"] == made["id"]
    word = {"approve": True, "note": "papers seen"}
    path = f"/v1/lender-acts/{made['id']}"
    assert "ask a second person" in refused(lambda: lender.post(path, word))
    assert "not approved" in refused(lambda: lender.post("/v1/lines", signed))
    assert "no such proposal" in refused(lambda: borrower.post(path, word))
    second = system.client("lender")  # the lender's other key: another person's, in a small firm
    second.party = lender.party
    second.open_key(label="second person")
    assert second.post(path, word)["state"] == "approved"
    line = lender.post("/v1/lines", signed)["id"]
    system.settle()
    assert lender.get(f"/v1/lines/{line}")["state"] == "open"
    assert [one["state"] for one in lender.get("/v1/lender-acts")["data"]] == ["done"]

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
        assert services.books.find_line(LineId(line)).limit_fen == 10_000_000
    assert borrower.get(f"/v1/lines/{line}/limit")["earned_fen"] == 0
    (warning,) = lender.get("/v1/warnings")["data"]
    assert (warning["code"], warning["owner"], warning["action"]) == ("LIMIT_FULL", "risk", "watch")
    assert borrower.get("/v1/warnings")["data"] == []
    left = lender.post("/v1/warnings", {"borrower": str(borrower.party), "code": "LIMIT_FULL"})
    assert left["data"] == []
