"""Every object has an ETag; who has it is spared the body, and who changes what he has not seen is refused."""

from __future__ import annotations

import re

import pytest

from tests.integration.api.people import open_account, signed_in
from tests.integration.api.system import plan
from tests.integration.api.test_doors import operations
from tests.integration.api.test_waybills import draft

NO_JSON = {"text/event-stream", "application/pdf", "text/csv"}


@pytest.fixture(scope="module")
def owned(system, firms):
    """A carrier with one object of each kind that needs no chain."""
    carrier = firms["carrier"]
    open_account(system, carrier, "tag owner")
    road = {"name": "tag", "origin": "a", "destination": "b", "plan": plan()}
    carrier.post("/v1/routes", road)
    waybill = carrier.post("/v1/waybills", draft(system, firms, "consignor", "carrier"))
    car = carrier.post("/v1/vehicles", {"plate": "苏A·T0001", "kind": "truck"})
    hook = carrier.post("/v1/webhook_endpoints", {"url": "https://93.184.215.14/h", "types": ["*"]})
    job = carrier.post("/v1/jobs/exports", {"format": "csv"})
    return road, {
        "waybill": waybill["id"], "car": car["id"], "endpoint": hook["id"], "job": job["id"],
        "name": "tag", "party": str(carrier.party),
    }  # fmt: skip


def test_every_answer_to_a_question_has_an_etag_and_is_spared_to_who_has_it(system, firms, owned):
    auth = {"Authorization": f"Bearer {firms['carrier']._token}"}
    seen, without = 0, []
    for method, path, operation in operations(system):
        names = set(re.findall(r"{(\w+)}", path))
        if method != "get" or not names <= set(owned[1]):
            continue
        if not any(
            "application/json" in one.get("content", {}) for one in operation["responses"].values()
        ):
            continue
        filled = re.sub(r"{(\w+)}", lambda match: owned[1][match[1]], path)
        first = system.http.get(filled, headers=auth)
        if first.status_code != 200 or not first.headers["content-type"].startswith(
            "application/json"
        ):
            continue
        seen += 1
        tag = first.headers.get("etag", "")
        again = system.http.get(filled, headers=auth | {"If-None-Match": f'"other", W/{tag}'})
        if first.text == system.http.get(filled, headers=auth).text and (
            not tag or again.status_code != 304 or again.content
        ):
            without.append(path)
    assert without == []
    assert seen > 25


def test_a_change_of_what_was_not_seen_is_refused_and_of_what_was_is_not(system, firms, owned):
    carrier, (road, ids) = firms["carrier"], owned
    auth = {"Authorization": f"Bearer {carrier._token}"}
    owner = signed_in(system, "tag owner")
    changes = (
        ("/v1/routes/tag", "POST", "/v1/routes", road | {"origin": "c"}),
        (f"/v1/vehicles/{ids['car']}", "PATCH", f"/v1/vehicles/{ids['car']}", {"note": "x"}),
        (f"/v1/webhook_endpoints/{ids['endpoint']}", "PATCH", f"/v1/webhook_endpoints/{ids['endpoint']}", {"description": "x"}),
        ("/v1/organisation", "PATCH", "/v1/organisation", {"four_eyes": False}),
    )  # fmt: skip
    for number, (read, method, write, body) in enumerate(changes):
        tag = system.http.get(read, headers=auth).headers["etag"]

        def send(match, word, *, method=method, write=write, body=body, number=number):
            headers = {"If-Match": match, "Idempotency-Key": f"tag-{number}-{word}"}
            return owner.request(method, write, json=body, headers=headers)

        stale = send('"0123456789abcdef0123456789abcdef"', "stale")
        assert (stale.status_code, stale.json()["field"]) == (412, "If-Match"), write
        assert send(tag, "right").is_success, write
        assert send("*", "any").is_success, write


def test_every_write_that_takes_if_match_says_so(system):
    takes = {
        f"{method} {path}"
        for method, path, operation in operations(system)
        if any(one["name"].lower() == "if-match" for one in operation.get("parameters", ()))
    }
    acts = ("acknowledgement", "consent", "approval", "gate", "retry", "repayment")
    assert takes == {
        "post /v1/routes", "patch /v1/organisation", "patch /v1/vehicles/{car}",
        "patch /v1/webhook_endpoints/{endpoint}", "delete /v1/webhook_endpoints/{endpoint}",
        "post /v1/waybills/{waybill}/signatures",
        *(f"post /v1/advances/{{advance}}/{act}" for act in acts),
        *(f"post /v1/deliveries/{{trip}}/{act}" for act in ("loading", "confirmation", "dispute")),
    }  # fmt: skip
