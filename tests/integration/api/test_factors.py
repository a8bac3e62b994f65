"""Second factors, passkeys, phone codes, fresh proofs, and API keys that work from one place alone."""

from __future__ import annotations

import contextlib
import datetime as dt
import json

import pyotp
import pytest

from api.identity.codes import NoSender
from chain.clock import FixedClock
from tests.integration.api.authenticator import Authenticator
from tests.integration.api.people import PASSWORD, Browser, open_account, signed_in


@pytest.fixture(scope="module")
def firm(system):
    party = system.party("factor firm")
    open_account(system, party, "factor boss")
    return party


@contextlib.contextmanager
def at(system, **later):
    """The machine's clock that much later."""
    wall = system.container.wall
    system.container.wall = FixedClock(wall.now() + dt.timedelta(**later))
    try:
        yield system.container.wall.now()
    finally:
        system.container.wall = wall


def totp_code(secret, when):
    return pyotp.TOTP(secret).at(int(when.timestamp()))


def test_an_authenticator_is_asked_for_once_it_is_set_up_and_each_code_opens_once(system, firm):
    open_account(system, firm, "totp", "auditor")
    browser = signed_in(system, "totp")
    started = browser.post("/v1/me/totp").json()
    assert started["uri"].startswith("otpauth://totp/")
    with at(system, minutes=1) as now:
        code = totp_code(started["secret"], now)
        assert browser.post("/v1/me/totp/confirmation", json={"code": "000000"}).status_code == 422
        codes = browser.post("/v1/me/totp/confirmation", json={"code": code}).json()["codes"]
        assert len(set(codes)) == 10
        stranger = Browser(system)
        needed = stranger.sign_in("totp")
        assert (needed.status_code, needed.json()["code"]) == (401, "second_factor_needed")
        assert stranger.sign_in("totp", code=code).status_code == 401  # used already
        assert stranger.sign_in("totp", "a wrong password", code=code).json()["code"] == (
            "sign_in_refused"
        )
    with at(system, minutes=2) as now:
        assert stranger.sign_in("totp", code=totp_code(started["secret"], now)).status_code == 201
        assert stranger.sign_in("totp", code=codes[0]).status_code == 201
        assert stranger.sign_in("totp", code=codes[0]).status_code == 401  # opens once
        assert browser.post("/v1/me/totp").status_code == 422  # is not replaced unseen
        gone = browser.request("DELETE", "/v1/me/totp", json={"code": codes[1]})
        assert gone.status_code == 200
        assert Browser(system).sign_in("totp").status_code == 201


def test_the_door_asks_for_the_second_factor_as_the_api_does(system, firm):
    """A password alone opens the page's door to nobody who has an authenticator."""
    open_account(system, firm, "door totp", "auditor")
    browser = signed_in(system, "door totp")
    secret = browser.post("/v1/me/totp").json()["secret"]
    with at(system, minutes=5) as now:
        code = totp_code(secret, now)
        assert browser.post("/v1/me/totp/confirmation", json={"code": code}).status_code == 200
    form = {"login": "door totp", "password": PASSWORD}
    answer = Browser(system).http.post("/door", data=form, follow_redirects=False)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_what_is_grave_asks_for_a_fresh_proof(system, firm):
    browser = signed_in(system, "factor boss")
    ask = {"scopes": "read", "label": "late"}
    with at(system, minutes=11):
        late = browser.post("/v1/keys/own", json=ask)
        assert (late.status_code, late.json()["code"]) == (403, "proof_too_old")
        wrong = browser.post("/v1/sessions/proof", json={"password": "no", "code": None})
        assert wrong.status_code == 401
        assert browser.post("/v1/sessions/proof", json={"password": PASSWORD}).status_code == 200
        assert browser.post("/v1/keys/own", json=ask).status_code == 201


def test_a_new_password_ends_the_other_sessions(system, firm):
    open_account(system, firm, "changer", "auditor")
    here, there = signed_in(system, "changer"), signed_in(system, "changer")
    new = "another truck, full of rice"
    assert here.post("/v1/me/password", json={"old": "no", "new": new}).status_code == 401
    weak = here.post("/v1/me/password", json={"old": PASSWORD, "new": "short"})
    assert weak.json()["code"] == "password_refused"
    assert here.post("/v1/me/password", json={"old": PASSWORD, "new": new}).status_code == 200
    assert here.get("/v1/me").status_code == 200
    assert there.get("/v1/me").status_code == 401
    assert Browser(system).sign_in("changer").status_code == 401
    assert Browser(system).sign_in("changer", new).status_code == 201


def add_passkey(browser, device, label="phone"):
    asked = browser.post("/v1/me/passkeys/options").json()
    body = {
        "challenge": asked["challenge"],
        "answer": device.make(asked["options"]),
        "label": label,
    }
    return browser.post("/v1/me/passkeys", json=body), body


def test_a_passkey_signs_in_and_each_challenge_answers_once(system, firm):
    open_account(system, firm, "keyholder", "auditor")
    owner, device = signed_in(system, "keyholder"), Authenticator()
    made, body = add_passkey(owner, device)
    assert made.status_code == 201, made.text
    assert owner.post("/v1/me/passkeys", json=body).json()["code"] == "passkey_refused"
    browser = Browser(system)
    alone = browser.sign_in("keyholder")
    assert (alone.status_code, alone.json()["code"]) == (401, "second_factor_needed")
    assert alone.json()["facts"]["any_of"] == ["passkey"]
    recovery = made.json()["recovery_codes"]
    assert Browser(system).sign_in("keyholder", code=recovery[0]).status_code == 201
    assert Browser(system).sign_in("keyholder", code=recovery[0]).status_code == 401
    asked = browser.http.post("/v1/sessions/passkey/options").json()
    shown = {"challenge": asked["challenge"], "answer": device.show(asked["options"])}
    answer = browser.http.post("/v1/sessions/passkey", json=shown)
    assert answer.status_code == 201, answer.text
    assert browser.http.get("/v1/me").json()["role"] == "auditor"
    again = Browser(system).http.post("/v1/sessions/passkey", json=shown)
    assert (again.status_code, again.json()["code"]) == (401, "passkey_refused")
    (held,) = owner.get("/v1/me/passkeys").json()["data"]
    foreign = signed_in(system, "factor boss")
    assert foreign.request("DELETE", f"/v1/me/passkeys/{held['id']}").status_code == 404
    assert owner.request("DELETE", f"/v1/me/passkeys/{held['id']}").status_code == 200
    asked = browser.http.post("/v1/sessions/passkey/options").json()
    shown = {"challenge": asked["challenge"], "answer": device.show(asked["options"])}
    assert browser.http.post("/v1/sessions/passkey", json=shown).status_code == 401


def test_a_passkey_of_another_site_without_a_finger_or_of_nobody_opens_nothing(system, firm):
    open_account(system, firm, "phished", "auditor")
    owner, device = signed_in(system, "phished"), Authenticator()
    assert add_passkey(owner, device)[0].status_code == 201
    assert add_passkey(owner, Authenticator("https://evil.example"))[0].status_code == 401
    browser = Browser(system)

    def try_with(show):
        asked = browser.http.post("/v1/sessions/passkey/options").json()
        body = {"challenge": asked["challenge"], "answer": show(asked["options"])}
        return browser.http.post("/v1/sessions/passkey", json=body).status_code

    assert try_with(lambda options: device.show(options, verified=False)) == 401
    assert try_with(Authenticator().show) == 401
    device.origin = "https://evil.example"
    assert try_with(device.show) == 401
    assert try_with(lambda _: {}) == 401
    assert try_with(lambda _: {"id": "x", "response": 3}) == 401


def last_code(system):
    lines = system.settings.var.joinpath("sandbox-sms.jsonl").read_text().splitlines()
    message = json.loads(lines[-1])
    return message["phone"], message["text"].split(": ")[1][:6], len(lines)


def test_a_phone_is_proved_and_then_signs_in(system, firm):
    open_account(system, firm, "caller", "driver")
    owner, phone = signed_in(system, "caller"), "138 0001 4733"
    assert owner.post("/v1/me/phone/code", json={"phone": phone}).status_code == 202
    sent_to, code, _ = last_code(system)
    assert sent_to == "+8613800014733"
    assert owner.post("/v1/me/phone", json={"phone": phone, "code": code}).status_code == 200
    browser = Browser(system)
    with at(system, minutes=2):
        assert (
            browser.http.post("/v1/sessions/phone/code", json={"phone": phone}).status_code == 202
        )
        _, code, _ = last_code(system)
        wrong = {"phone": phone, "code": "000000" if code != "000000" else "111111"}
        assert browser.http.post("/v1/sessions/phone", json=wrong).json()["code"] == "code_refused"
        right = browser.http.post("/v1/sessions/phone", json={"phone": phone, "code": code})
        assert right.status_code == 201, right.text
        assert browser.http.get("/v1/me").json()["role"] == "driver"
        again = Browser(system).http.post("/v1/sessions/phone", json={"phone": phone, "code": code})
        assert again.status_code == 422


def test_a_code_has_five_tries_and_a_phone_few_codes(system, firm):
    browser, phone = Browser(system), "13800014733"
    with at(system, minutes=10):
        browser.http.post("/v1/sessions/phone/code", json={"phone": phone})
        _, code, _ = last_code(system)
        for guess in range(5):
            bad = f"{(int(code) + 1 + guess) % 10**6:06d}"
            browser.http.post("/v1/sessions/phone", json={"phone": phone, "code": bad})
        spent = browser.http.post("/v1/sessions/phone", json={"phone": phone, "code": code})
        assert spent.status_code == 422
        soon = browser.http.post("/v1/sessions/phone/code", json={"phone": phone})
        assert (soon.status_code, soon.json()["code"]) == (429, "too_many_attempts")
    with at(system, minutes=20):
        browser.http.post("/v1/sessions/phone/code", json={"phone": phone})
        _, code, _ = last_code(system)
    with at(system, minutes=26):  # too old
        late = browser.http.post("/v1/sessions/phone", json={"phone": phone, "code": code})
        assert late.status_code == 422


def test_a_phone_that_nobody_has_is_answered_alike_and_sent_nothing(system, firm):
    *_, before = last_code(system)
    answer = Browser(system).http.post("/v1/sessions/phone/code", json={"phone": "13900009999"})
    assert answer.status_code == 202
    assert last_code(system)[2] == before
    assert (
        Browser(system)
        .http.post("/v1/sessions/phone/code", json={"phone": "not a phone"})
        .status_code
        == 422
    )


def test_outside_a_demo_nothing_is_sent_where_nothing_was_set_up():
    with pytest.raises(Exception) as refused:
        NoSender().send("+8613800014733", "123456")
    assert refused.value.code == "no_sender"


def test_a_key_of_an_owner_has_no_more_than_he_asks_and_ends_in_time(system, firm):
    browser = signed_in(system, "factor boss")
    ends = (system.container.wall.now() + dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = browser.post(
        "/v1/keys/own", json={"scopes": "read", "label": "reports", "expires_at": ends}
    ).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert system.http.get("/v1/trips", headers=headers).status_code == 200
    assert (
        system.http.post(
            "/v1/invitations", json={"role": "owner"}, headers=headers | {"Idempotency-Key": "no"}
        ).status_code
        == 403
    )
    with at(system, days=1, seconds=1):
        assert system.http.get("/v1/trips", headers=headers).status_code == 401


def test_a_key_works_from_its_networks_alone(system, firm):
    browser = signed_in(system, "factor boss")
    bad = browser.post(
        "/v1/keys/own", json={"scopes": "read", "label": "x", "allowed_from": ["not an address"]}
    )
    assert bad.json()["field"] == "allowed_from[0]"
    made = browser.post(
        "/v1/keys/own",
        json={"scopes": "read", "label": "office", "allowed_from": ["203.0.113.0/24"]},
    ).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert system.http.get("/v1/trips", headers=headers).status_code == 401
    with system.container.read() as services:
        assert services.keys.authenticate(made["token"], "203.0.113.9").party_id == firm.party
        for place in ("203.0.114.9", "", "testclient"):
            with pytest.raises(Exception) as refused:
                services.keys.authenticate(made["token"], place)
            assert refused.value.code == "unauthenticated"
    freed = browser.request("PATCH", f"/v1/keys/{made['key_id']}", json={"allowed_from": []})
    assert freed.json()["allowed_from"] == []
    assert system.http.get("/v1/trips", headers=headers).status_code == 200
    other = system.party("factor other")
    answer = system.http.patch(
        f"/v1/keys/{made['key_id']}",
        json={"allowed_from": []},
        headers={"Authorization": f"Bearer {other._token}", "Idempotency-Key": "not-mine"},
    )
    assert answer.status_code == 404
