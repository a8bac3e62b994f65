"""Who holds a party's key: itself or, by explicit choice, the platform; and a lost phone's new key."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from api.client import plain
from api.identity.platform_keys import SelfCustodyError
from chain.bindings.structs import KeyRecovery
from tests.integration.api.people import PASSWORD, Browser, open_account, post_once, signed_in
from tests.integration.api.system import key

WORDS = "0x" + "ab" * 32


def write(browser, path, body, once):
    return browser.post(path, json=body, headers={"Idempotency-Key": once})


@pytest.fixture(scope="module")
def kept(system):
    """A firm that chose to have its key held."""
    made = post_once(system, "/v1/organisations", {"name": "Kept"}).json()
    body = {"token": made["invitation"], "login": "kept", "name": "K", "password": PASSWORD}
    post_once(system, "/v1/invitations/acceptance", body)
    browser = signed_in(system, "kept")
    asked = {
        "name_zh": "托管公司", "name_en": "Kept Ltd", "kind": "subcontractor",
        "i_want_the_platform_to_hold_my_key": True, "text_hash": WORDS,
    }  # fmt: skip
    for silent in (asked | {"i_want_the_platform_to_hold_my_key": False}, {"name_zh": "托管公司"}):
        assert browser.post("/v1/party-keys/platform", json=silent).status_code == 422
    answer = browser.post("/v1/party-keys/platform", json=asked)
    assert answer.status_code == 202, answer.text
    system.settle()
    return browser, plain(answer.json()["id"])


def test_custody_is_chosen_shown_and_on_record(system, kept):
    browser, party = kept
    stranger = system.party("custody stranger")
    assert stranger.get(f"/v1/parties/{party}")["custody"] == "platform"
    assert stranger.get(f"/v1/parties/{stranger.party}")["custody"] == "self"
    consents = browser.get("/v1/consents").json()["data"]
    assert [one["purpose"] for one in consents] == ["custody"]
    with system.container.read() as services:
        found = services.records.find_party(int(party))
        profile = services.papers.find(found.profile)
    assert profile.content["custody"] == "platform"  # in the hash that stands on chain
    again = browser.post("/v1/party-keys/platform", json={
        "name_zh": "二", "name_en": "Two", "kind": "driver",
        "i_want_the_platform_to_hold_my_key": True, "text_hash": WORDS,
    })  # fmt: skip
    assert again.status_code == 409


def test_the_platform_signs_for_who_chose_it_and_writes_down_at_whose_word(system, kept):
    browser, party = kept
    form = browser.get("/v1/keys/form", params={"party": party}).json()["to_sign"]
    refused = browser.post("/v1/party-keys/platform/signatures", json={"to_sign": form})
    assert refused.json()["field"] == "to_sign.primaryType"  # not a form of the contracts
    new = key("kept's own")
    form = browser.get(f"/v1/parties/{party}/rotation", params={"new_key": new.address}).json()
    signed = browser.post("/v1/party-keys/platform/signatures", json=form)
    assert signed.status_code == 201, signed.text
    listed = browser.get("/v1/party-keys/platform/signatures").json()["data"]
    assert [one["form"] for one in listed] == ["KeyRotation"]
    altered = json.loads(json.dumps(form))
    altered["to_sign"]["domain"]["verifyingContract"] = "0x" + "12" * 20
    bad = browser.post("/v1/party-keys/platform/signatures", json=altered)
    assert bad.json()["field"] == "to_sign.domain"
    altered = json.loads(json.dumps(form))
    altered["to_sign"]["types"]["KeyRotation"].reverse()
    assert browser.post("/v1/party-keys/platform/signatures", json=altered).status_code == 422


def test_the_server_can_never_sign_for_who_keeps_his_own_key(system, firms):
    party = firms["driver"]
    open_account(system, party, "own key")
    browser = signed_in(system, "own key")
    new = key("another").address
    form = browser.get(f"/v1/parties/{party.party}/rotation", params={"new_key": new}).json()
    answer = browser.post("/v1/party-keys/platform/signatures", json=form)
    assert (answer.status_code, answer.json()["code"]) == (409, "self_custody")
    # not even for code inside the server: there is no key to sign with
    with system.container.write() as services:
        found = services.records.find_party(party.party)
        with pytest.raises(SelfCustodyError):
            services.platform_keys.sign(found, KeyRecovery(party.party, new, 0, WORDS), None, None)
    files = b"".join(path.read_bytes() for path in system.settings.var.glob("yundan.db*"))
    secret = party._signer._key.secret
    assert secret not in files
    assert secret.hex().encode() not in files


def test_a_held_key_is_destroyed_when_its_party_takes_its_own(system, kept):
    browser, party = kept
    new = key("kept's own")
    form = browser.get(f"/v1/parties/{party}/rotation", params={"new_key": new.address}).json()
    held = browser.post("/v1/party-keys/platform/signatures", json=form).json()
    own = system.client("kept's own").sign(form["to_sign"])
    body = held | {"new_signature": own["signature"]}
    moved = write(browser, f"/v1/parties/{party}/rotation", body, "rotate")
    assert moved.status_code == 202, moved.text
    system.settle()
    assert browser.get(f"/v1/parties/{party}").json()["custody"] == "self"
    late = browser.post("/v1/party-keys/platform/signatures", json=form)
    assert late.json()["code"] == "self_custody"


# -- a lost phone -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lost(system):
    """A driver whose firm vouches for him."""
    firm, driver = system.party("vouching firm"), system.party("lost driver", "driver")
    open_account(system, firm, "voucher")
    open_account(system, driver, "loser")
    org = firm.get("/v1/organisation")["id"]
    signed_in(system, "loser").request("PATCH", "/v1/organisation", json={"guardian": org})
    return driver


def new_phone(system, browser, driver, word):
    signer = system.client(word)
    form = browser.get(
        f"/v1/parties/{driver.party}/recovery/form", params={"new_key": signer._signer.address}
    )
    return form, signer


def test_a_lost_phones_key_is_replaced_by_who_vouches_after_waiting_and_notice(system, lost):
    owner = signed_in(system, "loser")
    owner.post("/v1/me/phone/code", json={"phone": "13700000001"})
    sms = system.settings.var / "sandbox-sms.jsonl"
    code = json.loads(sms.read_text().splitlines()[-1])["text"].split(": ")[1][:6]
    assert (
        owner.post("/v1/me/phone", json={"phone": "13700000001", "code": code}).status_code == 200
    )

    assert new_phone(system, owner, lost, "thief")[0].status_code == 404  # not himself
    voucher = signed_in(system, "voucher")
    form, signer = new_phone(system, voucher, lost, "new phone")
    signed = signer.sign(form.json()["to_sign"])
    path = f"/v1/parties/{lost.party}/recovery"
    assert write(owner, path, signed, "thief").status_code == 404
    asked = write(voucher, path, signed, "recover")
    assert asked.status_code == 202, asked.text
    system.settle()
    assert "更换您的签名钥匙" in json.loads(sms.read_text().splitlines()[-1])["text"]
    waiting = lost.get(path)
    assert waiting["new_key"] == signer._signer.address
    early = write(voucher, f"{path}/end", {}, "early")
    assert early.json()["code"] == "unexpected_state"

    # the old phone turns up: its key stops it
    lost.act(f"{path}/cancellation")
    system.settle()
    assert lost.get(path)["new_key"] is None

    form, signer = new_phone(system, voucher, lost, "newer phone")
    write(voucher, path, signer.sign(form.json()["to_sign"]), "recover-2")
    system.settle()
    ready = dt.datetime.fromisoformat(lost.get(path)["ready_at"])
    system.later(ready + dt.timedelta(seconds=1))
    done = write(voucher, f"{path}/end", {}, "done")
    assert done.status_code == 202, done.text
    system.settle()
    assert lost.get(f"/v1/parties/{lost.party}")["key"] == signer._signer.address


# -- four eyes ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def careful(system):
    """A lender that wants four eyes."""
    lender = system.party("careful lender", "lender")
    open_account(system, lender, "maker")
    boss = signed_in(system, "maker")
    alone = boss.request("PATCH", "/v1/organisation", json={"four_eyes": True})
    assert alone.status_code == 422  # there is no second person yet
    open_account(system, lender, "second", "approver")
    assert boss.request("PATCH", "/v1/organisation", json={"four_eyes": True}).status_code == 200
    return lender


def test_what_moves_money_needs_a_second_person_word_for_word_and_once(system, careful):
    maker, checker = signed_in(system, "maker"), signed_in(system, "second")
    form = maker.post("/v1/payouts/form", json={"amount_fen": 100, "account": "0x" + "11" * 32})
    body = form.json() if form.status_code != 200 else {}
    body = {"message": {}, "signature": "0x" + "00" * 65}
    blocked = write(maker, "/v1/payouts", body, "pay-1")
    assert (blocked.status_code, blocked.json()["code"]) == (403, "second_person_needed")
    by_key = system.http.post(
        "/v1/payouts",
        json=body,
        headers={"Authorization": f"Bearer {careful._token}", "Idempotency-Key": "pay-k"},
    )
    assert by_key.json()["code"] == "second_person_needed"  # a program is no way around
    asked = {"method": "POST", "path": "/v1/payouts", "body": body}
    made = maker.post("/v1/proposals", json=asked).json()
    own = maker.post(f"/v1/proposals/{made['id']}/approval")
    assert (own.status_code, own.json()["code"]) == (403, "same_person")
    assert checker.post("/v1/proposals", json=asked).status_code == 403  # a checker makes nothing
    assert checker.post(f"/v1/proposals/{made['id']}/approval").json()["state"] == "approved"
    other = write(maker, "/v1/payouts", body | {"signature": "0x" + "01" * 65}, "pay-2")
    assert other.json()["code"] == "second_person_needed"  # another body
    passed = write(maker, "/v1/payouts", body, "pay-1")
    assert (
        passed.json()["code"] != "second_person_needed"
    )  # goes on to the route, which reads the form
    again = write(maker, "/v1/payouts", body, "pay-3")
    assert again.json()["code"] == "second_person_needed"  # once
    same = write(maker, "/v1/payouts", body, "pay-1")
    assert same.json()["code"] != "second_person_needed"  # the same act, repeated


def test_four_eyes_are_not_closed_by_one_person(system, careful):
    maker, checker = signed_in(system, "maker"), signed_in(system, "second")
    change = {"four_eyes": False}
    assert maker.request("PATCH", "/v1/organisation", json=change).status_code == 403
    asked = {"method": "PATCH", "path": "/v1/organisation", "body": change}
    made = maker.post("/v1/proposals", json=asked).json()
    refused = checker.post(f"/v1/proposals/{made['id']}/refusal", json={"reason": "no"})
    assert refused.json()["state"] == "refused"
    late = checker.post(f"/v1/proposals/{made['id']}/approval")
    assert (late.status_code, late.json()["code"]) == (409, "unexpected_state")
    assert maker.request("PATCH", "/v1/organisation", json=change).status_code == 403


def test_another_organisation_sees_and_decides_no_proposal(system, careful):
    maker = signed_in(system, "maker")
    made = maker.post(
        "/v1/proposals", json={"method": "POST", "path": "/v1/vault", "body": {}}
    ).json()
    foreign = system.party("foreign lender", "lender")
    open_account(system, foreign, "foreigner")
    browser = signed_in(system, "foreigner")
    assert browser.post(f"/v1/proposals/{made['id']}/approval").status_code == 404
    assert browser.get("/v1/proposals").json()["data"] == []


def test_a_party_is_bound_by_its_own_keys_signature_alone(system, firms):
    made = post_once(system, "/v1/organisations", {"name": "Unbound"}).json()
    body = {"token": made["invitation"], "login": "unbound", "name": "U", "password": PASSWORD}
    post_once(system, "/v1/invitations/acceptance", body)
    browser = signed_in(system, "unbound")
    party = system.party("bound driver", "driver")
    form = browser.get("/v1/keys/form", params={"party": str(party.party)}).json()["to_sign"]

    def asked(signer):
        signed = signer.sign(form)
        message = signed["message"]
        return {
            "party": message["party"], "scopes": message["scopes"], "label": message["label"],
            "issued_at": int(message["issuedAt"]), "salt": message["salt"],
            "signature": signed["signature"],
        }  # fmt: skip

    assert browser.post("/v1/organisation/party", json=asked(firms["driver"])).status_code == 422
    bound = browser.post("/v1/organisation/party", json=asked(party))
    assert bound.json()["party"] == f"pty_{party.party}"
    assert Browser(system).sign_in("unbound").status_code == 201
