"""What no caller should send, sent to every operation: a clear problem, nothing stored, the process unharmed."""

from __future__ import annotations

import copy
import itertools
import json

import pytest
import sqlalchemy as sa

from api.client import ClientError
from chain.storage import Row
from tests.integration.api.people import open_account, signed_in
from tests.integration.api.test_doors import operations, path_of

TRICKS = {"right-to-left": "a\u202eb", "lone surrogate": "a\ud800", "nothing to see": "a\u200bb", "zero": "a\x00b"}  # fmt: skip

FREE = {
    "password", "old", "new", "code", "body", "message", "plan", "to_sign", "content", "answer", "challenge",
}  # fmt: skip
"""A secret is taken as it is typed; what is signed or sketched is judged by its own rules."""


@pytest.fixture(scope="module")
def firm(system):
    made = system.party("bad input", "contract carrier")
    open_account(system, made, "bad input owner")
    return made


@pytest.fixture(scope="module")
def senders(system, firm):
    owner = signed_in(system, "bad input owner")
    headers = {"Authorization": f"Bearer {firm._token}"}

    def by_key(method, path, **options):
        options["headers"] = headers | options["headers"]
        return system.http.request(method, path, **options)

    return {"owner": owner.request, "key": by_key}


def counted(system):
    """Rows of every table that a refused write could have left something in."""
    skipped = {"access_log", "account_session", "attempt", "kept_answer", "phone_code"}
    with system.container.storage.read() as session:
        return {
            table.name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in Row.metadata.sorted_tables
            if table.name not in skipped
        }


def json_writes(system):
    for method, path, operation in operations(system):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            yield method, path, content["application/json"].get("example")


def leaves(value, at=()):
    """Where the texts of a body stand."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in FREE:
                yield from leaves(part, (*at, name))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from leaves(part, (*at, place))
    elif isinstance(value, str):
        yield at


def replaced(body, at, text):
    made = copy.deepcopy(body)
    inner = made
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = text
    return made


def test_no_operation_takes_a_text_with_what_cannot_be_seen(system, senders):
    before, sent, taken, turns = counted(system), 0, [], itertools.cycle(TRICKS)
    for method, path, example in json_writes(system):
        for at in leaves(example):
            for word in ("lone surrogate", next(turns)):
                trick = TRICKS[word]
                content = json.dumps(replaced(example, at, trick)).encode()
                sent += 1
                answer = senders["owner" if sent % 2 else "key"](
                    method.upper(), path_of(path), content=content,
                    headers={"Idempotency-Key": f"trick-{sent}", "Content-Type": "application/json"},
                )  # fmt: skip
                assert answer.status_code < 500, (method, path, at, word, answer.text[:300])
                if answer.is_success:
                    taken.append((method, path, at, word))
                else:
                    assert answer.headers["content-type"] == "application/problem+json", path
    assert taken == []
    assert sent > 200
    assert counted(system) == before


RARE = ("application/xml", "multipart/form-data", "image/png", "nonsense")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", ""]
    + [pytest.param(kind, marks=pytest.mark.deep) for kind in RARE],
)
def test_no_operation_takes_json_under_another_name(system, senders, kind):
    """A page of another site can send these kinds without asking, so none of them may do anything."""
    before, sent = counted(system), 0
    for method, path, example in json_writes(system):
        sent += 1
        headers = {"Idempotency-Key": f"kind-{sent}"} | ({"Content-Type": kind} if kind else {})
        answer = senders["key"](
            method.upper(), path_of(path), content=json.dumps(example).encode(), headers=headers
        )
        assert 400 <= answer.status_code < 500, (method, path, kind, answer.text[:300])
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    assert sent > 60
    assert counted(system) == before


def test_no_operation_reads_beyond_the_largest_body_or_any_depth(system, senders):
    before = counted(system)
    large, deep = b'"' + b"x" * (8 * 1024 * 1024) + b'"', b"[" * 200_000
    for number, (method, path, _) in enumerate(json_writes(system)):
        if number % 6 == 0:  # the limit stands before the operations; some of each kind show it
            answer = senders["key"](
                method.upper(), path_of(path), content=large,
                headers={"Idempotency-Key": f"large-{number}", "Content-Type": "application/json"},
            )  # fmt: skip
            assert answer.status_code == 413, (method, path, answer.text[:200])
            assert answer.json()["code"] == "content_too_large"
        answer = senders["key"](
            method.upper(), path_of(path), content=deep,
            headers={"Idempotency-Key": f"deep-{number}", "Content-Type": "application/json"},
        )  # fmt: skip
        assert 400 <= answer.status_code < 500, (method, path, answer.text[:200])
    assert counted(system) == before
    assert system.http.get("/v1/health").status_code == 200


def test_a_signature_made_by_a_clock_that_is_off_is_refused_with_the_servers_time(system, firm):
    for off in (-301, 301):
        form = firm.get("/v1/keys/form", party=str(firm.party))["to_sign"]
        form["message"]["issuedAt"] = str(int(form["message"]["issuedAt"]) + off)
        signed = firm.sign(form)
        body = {
            "party": str(firm.party), "scopes": signed["message"]["scopes"], "label": signed["message"]["label"],
            "issued_at": int(signed["message"]["issuedAt"]), "salt": signed["message"]["salt"],
            "signature": signed["signature"],
        }  # fmt: skip
        with pytest.raises(ClientError) as refused:
            firm.post("/v1/keys", body)
        assert refused.value.problem["field"] == "issued_at"
        assert refused.value.problem["facts"]["server_time"] == int(system.now().timestamp())


def test_a_form_that_has_expired_binds_nobody(system, firm):
    """A vault move that was to be sent before a second ago: refused by name, nothing queued."""
    form = firm.post("/v1/vault/form", {"deposit": True, "amount_fen": 100})["to_sign"]
    form["message"]["expires"] = str(int(system.now().timestamp()) - 1)
    before = counted(system)
    with pytest.raises(ClientError) as refused:
        firm.post("/v1/vault", firm.sign(form))
    assert refused.value.status == 422
    assert "expire" in refused.value.problem["detail"]
    assert counted(system) == before


def test_problems_speak_the_language_that_is_asked_for(system, firm):
    auth = {"Authorization": f"Bearer {firm._token}", "Idempotency-Key": "zh"}

    def ask(language, path="/v1/vehicles", body=None):
        headers = auth | {"Accept-Language": language}
        return system.http.post(path, json=body or {"plate": 7}, headers=headers).json()

    chinese, english = ask("zh-CN,zh;q=0.9,en;q=0.1"), ask("en-GB,en;q=0.9,zh;q=0.5")
    assert (chinese["title"], chinese["code"]) == ("请求格式有误", "invalid_request")
    assert chinese["detail"] == "plate: 须为文本"
    assert {one["message"] for one in chinese["errors"]} == {"须为文本"}
    unknown = ask("zh", body={"plate": "苏A·1", "colour": "red"})
    assert (unknown["field"], unknown["detail"]) == ("colour", "colour: 不接受此字段")
    assert english["detail"] == "plate: Input should be a valid string"
    missing = system.http.get(
        "/v1/waybills/0x" + "0a" * 32, headers=auth | {"Accept-Language": "zh"}
    )
    assert missing.headers["content-language"] == "zh"
    assert missing.json()["detail"].startswith("没有这个对象，或您无权查看。")
    shut = system.http.get("/v1/trips", headers={"Accept-Language": "zh"}).json()
    assert (shut["code"], shut["title"]) == ("unauthenticated", "未验证身份")
    nowhere = system.http.get("/v1/nothing", headers={"Accept-Language": "zh"}).json()
    assert nowhere["title"] == "不存在"
