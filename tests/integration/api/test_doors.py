"""Every door is shut to who has no key, to a foreign key, and to a key of another scope."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from api.key_request import Scope
from api.portals.assets import FOR_EVER, NPM, asset

if TYPE_CHECKING:
    from tests.integration.api.system import System

OPEN = {
    ("get", "/v1/health"),
    ("get", "/v1/ready"),
    ("get", "/v1/deprecations"),
    ("post", "/v1/parties/form"),
    ("post", "/v1/parties"),
    ("get", "/v1/keys/form"),
    ("post", "/v1/keys"),
    ("post", "/v1/sessions"),
    ("post", "/v1/organisations"),
    ("post", "/v1/sessions/passkey/options"),
    ("post", "/v1/sessions/passkey"),
    ("post", "/v1/sessions/phone/code"),
    ("post", "/v1/sessions/phone"),
    ("post", "/v1/invitations/acceptance"),
}
"""Doors without a key: the party's own signature, or nothing private."""

OF_LINKS = {
    ("get", "/v1/receipts/{token}"),
    ("post", "/v1/receipts/{token}/forms"),
    ("post", "/v1/receipts/{token}/signature"),
    ("post", "/v1/receipts/{token}/photos"),
    ("get", "/v1/receipt-papers/{paper}"),
    ("get", "/v1/receipt-papers/{paper}/receipt.pdf"),
}
"""Doors for whoever holds a link or the hash of a receipt; each is guarded by what the link says."""

OPEN |= OF_LINKS

OF_TERMINALS = ("/v1/positions/", "/v1/osmand", "/v1/traccar")
"""Doors that a terminal's code or the operator's token opens, and no API key."""

SAMPLE = {
    "application": "0x" + "aa" * 32,
    "party": "77", "key_id": "00" * 8, "waybill": "0x" + "01" * 32, "trip": "0x" + "02" * 32,
    "member": "mem_" + "0" * 16, "invitation": "inv_" + "0" * 16, "session": "ses_" + "0" * 16,
    "consent": "con_" + "0" * 16, "passkey": "AAAA", "proposal": "pro_" + "0" * 16,
    "line": "0x" + "03" * 32, "advance": "0x" + "04" * 32, "terminal": "13800000000",
    "code": "no-code", "token": "t" * 43, "paper": "0x" + "05" * 32,
    "car": "veh_" + "0f" * 12, "offer": "lo_" + "0c" * 12,
    "job": "job_" + "0e" * 12,
    "endpoint": "we_" + "0b" * 12, "event": "evt_" + "0c" * 12, "delivery": "whd_" + "0d" * 12,
    "document": "doc_" + "0a" * 12,
    "payout": "0x" + "05" * 32, "account": "0x" + "06" * 32, "reference": "BK1",
    "name": "no-such-road", "kind": "bad_message", "act": "0x" + "07" * 32,
}  # fmt: skip


def operations(system: System):
    document = system.http.get("/v1/openapi.json").json()
    return [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def path_of(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda match: SAMPLE[match[1]], path)


def test_every_route_but_the_open_ones_asks_for_a_key(system):
    asked = []
    for method, path, _ in operations(system):
        answer = system.http.request(
            method,
            path_of(path),
            headers={"Idempotency-Key": "x"},
            json={} if method == "post" else None,
        )
        if (method, path) in OPEN:
            assert answer.status_code != 401, path
            continue  # the open ones say that their body is no body
        assert answer.status_code == 401, (method, path, answer.status_code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"]
        assert answer.json()["code"] == "unauthenticated"
        asked.append(path)
    assert len(asked) > 30


def test_a_key_of_no_scope_for_it_is_refused_everywhere(system):
    party = system.client("narrow")
    party.register(name_zh="窄门", name_en="Narrow", kind="driver")
    system.settle()
    party.open_key(scopes=[Scope.KEYS])
    token = party._token
    for method, path, _ in operations(system):
        if (method, path) in OPEN or "/keys" in path or path.startswith(OF_TERMINALS):
            continue
        answer = system.http.request(
            method,
            path_of(path),
            headers={"Idempotency-Key": "x", "Authorization": f"Bearer {token}"},
            json={} if method == "post" else None,
        )
        assert answer.status_code in {403, 422}, (method, path, answer.status_code)
        if answer.status_code == 422:  # a body that is no body is told before the scope is asked
            assert answer.json()["code"] == "invalid_request"
        else:
            assert answer.json()["code"] == "forbidden_scope"


def test_a_revoked_key_opens_nothing_at_once(system):
    party = system.party("leaver")
    (shown,) = party.get("/v1/keys")["data"]
    assert "token" not in shown
    party.delete(f"/v1/keys/{shown['key_id']}")
    answer = system.http.get("/v1/trips", headers={"Authorization": f"Bearer {party._token}"})
    assert answer.status_code == 401


def test_another_partys_key_cannot_be_revoked(system):
    mine, other = system.party("mine"), system.party("other")
    (shown,) = other.get("/v1/keys")["data"]
    answer = system.http.delete(
        f"/v1/keys/{shown['key_id']}",
        headers={"Authorization": f"Bearer {mine._token}", "Idempotency-Key": "not-mine"},
    )
    assert answer.status_code == 404
    assert other.get("/v1/trips")["data"] == []


def test_a_write_without_an_idempotency_key_is_told_so(system):
    party = system.party("forgetful")
    answer = system.http.post(
        "/v1/routes", headers={"Authorization": f"Bearer {party._token}"}, json={}
    )
    codes = {answer.json()["code"]}
    answer = system.http.post(
        "/v1/advances/0x" + "04" * 32 + "/retry",
        headers={"Authorization": f"Bearer {party._token}"},
    )
    codes.add(answer.json()["code"])
    assert "idempotency_key_missing" in codes


def test_a_body_too_large_is_refused_while_it_is_read(system):
    party = system.party("flood")
    answer = system.http.post(
        "/v1/waybills/import",
        content=b"x" * (8 * 1024 * 1024 + 1),
        headers={
            "Authorization": f"Bearer {party._token}",
            "Idempotency-Key": "flood",
            "Content-Type": "text/csv",
        },
    )
    assert answer.status_code == 413


def test_health_tells_the_business_clock_and_readiness_the_chain(system):
    health = system.http.get("/v1/health").json()
    assert health["status"] == "ok"
    assert health["time"].startswith("2026-01-26T15:5")
    ready = system.http.get("/v1/ready").json()
    assert ready["ready"]
    assert ready["handled_block"] > 0


def test_every_answer_carries_a_request_id_and_shuts_the_page(system):
    answer = system.http.get("/v1/health", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    forged = system.http.get("/v1/health", headers={"X-Request-Id": "a\tb"})
    assert forged.headers["x-request-id"].startswith("req_")
    page = system.http.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert "script-src 'self';" in page.headers["content-security-policy"]


def test_only_listed_files_can_be_fetched_and_an_address_with_a_hash_is_kept(system):
    kept = system.http.get(asset("tokens.css"))
    assert (kept.status_code, kept.headers["cache-control"]) == (200, FOR_EVER)
    asked = system.http.get("/static/tokens.css", headers={"accept-encoding": "identity"})
    assert asked.headers["cache-control"] == "no-cache"
    again = system.http.get("/static/tokens.css", headers={"if-none-match": asked.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in sorted(NPM):
        assert system.http.get(asset(f"npm/{path}")).status_code == 200, path
    for path in (
        "npm/htmx/package.json", "npm/../package.json", "../app.py", "npm/noble-hashes/package.json",
        "npm/noble-hashes/src/utils.ts", "%2e%2e/pages.py", "", "npm/", "tokens.css/..",
    ):  # fmt: skip
        assert system.http.get(f"/static/{path}").status_code == 404, path


def test_a_page_that_is_not_there_is_a_page(system):
    answer = system.http.get("/trips/0x" + "09" * 32, headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert "<html" in answer.text
    machine = system.http.get("/v1/nothing")
    assert machine.headers["content-type"] == "application/problem+json"


# -- outside a demo -----------------------------------------------------------------------------------


@pytest.fixture
def strict(system):
    settings = system.settings.model_copy(
        update={"demo": False, "enrol_token": type(system.settings.enrol_token)("e" * 64)}
    )
    before = system.container.settings
    system.container.settings = settings
    yield system
    system.container.settings = before


def test_outside_a_demo_pages_ask_who_is_looking(strict):
    answer = strict.http.get("/", headers={"accept": "text/html"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/door")
    given = {"login": "nobody", "password": "nothing at all"}  # pragma: allowlist secret
    assert strict.http.post("/door", data=given).status_code == 403  # from nowhere
    headers = {"sec-fetch-site": "same-origin", "host": "localhost"}
    wrong = strict.http.post("/door", data=given, headers=headers)
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers


def test_outside_a_demo_only_the_operator_enrols(strict):
    client = strict.client("walk-in")
    form = client.post(
        "/v1/parties/form",
        {
            "name_zh": "甲",
            "name_en": "A",
            "kind": "driver",
            "key": client._signer.address,
            "party": None,
        },
    )
    body = client.sign(form["to_sign"]) | {
        "name_zh": "甲", "name_en": "A", "kind": "driver", "profile_salt": form["profile_salt"],
    }  # fmt: skip
    headers = {"Idempotency-Key": "enrol-1"}
    shut = strict.http.post("/v1/parties", json=body, headers=headers)
    assert shut.status_code == 403
    opened = strict.http.post(
        "/v1/parties", json=body, headers=headers | {"X-Enrol-Token": "e" * 64}
    )
    assert opened.status_code == 202
