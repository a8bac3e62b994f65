"""A lender's approval rule through the doors: prepared, signed, set, shown, ended; and a request that meets it."""

from __future__ import annotations

import datetime as dt

import pytest

from api.client import ClientError, plain
from api.jobs import approve_by_rules
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import MintReceipt
from chain.clock import rfc3339
from chain.ids import Hash32
from tests.integration.api.people import PASSWORD, open_account, post_once, signed_in
from tests.integration.api.system import key
from tests.integration.api.test_waybills import LEAF, draft
from tests.integration.api.test_waybills import road as road  # noqa: PLC0414  a fixture

TERMS = {
    "limit_fen": 10_000_000, "rate_ppm": 109_500, "penalty_ppm": 164_250, "ceiling_ppm": 240_000,
    "fee_bps": 10, "advance_bps": 9_000, "tolerance_bps": 100, "tenor_days": 60, "grace_days": 3,
    "terms": "0x" + "7e" * 32,
}  # fmt: skip


@pytest.fixture(scope="module")
def lender(system):
    made = system.party("lender", "lender")
    made.patch("/v1/lender-policy", {"net_assets_fen": 10**12, "lpr_ppm": 30_000})
    return made


def line_form(system, asker, lender, borrower):
    asked = TERMS | {
        "lender": str(lender), "borrower": str(borrower),
        "attestor": str(system.party(f"witness {lender}", "attestor").party),
        "valid_until": rfc3339(system.now() + dt.timedelta(days=365)),
    }  # fmt: skip
    return asker.post("/v1/lines/form", asked)["to_sign"]


@pytest.fixture(scope="module")
def line(system, firms, lender):
    borrower = firms["haulier"]
    form = line_form(system, lender, lender.party, borrower.party)
    ours, theirs = lender.sign(form), borrower.sign(form)
    made = lender.post(
        "/v1/lines",
        {
            "message": ours["message"],
            "lender_signature": ours["signature"],
            "borrower_signature": theirs["signature"],
        },
    )
    system.settle()
    return plain(made["id"])


def refused(call, *args, **query):
    with pytest.raises(ClientError) as error:
        call(*args, **query)
    return error.value


def test_a_rule_is_set_shown_to_both_sides_and_ended(system, firms, lender, line):
    path = f"/v1/lines/{line}/rule"
    assert lender.get(f"/v1/lines/{line}")["rule"] is None
    debtor = str(firms["carrier"].party)
    done = lender.act(path, most_fen=90_000, reason="small advances", debtor=debtor)
    assert done["status"] == f"/v1/lines/{line}"
    system.settle()
    for who in (lender, firms["haulier"]):
        rule = who.get(f"/v1/lines/{line}")["rule"]
        assert rule | {"until": "", "set_at": ""} == {
            "debtor": f"pty_{debtor}", "most_fen": 90_000, "valid_for_s": 604_800, "in_force": True,
            "until": "", "set_at": "",
        }  # fmt: skip
        assert who.get("/v1/lines")["data"][0]["rule"] == rule
    lender.act(f"{path}/end", reason="enough")
    system.settle()
    ended = firms["haulier"].get(f"/v1/lines/{line}")["rule"]
    assert (ended["most_fen"], ended["in_force"], ended["debtor"]) == (0, False, "")


def test_a_rule_is_the_lenders_of_this_line_and_nobody_elses(system, firms, lender, line):
    path = f"/v1/lines/{line}/rule"
    wish = {"most_fen": 90_000, "reason": "mine"}
    signed = lender.sign(lender.get(path, **wish)["to_sign"])
    end = lender.sign(lender.get(f"{path}/end", reason="over")["to_sign"])
    for who, status in ((firms["stranger"], 404), (firms["haulier"], 422)):
        assert refused(who.get, path, **wish).status == status
        assert refused(who.get, f"{path}/end", reason="x").status == status
        assert refused(who.post, path, signed).status == status
        assert refused(who.post, f"{path}/end", end).status == status
    unknown = refused(lender.get, "/v1/lines/0x" + "77" * 32 + "/rule", **wish)
    nothing = refused(firms["stranger"].get, path, **wish)
    assert unknown.problem["detail"] == nothing.problem["detail"]
    other = "/v1/lines/0x" + "77" * 32 + "/rule"
    assert refused(lender.post, other, signed).problem["field"] == "message.line"
    forged = firms["haulier"].sign(lender.get(path, **wish)["to_sign"])
    problem = refused(lender.post, path, forged)
    assert (problem.status, problem.reason) == (422, "signature_refused")
    assert refused(lender.post, f"{path}/end", signed).problem["field"] == "message.most"
    for wrong in ({"most_fen": 0}, {"most_fen": 2**53}, {"valid_for_days": 0}, {"debtor": "x"}):
        assert refused(lender.get, path, **wish | wrong).status == 422
    past = rfc3339(system.now() - dt.timedelta(days=1))
    assert refused(lender.get, path, **wish, until=past).problem["field"] == "until"


def test_a_rule_is_widened_by_two_people_and_narrowed_by_one(system):
    lender, borrower = system.party("lender of two", "lender"), system.party("his borrower")
    form = line_form(system, lender, lender.party, borrower.party)
    ours, theirs = lender.sign(form), borrower.sign(form)
    made = lender.post(
        "/v1/lines",
        {
            "message": ours["message"],
            "lender_signature": ours["signature"],
            "borrower_signature": theirs["signature"],
        },
    )
    system.settle()
    open_account(system, lender, "rule-owner")
    open_account(system, lender, "rule-approver", "approver")
    boss, checker = signed_in(system, "rule-owner"), signed_in(system, "rule-approver")
    assert boss.request("PATCH", "/v1/lender-policy", json={"four_eyes": True}).status_code == 200
    path = f"/v1/lines/{plain(made['id'])}/rule"

    def signed(**wish):
        return lender.sign(lender.get(path, reason="by two", **wish)["to_sign"])

    wide = signed(most_fen=90_000)
    problem = refused(lender.post, path, wide)
    assert (problem.status, problem.reason) == (403, "second_person_needed")
    asked = lender.post("/v1/proposals", {"method": "POST", "path": path, "body": wide})
    assert checker.post(f"/v1/proposals/{asked['id']}/approval").json()["state"] == "approved"
    lender.post(path, wide)
    system.settle()
    until = lender.get(path.removesuffix("/rule"))["rule"]["until"]
    assert refused(lender.post, path, signed(most_fen=90_001, until=until)).status == 403
    lender.post(path, signed(most_fen=50_000, until=until))  # less by one
    system.settle()
    assert lender.get(path.removesuffix("/rule"))["rule"]["most_fen"] == 50_000
    lender.act(f"{path}/end", reason="over")  # and nothing by one
    system.settle()
    assert lender.get(path.removesuffix("/rule"))["rule"]["in_force"] is False


def test_a_lender_in_custody_sets_his_rule_by_the_platforms_signature(system, firms):
    made = post_once(system, "/v1/organisations", {"name": "Kept lender"}).json()
    body = {"token": made["invitation"], "login": "kept-lender", "name": "K", "password": PASSWORD}
    post_once(system, "/v1/invitations/acceptance", body)
    browser = signed_in(system, "kept-lender")
    asked = {
        "name_zh": "托管小贷", "name_en": "Kept Lender", "kind": "lender",
        "i_want_the_platform_to_hold_my_key": True, "text_hash": "0x" + "ab" * 32,
    }  # fmt: skip
    party = plain(browser.post("/v1/party-keys/platform", json=asked).json()["id"])
    system.settle()

    def held(to_sign):
        answer = browser.post("/v1/party-keys/platform/signatures", json={"to_sign": to_sign})
        assert answer.status_code == 201, answer.text
        return answer.json()

    borrower = firms["haulier"]
    form = line_form(system, borrower, party, borrower.party)
    ours, theirs = held(form), borrower.sign(form)
    opened = browser.post(
        "/v1/lines",
        json={
            "message": ours["message"],
            "lender_signature": ours["signature"],
            "borrower_signature": theirs["signature"],
        },
    )
    assert opened.status_code == 202, opened.text
    system.settle()
    path = f"/v1/lines/{plain(opened.json()['id'])}/rule"
    wish = {"most_fen": 10_000, "reason": "kept"}
    signed = held(browser.get(path, params=wish).json()["to_sign"])
    assert browser.post(path, json=signed).status_code == 202
    system.settle()
    assert borrower.get(path.removesuffix("/rule"))["rule"]["most_fen"] == 10_000


def fund(system, lender, bank):
    system.send(SettlementToken.set_custodian(bank[0].party, bank[1].party), "rules: custodian")
    account = system.container.client.fetch(PartyRegistry.account_of(lender.party))
    receipt = MintReceipt(Hash32("0x" + "b2" * 32), account, 5_000_000, 20_480)
    domain = system.container.client.domain("SettlementToken")
    signed = [key(name).sign_typed_data(receipt, domain) for name in ("rule bank 1", "rule bank 2")]
    system.send(SettlementToken.mint(receipt, *signed), "rules: mint")
    form = lender.post("/v1/vault/form", {"deposit": True, "amount_fen": 5_000_000})
    lender.post("/v1/vault", lender.sign(form["to_sign"]))
    system.settle()


def test_a_request_that_meets_the_rule_is_approved_without_another_word(
    system, firms, lender, line
):
    bank = [system.party(f"rule bank {n}", "custodian") for n in (1, 2)]
    fund(system, lender, bank)
    carrier, haulier, driver = firms["carrier"], firms["haulier"], firms["driver"]
    root = carrier.post("/v1/waybills", draft(system, firms, "consignor", "carrier"))
    middle = carrier.post(
        "/v1/waybills",
        draft(system, firms, "carrier", "haulier", parent=root["id"], freight_fen=104_000),
    )
    leaf = carrier.post(
        "/v1/waybills",
        draft(system, firms, "haulier", "driver", parent=middle["id"], freight_fen=86_400) | LEAF,
    )
    for waybill, sides in (
        (root, ("consignor", "carrier")),
        (middle, ("carrier", "haulier")),
        (leaf, ("haulier", "driver")),
    ):
        for side in sides:
            firms[side].sign_waybill(waybill["id"])
    system.settle()
    lender.act(f"/v1/lines/{line}/rule", most_fen=90_000, reason="small advances")
    system.settle()
    asked = {
        "line": line, "waybill": plain(middle["id"]), "principal_fen": 86_400,
        "trip": plain(driver.get(f"/v1/waybills/{leaf['id']}")["trip"]),
        "payees": [
            {"party": str(driver.party), "waybill": plain(leaf["id"]), "account": "0x" + "ac" * 32,
             "amount_fen": 86_400}
        ],
    }  # fmt: skip
    decided = haulier.post("/v1/advances/decision", asked)
    assert decided["verdict"] == "approve", decided["reasons"]
    advance = plain(haulier.post("/v1/advances", haulier.sign(decided["to_sign"]))["id"])
    system.settle()
    carrier.act(f"/v1/advances/{advance}/acknowledgement")
    system.settle()
    assert approve_by_rules(system.container) == 0  # the driver has not agreed yet
    driver.act(f"/v1/advances/{advance}/consent")
    system.settle()
    assert approve_by_rules(system.container) == 1
    assert approve_by_rules(system.container) == 0
    system.settle()
    shown = lender.get(f"/v1/advances/{advance}")
    assert shown["state"] == "approved"
    assert lender.get(f"/v1/lines/{line}")["reserved_fen"] == 86_400
