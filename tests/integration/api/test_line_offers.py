"""Terms of a line between two signatures: nothing is lost, nobody signs for the other, each is sent once."""

from __future__ import annotations

import datetime as dt

import pytest

from api.client import ClientError, plain
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.clock import rfc3339


@pytest.fixture(scope="module")
def sides(system):
    lender = system.party("offer lender", "lender")
    witness = system.party("offer witness", "attestor")
    system.send(DeliveryRegistry.add_attestor(witness.party), "offer witness")
    return {
        "lender": lender, "witness": witness, "borrower": system.party("offer borrower"),
        "stranger": system.party("offer stranger"),
    }  # fmt: skip


def terms(system, sides, **change):
    return {
        "lender": str(sides["lender"].party), "borrower": str(sides["borrower"].party),
        "limit_fen": 2_000_000, "rate_ppm": 109_500, "penalty_ppm": 164_250, "ceiling_ppm": 240_000,
        "advance_bps": 8_000, "tolerance_bps": 50, "tenor_days": 45, "grace_days": 3,
        "attestor": str(sides["witness"].party), "terms": "0x" + "7e" * 32,
        "valid_until": rfc3339(system.now().replace(microsecond=0) + dt.timedelta(days=365)), **change,
    }  # fmt: skip


def lay(system, sides, **change):
    lender = sides["lender"]
    form = lender.post("/v1/lines/form", terms(system, sides, **change))["to_sign"]
    return lender.post("/v1/line-offers", {"form": "CreditLine", "message": form["message"]})


def sign(who, offer):
    form = who.get(f"/v1/line-offers/{offer}")["to_sign"]
    return who.post(f"/v1/line-offers/{offer}/signatures", who.sign(form))


def refused(what, *arguments):
    with pytest.raises(ClientError) as error:
        what(*arguments)
    return error.value.status, error.value.reason


@pytest.fixture(scope="module")
def line(system, sides):
    offer = lay(system, sides)
    sign(sides["borrower"], offer["id"])
    sign(sides["lender"], offer["id"])
    system.settle()
    return plain(offer["line"])


def test_terms_wait_for_the_borrower_then_for_the_lender_and_open_the_line(system, sides):
    lender, borrower = sides["lender"], sides["borrower"]
    offer = lay(system, sides, limit_fen=1_000_000)
    assert (offer["state"], offer["to_sign"]) == ("offered", None)
    (seen,) = [one for one in borrower.get("/v1/line-offers")["data"] if one["id"] == offer["id"]]
    assert seen["to_sign"]["message"]["limit"] == "1000000"
    accepted = sign(borrower, offer["id"])
    assert (accepted["state"], accepted["to_sign"]) == ("accepted", None)
    assert sign(lender, offer["id"])["state"] == "sent"
    system.settle()
    opened = borrower.get(f"/v1/lines/{offer['line']}")
    assert (opened["state"], opened["limit_fen"]) == ("open", 1_000_000)


def test_the_same_form_laid_twice_is_one_offer(system, sides):
    lender = sides["lender"]
    form = lender.post("/v1/lines/form", terms(system, sides))["to_sign"]
    body = {"form": "CreditLine", "message": form["message"]}
    first, second = lender.post("/v1/line-offers", body), lender.post("/v1/line-offers", body)
    assert first["id"] == second["id"]


def test_a_higher_limit_goes_the_same_way(system, sides, line):
    lender, borrower = sides["lender"], sides["borrower"]
    form = lender.get(f"/v1/lines/{line}/change", limit_fen=3_000_000)["to_sign"]
    offer = lender.post("/v1/line-offers", {"form": "LineChange", "message": form["message"]})
    assert (offer["kind"], plain(offer["line"])) == ("change", line)
    sign(borrower, offer["id"])
    sign(lender, offer["id"])
    system.settle()
    assert borrower.get(f"/v1/lines/{line}")["limit_fen"] == 3_000_000


def test_nobody_signs_out_of_turn_or_for_the_other(system, sides):
    lender, borrower = sides["lender"], sides["borrower"]
    offer = lay(system, sides)["id"]
    form = borrower.get(f"/v1/line-offers/{offer}")["to_sign"]
    path = f"/v1/line-offers/{offer}/signatures"
    assert refused(lender.post, path, lender.sign(form)) == (409, "unexpected_state")
    forged = borrower.sign(form) | {"signature": lender.sign(form)["signature"]}
    assert refused(borrower.post, path, forged)[1] == "signature_refused"
    other = borrower.sign(form)
    other["message"] = other["message"] | {"limit": "9999999"}
    assert refused(borrower.post, path, other) == (422, "invalid_value")
    assert borrower.get(f"/v1/line-offers/{offer}")["state"] == "offered"


def test_strangers_neither_see_nor_lay_nor_end_an_offer(system, sides):
    stranger = sides["stranger"]
    offer = lay(system, sides)["id"]
    assert refused(stranger.get, f"/v1/line-offers/{offer}")[0] == 404
    assert refused(stranger.post, f"/v1/line-offers/{offer}/refusal")[0] == 404
    form = sides["lender"].post("/v1/lines/form", terms(system, sides))["to_sign"]
    body = {"form": "CreditLine", "message": form["message"]}
    assert refused(stranger.post, "/v1/line-offers", body)[0] in {403, 404, 422}
    assert refused(sides["borrower"].post, "/v1/line-offers", body)[0] in {403, 404, 422}


def test_an_offer_that_ended_takes_no_signature(system, sides):
    lender, borrower = sides["lender"], sides["borrower"]
    for who, state in ((borrower, "refused"), (lender, "withdrawn")):
        offer = lay(system, sides)["id"]
        form = borrower.get(f"/v1/line-offers/{offer}")["to_sign"]
        assert who.post(f"/v1/line-offers/{offer}/refusal")["state"] == state
        path = f"/v1/line-offers/{offer}/signatures"
        assert refused(borrower.post, path, borrower.sign(form)) == (409, "unexpected_state")
    offer = lay(system, sides)["id"]
    form = borrower.get(f"/v1/line-offers/{offer}")["to_sign"]
    system.later(system.now() + dt.timedelta(days=8))
    assert borrower.get(f"/v1/line-offers/{offer}")["state"] == "expired"
    path = f"/v1/line-offers/{offer}/signatures"
    assert refused(borrower.post, path, borrower.sign(form)) == (409, "unexpected_state")


def test_terms_that_the_law_forbids_are_told_when_the_borrower_signs(system, sides):
    offer = lay(system, sides, ceiling_ppm=900_000)["id"]
    assert refused(sign, sides["borrower"], offer)[1] == "decision_refused"
