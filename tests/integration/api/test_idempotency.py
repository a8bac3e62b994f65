"""Every write happens once: all of them by how they are built, and one after another as they are sent."""

from __future__ import annotations

import ast
import datetime as dt
import inspect
import re
import secrets
import textwrap
import threading

import pytest
from fastapi.routing import APIRoute

from api.dependencies import SAFE, Once
from api.idempotency import SECRETS_KEPT
from api.routes import ALL_ROUTERS
from chain.clock import FixedClock, rfc3339
from tests.integration.api.people import PASSWORD, Browser, open_account, post_once, signed_in
from tests.integration.api.repeating import Repeating
from tests.integration.api.system import System, plan
from tests.integration.api.test_documents import photo
from tests.integration.api.test_waybills import draft

SIGN_IN = {
    "/sessions", "/sessions/passkey/options", "/sessions/passkey", "/sessions/phone/code", "/sessions/phone",
}  # fmt: skip
"""A kept answer would open a session to who shows no proof; a second sign-in is a second session."""


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    made = System(tmp_path_factory.mktemp("system"), http=Repeating)
    yield made
    made.close()


def writes():
    for router in ALL_ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.methods - SAFE:
                yield route


def keeps(kind) -> bool:
    """Whether a dependency is the keeper of answers, or is made with it."""
    if not isinstance(kind, type):
        return False
    made_with = inspect.signature(kind.__init__).parameters
    return issubclass(kind, Once) or "once" in made_with


def is_kept(route) -> bool:
    """Whether all that an endpoint returns comes from the keeper, directly or by a helper that is given it."""
    takes = [
        name
        for name, one in inspect.signature(route.endpoint, eval_str=True).parameters.items()
        if keeps(getattr(one.annotation, "__origin__", None))
    ]
    if len(takes) != 1:
        return False
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(route.endpoint))).body
    inner = {
        id(deep)
        for node in ast.walk(made)
        if isinstance(node, ast.FunctionDef | ast.Lambda) and node is not made
        for deep in ast.walk(node)
    }
    given = [
        node.value
        for node in ast.walk(made)
        if isinstance(node, ast.Return) and id(node) not in inner
    ]
    return bool(given) and all(
        isinstance(one, ast.Call) and re.search(rf"\b{takes[0]}\b", ast.unparse(one))
        for one in given
    )


def test_every_write_is_built_to_happen_once():
    found = {route.path: is_kept(route) for route in writes()}
    assert {path for path, kept in found.items() if not kept} == SIGN_IN
    assert len(found) > 70


@pytest.fixture(scope="module")
def firm(system):
    made = system.party("once firm", "contract carrier")
    open_account(system, made, "once owner")
    return made


def browser_of(system, login):
    made = signed_in(system, login)
    repeating = Repeating(
        made.http.app, raise_server_exceptions=False, headers={"Sec-Fetch-Site": "same-origin"}
    )
    repeating.cookies = made.http.cookies
    made.http = repeating
    return made


def test_each_of_these_writes_gets_the_same_answer_again_and_none_for_another_body(system, firm):
    firms = {
        "carrier": firm,
        "consignor": system.party("once consignor", "consignor"),
        "consignee": system.party("once consignee", "consignee"),
    }
    owner = browser_of(system, "once owner")
    firm.post("/v1/routes", {"name": "r", "origin": "a", "destination": "b", "plan": plan()})
    made = firm.post("/v1/waybills", draft(system, firms, "consignor", "carrier"))
    firm.sign_waybill(made["id"])
    car = firm.post("/v1/vehicles", {"plate": "苏A·00001", "kind": "truck"})["id"]
    owner.request("PATCH", f"/v1/vehicles/{car}", json={"note": "blue"})
    code = firm.post("/v1/terminals", {"terminal": "13800001234", "plate": "苏A·00001"})["code"]
    now = system.now()
    phone = {"auth": ("13800001234", code), "headers": {"Idempotency-Key": "fix"}}
    fixes = [{"time": rfc3339(now), "lat": 32.0, "lon": 120.0}]
    system.http.post("/v1/positions/13800001234", json={"fixes": fixes}, **phone)
    report = f"id=13800001234&timestamp={int(now.timestamp()) + 1}&lat=32.0&lon=120.0"
    phone["headers"] = {"Idempotency-Key": "report"}
    system.http.post("/v1/osmand", content=report.encode(), **phone)
    kept = system.http.post(
        f"/v1/documents?about=wb_{made['id'][-64:]}",
        content=photo(),
        headers={"Authorization": f"Bearer {firm._token}", "Idempotency-Key": "photo", "Content-Type": "image/jpeg"},
    ).json()  # fmt: skip
    firm.delete(f"/v1/documents/{kept['id']}")
    export = firm.post("/v1/jobs/exports", {"format": "csv"})
    firm.post(f"/v1/jobs/{export['id']}/cancel")
    hook = firm.post("/v1/webhook_endpoints", {"url": "https://93.184.215.14/h", "types": ["*"]})[
        "id"
    ]
    owner.request("PATCH", f"/v1/webhook_endpoints/{hook}", json={"description": "first"})
    firm.post(f"/v1/webhook_endpoints/{hook}/rotate", {})
    firm.post(f"/v1/webhook_endpoints/{hook}/test")
    firm.delete(f"/v1/webhook_endpoints/{hook}")
    key = owner.post("/v1/keys/own", json={"scopes": "read", "label": "x"}).json()["key_id"]
    owner.request("PATCH", f"/v1/keys/{key}", json={"allowed_from": ["203.0.113.0/24"]})
    owner.request("DELETE", f"/v1/keys/{key}")
    consent = owner.post("/v1/consents", json={"purpose": "terms", "text_hash": "0x" + "12" * 32})
    owner.request("DELETE", f"/v1/consents/{consent.json()['id']}")
    gone = owner.post("/v1/invitations", json={"role": "auditor"}).json()["id"]
    owner.request("DELETE", f"/v1/invitations/{gone}")
    token = owner.post("/v1/invitations", json={"role": "approver"}).json()["token"]
    body = {"token": token, "login": "once two", "name": "Two", "password": PASSWORD}
    member = post_once(system, "/v1/invitations/acceptance", body).json()["id"]
    owner.request("PATCH", f"/v1/members/{member}", json={"role": "owner"})
    asked = {"method": "POST", "path": "/v1/vault", "body": {"n": 1}}
    proposal = firm.post("/v1/proposals", asked)["id"]
    browser_of(system, "once two").post(f"/v1/proposals/{proposal}/approval")
    owner.post(f"/v1/proposals/{proposal}/refusal", json={"reason": "no"})
    owner.request("PATCH", "/v1/organisation", json={"four_eyes": False})
    owner.request("DELETE", f"/v1/members/{member}")
    owner.post("/v1/sessions/proof", json={"password": PASSWORD})
    owner.post("/v1/me/totp")
    owner.post("/v1/me/passkeys/options")
    other = PASSWORD + " again"
    owner.post("/v1/me/password", json={"old": PASSWORD, "new": other})
    owner.post("/v1/me/password", json={"old": other, "new": PASSWORD})
    assert system.http.wrong + owner.http.wrong == []
    proved = {
        (method, re.sub(r"/((0x|[a-z]{2,3}_)[0-9a-f]+|[0-9a-f]{16}|[0-9]+)", "/*", path))
        for method, path in system.http.proved | owner.http.proved
    }
    assert len(proved) >= 36, sorted(proved)


def test_four_at_once_do_the_work_once(system, firm):
    """Over HTTP: the same request at the same time, each of them answered the same."""
    at_once = 4
    now = rfc3339(system.now() + dt.timedelta(days=1))
    cases = {
        "/v1/routes": {"name": "at once", "origin": "a", "destination": "b", "plan": plan()},
        "/v1/terminals": {"terminal": "13800005678", "plate": "苏A·00002"},
        "/v1/vehicles": {"plate": "苏A·00002", "kind": "truck", "note": now},
        "/v1/invitations": {"role": "auditor"},
    }
    for path, body in cases.items():
        barrier, answers = threading.Barrier(at_once, timeout=30), []

        def send(path=path, body=body, barrier=barrier, answers=answers):
            barrier.wait()
            headers = {
                "Authorization": f"Bearer {firm._token}",
                "Idempotency-Key": f"at-once{path[3:].replace('/', '-')}",
            }
            answers.append(
                super(Repeating, system.http).request("POST", path, json=body, headers=headers)
            )

        threads = [threading.Thread(target=send) for _ in range(at_once)]
        [thread.start() for thread in threads]
        [thread.join(60) for thread in threads]
        assert len(answers) == at_once, path
        assert {one.status_code for one in answers} == {201}, path
        assert len({one.content for one in answers}) == 1, path
        replayed = [one for one in answers if one.headers.get("idempotent-replayed")]
        assert len(replayed) == at_once - 1, path
    routes = [one for one in firm.get("/v1/routes")["data"] if one["name"] == "at once"]
    assert len(routes) == 1


def test_a_secret_is_answered_again_for_a_day_and_never_after(system, firm):
    headers = {"Authorization": f"Bearer {firm._token}", "Idempotency-Key": "day"}
    body = {"terminal": "13800009999", "plate": "苏A·00003"}

    def send():
        return super(Repeating, system.http).request(
            "POST", "/v1/terminals", json=body, headers=headers
        )

    first = send()
    assert send().json() == first.json()
    wall = system.container.wall
    system.container.wall = FixedClock(wall.now() + SECRETS_KEPT + dt.timedelta(seconds=1))
    try:
        with system.container.write() as services:
            assert services.answers.forget_secrets() > 0
    finally:
        system.container.wall = wall
    late = send()
    assert (late.status_code, late.json()["code"]) == (410, "secret_gone")


def test_a_refused_proof_counts_as_a_try_and_leaves_its_key_free(system, firm):
    owner = signed_in(system, "once owner")
    once = {"Idempotency-Key": secrets.token_hex(8)}
    wrong = owner.post("/v1/sessions/proof", json={"password": "not it at all"}, headers=once)
    assert wrong.status_code == 401
    right = owner.post("/v1/sessions/proof", json={"password": PASSWORD}, headers=once)
    assert right.status_code == 200
    shut = Browser(system)
    codes = [shut.sign_in("once owner", "wrong again").json()["code"] for _ in range(6)]
    assert "too_many_attempts" in codes
