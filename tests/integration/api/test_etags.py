"""Every object has an ETag; who has it is spared the body, and who changes what he has not seen is refused."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from chain.ids import AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
from finance.advance import AdvanceState
from finance.records import AdvanceRecord, LineRecord, LineState
from finance.terms import Terms
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


OTHERWISE = {
    "post /v1/parties/{party}/recovery": "the contract says whether one waits already",
    "post /v1/parties/{party}/recovery/cancellation": "its form names the recovery that it stops",
    "post /v1/parties/{party}/recovery/end": "ends the recovery that the contract names",
    "post /v1/trips/{trip}/attestations": "its form names the evidence that was looked at",
    "post /v1/lines/{line}/rule/end": "takes room away, whatever the rule was",
    "post /v1/advances/{advance}/contacts": "notes a contact; the advance stays",
    "post /v1/webhook_endpoints/{endpoint}/test": "sends; the receiver stays",
    "post /v1/webhook_endpoints/{endpoint}/replay": "sends; the receiver stays",
    "post /v1/webhook_deliveries/{delivery}/replay": "sends the same again",
    "post /v1/receipts/{token}/forms": "prepares; nothing is kept",
    "post /v1/receipts/{token}/signature": "its form names the version that was looked at",
    "post /v1/receipts/{token}/photos": "adds a photo; the receipt stays",
    "delete /v1/personal-data": "erases what is there, whatever it is",
}
"""Writes on an object with a GET of its own that take no If-Match, and why."""

ELSEWHERE = {
    "post /v1/routes": "/v1/routes/{name}",
    "post /v1/organisation/party": "/v1/organisation",
}
DELIVERIES = {
    f"post /v1/deliveries/{{trip}}/{act}" for act in ("loading", "confirmation", "dispute")
}


def test_every_write_on_an_object_that_can_be_read_takes_if_match_or_says_why_not(system):
    walked = operations(system)
    readable = {path for method, path, _ in walked if method == "get"}
    takes, wants = set(), set()
    for method, path, operation in walked:
        name = f"{method} {path}"
        if any(one["name"].lower() == "if-match" for one in operation.get("parameters", ())):
            takes.add(name)
        if method == "get":
            continue
        above = path.rpartition("/")[0]
        if "{" in above and above.removesuffix("/recovery") in readable and not path.endswith("}"):
            wants.add(name)
        if method in {"put", "patch", "delete"} and path in readable:
            wants.add(name)
    assert takes == (wants | set(ELSEWHERE) | DELIVERIES) - set(OTHERWISE)
    assert set(OTHERWISE) <= wants
    assert len(takes) > 25


def test_a_lenders_act_on_what_he_has_not_seen_is_refused_before_his_signature_is_looked_at(
    system, firms
):
    """If-Match is asked of a line and of an advance that stand in the rows; the chain hears nothing of it."""
    lender = firms["consignor"]
    line, advance = stand(system, lender.party, firms["haulier"].party)
    auth = {"Authorization": f"Bearer {lender._token}"}
    forms = (
        (f"/v1/lines/{line}", f"/v1/lines/{line}/change", {"frozen": True}),
        (f"/v1/advances/{advance}", f"/v1/advances/{advance}/act", {"act": "decline", "reason": "no"}),
    )  # fmt: skip
    for number, (read, write, asked) in enumerate(forms):
        signed = lender.sign(lender.get(write, **asked)["to_sign"])
        if write.endswith("change"):
            signed["lender_signature"] = signed.pop("signature")

        def send(match, word, *, write=write, signed=signed, number=number):
            headers = auth | {"If-Match": match, "Idempotency-Key": f"lender-{number}-{word}"}
            return system.http.post(write, json=signed, headers=headers)

        stale = send('"0123456789abcdef0123456789abcdef"', "stale")
        assert (stale.status_code, stale.json()["field"]) == (412, "If-Match"), stale.text
        right = send(system.http.get(read, headers=auth).headers["etag"], "right")
        assert right.status_code == 202, right.text


def stand(system, lender, borrower):
    """A line and a requested advance in the rows, as the chain would have told of them."""
    now, word = system.now(), iter(range(9_000, 9_100))
    line = LineRecord(
        line=LineId(f"0x{next(word):064x}"), lender=lender, borrower=borrower, state=LineState.OPEN,
        limit_fen=10**8, valid_until=now + dt.timedelta(days=100), advance_bps=8_000, tolerance_bps=100,
        terms=Terms(rate_ppm=100_000, penalty_ppm=150_000, ceiling_ppm=240_000, fee_bps=0, tenor_days=60, grace_days=3),
        attestor=PartyId(5), gated=False, terms_hash=Hash32(f"0x{next(word):064x}"), form={}, submitted_at=now,
    )  # fmt: skip
    advance = AdvanceRecord(
        advance=AdvanceId(f"0x{next(word):064x}"), line=line.line, lender=lender, borrower=borrower,
        waybill=WaybillId(f"0x{next(word):064x}"), trip=TripId(f"0x{next(word):064x}"), principal_fen=10**6,
        decision=Hash32(f"0x{next(word):064x}"), submitted_at=now, state=AdvanceState.REQUESTED,
    )  # fmt: skip
    with system.container.write() as services:
        services.books.save_line(line)
        services.books.save_advance(advance)
    return line.line, advance.advance
