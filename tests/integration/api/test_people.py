"""Organisations, members, invitations and browser sessions, through the real doors."""

from __future__ import annotations

import datetime as dt

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.identity.sessions import csrf_token
from chain.clock import FixedClock
from tests.integration.api.people import PASSWORD, Browser, open_account, post_once, signed_in


@pytest.fixture(scope="module")
def haulier(system):
    party = system.party("people haulier")
    open_account(system, party, "boss")
    open_account(system, party, "clerk", "dispatcher")
    open_account(system, party, "looker", "auditor")
    return party


@pytest.fixture(scope="module")
def rival(system):
    party = system.party("people rival")
    open_account(system, party, "rival")
    return party


def test_a_session_speaks_for_the_party_within_its_role(system, haulier):
    browser = signed_in(system, "clerk")
    me = browser.get("/v1/me").json()
    assert me["party"] == f"pty_{haulier.party}"
    assert me["role"] == "dispatcher"
    assert "waybills:write" in me["scopes"]
    assert "members:write" not in me["scopes"]
    assert browser.post("/v1/invitations", json={"role": "owner"}).status_code == 403


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(system, haulier):
    answer = Browser(system).sign_in("boss")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie


def test_outside_a_demo_the_cookie_travels_over_tls_alone(system, haulier):
    before = system.container.settings
    system.container.settings = before.model_copy(update={"demo": False})
    try:
        browser = Browser(system, "https://testserver")
        answer = browser.sign_in("boss")
        assert answer.headers["set-cookie"].startswith("__Host-yundan=")
        assert "Secure" in answer.headers["set-cookie"]
        assert browser.get("/v1/me").status_code == 200
        assert browser.get("/").status_code == 200
    finally:
        system.container.settings = before


def test_a_write_with_a_session_needs_the_pages_token(system, haulier):
    browser = signed_in(system, "boss")
    bare = post_once(browser, "/v1/invitations", {"role": "auditor"})
    assert (bare.status_code, bare.json()["code"]) == (403, "csrf_refused")
    wrong = browser.post(
        "/v1/invitations", json={"role": "auditor"}, headers={"X-CSRF-Token": csrf_token("x")}
    )
    assert wrong.status_code == 403
    other = browser.post(
        "/v1/invitations", json={"role": "auditor"}, headers={"Origin": "https://evil.example"}
    )
    assert other.json()["code"] == "csrf_refused"
    cross = browser.post(
        "/v1/invitations", json={"role": "auditor"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert cross.status_code == 403
    assert browser.post("/v1/invitations", json={"role": "auditor"}).status_code == 201


@pytest.mark.parametrize(
    ("headers", "comes_in"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),  # a form of ours, in Chromium
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, True),
        ({"Sec-Fetch-Site": "none"}, True),  # a person or a program, no page
        ({"Origin": "http://testserver"}, True),  # a browser too old to tell the site
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "null"}, False),  # a neighbour under our domain
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "", "Origin": "null"}, False),
        ({"Sec-Fetch-Site": "same-origin, cross-site"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "https://testserver.evil.example"}, False),
        ({"Origin": "null"}, False),  # a sandboxed frame, where the site is not told
        ({"Origin": ""}, False),
        ({}, False),
    ],
)
def test_only_our_own_pages_open_the_door(system, haulier, headers, comes_in):
    http = TestClient(create_app(system.container), raise_server_exceptions=False)
    form = {"login": "boss", "password": PASSWORD}
    for path, body in (("/door", {"data": form}), ("/v1/sessions", {"json": form})):
        answer = http.post(path, headers=headers, follow_redirects=False, **body)
        if comes_in:
            assert answer.status_code in {201, 303}
        else:
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers
        http.cookies.clear()


def test_a_page_signs_in_and_out_and_its_forms_carry_the_token(system, haulier):
    browser = Browser(system)
    shut = browser.http.get(
        "/door/sessions", headers={"accept": "text/html"}, follow_redirects=False
    )
    assert shut.headers["location"] == "/door"
    form = {"login": "boss", "password": PASSWORD, "next": "/door/sessions"}
    answer = browser.http.post("/door", data=form, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/door/sessions")
    page = browser.http.get("/door/sessions")
    assert 'name="csrf"' in page.text
    token = page.text.split('name="csrf" value="')[1].split('"')[0]
    assert browser.http.post("/door/out", data={"csrf": "wrong"}).status_code == 403
    browser.http.post("/door/out", data={"csrf": token})
    assert browser.http.get("/v1/me").status_code == 401


@pytest.mark.parametrize(
    "on", ["//evil.example", "https://evil.example", "/\\evil", "javascript:0"]
)
def test_the_door_leads_nowhere_else(system, haulier, on):
    form = {"login": "boss", "password": PASSWORD, "next": on}
    answer = Browser(system).http.post("/door", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_sessions_are_listed_and_revoked_at_once(system, haulier):
    here, there = signed_in(system, "looker"), signed_in(system, "looker")
    listed = here.get("/v1/sessions").json()["data"]
    assert len(listed) == 2
    (other,) = [one["id"] for one in listed if not one["is_this"]]
    assert signed_in(system, "boss").request("DELETE", f"/v1/sessions/{other}").status_code == 404
    assert here.request("DELETE", f"/v1/sessions/{other}").status_code == 200
    assert there.get("/v1/me").status_code == 401
    assert here.get("/v1/me").status_code == 200


def test_sessions_end_by_time_and_by_idleness(system, haulier):
    browser = signed_in(system, "looker")
    wall, now = system.container.wall, system.container.wall.now()
    try:
        system.container.wall = FixedClock(now + dt.timedelta(hours=1))
        assert browser.get("/v1/me").status_code == 200  # and is seen
        system.container.wall = FixedClock(now + dt.timedelta(hours=2, minutes=30))
        assert browser.get("/v1/me").status_code == 200
        system.container.wall = FixedClock(now + dt.timedelta(hours=4, minutes=31))
        assert browser.get("/v1/me").status_code == 401  # idle for two hours
        for hours in range(1, 13):
            system.container.wall = FixedClock(now + dt.timedelta(hours=hours))
            alive = browser.get("/v1/me").status_code
        assert alive == 401
    finally:
        system.container.wall = wall


def test_a_member_who_leaves_or_changes_role_is_out_at_once(system, haulier):
    member = open_account(system, haulier, "leaver", "treasurer")
    browser = signed_in(system, "leaver")
    boss = signed_in(system, "boss")
    boss.request("PATCH", f"/v1/members/{member['id']}", json={"role": "auditor"})
    assert browser.get("/v1/me").status_code == 401
    assert browser.sign_in("leaver").status_code == 201
    assert browser.get("/v1/me").json()["role"] == "auditor"
    assert boss.request("DELETE", f"/v1/members/{member['id']}").status_code == 200
    assert browser.get("/v1/me").status_code == 401
    assert browser.sign_in("leaver").status_code == 401


def test_an_organisation_keeps_an_owner(system, haulier):
    boss = signed_in(system, "boss")
    (mine,) = [one for one in boss.get("/v1/members").json()["data"] if one["login"] == "boss"]
    for answer in (
        boss.request("PATCH", f"/v1/members/{mine['id']}", json={"role": "auditor"}),
        boss.request("DELETE", f"/v1/members/{mine['id']}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")


def test_another_organisation_sees_and_moves_no_member(system, haulier, rival):
    boss, foreign = signed_in(system, "boss"), signed_in(system, "rival")
    members = boss.get("/v1/members").json()["data"]
    for one in members:
        changed = foreign.request("PATCH", f"/v1/members/{one['id']}", json={"role": "auditor"})
        assert changed.status_code == 404
        assert foreign.request("DELETE", f"/v1/members/{one['id']}").status_code == 404
    assert {one["login"] for one in foreign.get("/v1/members").json()["data"]} == {"rival"}
    made = boss.post("/v1/invitations", json={"role": "auditor"}).json()
    assert foreign.request("DELETE", f"/v1/invitations/{made['id']}").status_code == 404


def test_an_invitation_opens_once_and_not_when_withdrawn(system, haulier):
    boss = signed_in(system, "boss")
    made = boss.post("/v1/invitations", json={"role": "auditor"}).json()
    body = {"token": made["token"], "login": "once", "name": "Once", "password": PASSWORD}
    assert post_once(system, "/v1/invitations/acceptance", body).status_code == 201
    twice = body | {"login": "twice", "name": "Twice"}
    again = post_once(system, "/v1/invitations/acceptance", twice)
    assert again.json()["code"] == "invitation_refused"
    made = boss.post("/v1/invitations", json={"role": "auditor"}).json()
    assert boss.request("DELETE", f"/v1/invitations/{made['id']}").status_code == 200
    late = body | {"token": made["token"], "login": "late"}
    late = post_once(system, "/v1/invitations/acceptance", late)
    assert late.json()["code"] == "invitation_refused"


def test_an_invited_person_makes_an_account_on_a_page(system, haulier):
    made = signed_in(system, "boss").post("/v1/invitations", json={"role": "auditor"}).json()
    browser = Browser(system)
    page = browser.http.get("/door/invitation", params={"token": made["token"]})
    assert "Organisation boss" in page.text
    form = {"token": made["token"], "login": "pagelogin", "name": "甲", "password": "short"}
    assert browser.http.post("/door/invitation", data=form).status_code == 422
    hidden = form | {"password": PASSWORD, "name": "a\u202eb"}
    assert browser.http.post("/door/invitation", data=hidden).status_code == 422
    done = browser.http.post(
        "/door/invitation", data=form | {"password": PASSWORD}, follow_redirects=False
    )
    assert done.status_code == 303
    assert browser.http.get("/v1/me").json()["role"] == "auditor"


@pytest.mark.parametrize(
    "password", ["short", "password1234", "qwertyqwerty12", "aaaaaaaaaaaaaaaa"]
)
def test_a_password_that_everybody_tries_is_refused(system, haulier, password):
    made = haulier.post("/v1/invitations", {"role": "auditor"})
    asked = {"token": made["token"], "login": "weak", "name": "Weak", "password": password}
    answer = post_once(system, "/v1/invitations/acceptance", asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "password_refused")


def test_guessing_shuts_the_door_for_that_login_and_tells_nothing(system, haulier):
    open_account(system, haulier, "guessed", "auditor")
    browser = Browser(system)
    told = set()
    for login in ("guessed", "is not there"):
        answer = browser.sign_in(login, "a wrong password")
        told.add((answer.status_code, answer.json()["code"], answer.json()["detail"]))
    assert len(told) == 1
    for _ in range(4):
        browser.sign_in("guessed", "a wrong password")
    shut = browser.sign_in("guessed")  # the right one comes too late
    assert (shut.status_code, shut.json()["code"]) == (429, "too_many_attempts")
    wall = system.container.wall
    try:
        system.container.wall = FixedClock(wall.now() + dt.timedelta(minutes=2))
        assert browser.sign_in("guessed").status_code == 201
    finally:
        system.container.wall = wall


def test_no_name_login_or_agent_lies_open_in_the_database(system, haulier):
    raw = system.container.settings.var.joinpath("yundan.db").read_bytes()
    raw += system.container.settings.var.joinpath("yundan.db-wal").read_bytes()
    for text in ("Person boss", "Organisation boss", "pagelogin", "testclient"):
        assert text.encode() not in raw
