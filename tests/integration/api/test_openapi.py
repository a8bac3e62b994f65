"""The document keeps what it promises: examples everywhere, and no answer that it does not tell of."""

from __future__ import annotations

import json
import re

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from api.client import ClientError, plain
from api.deprecation import DEPRECATIONS, NOTICE
from api.key_request import Scope
from api.meter import UNMETERED
from chain.abi import Occurred
from chain.bindings.events import PayoutQueued
from chain.ids import Address, Hash32, LineId, PartyId
from finance.records import LineApplication, LineRecord, LineState
from finance.terms import Terms
from tests.integration.api.system import plan
from tests.integration.api.test_doors import operations
from tests.integration.api.test_waybills import draft

load_all_checks()
CONFORMS = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error", "status_code_conformance", "content_type_conformance",
        "response_schema_conformance",
    )
]  # fmt: skip


def resolved(schema, document):
    return schema | {"components": document["components"]}


def test_every_operation_has_examples_that_keep_its_schema(system):
    document = system.http.get("/v1/openapi.json").json()
    wanting, count, seen = [], 0, set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            if not operation.get("description") and not operation.get("summary"):
                wanting.append(f"{where}: says nothing")
            parts = [
                ("request", media)
                for media in operation.get("requestBody", {}).get("content", {}).values()
            ]
            for status, answer in operation["responses"].items():
                parts += [(status, media) for media in answer.get("content", {}).values()]
            for parameter in operation.get("parameters", ()):
                parts.append((parameter["name"], parameter))
            for part, media in parts:
                count += 1
                if "example" not in media:
                    wanting.append(f"{where} {part}: no example")
                    continue
                schema = media.get("schema", {})
                key = json.dumps([schema, media["example"]], sort_keys=True)
                if key in seen:
                    continue  # every operation tells the same problems
                seen.add(key)
                try:
                    jsonschema_rs.validate(resolved(schema, document), media["example"])
                except jsonschema_rs.ValidationError as error:
                    wanting.append(
                        f"{where} {part}: {error.message[:120]} at {list(error.instance_path)}"
                    )
    assert wanting == []
    assert count > 300


def is_json(value):
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def send(system, case, party, number):
    """Sends a case as it is, with the party's key and an Idempotency-Key of its own."""
    headers = {
        name: value
        for name, value in (case.headers or {}).items()
        if isinstance(value, str) and value.isascii() and value.isprintable()
    }
    ours = {"Authorization": f"Bearer {party._token}", "Idempotency-Key": f"s-{number}"}
    as_json = "json" in (case.media_type or "")
    if case.media_type and not as_json:
        ours["Content-Type"] = case.media_type
    body = case.body if isinstance(case.body, bytes | str) else None
    return system.http.request(
        case.method,
        case.formatted_path,
        params=case.query or None,
        headers=headers | ours,
        **({"json": case.body} if as_json else {"content": body}),
    )


def conforms(system, party, most, modes, only=None):
    """Operations with generated requests: what comes back is what the document tells of."""
    schema = schemathesis.openapi.from_dict(system.http.get("/v1/openapi.json").json())
    broken, sent = [], 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if only is not None and operation.label not in only:
            continue
        for mode in modes:

            @settings(
                max_examples=most,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def run(case):
                nonlocal sent
                if "json" in (case.media_type or "") and not is_json(case.body):
                    return  # bytes within JSON cannot be sent
                sent += 1
                case.validate_response(send(system, case, party, f"{most}-{sent}"), checks=CONFORMS)

            try:
                run()
            except Unsatisfiable:
                continue  # nothing can be said wrongly here
            except Exception as error:  # noqa: BLE001  every operation is looked at before the test says no
                broken.append(f"{operation.label}: {str(error)[:600]}")
    return broken, sent


def test_every_example_is_answered_as_the_document_tells(system):
    """Each operation once, as its own example asks; the answers keep their schemas."""
    party = system.party("reader of examples")
    document = system.http.get("/v1/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    broken, sent = [], 0
    for result in schema.get_all_operations():
        operation = result.ok()
        told = document["paths"][operation.path][operation.method]
        if "text/event-stream" in str(told["responses"]):
            continue  # answered for as long as the job runs
        values = {
            place: {
                one["name"]: one["example"]
                for one in told.get("parameters", ())
                if one["in"] == place and (place == "path" or one.get("required"))
            }
            for place in ("path", "query")
        }
        kind, media = next(iter(told.get("requestBody", {}).get("content", {}).items()), (None, {}))
        case = operation.Case(
            path_parameters=values["path"],
            query=values["query"],
            **({"body": media["example"], "media_type": kind} if kind else {}),
        )
        sent += 1
        try:
            answer = send(system, case, party, f"e-{sent}")
            case.validate_response(answer, checks=CONFORMS)
            metered = operation.path not in UNMETERED and operation.path.startswith("/v1/")
            if metered and not {"ratelimit-limit", "ratelimit-remaining"} <= set(answer.headers):
                broken.append(f"{operation.label}: does not tell what is left of the minute")
        except Exception as error:  # noqa: BLE001  every operation is looked at before the test says no
            broken.append(f"{operation.label}: {str(error)[:600]}")
    assert broken == []
    assert sent > 120


BOUNDED = {
    "/v1/deprecations": "written in the code",
    "/v1/event_types": "written in the code",
    "/v1/driver/tasks": "fifty at most; a phone takes them along where there is no network",
    "/v1/ledger/trial-balance": "a row for each account of the chart",
    "/v1/webhook_endpoints/{endpoint}/secret": "the present one and the one it replaced",  # pragma: allowlist secret
}
"""Lists that are answered whole, and what bounds them."""


def test_every_list_is_read_by_pages_or_is_bounded_otherwise(system):
    document = system.http.get("/v1/openapi.json").json()
    whole, paged = set(), set()
    for path, item in document["paths"].items():
        content = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        name = (
            content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
        )
        shape = document["components"]["schemas"].get(name, {}).get("properties", {})
        if shape.get("data", {}).get("type") != "array":
            continue
        asked = {one["name"]: one["schema"] for one in item["get"].get("parameters", ())}
        if {"limit", "starting_after"} <= set(asked):
            paged.add(path)
            assert {"has_more", "next_cursor"} <= set(shape), path
            assert asked["limit"]["maximum"] <= 1000, path
        else:
            whole.add(path)
    assert whole == set(BOUNDED)
    assert len(paged) >= 34


def test_a_list_read_one_by_one_is_the_list_and_a_made_up_cursor_is_refused(system):
    firm = system.party("pager", "contract carrier")
    fill_lists(system, firm)
    auth, walked, longer = {"Authorization": f"Bearer {firm._token}"}, set(), set()
    for method, path, operation in operations(system):
        names = {one["name"] for one in operation.get("parameters", ())}
        if method != "get" or "{" in path or not {"limit", "starting_after"} <= names:
            continue
        wanted = {
            one["name"]: one.get("example", one["schema"].get("examples", [None])[0])
            for one in operation["parameters"]
            if one.get("required")
        }
        if path.endswith("fund-flows"):
            wanted = {"first": "2026-01-01", "last": "2026-01-31"}
        top = next(o["schema"]["maximum"] for o in operation["parameters"] if o["name"] == "limit")
        most = {"limit": min(100, top), **wanted}
        answer = system.http.get(path, params=most, headers=auth)
        if answer.status_code in {403, 404}:
            continue  # for people, custodians and attestors, or about what he has not
        assert answer.status_code == 200, (path, answer.text)
        whole, one_by_one, query = answer.json(), [], {"limit": 1, **wanted}
        assert not whole["has_more"], path
        for _ in range(len(whole["data"]) + 1):
            page = system.http.get(path, params=query, headers=auth).json()
            one_by_one += page["data"]
            if not page["has_more"]:
                break
            query["starting_after"] = page["next_cursor"]
        assert one_by_one == whole["data"], path
        walked.add(path)
        longer |= {path} if len(one_by_one) > 2 else set()
        strange = system.http.get(path, params=most | {"starting_after": "nobody"}, headers=auth)
        assert strange.status_code == 422, (path, strange.text)
        assert strange.json()["field"] == "starting_after", path
    assert len(walked) > 18
    assert list(firm.walk("/v1/vehicles", limit=1)) == firm.get("/v1/vehicles")["data"]
    assert {
        "/v1/keys", "/v1/routes", "/v1/vehicles", "/v1/webhook_endpoints", "/v1/invitations", "/v1/proposals",
        "/v1/lines", "/v1/payouts", "/v1/line-applications",
    } <= longer  # fmt: skip


def fill_lists(system, firm):
    """Three of everything that a party can have without the chain."""
    firm.post("/v1/organisation", {"name": "Organisation of pages"})
    at = system.now()
    for number in range(3):
        firm.open_key(label=f"key {number}")
        road = {"name": f"road {number}", "origin": "a", "destination": "b", "plan": plan()}
        firm.post("/v1/routes", road)
        firm.post("/v1/vehicles", {"plate": f"苏A·P000{number}", "kind": "truck"})
        firm.post(
            "/v1/webhook_endpoints", {"url": f"https://93.184.215.14/{number}", "types": ["*"]}
        )
        firm.post("/v1/invitations", {"role": "auditor"})
        firm.post("/v1/proposals", {"method": "POST", "path": "/v1/payouts", "body": {"n": number}})
        mine = PartyId(firm.party)
        lender, borrower = (mine, PartyId(70 + number)) if number else (PartyId(70), mine)
        with system.container.write() as services:
            services.books.save_line(
                LineRecord(
                    line=LineId(word(number)), lender=lender, borrower=borrower, state=LineState.OPEN, limit_fen=1,
                    valid_until=at, terms=Terms(1, 1, 1, 0, 60, 3), advance_bps=1, tolerance_bps=1, attestor=PartyId(5),
                    gated=False, terms_hash=word(9), form={}, submitted_at=at,
                )
            )  # fmt: skip
            services.books.save_application(
                LineApplication(
                    id=word(10 + number), lender=lender, borrower=borrower, asked_fen=1, offered_fen=1, tenor_days=60,
                    note="", decision=word(9), earned={"limit_fen": 1, "steps": []}, made_at=at, made_by="key",
                )
            )  # fmt: skip
            queued = PayoutQueued(word(20 + number), mine, word(9), 100 + number)
            services.payouts.on_payout_queued(
                Occurred(queued, "SettlementToken", Address("0x" + "00" * 20), at, 1, word(8), word(7), number)
            )  # fmt: skip


def word(number):
    return Hash32(f"0x{number + 1:064x}")


FEW = {"POST /v1/routes", "GET /v1/waybills", "GET /v1/events", "POST /v1/vehicles"}


def test_generated_requests_meet_no_failure_and_no_undocumented_answer(system):
    """A few operations for seconds; all of them for long, below."""
    broken, sent = conforms(system, system.party("walker"), 8, list(GenerationMode), FEW)
    assert broken == []
    assert sent >= 20


@pytest.mark.deep
def test_generated_requests_meet_no_failure_anywhere_for_long(system):
    broken, sent = conforms(system, system.party("long walker"), 20, list(GenerationMode))
    assert broken == []
    assert sent > 1000


# -- the manner of the API ----------------------------------------------------------------------------


def test_every_answer_tells_the_mode_and_what_is_left_of_the_minute(system):
    party = system.party("metered")
    auth = {"Authorization": f"Bearer {party._token}"}
    first, second = (system.http.get("/v1/trips", headers=auth) for _ in range(2))
    assert first.headers["yundan-mode"] == "test"
    assert int(first.headers["ratelimit-limit"]) == system.settings.rate_per_minute
    left = [int(one.headers["ratelimit-remaining"]) for one in (first, second)]
    assert left[0] - left[1] == 1
    assert 1 <= int(first.headers["ratelimit-reset"]) <= 60


def test_who_asks_too_often_waits_and_nobody_else_does(system):
    from fastapi.testclient import TestClient

    from api.app import create_app

    before = system.container.settings
    eager, calm = system.party("eager"), system.party("calm")
    system.container.settings = before.model_copy(update={"rate_per_minute": 5})
    http = TestClient(create_app(system.container))  # not entered: the container outlives it
    answers = [
        http.get("/v1/trips", headers={"Authorization": f"Bearer {eager._token}"})
        for _ in range(12)
    ]
    system.container.settings = before
    refused = [one for one in answers if one.status_code == 429]
    assert len(refused) >= 2
    assert refused[0].json()["code"] == "too_many_requests"
    assert refused[0].headers["content-type"] == "application/problem+json"
    assert int(refused[0].headers["retry-after"]) >= 1
    assert refused[0].headers["x-request-id"]
    assert (
        http.get("/v1/trips", headers={"Authorization": f"Bearer {calm._token}"}).status_code == 200
    )


def test_a_live_key_opens_nothing_in_test_and_the_other_way_round(system):
    party = system.party("two worlds")
    assert party._token.startswith("yk_test_")
    wrong = party._token.replace("yk_test_", "yk_live_")
    answer = system.http.get("/v1/trips", headers={"Authorization": f"Bearer {wrong}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_mode")


def test_what_will_go_says_so_and_is_listed(system, firms):
    answer = system.http.post(
        "/v1/waybills/import",
        content=b"",
        headers={
            "Authorization": f"Bearer {firms['carrier']._token}",
            "Idempotency-Key": "old",
            "Content-Type": "text/csv",
        },
    )
    assert answer.headers["deprecation"].startswith("@")
    assert "GMT" in answer.headers["sunset"]
    assert 'rel="successor-version"' in answer.headers["link"]
    listed = system.http.get("/v1/deprecations").json()["data"]
    assert [one["what"] for one in listed] == [one.what for one in DEPRECATIONS]
    assert all(one.sunset - one.since >= NOTICE for one in DEPRECATIONS)
    marked = {
        f"{method.upper()} {path}"
        for method, path, one in operations(system)
        if one.get("deprecated")
    }
    assert marked == {one.what for one in DEPRECATIONS}


def test_ids_are_taken_plain_and_prefixed_and_a_wrong_kind_is_told(system, firms):
    carrier = firms["carrier"]
    made = carrier.post(
        "/v1/waybills", draft(system, firms, "consignor", "carrier", shipping_note="YD-P")
    )
    assert re.fullmatch("wb_[0-9a-f]{64}", made["id"])
    assert carrier.get(f"/v1/waybills/{plain(made['id'])}")["id"] == made["id"]
    assert carrier.get(f"/v1/waybills/{made['id']}")["id"] == made["id"]
    for spelled in (f"pty_{carrier.party}", str(carrier.party)):
        assert carrier.get(f"/v1/parties/{spelled}")["id"] == f"pty_{carrier.party}"
    with pytest.raises(ClientError) as refused:
        carrier.get("/v1/waybills/trp_" + made["id"][3:])
    assert "this is the id of a trip" in refused.value.problem["detail"]


def test_objects_are_expanded_and_lists_read_in_both_directions(system, firms):
    carrier = firms["carrier"]
    for number in range(5):
        carrier.post(
            "/v1/waybills",
            draft(system, firms, "consignor", "carrier", shipping_note=f"YD-X{number}"),
        )
    first = carrier.get("/v1/waybills", limit=2, side="performer", expand="issuer")
    assert first["data"][0]["expanded"]["issuer"]["id"] == f"pty_{firms['consignor'].party}"
    second = carrier.get(
        "/v1/waybills", limit=2, side="performer", starting_after=first["next_cursor"]
    )
    back = carrier.get(
        "/v1/waybills",
        limit=2,
        side="performer",
        ending_before=second["data"][0]["id"],
        expand="issuer",
    )
    assert back["data"] == first["data"]
    with pytest.raises(ClientError) as refused:
        firms["stranger"].get("/v1/waybills", starting_after=first["next_cursor"])
    assert refused.value.problem["field"] == "starting_after"


def test_a_waybill_has_an_etag_that_guards_its_signature(system, firms):
    carrier = firms["carrier"]
    made = carrier.post(
        "/v1/waybills", draft(system, firms, "consignor", "carrier", shipping_note="YD-E")
    )
    path, auth = f"/v1/waybills/{made['id']}", {"Authorization": f"Bearer {carrier._token}"}
    read = system.http.get(path, headers=auth)
    same = system.http.get(path, headers=auth | {"If-None-Match": read.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    firms["consignor"].sign_waybill(made["id"])
    signature = carrier.sign(read.json()["to_sign"])["signature"]
    stale = system.http.post(
        f"{path}/signatures",
        json={"signature": signature},
        headers=auth | {"Idempotency-Key": "etag", "If-Match": read.headers["etag"]},
    )
    assert (stale.status_code, stale.json()["field"]) == (412, "If-Match")
    assert carrier.get(path)["stage"] == "draft"


# -- questions to the database ------------------------------------------------------------------------

LISTS = (
    "/v1/waybills", "/v1/waybills?expand=issuer&expand=performer&expand=trip", "/v1/trips?expand=driver",
    "/v1/advances?expand=lender", "/v1/lines?expand=lender&expand=borrower", "/v1/routes", "/v1/keys", "/v1/documents", "/v1/events", "/v1/jobs", "/v1/webhook_endpoints",
    "/v1/vehicles", "/v1/receivables", "/v1/ledger/entries", "/v1/payouts", "/v1/line-applications",
    "/v1/payout-accounts", "/v1/warnings", "/v1/fund-flows?first=2026-01-01&last=2026-01-31",
)  # fmt: skip


def test_no_list_asks_more_questions_for_more_rows(system, firms):
    """Each list with one row and with many: the same number of statements."""
    carrier = firms["carrier"]
    auth = {"Authorization": f"Bearer {carrier._token}"}
    for number in range(12):
        carrier.post(
            "/v1/waybills",
            draft(system, firms, "consignor", "carrier", shipping_note=f"YD-Q{number}"),
        )
        carrier.post("/v1/vehicles", {"plate": f"苏A·{number:05d}", "kind": "truck"})
    counts = {}
    for path in LISTS:
        for limit in (1, 50):
            joined = f"{path}{'&' if '?' in path else '?'}limit={limit}"
            with system.counting() as seen:
                answer = system.http.get(joined, headers=auth)
            assert answer.status_code == 200, (path, answer.text)
            counts[path, limit] = len(seen)
    assert {path: counts[path, 50] - counts[path, 1] for path in LISTS} == dict.fromkeys(LISTS, 0)


def test_scopes_of_new_doors_are_asked_for():
    assert {"documents:write", "webhooks:write"} <= {scope.value for scope in Scope}
